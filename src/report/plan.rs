//! What `run` would do, for people.

use std::fmt;

use serde::Serialize;

use super::VERSION;
use super::changes::Changes;
use crate::config::Role;
use crate::localise::Note;
use crate::model::snapshot::Snapshot;
use crate::plan::Plan;
use crate::text;

/// What `run` would do now.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    version: u32,
    role: Role,
    /// `unchanged`, `publish`, `up to date`, `apply`, `held`, or `import`.
    would: &'static str,
    /// Why, for people.
    message: String,
    snapshot: Option<Snapshot>,
    /// Whether Uptime Kuma would be restarted.
    restart: bool,
    /// The first table with changes that it would not take up without a restart.
    restart_for: Option<&'static str>,
    #[serde(flatten)]
    changes: Changes,
    /// What came of each wish of this replica.
    notes: Vec<String>,
}

impl PlanDocument {
    /// A document without row changes.
    pub fn new(role: Role, would: &'static str, message: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            role,
            would,
            message: message.into(),
            snapshot: None,
            restart: false,
            restart_for: None,
            changes: Changes::default(),
            notes: Vec::new(),
        }
    }

    /// Names the snapshot that is meant.
    #[must_use]
    pub fn snapshot(mut self, snapshot: &Snapshot) -> Self {
        self.snapshot = Some(snapshot.clone());
        self
    }

    /// Adds the row changes.
    #[must_use]
    pub fn changes(mut self, plan: &Plan, restart: bool) -> Self {
        self.restart |= restart && !plan.is_empty();
        self.restart_for = self.restart_for.or(plan.cached_table());
        self.changes.extend(plan);
        self
    }

    /// Says what came of the customization.
    #[must_use]
    pub fn notes(mut self, notes: &[Note]) -> Self {
        self.notes = notes.iter().map(Note::to_string).collect();
        self
    }
}

impl fmt::Display for PlanDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.would, text::line(&self.message))?;
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
        }
        Ok(())
    }
}
