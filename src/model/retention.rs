//! Which snapshots stay in the repository, and why.

use std::collections::BTreeSet;

use super::snapshot::{Snapshot, SnapshotId};

/// Why a snapshot stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// All are kept.
    All,
    /// It is one of the newest.
    Last,
    /// It is the newest one of its day.
    Daily,
    /// It is the newest one of its week.
    Weekly,
    /// It is the newest one of its month.
    Monthly,
    /// It is the newest one of its year.
    Yearly,
    /// It shows which host is the main, and which hosts no longer are.
    Fences,
    /// It belongs to another fleet.
    OtherFleet,
    /// Its format is not known.
    Unreadable,
}

impl Reason {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Last => "last",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Fences => "fences",
            Self::OtherFleet => "other-fleet",
            Self::Unreadable => "not-readable",
        }
    }
}

/// A snapshot, and why it stays; it goes without a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// In ascending order.
    pub reasons: BTreeSet<Reason>,
}

/// What becomes of the snapshots in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// The snapshots of this program, newest first.
    pub kept: Vec<Kept>,
    /// Those that cannot be read, which stay as well.
    pub unreadable: Vec<(SnapshotId, String)>,
    /// How many snapshots of other programs lie in the same repository. They stay.
    pub others: usize,
}

impl Kept {
    /// Whether it goes.
    pub fn goes(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl Retained {
    /// Whether others back up into the same repository: other programs, or another fleet.
    pub fn is_shared(&self) -> bool {
        self.others > 0 || self.kept.iter().any(|kept| kept.reasons.contains(&Reason::OtherFleet))
    }

    /// The snapshots that go.
    pub fn forgotten(&self) -> Vec<SnapshotId> {
        self.kept.iter().filter(|kept| kept.goes()).map(|kept| kept.snapshot.id.clone()).collect()
    }
}
