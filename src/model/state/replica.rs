//! What a replica remembers: what it applied, and what it decided about the newest snapshot.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::content::Content;
use crate::model::digest::Digest;
use crate::model::looked::LastLook;
use crate::model::manifest::Place;
use crate::model::snapshot::SnapshotId;

/// What a replica remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaState {
    /// The snapshot applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The last look into the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<LastLook>,
    /// Why the newest snapshot is not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The newest snapshot of a host that is not the main, once it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stray: Option<SnapshotId>,
    /// History that waits to be removed, or to go back to its monitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<PendingHistory>,
    /// When Uptime Kuma was last stopped for an apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Timestamp>,
    /// When Uptime Kuma was last told something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
    /// What the running server knows from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<KnownServer>,
}

/// A run of the server, and what it knows from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownServer {
    /// Which run it is.
    pub run: String,
    /// The names of the tags there were.
    pub tags: BTreeSet<String>,
}

/// History that no monitor has any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingHistory {
    /// How many rows a cycle has left; 0 if that is not known.
    pub rows: u64,
    /// Whether what was set aside goes back to its monitors: the apply that removed them was not finished.
    pub bring_back: bool,
}

/// A finished apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Who published it, and its place in the order of snapshots.
    pub place: Place,
    /// The digest of its configuration.
    pub digest: Digest,
    /// When the apply ended.
    pub at: Timestamp,
    /// The digest of the customization it was applied with; none if it was applied as the main has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customization: Option<Digest>,
    /// What became of the rows since.
    pub rows: LocalRows,
}

/// The replicated rows in the database of a replica, compared with those that the last apply left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "are", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LocalRows {
    /// They could not be read after the apply. The next cycle takes them as they are then.
    Unknown,
    /// They are those that the apply left.
    AsApplied {
        /// What the apply left.
        baseline: Content,
    },
    /// They were edited on this replica.
    Drifted {
        /// What the apply left.
        baseline: Content,
        /// The digest with the edits.
        digest: Digest,
        /// When the edits were found.
        since: Timestamp,
    },
    /// `restore` put another configuration in force.
    Restored {
        /// The digest of that configuration.
        digest: Digest,
    },
}

/// Why a snapshot is not applied now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When it was decided.
    pub at: Timestamp,
    /// For people.
    pub reason: String,
    /// What follows from it.
    pub decision: Decision,
}

/// What a replica decided about a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Decision {
    /// It is not tried again by itself.
    Rejected {
        /// The digest of the customization it was tried with. With another one it may be tried again.
        customization: Digest,
    },
    /// It is tried again after a while, as something on this host failed.
    Backoff {
        /// How often it was tried, without a first attempt that was killed.
        attempts: u32,
    },
    /// It waits until main and replica have the same schema.
    Blocked {
        /// The fingerprint of the schema on this replica.
        schema: Digest,
        /// Whether the policy was [`SchemaPolicy::Exact`](crate::config::SchemaPolicy::Exact).
        exact: bool,
    },
    /// It waits until Uptime Kuma may be restarted, or told.
    Deferred {
        /// Until when.
        until: Timestamp,
        /// The digest of the customization that it was planned with. With another one it is planned anew: part of it may
        /// not have to wait.
        customization: Digest,
    },
}

impl Decision {
    /// The words for all of them.
    pub const NAMES: [&str; 4] = ["rejected", "backoff", "blocked", "deferred"];

    /// The word for it in JSON and for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "rejected",
            Self::Backoff { .. } => "backoff",
            Self::Blocked { .. } => "blocked",
            Self::Deferred { .. } => "deferred",
        }
    }
}

impl ReplicaState {
    /// The verdict on the snapshot `id`, if there is one.
    pub fn verdict_on(&self, id: &SnapshotId) -> Option<&Verdict> {
        self.verdict.as_ref().filter(|verdict| verdict.snapshot.same(id))
    }

    /// Whether rows were edited on this replica since the last apply.
    pub fn is_drifted(&self) -> bool {
        self.applied.as_ref().is_some_and(|applied| matches!(applied.rows, LocalRows::Drifted { .. }))
    }

    /// What the last apply left, to compare with; none if nothing was applied, or other rows are in force since.
    pub fn baseline(&self) -> Option<Content> {
        match self.applied.as_ref()?.rows {
            LocalRows::AsApplied { baseline } | LocalRows::Drifted { baseline, .. } => Some(baseline),
            LocalRows::Unknown | LocalRows::Restored { .. } => None,
        }
    }
}
