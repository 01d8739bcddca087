//! The order of snapshots: by (epoch, sequence), never by time.

use serde::{Deserialize, Serialize};

use super::ids::MainId;

/// Where a dump stands: snapshots are ordered by (epoch, sequence), never by time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The main that published it.
    pub main: MainId,
    /// Rises by one when another host becomes the main.
    pub epoch: u64,
    /// Rises by one at each publish.
    pub sequence: u64,
}

impl Place {
    /// What snapshots are ordered by.
    pub fn order(&self) -> (u64, u64) {
        (self.epoch, self.sequence)
    }
}
