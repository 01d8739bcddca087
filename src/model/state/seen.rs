//! What the last full export came to: while the database stays the same, no other is needed.

use serde::{Deserialize, Serialize};

use crate::model::content::Content;
use crate::model::digest::Digest;
use crate::model::zone::Zone;

/// What identifies the configuration of this host, and all that it was derived from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// What was in the database.
    pub database: Content,
    /// The digest of what else counts: the version of this program, the role and what it adds or leaves out.
    pub by: Digest,
    /// The time zone that maintenances follow; none if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<FollowedZone>,
    /// What came of it: on a main what it publishes, on a replica what it takes over.
    pub content: Content,
}

/// A time zone that maintenances follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowedZone {
    /// The setting of Uptime Kuma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// What was found; none if it could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Zone>,
}
