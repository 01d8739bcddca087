//! What a running server is told to take up, because it has it in memory.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Rows, by id, that a running server is told to read again, whether they were added, changed or removed. It may be told
/// any number of times: it then reads what is in its database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Monitors.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub monitors: BTreeSet<i64>,
    /// Maintenances.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub maintenances: BTreeSet<i64>,
    /// Whether status pages changed. Every telling empties their cache: they show monitors as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pages: bool,
}

impl Told {
    /// Adds what is in `other`.
    pub fn extend(&mut self, other: &Self) {
        self.monitors.extend(&other.monitors);
        self.maintenances.extend(&other.maintenances);
        self.pages |= other.pages;
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        !self.has_rows() && !self.pages
    }

    /// Whether there are rows that do not come into force until the server is told. A cached page does, after minutes.
    pub fn has_rows(&self) -> bool {
        !self.monitors.is_empty() || !self.maintenances.is_empty()
    }
}

/// `2 monitors, 1 maintenance`.
impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |ids: &BTreeSet<i64>, noun| (!ids.is_empty()).then(|| crate::text::count(ids.len() as u64, noun));
        let pages = self.pages.then(|| "cached status pages".to_owned());
        let parts = [number(&self.monitors, "monitor"), number(&self.maintenances, "maintenance"), pages];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}
