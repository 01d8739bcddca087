//! How a cycle ended.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::VERSION;
use super::failure::Failure;
use crate::config::Role;
use crate::error::Error;
use crate::model::outcome::Outcome;
use crate::model::snapshot::SnapshotId;
use crate::model::state::State;

/// How a cycle ended.
#[derive(Debug, Serialize)]
pub struct RunDocument {
    version: u32,
    /// None if the configuration cannot be read.
    role: Option<Role>,
    outcome: Outcome,
    /// Why nothing was done, or the failure, for people; empty if there is nothing to say.
    message: String,
    /// The snapshot that was published last, or is in force; none if there is none.
    snapshot: Option<SnapshotId>,
    epoch: Option<u64>,
    sequence: Option<u64>,
    /// Rows in the configuration that was published last; none on a replica.
    rows: Option<u64>,
    /// How long the cycle took.
    milliseconds: u64,
    /// What it reported, in order: each with its name, the time, its priority, its text and its fields in the journal.
    events: Vec<Value>,
    /// Why it failed; none if it did not.
    error: Option<Failure>,
}

impl RunDocument {
    /// A cycle that ended so, for this reason, after this time.
    pub fn new(outcome: Outcome, message: String, took: Duration) -> Self {
        Self {
            version: VERSION,
            role: None,
            outcome,
            message,
            snapshot: None,
            epoch: None,
            sequence: None,
            rows: None,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            events: Vec::new(),
            error: None,
        }
    }

    /// Adds why it failed, if it did.
    #[must_use]
    pub fn failure(self, error: Option<&Error>) -> Self {
        Self { error: error.map(Failure::of), ..self }
    }

    /// Adds what it reported.
    #[must_use]
    pub fn events(self, events: Vec<Value>) -> Self {
        Self { events, ..self }
    }

    /// Adds what a host in this role remembers afterwards.
    #[must_use]
    pub fn of(self, role: Option<Role>, state: &State) -> Self {
        let (published, applied) = match role {
            Some(Role::Main) => (state.main.as_ref(), None),
            Some(Role::Replica) => (None, state.replica.applied.as_ref()),
            None => (None, None),
        };
        let (epoch, published) = (published.map(|main| main.epoch), published.and_then(|main| main.published.as_ref()));
        let snapshot = published.map(|published| &published.snapshot).or(applied.map(|applied| &applied.snapshot));
        Self {
            role,
            snapshot: snapshot.cloned(),
            epoch: epoch.or(applied.map(|applied| applied.place.epoch)),
            sequence: published.map(|published| published.sequence).or(applied.map(|applied| applied.place.sequence)),
            rows: published.map(|published| published.counts.values().sum()),
            ..self
        }
    }
}
