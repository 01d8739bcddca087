//! What identifies the content of a database.

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::digest::Digest;
use super::dump;
use super::schema::Schema;

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

impl Content {
    /// What identifies `configuration` in a database with this schema.
    pub fn of(configuration: &Configuration, schema: &Schema) -> Self {
        Self { digest: Digest::of(&dump::body(configuration)), schema: schema.fingerprint() }
    }
}
