//! The state file as a whole: its version, and how it is read and written.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Kind;
use crate::model::outcome::Outcome;
use crate::model::snapshot::MainId;

use super::{Intent, MainState, ReplicaState, Seen};

/// The version of the state file that this program reads and writes.
pub const VERSION: u32 = 1;

/// Everything this host remembers. Each part is optional: a lost state is rebuilt by comparing contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`VERSION`].
    pub version: u32,
    /// The fleet that this host belongs to, by the id of its first main; set by the first publish or apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<MainId>,
    /// Written by the cycles of a main; it stays when the host becomes a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<MainState>,
    /// Written by the cycles of a replica; it stays when the host becomes the main.
    #[serde(default)]
    pub replica: ReplicaState,
    /// What the last full export of the database came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Set while rows are being replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// An operator's order to change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// How the last cycle ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_cycle: Option<LastCycle>,
    /// When a cycle last ended with a successful outcome ([`Outcome::is_success`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    /// The last order of a person after which this host goes on anew: what failed before it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_order: Option<LastOrder>,
}

/// An order that a person gave, and that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastOrder {
    /// Its verb: `demote`, `restore` or `release`.
    pub verb: String,
    /// When it was carried out.
    pub at: Timestamp,
}

/// An operator's order to change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// As the operator gave it.
    pub reason: String,
    /// When the order was given.
    pub since: Timestamp,
    /// When the hold ends by itself; without it, `release` ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How a cycle ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastCycle {
    /// How it ended.
    pub outcome: Outcome,
    /// The reason or the failure, for people; empty if there is nothing to say.
    pub message: String,
    /// The kind of failure, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Kind>,
    /// When it ended.
    pub at: Timestamp,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            fleet: None,
            main: None,
            replica: ReplicaState::default(),
            seen: None,
            intent: None,
            hold: None,
            last_cycle: None,
            last_success: None,
            last_order: None,
        }
    }
}

/// Why bytes are not a state of this version.
#[derive(Debug)]
pub enum StateFault {
    /// Another version of this program wrote it.
    Version(u64),
    /// It cannot be read at all.
    Damaged(serde_json::Error),
}

impl std::fmt::Display for StateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "it has version {version}; this program reads version {VERSION}"),
            Self::Damaged(error) => write!(f, "it is damaged: {error}"),
        }
    }
}

impl std::error::Error for StateFault {}

impl State {
    /// Remembers that a person's order was carried out at this time.
    pub fn obeyed(&mut self, verb: &str, at: Timestamp) {
        self.last_order = Some(LastOrder { verb: verb.to_owned(), at });
    }

    /// The last order, if the last cycle ended before it.
    pub fn order_since(&self) -> Option<&LastOrder> {
        self.last_order.as_ref().filter(|order| self.last_cycle.as_ref().is_none_or(|last| last.at <= order.at))
    }

    /// Reads a state file.
    ///
    /// # Errors
    /// [`StateFault`] if it is damaged or of another version; defaults never replace it.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateFault> {
        #[derive(Deserialize)]
        struct Any {
            version: u64,
        }
        let any: Any = serde_json::from_slice(bytes).map_err(StateFault::Damaged)?;
        if any.version != u64::from(VERSION) {
            return Err(StateFault::Version(any.version));
        }
        serde_json::from_slice(bytes).map_err(StateFault::Damaged)
    }

    /// Whether `bytes`, which [`State::parse`] may not accept, still say that this program stopped Uptime Kuma and has
    /// to start it again.
    pub fn requires_start(bytes: &[u8]) -> bool {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        value.pointer("/intent/start") == Some(&serde_json::Value::Bool(true))
    }

    /// The bytes to store, indented for people.
    pub fn render(&self) -> Vec<u8> {
        // The structure holds only strings, numbers and maps with string keys: it cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl Hold {
    /// Reads a hold that is stored by itself.
    ///
    /// # Errors
    /// [`StateFault::Damaged`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StateFault> {
        serde_json::from_slice(bytes).map_err(StateFault::Damaged)
    }

    /// The bytes to store it by itself.
    pub fn render(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}
