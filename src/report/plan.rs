//! What the next cycle, or an order, would do.

use std::fmt;

use serde::Serialize;

use super::VERSION;
use super::changes::Changes;
use crate::config::Role;
use crate::localise::Note;
use crate::model::snapshot::Snapshot;
use crate::plan::Plan;
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
    /// The first table with changes that Uptime Kuma does not pick up without a restart.
    restart_for: Option<&'static str>,
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
            restart_for: None,
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

    /// Adds the changes of `plan`, for which Uptime Kuma restarts or does not.
    #[must_use]
    pub fn changes(mut self, plan: &Plan, restart: bool) -> Self {
        self.restart |= restart && !plan.is_empty();
        self.restart_for = self.restart_for.or(plan.cached_table());
        self.changes.extend(plan);
        self
    }

    /// Adds the effect of the customization.
    #[must_use]
    pub fn notes(mut self, notes: &[Note]) -> Self {
        self.notes = notes.iter().map(Note::to_string).collect();
        self
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
                if let Some(table) = self.restart_for {
                    write!(f, ", for {table}")?;
                }
            }
        } else if self.ordered {
            write!(f, ": {}", self.changes.size)?;
        }
        Ok(())
    }
}
