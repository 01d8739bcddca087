//! The first line of a dump: which host wrote it, from which schema, and its place in the order of snapshots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::schema::Schema;

pub use super::place::Place;

/// The dump format that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// The first line of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of kuma-replicator that wrote it.
    pub agent: String,
    /// The host name it was written on; informational.
    pub host: String,
    /// When it was written; informational.
    pub created: Timestamp,
    /// The place in the order of snapshots; none if it was not published.
    pub place: Option<Place>,
    /// The digest of the body.
    pub digest: Digest,
    /// The fingerprint of `schema`.
    pub fingerprint: Digest,
    /// The schema of the database that it was exported from.
    pub schema: Schema,
    /// Rows by table.
    pub counts: BTreeMap<String, u64>,
    /// Number of uploaded files.
    pub files: u64,
}
