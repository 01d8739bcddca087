//! What this program keeps on the host: the lock, its state, the kept dumps.

mod directory;
mod failure;

pub use directory::{MAX_WAIT, Store, kept_bytes, read_applied, read_inherited, read_state, written};
pub use failure::{forget_failure, has_failed_within, remember_failure};
