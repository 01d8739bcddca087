//! The first line of a dump: who wrote it, from which schema, where it stands in the order of snapshots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::schema::Schema;
use super::snapshot::MainId;

/// The newest dump format: what a server has is written in it.
pub const FORMAT: u32 = 2;

/// The dump formats that this version reads.
pub const READABLE: std::ops::RangeInclusive<u32> = 1..=FORMAT;

/// Where a dump stands: snapshots are ordered by (epoch, sequence), never by time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The main that published it.
    pub main: MainId,
    /// Rises by one when another host becomes the main.
    pub epoch: u64,
    /// Rises by one at each publish.
    pub sequence: u64,
}

impl Place {
    /// What snapshots are ordered by.
    pub fn order(&self) -> (u64, u64) {
        (self.epoch, self.sequence)
    }
}

/// The first line of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The dump format.
    pub format: u32,
    /// The version of kuma-replicator that wrote it.
    pub agent: String,
    /// The host name it was written on; informational.
    pub host: String,
    /// When it was written; informational.
    pub created: Timestamp,
    /// Where it stands among the snapshots; none for a plain export.
    pub place: Option<Place>,
    /// The digest of the body.
    pub digest: Digest,
    /// The fingerprint of `schema`.
    pub fingerprint: Digest,
    /// The schema it was exported from.
    pub schema: Schema,
    /// Rows by table.
    pub counts: BTreeMap<String, u64>,
    /// Number of uploaded files.
    pub files: u64,
}
