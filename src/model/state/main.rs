//! What a main remembers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;
use crate::model::manifest::Place;
use crate::model::snapshot::{MainId, SnapshotId};

/// What a main remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MainState {
    /// The identity of this main.
    pub id: MainId,
    /// The epoch it publishes in.
    pub epoch: u64,
    /// What it published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// A publish that was begun and whose end was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishing: Option<Attempt>,
    /// When it last looked into the repository; none right after a publish, which the next look confirms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Timestamp>,
    /// The snapshot of a higher epoch that ended its time as the main.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<Fenced>,
}

/// Another host was promoted to main.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fenced {
    /// The snapshot that told so.
    pub snapshot: SnapshotId,
    /// Who published it, and where it stands.
    pub place: Place,
    /// The host name of the other main.
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
    /// The digest of the configuration.
    pub digest: Digest,
    /// The fingerprint of the schema: migrations may change it without touching a row.
    pub schema: Digest,
    /// Rows by table, to notice an export that lost them.
    pub counts: BTreeMap<String, u64>,
    /// When.
    pub at: Timestamp,
}

/// A publish that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The sequence it uses.
    pub sequence: u64,
    /// The digest of the configuration.
    pub digest: Digest,
}
