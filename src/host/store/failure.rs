//! Whether the last run failed, by a file without content. It needs neither the lock nor a state that can be read: what
//! failed may be just that. A file that cannot be written costs another run.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::directory::open_lock;

const FAILED: &str = "failed";

/// Remembers that a run failed now.
pub fn remember_failure(directory: &Path) {
    if let Ok(file) = open_lock(directory, FAILED) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Forgets it: another run begins.
pub fn forget_failure(directory: &Path) {
    let _ = std::fs::remove_file(directory.join(FAILED));
}

/// Whether the last run failed less than `time` ago, and since the host was `booted`. A clock that went back proves nothing.
pub fn has_failed_within(directory: &Path, time: Duration, booted: Timestamp) -> bool {
    let failed = directory.join(FAILED).symlink_metadata().and_then(|metadata| metadata.modified());
    let Some(at) = failed.ok().and_then(|failed| Timestamp::try_from(failed).ok()) else { return false };
    let age = Timestamp::now().duration_since(at);
    at >= booted && Duration::try_from(age).is_ok_and(|age| age < time)
}
