//! How a cycle ends.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Exit, Kind};

/// How a cycle ends. The words are those of logs, JSON and documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Outcome {
    /// Main: nothing changed since the last publish.
    Unchanged,
    /// Main: there is a new snapshot.
    Published,
    /// Replica: the newest snapshot is in force already.
    UpToDate,
    /// Replica: rows were written.
    Applied,
    /// An operator ordered this host to change nothing.
    OnHold,
    /// Replica: nothing is written until something changes on the main or in the versions.
    Blocked,
    /// Replica: the snapshot waits until Uptime Kuma may be restarted.
    Deferred,
    /// Data or schema were refused.
    Rejected,
    /// Replica: an apply failed, and the previous configuration is in force.
    RolledBack,
    /// Anything else went wrong.
    Failed,
}

impl Outcome {
    /// All outcomes, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Unchanged,
        Self::Published,
        Self::UpToDate,
        Self::Applied,
        Self::OnHold,
        Self::Blocked,
        Self::Deferred,
        Self::Rejected,
        Self::RolledBack,
        Self::Failed,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Published => "published",
            Self::UpToDate => "up to date",
            Self::Applied => "applied",
            Self::OnHold => "on hold",
            Self::Blocked => "blocked",
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
        }
    }

    /// Whether the configuration in force is the newest one: such an end counts as the last success.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Unchanged | Self::Published | Self::UpToDate | Self::Applied)
    }
}

impl From<Kind> for Outcome {
    /// The outcome of a cycle that fails with this kind.
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::RolledBack | Kind::WriteFailed => Self::RolledBack,
            kind if kind.exit() == Exit::Refused => Self::Rejected,
            _ => Self::Failed,
        }
    }
}

impl From<Outcome> for &'static str {
    fn from(outcome: Outcome) -> Self {
        outcome.name()
    }
}

impl TryFrom<String> for Outcome {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.name() == name);
        found.ok_or_else(|| format!("'{}' is not an outcome", crate::text::short(&name)))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
