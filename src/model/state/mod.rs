//! What this host remembers between cycles: the content of `state.json`, version 1. The file is private to this program.

mod file;
mod intent;
mod main;
mod replica;
mod retention;
mod seen;

pub use file::{Hold, LastCycle, LastOrder, State, StateFault, VERSION};
pub use intent::{Intent, Telling};
pub use main::{Attempt, Fenced, MainState, Published};
pub use replica::{Applied, Decision, KnownServer, LocalRows, PendingHistory, ReplicaState, Verdict};
pub use retention::{Attempted, Failure, Retention};
pub use seen::{FollowedZone, Seen};
