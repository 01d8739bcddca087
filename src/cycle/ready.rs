//! What a cycle would do, as plain values: prepared, and not carried out yet.

use jiff::Timestamp;

use crate::config::Customization;
use crate::localise::{Desired, Note, Part};
use crate::model::digest::Digest;
use crate::model::dump::Dump;
use crate::model::manifest::Place;
use crate::model::outcome::Outcome;
use crate::model::snapshot::Snapshot;
use crate::model::state::Hold;
use crate::plan::Size;

use super::change::{Change, Clearance};
use super::{CanonicalExport, Export, Tidying, Way};

/// What a cycle would do now.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Ready {
    /// Nothing, by an operator's order.
    OnHold(Hold),
    /// Main: nothing.
    Unchanged {
        /// The digest of the configuration.
        digest: Digest,
        /// The snapshot that has it, if this cycle looked.
        found: Option<Snapshot>,
        /// What it tidies up in the repository.
        tidying: Tidying,
    },
    /// Main: publish.
    Publish(Publication),
    /// Replica: nothing.
    UpToDate {
        /// The snapshot in force.
        snapshot: Snapshot,
        /// Whether rows were edited on this replica, and are left so.
        drifted: bool,
    },
    /// Replica: nothing, until something changes on the main or in the versions.
    Blocked {
        /// What has to change.
        reason: String,
        /// The newest snapshot, if there is one.
        snapshot: Option<Snapshot>,
    },
    /// Replica: nothing, until Uptime Kuma may be restarted.
    Deferred {
        /// The newest snapshot.
        snapshot: Snapshot,
        /// When it may be restarted.
        until: Timestamp,
    },
    /// Replica: apply.
    Apply(Application),
}

impl Ready {
    /// How the cycle ends if it succeeds.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::OnHold(_) => Outcome::OnHold,
            Self::Unchanged { .. } => Outcome::Unchanged,
            Self::Publish(_) => Outcome::Published,
            Self::UpToDate { .. } => Outcome::UpToDate,
            Self::Blocked { .. } => Outcome::Blocked,
            Self::Deferred { .. } => Outcome::Deferred,
            Self::Apply(application) => application.outcome(),
        }
    }
}

/// A publish that is ready.
#[derive(Debug)]
pub struct Publication {
    /// What is published.
    pub canonical: CanonicalExport,
    /// Its place in the order of snapshots.
    pub place: Place,
    /// The newest snapshot in the repository.
    pub newest: Option<Snapshot>,
}

/// Why a snapshot is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is newer than the one in force, or another configuration was restored since.
    New,
    /// The customization changed.
    Customization,
    /// This host was booted.
    Boot,
    /// Rows were edited on this replica; since when, as far as an earlier cycle saw it.
    Drift(Option<Timestamp>),
    /// An operator ordered it.
    Ordered,
}

/// An apply that is ready.
#[derive(Debug)]
pub struct Application {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Why it is applied.
    pub cause: Cause,
    /// Its content.
    pub dump: Dump,
    /// Its bytes, unless they are kept on this host already.
    pub fetched: Option<Vec<u8>>,
    /// What the database of this replica holds.
    pub here: Export,
    /// The changes, in the order in which they are written; none if the rows are as desired already.
    pub changes: Vec<(Part, Change)>,
    /// That the changes may be put in force; none if there are none.
    pub clearance: Option<Clearance>,
    /// Until when other changes of the snapshot wait, if some do.
    pub deferred: Option<Timestamp>,
    /// What each customization changes, for people.
    pub notes: Vec<Note>,
    /// Whether it is applied as the main has it, without customization.
    pub as_main: bool,
}

impl Application {
    /// How the cycle ends if the apply succeeds.
    pub fn outcome(&self) -> Outcome {
        if self.deferred.is_some() {
            Outcome::Deferred
        } else if self.changes.is_empty() {
            Outcome::UpToDate
        } else {
            Outcome::Applied
        }
    }

    /// Whether an Uptime Kuma that runs is restarted for it.
    pub fn restarts(&self) -> bool {
        self.changes.iter().any(|(_, change)| matches!(change.way, Way::Restart(_)))
    }

    /// How many rows and files it writes.
    pub fn size(&self) -> Size {
        let mut size = Size::default();
        for (_, change) in &self.changes {
            size += change.plan.size();
        }
        size
    }
}

/// What a snapshot is on this replica.
pub(super) fn desired<'a>(dump: &'a Dump, customization: &'a Customization, as_main: bool, part: Part) -> Desired<'a> {
    let main = &dump.configuration;
    if as_main { Desired::AsMain { main, customization } } else { Desired::Customized { main, customization, part } }
}
