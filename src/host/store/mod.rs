//! What this program keeps on the host: the lock, its state, the kept dumps, the counters.

mod counters;
mod directory;
mod failure;
mod notices;

pub(super) use counters::see;
pub use counters::{count, read_counters, with_counters};
pub use directory::{MAX_WAIT, Store, kept_bytes, read_applied, read_inherited, read_state, written};
pub use failure::{forget_failure, has_failed_within, remember_failure};
pub use notices::{Notices, keep_notice, read_memory};
