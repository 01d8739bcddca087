//! What a replica remembers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;
use crate::model::manifest::Place;
use crate::model::snapshot::SnapshotId;

/// What a replica remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaState {
    /// The snapshot applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The snapshot that Uptime Kuma did not start with; only the newest of them matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// A snapshot that could not be applied, though it is not to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setback: Option<Setback>,
    /// Why the newest snapshot is not applied, so that it need not be fetched again to say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The digest of what a person put in force in place of `applied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Digest>,
    /// The newest snapshot that a former main published after its time, once it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stray: Option<SnapshotId>,
    /// What was in the database after the last apply, once Uptime Kuma ran with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Somebody edited the configuration here since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// When Uptime Kuma was last stopped for an apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Timestamp>,
    /// The newest snapshot, if it waits until Uptime Kuma may be restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<SnapshotId>,
    /// The digest of the customization with which `applied` was applied; none if it was without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customization: Option<Digest>,
}

impl ReplicaState {
    /// What counts for a replica with these customization: a snapshot that was refused with others may be tried with them.
    #[must_use]
    pub fn with(&self, customization: Digest) -> Self {
        let mut state = self.clone();
        state.refused.take_if(|refused| refused.customization.is_some_and(|others| others != customization));
        state
    }
}

/// What an apply left in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// The digest of what of the configuration is replicated here.
    pub digest: Digest,
    /// The fingerprint of the schema: a migration may rewrite rows.
    pub schema: Digest,
}

/// Local edits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The digest as in [`Left`] with them.
    pub digest: Digest,
    /// When they were found.
    pub since: Timestamp,
}

/// A finished apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Who published it, and where it stands.
    pub place: Place,
    /// The digest of its configuration.
    pub digest: Digest,
    /// When.
    pub at: Timestamp,
}

/// A snapshot that is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What went wrong with it.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The digest of the customization with which it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customization: Option<Digest>,
}

/// Attempts that failed after Uptime Kuma was stopped, for a reason that is not the snapshot's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setback {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A snapshot that waits for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The fingerprint of the schema here when it was held.
    pub schema: Digest,
    /// Whether only the same schema would have done.
    pub exact: bool,
    /// Why, and what to do.
    pub reason: String,
}
