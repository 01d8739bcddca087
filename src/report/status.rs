//! What this host remembers, for people and for monitoring.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::VERSION;
use super::changes::Changes;
use crate::config::{Alerts, Role, Settings};
use crate::error::Error;
use crate::model::state::{Intent, State};
use crate::plan::Plan;
use crate::text;

/// How many changes are listed.
const MOST: usize = 20;

/// What this host remembers.
#[derive(Debug, Serialize)]
pub struct StatusDocument {
    version: u32,
    role: Role,
    repository: String,
    unit: String,
    /// `running` or `stopped`; none if it could not be found out.
    service: Option<&'static str>,
    /// Seconds since a cycle last ended as designed and not held; none if none did.
    last_success_age: Option<i64>,
    /// Why somebody should look: the last cycle failed, or none has ended well for too long.
    problem: Option<Problem>,
    state: State,
    /// What it would take to undo the edits that were found here; none if there are none.
    edits: Option<Changes>,
    /// Which alerts a replica sends.
    alerts: Option<Alerts>,
    #[serde(skip)]
    now: Timestamp,
}

/// A failure, by its kind.
#[derive(Debug, Serialize)]
struct Problem {
    kind: &'static str,
    message: String,
    hint: String,
}

impl StatusDocument {
    /// The status at `now`. The text form leaves the problem to whoever prints the error.
    pub fn new(
        settings: &Settings,
        unit: String,
        service: Option<&'static str>,
        state: State,
        problem: Option<&Error>,
        now: Timestamp,
    ) -> Self {
        let last_success_age = state.last_success.map(|at| now.duration_since(at).as_secs());
        let problem = problem.map(|error| Problem {
            kind: error.kind().name(),
            message: error.chain(),
            hint: error.hint().to_owned(),
        });
        let (role, repository) = (settings.role, settings.repository.to_string());
        let alerts = (role == Role::Replica).then_some(settings.replica.customization.alerts);
        let version = VERSION;
        Self { version, role, repository, unit, service, last_success_age, problem, state, edits: None, alerts, now }
    }

    /// Adds what it would take to undo the edits that were found here.
    #[must_use]
    pub fn edits(mut self, plan: &Plan) -> Self {
        self.edits = Some(Changes::of(plan));
        self
    }
}

impl fmt::Display for StatusDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = |at: &Timestamp| {
            let seconds = self.now.duration_since(*at).as_secs();
            format!("{} ({})", at.round(jiff::Unit::Second).unwrap_or(*at), ago(seconds))
        };
        writeln!(f, "role          {}", self.role)?;
        writeln!(f, "repository    {}", self.repository)?;
        writeln!(f, "uptime kuma   {} {}", self.unit, self.service.unwrap_or("unknown"))?;
        match &self.state.last {
            Some(last) => {
                let message =
                    if last.message.is_empty() { String::new() } else { format!(": {}", text::line(&last.message)) };
                writeln!(f, "last cycle    {} {}{message}", when(&last.at), text::line(&last.outcome))?;
            }
            None => writeln!(f, "last cycle    none yet")?,
        }
        match &self.state.last_success {
            Some(at) => writeln!(f, "last success  {}", when(at))?,
            None => writeln!(f, "last success  none yet")?,
        }
        if let Some(hold) = &self.state.hold {
            let end = hold.until.map_or_else(|| "until it is released".to_owned(), |until| format!("until {until}"));
            writeln!(f, "on hold       {} {end}: {}", when(&hold.since), text::line(&hold.reason))?;
        }
        if let Some(Intent { snapshot, since, .. }) = &self.state.intent {
            let what = snapshot.as_ref().map_or_else(|| "restore".to_owned(), |id| format!("snapshot {}", id.short()));
            writeln!(f, "unfinished    {} {what}", when(since))?;
        }
        if let Some(main) = self.state.main.as_ref().filter(|_| self.role == Role::Main) {
            writeln!(f, "main id       {} epoch {}", main.id, main.epoch)?;
            match &main.published {
                Some(published) => writeln!(
                    f,
                    "published     {} snapshot {} sequence {} {} rows",
                    when(&published.at),
                    published.snapshot.short(),
                    published.sequence,
                    published.counts.values().sum::<u64>()
                )?,
                None => writeln!(f, "published     nothing yet")?,
            }
            if let Some(fenced) = &main.fenced {
                writeln!(f, "fenced        {} host {} is the main", when(&fenced.at), text::line(&fenced.host))?;
            }
        }
        let replica = &self.state.replica;
        if self.role == Role::Main {
            return Ok(());
        }
        if let Some(applied) = &replica.applied {
            let (snapshot, place) = (applied.snapshot.short(), &applied.place);
            writeln!(
                f,
                "applied       {} snapshot {snapshot} epoch {} sequence {}",
                when(&applied.at),
                place.epoch,
                place.sequence
            )?;
        } else {
            writeln!(f, "applied       nothing yet")?;
        }
        if self.alerts == Some(Alerts::None) {
            writeln!(f, "alerts        none: kuma-replicator alerts on")?;
        }
        if let Some(drift) = &replica.drift {
            write!(f, "edited here   {}; to be as in the snapshot again it would take", when(&drift.since))?;
            match &self.edits {
                Some(edits) => edits.show(f, MOST)?,
                None => f.write_str(" what kuma-replicator plan shows")?,
            }
            writeln!(f)?;
        }
        if replica.restored.is_some() {
            writeln!(f, "restored      another configuration is in force, put there by hand")?;
        }
        if let Some(refused) = &replica.refused {
            writeln!(
                f,
                "refused       {} snapshot {}: {}",
                when(&refused.at),
                refused.snapshot.short(),
                text::line(&refused.reason)
            )?;
        }
        Ok(())
    }
}

/// A span in its largest whole unit.
fn ago(seconds: i64) -> String {
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}
