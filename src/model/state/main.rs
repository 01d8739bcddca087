//! What a main remembers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::content::Content;
use crate::model::digest::Digest;
use crate::model::manifest::Place;
use crate::model::snapshot::{MainId, SnapshotId};

use super::Retention;

/// What a main remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MainState {
    /// Derived from the machine id, so that a main that lost its state has the same one.
    pub id: MainId,
    /// The epoch it publishes in.
    pub epoch: u64,
    /// What it published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// A publish whose end was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishing: Option<Attempt>,
    /// When it last looked into the repository. None right after a publish: the next look confirms that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Timestamp>,
    /// The digest of the address at which it looked last. With another one, a look is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Digest>,
    /// Set for good once another host was promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<Fenced>,
    /// What it remembers of forgetting and pruning.
    #[serde(default, skip_serializing_if = "Retention::is_new")]
    pub retention: Retention,
}

/// The snapshot that shows that another host was promoted to main.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fenced {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Who published it, and its place in the order of snapshots.
    pub place: Place,
    /// The host name of the new main.
    pub host: String,
    /// When it was found.
    pub at: Timestamp,
}

/// A finished publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The snapshot it became.
    pub snapshot: SnapshotId,
    /// Its sequence.
    pub sequence: u64,
    /// What was published.
    pub content: Content,
    /// Rows by table, to notice an export that lost them.
    pub counts: BTreeMap<String, u64>,
    /// When the repository had it.
    pub at: Timestamp,
}

/// A publish that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The sequence it uses.
    pub sequence: u64,
    /// The digest of the configuration.
    pub digest: Digest,
}
