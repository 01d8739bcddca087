//! What the values of the metrics are taken from: the settings, the state and the counters of a host.

use jiff::Timestamp;

use crate::config::{Alerts, Role, Settings};
use crate::error::Kind;
use crate::model::digest::Digest;
use crate::model::snapshot::SnapshotId;
use crate::model::state::{Hold, LastCycle, LocalRows, State};

use super::counters::{Counters, InForce};

/// Everything that a host knows of itself. What belongs to the other role is left out.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The state.
    pub state: &'a State,
    /// The counters.
    pub counters: &'a Counters,
}

impl Known<'_> {
    fn is_main(&self) -> bool {
        self.settings.role == Role::Main
    }

    pub(super) fn last_cycle(&self) -> Option<&LastCycle> {
        self.state.last_cycle.as_ref()
    }

    pub(super) fn hold(&self) -> Option<&Hold> {
        self.state.hold.as_ref()
    }

    /// The snapshot that this main published last, or that this replica applied last, with its digest.
    pub(super) fn snapshot(&self) -> Option<(&SnapshotId, Digest)> {
        match self.is_main() {
            true => {
                let published = self.state.main.as_ref()?.published.as_ref()?;
                Some((&published.snapshot, published.content.digest))
            }
            false => self.state.replica.applied.as_ref().map(|applied| (&applied.snapshot, applied.digest)),
        }
    }

    /// Its epoch and sequence. A main has an epoch before it has published.
    pub(super) fn place(&self) -> (u64, u64) {
        match self.is_main() {
            true => {
                self.state.main.as_ref().map_or((0, 0), |main| {
                    (main.epoch, main.published.as_ref().map_or(0, |published| published.sequence))
                })
            }
            false => self.state.replica.applied.as_ref().map_or((0, 0), |applied| applied.place.order()),
        }
    }

    /// Its rows.
    pub(super) fn rows(&self) -> u64 {
        match self.is_main() {
            true => {
                let published = self.state.main.as_ref().and_then(|main| main.published.as_ref());
                published.map_or(0, |published| published.counts.values().sum())
            }
            false => self.in_force().map_or(0, |known| known.rows),
        }
    }

    /// When the main published it.
    pub(super) fn published(&self) -> Option<Timestamp> {
        match self.is_main() {
            true => Some(self.state.main.as_ref()?.published.as_ref()?.at),
            false => self.in_force().map(|known| known.created),
        }
    }

    /// What this replica knows of the snapshot in force.
    pub(super) fn in_force(&self) -> Option<&InForce> {
        let applied = self.state.replica.applied.as_ref().filter(|_| !self.is_main())?;
        self.counters.in_force.as_ref().filter(|known| known.snapshot == applied.snapshot)
    }

    /// What a replica decided about the newest snapshot.
    pub(super) fn decision(&self) -> Option<&'static str> {
        let verdict = self.state.replica.verdict.as_ref().filter(|_| !self.is_main());
        verdict.map(|verdict| verdict.decision.name())
    }

    /// Whether another main publishes.
    pub(super) fn is_fenced(&self) -> bool {
        let remembered = self.is_main() && self.state.main.as_ref().is_some_and(|main| main.fenced.is_some());
        remembered || self.last_cycle().is_some_and(|last| last.error == Some(Kind::Fenced))
    }

    pub(super) fn is_drifted(&self) -> bool {
        !self.is_main() && self.state.replica.is_drifted()
    }

    pub(super) fn is_restored(&self) -> bool {
        let applied = self.state.replica.applied.as_ref().filter(|_| !self.is_main());
        applied.is_some_and(|applied| matches!(applied.rows, LocalRows::Restored { .. }))
    }

    pub(super) fn is_silent(&self) -> bool {
        !self.is_main() && self.settings.replica.customization.alerts == Alerts::Off
    }
}
