//! What is on disk before Uptime Kuma is touched, so that a killed run can be finished.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;
use crate::model::origin::Origin;
use crate::model::told::Told;

/// Saved before Uptime Kuma is stopped or written to, and cleared when it answers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Where the rows come from that are being put in force.
    pub origin: Origin,
    /// Whether Uptime Kuma ran before, and so has to run afterwards.
    pub start: bool,
    /// Units that ran, that systemd stops together with Uptime Kuma, and that have to be started again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
    /// When the run began to change this host.
    pub since: Timestamp,
    /// The digest of the configuration that a rollback restores; set once that configuration is kept on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Whether the rows are written for certain, and Uptime Kuma was stopped by hand before it answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub written: bool,
    /// What a running server has to be told after the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telling: Option<Telling>,
}

/// What a running server has to be told, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telling {
    /// The run of the server: one that is started later reads the rows by itself.
    pub run: String,
    /// What it is told.
    pub told: Told,
}
