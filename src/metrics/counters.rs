//! What is counted from the events of the cycles and orders. It outlasts the process and the boot, and is no part of the
//! state: lost, it starts again at zero.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cycle::Event;
use crate::error::Kind;
use crate::model::manifest::Manifest;
use crate::model::snapshot::SnapshotId;
use crate::model::state::{Applied, State};

/// The version of the counters that this program reads and writes.
const VERSION: u32 = 1;

/// The counters of a host, and what else its metrics need that the state does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    version: u32,
    /// Publishes.
    pub publishes: u64,
    /// Applies with a restart of Uptime Kuma.
    pub applies_with_restart: u64,
    /// Applies without one.
    pub applies_without_restart: u64,
    /// How often Uptime Kuma was stopped to be started again.
    pub restarts: u64,
    /// How long it was away for that, in all.
    pub away_millis: u64,
    /// How long it was away for the last restart that is over.
    pub last_away_millis: u64,
    /// When it was stopped, counted from the boot of the host, while it is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_since_millis: Option<u64>,
    /// Failed cycles by their kind.
    pub failures: BTreeMap<String, u64>,
    /// How long the last cycle took.
    pub cycle_millis: u64,
    /// The snapshot in force on this replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// Why the metrics file could not be written, if that was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What is known of a snapshot since it came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When it was in force here for the first time.
    pub since: Timestamp,
    /// When the main wrote it, by the clock of the main.
    pub created: Timestamp,
    /// Its rows.
    pub rows: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            version: VERSION,
            publishes: 0,
            applies_with_restart: 0,
            applies_without_restart: 0,
            restarts: 0,
            away_millis: 0,
            last_away_millis: 0,
            away_since_millis: None,
            failures: BTreeMap::new(),
            cycle_millis: 0,
            in_force: None,
            fault: None,
        }
    }
}

impl Counters {
    /// Reads counters; `None` if they are damaged or of another version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|counters: &Self| counters.version == VERSION)
    }

    /// The bytes to store.
    pub fn render(&self) -> Vec<u8> {
        // Only numbers, strings and a map with string keys: this cannot fail.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Whether an event counts.
    pub fn counts(event: &Event) -> bool {
        matches!(
            event,
            Event::Published { .. }
                | Event::Applied { .. }
                | Event::Stopping { .. }
                | Event::Healthy { .. }
                | Event::Recovered { .. }
                | Event::Failed { .. }
        )
    }

    /// Counts an event, so long after the boot of this host.
    pub fn count(&mut self, event: &Event, uptime: Duration) {
        match event {
            Event::Published { .. } => self.publishes += 1,
            Event::Applied { restarted: true, .. } => self.applies_with_restart += 1,
            Event::Applied { restarted: false, .. } => self.applies_without_restart += 1,
            Event::Stopping { .. } => {
                self.restarts += 1;
                self.away_since_millis = Some(millis(uptime));
            }
            Event::Healthy { .. } | Event::Recovered { .. } => self.is_back(uptime),
            Event::Failed { error, .. } => {
                *self.failures.entry(error.kind().name().to_owned()).or_default() += 1;
                // After any other failure it runs, with the previous configuration.
                if error.kind() != Kind::RollbackFailed {
                    self.is_back(uptime);
                }
            }
            _ => {}
        }
    }

    /// If Uptime Kuma was away, it is so no longer.
    fn is_back(&mut self, uptime: Duration) {
        if let Some(since) = self.away_since_millis.take() {
            // Less after a boot: what was before it is not known.
            self.last_away_millis = millis(uptime).saturating_sub(since);
            self.away_millis += self.last_away_millis;
        }
    }

    /// Takes over which snapshot is in force on a replica. `manifest` gives that of the kept dump.
    pub fn see(&mut self, state: &State, manifest: impl FnOnce() -> Option<Manifest>) {
        let Some(Applied { snapshot, digest, at, .. }) = &state.replica.applied else {
            self.in_force = None;
            return;
        };
        if self.in_force.as_ref().is_some_and(|known| known.snapshot == *snapshot) {
            return;
        }
        let manifest = manifest().filter(|manifest| manifest.digest == *digest);
        self.in_force = manifest.map(|manifest| InForce {
            snapshot: snapshot.clone(),
            since: *at,
            created: manifest.created,
            rows: manifest.counts.values().sum(),
        });
    }

    /// Remembers how long a cycle took.
    pub fn took(&mut self, time: Duration) {
        self.cycle_millis = millis(time);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
