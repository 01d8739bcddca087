//! What identifies the content of a database.

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// The digest of a configuration together with the fingerprint of its schema: a migration may change the schema without
/// touching a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The digest of the configuration.
    pub digest: Digest,
    /// The fingerprint of the schema.
    pub schema: Digest,
}
