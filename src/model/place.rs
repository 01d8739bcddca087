//! The order of snapshots: by (epoch, sequence), never by time.

use serde::{Deserialize, Serialize};

use super::ids::MainId;

/// The place of a dump in the order of snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The main that published it.
    pub main: MainId,
    /// Increases by one when another host becomes the main.
    pub epoch: u64,
    /// Increases by one at each publish.
    pub sequence: u64,
}

impl Place {
    /// The key by which snapshots are ordered.
    pub fn order(&self) -> (u64, u64) {
        (self.epoch, self.sequence)
    }
}
