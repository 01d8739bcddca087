//! What the next cycle, or an order, would do.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::changes::{self, Changes};
use super::{Shaped, VERSION};
use crate::config::Role;
use crate::localise::Note;
use crate::model::snapshot::Snapshot;
use crate::model::told::Told;
use crate::plan::Plan;
use crate::terminal::Shape;
use crate::text;

/// What the next cycle, or an order, would do.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    version: u32,
    role: Role,
    /// The outcome of the cycle; of an order, its verb.
    outcome: String,
    /// The reason, for people.
    message: String,
    /// Whether a person orders it; otherwise it is what the next cycle does.
    #[serde(skip)]
    ordered: bool,
    snapshot: Option<Snapshot>,
    /// Whether it restarts Uptime Kuma.
    restart: bool,
    /// What it is restarted for: tables with changes that Uptime Kuma does not take up without a restart, or why it cannot
    /// be told of them.
    restart_for: Vec<String>,
    /// Seconds within which its monitors have begun after the restart; none without a restart, or if that is unknown.
    begin_within: Option<u64>,
    /// What a running Uptime Kuma is told.
    told: Told,
    #[serde(flatten)]
    changes: Changes,
    /// The effect of each key of the customization.
    notes: Vec<String>,
}

impl PlanDocument {
    /// The next cycle on a host with this role, without row changes.
    pub fn new(role: Role, outcome: impl fmt::Display, message: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            role,
            outcome: outcome.to_string(),
            message: message.into(),
            ordered: false,
            snapshot: None,
            restart: false,
            restart_for: Vec::new(),
            begin_within: None,
            told: Told::default(),
            changes: Changes::default(),
            notes: Vec::new(),
        }
    }

    /// The order `verb`, which a person gave, without row changes.
    pub fn ordered(role: Role, verb: &'static str, message: impl Into<String>) -> Self {
        Self { ordered: true, ..Self::new(role, verb, message) }
    }

    /// Adds the snapshot concerned.
    #[must_use]
    pub fn snapshot(mut self, snapshot: &Snapshot) -> Self {
        self.snapshot = Some(snapshot.clone());
        self
    }

    /// Adds the changes of `plan`.
    #[must_use]
    pub fn changes(mut self, plan: &Plan) -> Self {
        self.changes.extend(plan);
        self
    }

    /// Adds that Uptime Kuma is restarted, and what for.
    #[must_use]
    pub fn restart(mut self, reasons: &[String]) -> Self {
        self.restart = true;
        self.restart_for.extend_from_slice(reasons);
        self
    }

    /// Whether Uptime Kuma is restarted.
    pub fn restarts(&self) -> bool {
        self.restart
    }

    /// Adds how long its monitors take to begin after the restart, if that is known.
    #[must_use]
    pub fn begin_within(self, takes: Option<Duration>) -> Self {
        Self { begin_within: takes.map(|takes| takes.as_secs()), ..self }
    }

    /// Adds what a running Uptime Kuma is told.
    #[must_use]
    pub fn told(mut self, told: &Told) -> Self {
        self.told.extend(told);
        self
    }

    /// Adds the effect of the customization.
    #[must_use]
    pub fn notes(mut self, notes: &[Note]) -> Self {
        self.notes = notes.iter().map(Note::to_string).collect();
        self
    }
}

impl Shaped for PlanDocument {
    fn shape(line: &str) -> Shape {
        changes::shape(line)
    }
}

impl fmt::Display for PlanDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cycle = if self.ordered { "" } else { "next cycle: " };
        write!(f, "{cycle}{}: {}", self.outcome, text::line(&self.message))?;
        for note in &self.notes {
            write!(f, "\n  * {}", text::line(note))?;
        }
        self.changes.show(f, usize::MAX)?;
        if !self.changes.is_empty() {
            write!(f, "\n{}", self.changes.size)?;
            if self.restart {
                f.write_str("; Uptime Kuma is restarted once")?;
                if !self.restart_for.is_empty() {
                    write!(f, ", for {}", text::line(&self.restart_for.join("; ")))?;
                }
                if let Some(seconds) = self.begin_within {
                    write!(f, "; all monitors have begun within {seconds} s of it")?;
                }
            }
            if !self.told.is_empty() {
                write!(f, "; Uptime Kuma takes up without a restart: {}", self.told)?;
            }
        } else if self.ordered {
            write!(f, ": {}", self.changes.size)?;
        }
        Ok(())
    }
}
