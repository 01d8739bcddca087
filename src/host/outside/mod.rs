//! The real outside of the cycles.

mod system;

pub use system::{Directories, System, host_name, repository};
