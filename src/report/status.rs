//! What this host remembers, for people and for monitoring.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::changes::{self, Changes};
use super::retention::RetentionView;
use super::{Clock, Shaped, VERSION};
use crate::config::{Alerts, Receiver, Role, Settings};
use crate::error::Error;
use crate::model::digest::Digest;
use crate::model::manifest::Place;
use crate::model::notify::{Memory, Trouble};
use crate::model::outcome::Outcome;
use crate::model::snapshot::{MainId, SnapshotId};
use crate::model::state::{
    Applied, Decision, Fenced, Hold, Intent, LastCycle, LastOrder, LocalRows, MainState, Published, State, Verdict,
};
use crate::plan::Plan;
use crate::terminal::{Shape, Tone};
use crate::text;

/// How many changes are listed.
const MAX_CHANGES: usize = 20;

/// The status of a host.
#[derive(Debug, Serialize)]
pub struct StatusDocument {
    version: u32,
    role: Role,
    repository: String,
    unit: String,
    /// `running` or `stopped`; none if that is unknown.
    service: Option<&'static str>,
    last_cycle: Option<LastCycle>,
    last_success: Option<Timestamp>,
    /// The last order of a person after which what failed before is over; none if the last cycle is newer.
    last_order: Option<LastOrder>,
    /// Seconds since the last success; none if there was none.
    last_success_age: Option<i64>,
    /// Why systemd could not even start the last cycle; none if it did.
    not_started: Option<String>,
    /// Why a person has to look at this host.
    problem: Option<Problem>,
    hold: Option<Hold>,
    unfinished: Option<Unfinished>,
    /// How many rows of history of removed monitors are left to remove; none if there are none.
    history_left: Option<u64>,
    /// The receivers that take nothing.
    undelivered: Vec<Undelivered>,
    /// None on a replica.
    main: Option<Main>,
    /// None on a main.
    replica: Option<Replica>,
    #[serde(skip)]
    clock: Clock,
}

/// A failure, by its kind.
#[derive(Debug, Serialize)]
struct Problem {
    kind: &'static str,
    message: String,
    hint: String,
}

/// A run that was interrupted.
#[derive(Debug, Serialize)]
struct Unfinished {
    /// What was being put in force.
    what: String,
    since: Timestamp,
    /// Whether its rows are written, and Uptime Kuma was stopped by hand before it answered.
    written: bool,
}

/// A receiver that takes nothing.
#[derive(Debug, Serialize)]
struct Undelivered {
    receiver: String,
    since: Timestamp,
    reason: String,
    /// How many messages it has not received.
    waiting: usize,
}

#[derive(Debug, Serialize)]
struct Main {
    id: MainId,
    epoch: u64,
    published: Option<PublishedView>,
    fenced: Option<Fenced>,
    retention: RetentionView,
}

#[derive(Debug, Serialize)]
struct PublishedView {
    snapshot: SnapshotId,
    sequence: u64,
    digest: Digest,
    rows: u64,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct Replica {
    applied: Option<AppliedView>,
    alerts: Alerts,
    /// Whether the last apply was with the customization that is configured now; none if nothing was applied, or it was
    /// applied as the main has it.
    customization_in_force: Option<bool>,
    verdict: Option<VerdictView>,
    /// Since when rows are known to be edited on this replica.
    drifted_since: Option<Timestamp>,
    /// What it would take to undo those edits; none without edits, or if that is unknown.
    edits: Option<Changes>,
    /// Why that is unknown.
    edits_unknown: Option<String>,
    /// Whether `restore` put another configuration in force.
    restored: bool,
    /// How often an apply may restart Uptime Kuma; none if it is not known.
    restarts: Option<Restarts>,
}

#[derive(Debug, Serialize)]
struct Restarts {
    /// Seconds within which its monitors have begun.
    begin_within: u64,
    /// Seconds until the next restart.
    next_after: u64,
}

#[derive(Debug, Serialize)]
struct AppliedView {
    snapshot: SnapshotId,
    #[serde(flatten)]
    place: Place,
    digest: Digest,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct VerdictView {
    /// `rejected`, `backoff`, `blocked` or `deferred`.
    decision: &'static str,
    snapshot: SnapshotId,
    reason: String,
    at: Timestamp,
    /// How often the snapshot was tried; only of a backoff.
    attempts: Option<u32>,
}

impl StatusDocument {
    /// The status at a time. Its text does not mention the problem: that is printed as an error.
    pub fn new(
        settings: &Settings,
        service: Option<&'static str>,
        state: State,
        problem: Option<&Error>,
        clock: Clock,
    ) -> Self {
        let last_order = state.order_since().cloned();
        let State { main, replica, intent, hold, last_cycle, last_success, .. } = state;
        let problem = problem.map(|error| Problem {
            kind: error.kind().name(),
            message: error.chain(),
            hint: error.hint().to_owned(),
        });
        let rows = replica.applied.as_ref().map(|applied| &applied.rows);
        let drifted_since = match rows {
            Some(LocalRows::Drifted { since, .. }) => Some(*since),
            _ => None,
        };
        let restored = matches!(rows, Some(LocalRows::Restored { .. }));
        let is_main = settings.role == Role::Main;
        Self {
            version: VERSION,
            role: settings.role,
            repository: settings.repository.to_string(),
            unit: settings.kuma.unit.to_string(),
            service,
            last_cycle,
            last_success,
            last_order,
            last_success_age: last_success.map(|at| clock.now.duration_since(at).as_secs()),
            not_started: None,
            problem,
            hold,
            unfinished: intent.map(|Intent { origin, since, written, .. }| Unfinished {
                what: origin.to_string(),
                since,
                written,
            }),
            history_left: replica.history.map(|pending| pending.rows),
            undelivered: Vec::new(),
            main: main.filter(|_| is_main).map(Main::from),
            replica: (!is_main).then(|| Replica {
                customization_in_force: replica
                    .applied
                    .as_ref()
                    .and_then(|applied| Some(applied.customization? == settings.replica.customization.digest())),
                applied: replica.applied.map(AppliedView::from),
                alerts: settings.replica.customization.alerts,
                verdict: replica.verdict.map(VerdictView::from),
                drifted_since,
                edits: None,
                edits_unknown: None,
                restored,
                restarts: None,
            }),
            clock,
        }
    }

    /// Adds why systemd could not start the last cycle, if it could not.
    #[must_use]
    pub fn not_started(self, reason: Option<String>) -> Self {
        Self { not_started: reason, ..self }
    }

    /// Adds those of these receivers that take nothing.
    #[must_use]
    pub fn receivers(mut self, memory: &Memory, receivers: &[Receiver]) -> Self {
        let known =
            receivers.iter().filter_map(|receiver| Some((&receiver.name, memory.receivers.get(&receiver.name)?)));
        self.undelivered = known
            .filter_map(|(name, known)| {
                let Trouble { since, reason, .. } = known.trouble.clone()?;
                Some(Undelivered { receiver: name.clone(), since, reason, waiting: known.waiting.len() })
            })
            .collect();
        self
    }

    /// Adds within which time the monitors begin after a restart, and after which time the next one is allowed.
    #[must_use]
    pub fn restarts(mut self, begin_within: Duration, next_after: Duration) -> Self {
        let restarts = Restarts { begin_within: begin_within.as_secs(), next_after: next_after.as_secs() };
        if let Some(replica) = &mut self.replica {
            replica.restarts = Some(restarts);
        }
        self
    }

    /// Adds what it would take to undo the edits on this replica, or why that is unknown.
    #[must_use]
    pub fn edits(mut self, plan: Result<Plan, &Error>) -> Self {
        if let Some(replica) = &mut self.replica {
            match plan {
                Ok(plan) => replica.edits = Some(Changes::of(&plan)),
                Err(error) => replica.edits_unknown = Some(error.chain()),
            }
        }
        self
    }
}

impl From<MainState> for Main {
    fn from(MainState { id, epoch, published, fenced, retention, .. }: MainState) -> Self {
        let published = published.map(|Published { snapshot, sequence, content, counts, at }| {
            let rows = counts.values().sum();
            PublishedView { snapshot, sequence, digest: content.digest, rows, at }
        });
        Self { id, epoch, published, fenced, retention: retention.into() }
    }
}

impl From<Applied> for AppliedView {
    fn from(Applied { snapshot, place, digest, at, .. }: Applied) -> Self {
        Self { snapshot, place, digest, at }
    }
}

impl From<Verdict> for VerdictView {
    fn from(Verdict { snapshot, at, reason, decision }: Verdict) -> Self {
        let attempts = match decision {
            Decision::Backoff { attempts } => Some(attempts),
            _ => None,
        };
        Self { decision: decision.name(), snapshot, reason, at, attempts }
    }
}

/// The column of the values.
const VALUES: usize = 14;

impl Shaped for StatusDocument {
    fn shape(line: &str) -> Shape {
        let Some((label, value)) = line.split_at_checked(VALUES).filter(|(label, _)| !label.starts_with(' ')) else {
            return changes::shape(line);
        };
        let failed = || [Outcome::Failed, Outcome::Rejected, Outcome::RolledBack].map(|end| format!("), {end}: "));
        let tone = match label.trim_end() {
            "last cycle" if failed().iter().any(|end| value.contains(end)) => Tone::Bad,
            "not started" | "fenced" | "rejected" => Tone::Bad,
            "on hold" | "unfinished" | "written" | "edited here" | "restored" | "not in force" | "backoff"
            | "blocked" | "deferred" | "notify" | "no forget" | "no prune" => Tone::Warning,
            _ => Tone::Plain,
        };
        Shape { tone, painted: line.len(), indent: VALUES }
    }
}

impl fmt::Display for StatusDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = &self.clock;
        writeln!(f, "role          {}", self.role)?;
        writeln!(f, "repository    {}", self.repository)?;
        writeln!(f, "uptime kuma   {} {}", self.unit, self.service.unwrap_or("unknown"))?;
        match &self.last_cycle {
            Some(LastCycle { outcome, at, .. }) if let Some(LastOrder { verb, .. }) = &self.last_order => {
                writeln!(f, "last cycle    {}, {outcome}, before {verb}", clock.when(at))?;
            }
            Some(LastCycle { outcome, message, at, .. }) => {
                let message = if message.is_empty() { String::new() } else { format!(": {}", text::line(message)) };
                writeln!(f, "last cycle    {}, {outcome}{message}", clock.when(at))?;
            }
            None => writeln!(f, "last cycle    none yet")?,
        }
        if let Some(reason) = &self.not_started {
            writeln!(f, "not started   since then, by systemd: {}", text::line(reason))?;
        }
        match &self.last_success {
            Some(at) => writeln!(f, "last success  {}", clock.when(at))?,
            None => writeln!(f, "last success  none yet")?,
        }
        if let Some(Hold { reason, since, until }) = &self.hold {
            let end = until.map_or_else(|| "release".to_owned(), |until| text::time(until, &clock.zone));
            writeln!(f, "on hold       since {}, until {end}: {}", clock.when(since), text::line(reason))?;
        }
        if let Some(Unfinished { what, since, written }) = &self.unfinished {
            let state = if *written { "written      " } else { "unfinished   " };
            write!(f, "{state} since {}: {}", clock.when(since), text::line(what))?;
            f.write_str(if *written {
                "; Uptime Kuma was stopped by hand before it answered, and the next cycle records it\n"
            } else {
                "\n"
            })?;
        }
        match self.history_left {
            Some(0) => writeln!(f, "history       of removed monitors is left to remove; every cycle goes on")?,
            Some(rows) => {
                let rows = text::count(rows, "row");
                writeln!(f, "history       {rows} of removed monitors left to remove; every cycle goes on")?;
            }
            None => {}
        }
        for Undelivered { receiver, since, reason, waiting } in &self.undelivered {
            let (waiting, reason) = (text::count(*waiting as u64, "message"), text::line(reason));
            writeln!(
                f,
                "notify        {receiver} takes nothing since {}, {waiting} to send: {reason}",
                clock.when(since)
            )?;
        }
        if let Some(main) = &self.main {
            main.show(f, clock)?;
        }
        if let Some(replica) = &self.replica {
            replica.show(f, clock)?;
        }
        Ok(())
    }
}

impl Main {
    fn show(&self, f: &mut fmt::Formatter<'_>, clock: &Clock) -> fmt::Result {
        writeln!(f, "main id       {}, epoch {}", self.id, self.epoch)?;
        match &self.published {
            Some(PublishedView { snapshot, sequence, rows, at, .. }) => {
                let (id, rows) = (snapshot.short(), text::count(*rows, "row"));
                writeln!(f, "published     {}, snapshot {id}, sequence {sequence}, {rows}", clock.when(at))?;
            }
            None => writeln!(f, "published     nothing yet")?,
        }
        if let Some(Fenced { host, at, .. }) = &self.fenced {
            writeln!(f, "fenced        since {}: host {} is the main", clock.when(at), text::line(host))?;
        }
        self.retention.show(f, clock)
    }
}

impl Replica {
    fn show(&self, f: &mut fmt::Formatter<'_>, clock: &Clock) -> fmt::Result {
        match &self.applied {
            Some(AppliedView { snapshot, place: Place { epoch, sequence, .. }, at, .. }) => {
                let id = snapshot.short();
                writeln!(f, "applied       {}, snapshot {id}, epoch {epoch}, sequence {sequence}", clock.when(at))?;
            }
            None => writeln!(f, "applied       nothing yet")?,
        }
        if self.alerts == Alerts::Off {
            writeln!(f, "alerts        off; kuma-replicator alerts on switches them on")?;
        }
        if let Some(Restarts { begin_within, next_after }) = &self.restarts {
            write!(f, "restarts      monitors begin within {begin_within} s; the next restart ")?;
            match next_after {
                0 => writeln!(f, "does not wait")?,
                _ => writeln!(f, "waits for {next_after} s")?,
            }
        }
        if self.customization_in_force == Some(false) {
            let waits = if self.verdict.is_some() { "why is below" } else { "the next cycle applies it" };
            writeln!(f, "not in force  what changed in [replica] of config.toml since; {waits}")?;
        }
        if let Some(since) = &self.drifted_since {
            write!(f, "edited here   found {}; to undo the edits would take", clock.when(since))?;
            match (&self.edits, &self.edits_unknown) {
                (Some(edits), _) => edits.show(f, MAX_CHANGES)?,
                (None, Some(reason)) => write!(f, " an unknown number of changes: {}", text::line(reason))?,
                (None, None) => f.write_str(" what kuma-replicator plan shows")?,
            }
            writeln!(f)?;
        }
        if self.restored {
            writeln!(f, "restored      a person put another configuration in force")?;
        }
        if let Some(VerdictView { decision, snapshot, reason, at, .. }) = &self.verdict {
            let (id, reason) = (snapshot.short(), text::line(reason));
            writeln!(f, "{decision:<13} since {}, snapshot {id}: {reason}", clock.when(at))?;
        }
        Ok(())
    }
}
