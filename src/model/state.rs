//! What this host remembers between cycles: the content of `state.json`, version 2.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::manifest::Place;
use super::snapshot::{MainId, SnapshotId};

/// The version of the state file that this program writes. It reads version 1, too, which has no `wishes`.
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

/// What a replica remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaState {
    /// The snapshot applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The snapshot that Uptime Kuma did not start with; only the newest of them matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// A snapshot that could not be applied, though it is not to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setback: Option<Setback>,
    /// Why the newest snapshot is not applied, so that it need not be fetched again to say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The digest of what a person put in force in place of `applied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Digest>,
    /// The newest snapshot that a former main published after its time, once it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stray: Option<SnapshotId>,
    /// What was in the database after the last apply, once Uptime Kuma ran with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Somebody edited the configuration here since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// When Uptime Kuma was last stopped for an apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Timestamp>,
    /// The newest snapshot, if it waits until Uptime Kuma may be restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<SnapshotId>,
    /// The digest of the wishes with which `applied` was applied; none if it was without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<Digest>,
}

impl ReplicaState {
    /// What counts for a replica with these wishes: a snapshot that was refused with others may be tried with them.
    #[must_use]
    pub fn with(&self, wishes: Digest) -> Self {
        let mut state = self.clone();
        state.refused.take_if(|refused| refused.wishes.is_some_and(|others| others != wishes));
        state
    }
}

/// What an apply left in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// The digest of what of the configuration is replicated here.
    pub digest: Digest,
    /// The fingerprint of the schema: a migration may rewrite rows.
    pub schema: Digest,
}

/// Local edits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The digest as in [`Left`] with them.
    pub digest: Digest,
    /// When they were found.
    pub since: Timestamp,
}

/// A finished apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Who published it, and where it stands.
    pub place: Place,
    /// The digest of its configuration.
    pub digest: Digest,
    /// When.
    pub at: Timestamp,
}

/// A snapshot that is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What went wrong with it.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The digest of the wishes with which it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<Digest>,
}

/// Attempts that failed after Uptime Kuma was stopped, for a reason that is not the snapshot's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setback {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A snapshot that waits for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The fingerprint of the schema here when it was held.
    pub schema: Digest,
    /// Whether only the same schema would have done.
    pub exact: bool,
    /// Why, and what to do.
    pub reason: String,
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
