//! What this program keeps on the host: the lock, its state, the kept dumps.

mod directory;

pub use directory::{MAX_WAIT, Store, kept_bytes, read_applied, read_inherited, read_state, written};
