//! What this host remembers between cycles: the content of `state.json`, version 2.

mod main;
mod replica;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::snapshot::SnapshotId;

pub use main::{Attempt, Fenced, MainState, Published};
pub use replica::{Applied, Drift, Held, Left, Refused, ReplicaState, Setback};

/// The version of the state file that this program writes. It reads version 1, too, which has no `customization`.
pub const VERSION: u32 = 2;

/// All that is remembered. Everything is optional: a lost state is rebuilt by comparing contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`VERSION`].
    pub version: u32,
    /// What a main remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<MainState>,
    /// What a replica remembers.
    #[serde(default)]
    pub replica: ReplicaState,
    /// Rows are being replaced: Uptime Kuma may be stopped because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// A person's order to change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// How the last cycle ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastCycle>,
    /// When a cycle last ended as designed and not held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
}

/// Written before Uptime Kuma is stopped, cleared when it runs again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The snapshot that is being applied; none if a person restores something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotId>,
    /// Whether Uptime Kuma ran and is to run again.
    pub start: bool,
    /// Other units that ran, stop with it, and are to run again with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// The digest of the configuration that is kept as the way back, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
}

/// A person's order to change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; without an end until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How a cycle ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastCycle {
    /// The outcome, by the name it has in logs.
    pub outcome: String,
    /// What it said.
    pub message: String,
    /// The kind of failure, by its name, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            main: None,
            replica: ReplicaState::default(),
            intent: None,
            hold: None,
            last: None,
            last_success: None,
        }
    }
}

/// Why bytes are no state of this version.
#[derive(Debug)]
pub enum StateFault {
    /// Written by a newer version.
    Newer(u64),
    /// Not readable at all.
    Damaged(serde_json::Error),
}

impl std::fmt::Display for StateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newer(version) => write!(f, "it has version {version}; this program knows version {VERSION}"),
            Self::Damaged(error) => write!(f, "it is damaged: {error}"),
        }
    }
}

impl std::error::Error for StateFault {}

impl State {
    /// Reads a state file.
    ///
    /// # Errors
    /// [`StateFault`] if it is damaged or of another version; it is never replaced by defaults.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateFault> {
        #[derive(Deserialize)]
        struct Any {
            version: u64,
        }
        let any: Any = serde_json::from_slice(bytes).map_err(StateFault::Damaged)?;
        if any.version == 0 || any.version > u64::from(VERSION) {
            return Err(StateFault::Newer(any.version));
        }
        let state: Self = serde_json::from_slice(bytes).map_err(StateFault::Damaged)?;
        Ok(Self { version: VERSION, ..state })
    }

    /// Whether a state file that [`State::parse`] does not take still says that Uptime Kuma was stopped and is
    /// to run again, as one of a newer version can.
    pub fn tells_to_start(bytes: &[u8]) -> bool {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        value.pointer("/intent/start") == Some(&serde_json::Value::Bool(true))
    }

    /// The bytes to store, readable by people.
    pub fn render(&self) -> Vec<u8> {
        // The structure holds only strings, numbers and maps with string keys: it cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
