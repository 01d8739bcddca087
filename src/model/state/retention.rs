//! What a main remembers of forgetting snapshots and of pruning the repository.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Kind;

/// What a main remembers of forgetting and pruning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// When it last forgot snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget: Option<Attempted>,
    /// When it last pruned the repository. Begins with the first forget, so that a lost state leads to no prune.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<Attempted>,
    /// How many snapshots it has forgotten since the last prune.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpruned: u64,
}

/// Something that was done, or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempted {
    /// When it began.
    pub at: Timestamp,
    /// Why it is not done, as long as it is not known to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The kind.
    pub kind: Kind,
    /// What failed and why, for people.
    pub message: String,
    /// Since when attempts have failed in this way.
    pub since: Timestamp,
}

impl Retention {
    /// Whether there is nothing to remember.
    pub fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
