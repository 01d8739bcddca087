//! What receivers are told after a run: each failure once, and its end once; pings while cycles end well.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{Occasion, Receiver, Role, Settings};
use crate::error::{Exit, Kind};
use crate::model::notify::{Memory, Notice, Ping, Remembered, Weight};
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::text;

use super::operation::{is_recent, last_seen};

/// How long a failure that was told and has ended is not told again. A host that fails in every other cycle would
/// otherwise send two messages a minute.
const QUIET: Duration = Duration::from_secs(15 * 60);

/// How long a receiver that could not be told anything is left alone.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(50);

/// How much earlier than it should a ping may be. The timer is not as exact as a clock.
const SLACK: Duration = Duration::from_secs(2);

/// How a cycle ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It did not fail. `reason` says why nothing was done; empty if it needs none.
    Well {
        /// The outcome.
        outcome: Outcome,
        /// The reason.
        reason: String,
    },
    /// It failed.
    Badly {
        /// The kind of the failure.
        kind: Kind,
        /// The failure and its causes.
        text: String,
        /// The next thing to do.
        hint: String,
    },
}

/// A run, after which receivers are told.
#[derive(Debug)]
pub struct Run<'a> {
    /// The configuration file.
    pub settings: &'a Settings,
    /// What this host remembers.
    pub state: &'a State,
    /// How the cycle ended, or the one before if this run had nothing to do.
    pub ended: Ended,
    /// How long the cycle took; none if this run had nothing to do.
    pub millis: Option<u64>,
    /// The time.
    pub now: Timestamp,
    /// The time zone, for people.
    pub zone: TimeZone,
}

/// What lasts, and is told once.
struct Lasting {
    /// Its name in the memory.
    key: &'static str,
    occasion: Occasion,
    notice: Notice,
}

/// Lets the messages wait that receivers have to be told of after `run`, in which `noticed` happened. What concerns
/// receivers that are not configured any more is forgotten.
pub fn notice(memory: &mut Memory, noticed: &[Notice], run: &Run<'_>) {
    let receivers = &run.settings.receivers;
    memory.receivers.retain(|name, _| receivers.iter().any(|receiver| receiver.name == *name));
    let lasting = run.lasting(memory.since);
    for receiver in receivers.iter().filter(|receiver| !receiver.kind.is_pinged()) {
        let known = memory.receivers.entry(receiver.name.clone()).or_default();
        for notice in noticed.iter().filter(|notice| wants(receiver, Occasion::named(&notice.event))) {
            known.add(notice.clone());
        }
        update(receiver, known, &lasting, run);
    }
}

fn wants(receiver: &Receiver, occasion: Option<Occasion>) -> bool {
    occasion.is_some_and(|occasion| receiver.events.contains(&occasion))
}

fn update(receiver: &Receiver, known: &mut Remembered, lasting: &[Lasting], run: &Run<'_>) {
    if matches!(&run.ended, Ended::Well { outcome, .. } if outcome.is_success()) {
        if !known.open.is_empty() && wants(receiver, Some(Occasion::Recovered)) {
            known.add(run.recovered(known));
        }
        known.open.clear();
        known.told.retain(|_, at| is_recent(*at, run.now, QUIET));
    }
    for Lasting { key, occasion, notice } in lasting {
        let was_told = known.open.contains_key(*key);
        // The same told in other words: what was rolled back is rejected from then on, and what lasts is overdue at last.
        let is_known = match occasion {
            Occasion::Overdue => !known.open.is_empty(),
            _ if *key == Kind::SnapshotRejected.name() => {
                [Kind::RolledBack, Kind::WriteFailed].iter().any(|kind| known.open.contains_key(kind.name()))
            }
            _ => false,
        };
        let is_quiet = known.told.get(*key).is_some_and(|at| is_recent(*at, run.now, QUIET));
        if !was_told && !is_known && !is_quiet && wants(receiver, Some(*occasion)) {
            known.open.insert((*key).to_owned(), run.now);
            known.told.insert((*key).to_owned(), run.now);
            known.add(notice.clone());
        }
    }
}

impl Run<'_> {
    /// What is wrong, and lasts.
    fn lasting(&self, since: Timestamp) -> Vec<Lasting> {
        let lasting = |key, occasion: Occasion, level, text: &str, (hint, error): (&str, Option<Kind>)| {
            let (text, error) = (text::line(text).into_owned(), error.map(|kind| kind.name().to_owned()));
            let hint = Some(text::line(hint).into_owned());
            let event = occasion.name().to_owned();
            Lasting {
                key,
                occasion,
                notice: Notice { event, level, text, hint, error, fields: [].into(), at: self.now },
            }
        };
        let mut found = Vec::new();
        match &self.ended {
            Ended::Badly { kind, text, hint } if kind.exit() != Exit::TryAgain => {
                let occasion = match kind {
                    Kind::RolledBack => Occasion::RolledBack,
                    Kind::Fenced => Occasion::Fenced,
                    _ => Occasion::Failed,
                };
                found.push(lasting(kind.name(), occasion, Weight::Error, text, (hint, Some(*kind))));
                return found;
            }
            Ended::Well { outcome: Outcome::Blocked, reason } => {
                let hint = "kuma-replicator plan shows what the next cycle would do";
                found.push(lasting(Outcome::Blocked.name(), Occasion::Blocked, Weight::Warning, reason, (hint, None)));
            }
            _ => {}
        }
        if self.is_overdue(since) {
            let (text, hint, kind) = self.overdue();
            found.push(lasting(Kind::Overdue.name(), Occasion::Overdue, Weight::Error, &text, (&hint, Some(kind))));
        }
        found
    }

    /// Whether no cycle has ended well for too long. Without any success, that counts from when receivers are told.
    fn is_overdue(&self, since: Timestamp) -> bool {
        let is_well = matches!(&self.ended, Ended::Well { outcome, .. } if outcome.is_success());
        let seen = last_seen(self.state, self.now).unwrap_or(since);
        !is_well && !is_recent(seen, self.now, self.settings.overdue_after)
    }

    fn overdue(&self) -> (String, String, Kind) {
        let success = self.state.last_success.map_or_else(
            || "no cycle has ended well yet".to_owned(),
            |at| format!("the last success was at {}", text::time(at, &self.zone)),
        );
        match &self.ended {
            Ended::Badly { kind, text, hint } => (format!("{success}; since then: {text}"), hint.clone(), *kind),
            Ended::Well { outcome, reason } if reason.is_empty() => (
                format!("{success}; the last cycle ended as {outcome}"),
                Kind::Overdue.hint().to_owned(),
                Kind::Overdue,
            ),
            Ended::Well { outcome, reason } => {
                let hint = "kuma-replicator status says more".to_owned();
                (format!("{success}; the last cycle ended as {outcome}: {reason}"), hint, Kind::Overdue)
            }
        }
    }

    fn recovered(&self, known: &Remembered) -> Notice {
        let told: Vec<String> =
            known.open.iter().map(|(key, at)| format!("{key} since {}", text::time(*at, &self.zone))).collect();
        Notice {
            event: Occasion::Recovered.name().to_owned(),
            level: Weight::Good,
            text: format!("cycles end well again: {}; what was told: {}", self.how_it_ended(), told.join(", ")),
            hint: None,
            error: None,
            fields: [].into(),
            at: self.now,
        }
    }

    /// As in `applied epoch 2 sequence 41, 7 s`.
    fn how_it_ended(&self) -> String {
        let (outcome, reason) = match &self.ended {
            Ended::Well { outcome, reason } => (*outcome, reason),
            Ended::Badly { kind, text, .. } => return format!("{}: {text}", Outcome::from(*kind)),
        };
        let place = match self.settings.role {
            Role::Main => {
                self.state.main.as_ref().and_then(|main| Some((main.epoch, main.published.as_ref()?.sequence)))
            }
            Role::Replica => {
                self.state.replica.applied.as_ref().map(|applied| (applied.place.epoch, applied.place.sequence))
            }
        };
        let place = place.map(|(epoch, sequence)| format!(" epoch {epoch} sequence {sequence}")).unwrap_or_default();
        let took = match self.millis {
            None => String::new(),
            Some(millis) if millis < 1000 => format!(", {millis} ms"),
            Some(millis) => format!(", {} s", (millis + 500) / 1000),
        };
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        format!("{outcome}{place}{took}{reason}")
    }
}

/// The ping after `run`: as `status` ends, except that a failure that is tried again counts once it has lasted.
pub fn ping(run: &Run<'_>, since: Timestamp) -> Ping {
    let failed = matches!(&run.ended, Ended::Badly { kind, .. } if kind.exit() != Exit::TryAgain);
    let overdue = run.is_overdue(since);
    let text = match () {
        () if !failed && overdue => run.overdue().0,
        () => run.how_it_ended(),
    };
    Ping { up: !failed && !overdue, text: text::line(&text).into_owned(), millis: run.millis }
}

/// Whether a ping is due: at once if it says something else than the last one.
pub fn is_ping_due(receiver: &Receiver, known: Option<&Remembered>, up: bool, now: Timestamp) -> bool {
    let last = known.and_then(|known| known.pinged);
    last.is_none_or(|last| last.up != up || !is_recent(last.at, now, receiver.ping_every.saturating_sub(SLACK)))
}

/// Whether a receiver is tried now: one that could not be told anything a moment ago is left alone.
pub fn is_tried(known: Option<&Remembered>, now: Timestamp) -> bool {
    let trouble = known.and_then(|known| known.trouble.as_ref());
    trouble.is_none_or(|trouble| !is_recent(trouble.tried, now, BETWEEN_ATTEMPTS))
}
