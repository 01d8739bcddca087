//! Which processes have the database open.

use std::collections::BTreeSet;
use std::fs::File;

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::Database;
use crate::error::{Error, Result};

/// The bytes of the database file that every connection to a WAL database has locked as long as it is open
/// (`SHARED_FIRST` and `SHARED_SIZE` in SQLite's os.h).
const SHARED: (u64, u64) = (0x4000_0002, 510);

impl Database {
    /// The ids of other processes that have the database open. Must not be called while this process has it open: its own
    /// locks would be lost with the file that is closed here.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn holders(&self) -> Result<BTreeSet<u32>> {
        let failed = |error| Error::io(format!("look for locks on {}", self.path().display()), error);
        self.check_files()?;
        let file = File::open(self.path()).map_err(failed)?;
        let (start, length) = SHARED;
        let (typ, offset_type) = (FlockType::WriteLock, FlockOffsetType::Set);
        let wanted = Flock { start, length, pid: None, typ, offset_type };
        let found = fcntl_getlk(&file, &wanted).map_err(|error| failed(error.into()))?;
        let Some(first) = found.and_then(|lock| lock.pid) else { return Ok(BTreeSet::new()) };
        let first = first.as_raw_pid().unsigned_abs();
        // The kernel names one holder. The others have locks on the same file in this list, which may be hidden.
        let mut holders =
            std::fs::read_to_string("/proc/locks").map(|locks| sharing(&locks, first)).unwrap_or_default();
        holders.insert(first);
        Ok(holders)
    }
}

/// The processes that have locked the same bytes of the same file as `first`, in the format of `/proc/locks`
/// (proc_locks(5)).
fn sharing(locks: &str, first: u32) -> BTreeSet<u32> {
    let start = SHARED.0.to_string();
    let lines = locks.lines().filter_map(|line| match *line.split_whitespace().collect::<Vec<_>>() {
        [_, "POSIX", _, _, id, file, from, _] if from == start => Some((id.parse::<u32>().ok()?, file)),
        _ => None,
    });
    let lines: Vec<(u32, &str)> = lines.collect();
    let files: BTreeSet<&str> = lines.iter().filter(|(id, _)| *id == first).map(|(_, file)| *file).collect();
    lines.iter().filter(|(_, file)| files.contains(file)).map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::sharing;

    #[test]
    fn those_who_share_a_file_are_found() {
        let locks = "1: POSIX  ADVISORY  READ  100 fe:00:11 1073741826 1073742335\n\
                     1: -> POSIX  ADVISORY  WRITE 104 fe:00:11 1073741826 1073742335\n\
                     2: POSIX  ADVISORY  READ  101 fe:00:11 1073741826 1073742335\n\
                     3: POSIX  ADVISORY  READ  102 fe:00:12 1073741826 1073742335\n\
                     4: POSIX  ADVISORY  READ  103 fe:00:11 128 128\n\
                     5: FLOCK  ADVISORY  WRITE 100 fe:00:13 0 EOF\n";
        assert_eq!(sharing(locks, 100).into_iter().collect::<Vec<_>>(), [100, 101]);
        assert_eq!(sharing(locks, 102).into_iter().collect::<Vec<_>>(), [102]);
        assert!(sharing(locks, 103).is_empty() && sharing("", 100).is_empty());
    }
}
