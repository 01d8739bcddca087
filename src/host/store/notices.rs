//! What receivers are told, on disk: what happened is kept as soon as it is reported, and what receivers were told once it is
//! known. None of it needs the lock of the state, which is given back before anything is sent.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::host::system::files::open_own;
use crate::model::limits::MAX_STATE;
use crate::model::notify::{Memory, Notice};

use super::directory::{open_lock, read_if_exists, replace_in};

/// What receivers were told.
pub(super) const MEMORY: &str = "notify.json";

/// What happened since, a line of JSON each.
pub(super) const NOTICED: &str = "notify.noticed";

/// Locked by the process that tells receivers.
const LOCK: &str = "notify.lock";

/// How much may have happened since, in bytes. More is not kept: nothing has told receivers for long.
const MAX_NOTICED: u64 = 256 << 10;

/// Keeps that this happened; when it returns, it is on disk.
///
/// # Errors
/// If it cannot be written.
pub fn keep_notice(directory: &Path, notice: &Notice) -> Result<()> {
    let failed = |error| Error::io(format!("write {}", directory.join(NOTICED).display()), error);
    let mut file = open_lock(directory, NOTICED)?;
    // Held for milliseconds by anyone.
    file.lock().map_err(failed)?;
    let end = file.seek(SeekFrom::End(0)).map_err(failed)?;
    if end > MAX_NOTICED {
        return Ok(());
    }
    // Strings, numbers and maps with string keys: this cannot fail. A line that was cut before ends here.
    let line = format!("\n{}\n", serde_json::to_string(notice).unwrap_or_default());
    file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)
}

/// What receivers were told, without a lock; `None` if nothing can be read.
pub fn read_memory(directory: &Path) -> Option<Memory> {
    read_if_exists(&directory.join(MEMORY), MAX_STATE).ok().flatten().and_then(|bytes| Memory::parse(&bytes))
}

/// The right to tell receivers.
#[derive(Debug)]
pub struct Notices {
    directory: PathBuf,
    _lock: File,
}

impl Notices {
    /// Takes the right, if no other process has it.
    ///
    /// # Errors
    /// If the file cannot be locked.
    pub fn lock(directory: &Path) -> Result<Option<Self>> {
        let lock = open_lock(directory, LOCK)?;
        let is_mine = lock.try_lock().is_ok();
        Ok(is_mine.then(|| Self { directory: directory.to_owned(), _lock: lock }))
    }

    /// What receivers were told.
    pub fn memory(&self) -> Option<Memory> {
        read_memory(&self.directory)
    }

    /// Replaces it; when it returns, it is on disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, memory: &Memory) -> Result<()> {
        replace_in(&self.directory, MEMORY, &memory.render())
    }

    /// Hands what happened since to `take`, and forgets it once `take` has ended well.
    ///
    /// # Errors
    /// That of `take`, or if the file cannot be read or emptied.
    pub fn take(&self, take: impl FnOnce(Vec<Notice>) -> Result<()>) -> Result<()> {
        let path = self.directory.join(NOTICED);
        let failed = |error| Error::io(format!("read {}", path.display()), error);
        if path.symlink_metadata().map_or(0, |metadata| metadata.len()) == 0 {
            return take(Vec::new());
        }
        let file = open_own(&path, OpenOptions::new().write(true)).map_err(failed)?;
        // No other process adds to it meanwhile.
        file.lock().map_err(failed)?;
        let limit = usize::try_from(MAX_NOTICED).unwrap_or(usize::MAX).saturating_mul(2);
        let bytes = read_if_exists(&path, limit)?.unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        take(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())?;
        file.set_len(0).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{MEMORY, NOTICED, Notices, keep_notice};
    use crate::error::{Error, Kind};
    use crate::model::notify::{Memory, Notice, Weight};

    fn notice(text: &str) -> Notice {
        let at = Timestamp::UNIX_EPOCH;
        let event = "applied".to_owned();
        Notice { event, level: Weight::Notice, text: text.to_owned(), hint: None, error: None, fields: [].into(), at }
    }

    #[test]
    fn what_happened_is_there_until_it_is_taken() {
        let root = tempfile::tempdir().expect("directory");
        let directory = root.path();
        let notices = Notices::lock(directory).expect("lock").expect("free");
        assert!(Notices::lock(directory).expect("lock").is_none(), "it has one owner");
        let taken = || {
            let mut taken = Vec::new();
            let take = |all: Vec<Notice>| {
                taken.extend(all.into_iter().map(|notice| notice.text));
                Ok(())
            };
            notices.take(take).expect("taken");
            taken
        };
        assert!(taken().is_empty());
        keep_notice(directory, &notice("one")).expect("kept");
        // A power cut in the middle of a line.
        std::fs::write(
            directory.join(NOTICED),
            [&std::fs::read(directory.join(NOTICED)).expect("file"), &b"{\"ev"[..]].concat(),
        )
        .expect("written");
        keep_notice(directory, &notice("two")).expect("kept");
        let failed = notices.take(|all| {
            assert_eq!(all.len(), 2);
            Err(Error::new(Kind::Files, "x"))
        });
        assert!(failed.is_err());
        assert_eq!(taken(), ["one", "two"], "what was not saved is not forgotten");
        assert!(taken().is_empty());
    }

    #[test]
    fn a_memory_is_read_as_it_was_saved_and_never_trusted() {
        let root = tempfile::tempdir().expect("directory");
        let notices = Notices::lock(root.path()).expect("lock").expect("free");
        assert_eq!(notices.memory(), None);
        let mut memory = Memory::new(Timestamp::UNIX_EPOCH);
        memory.receivers.entry("x".to_owned()).or_default().add(notice("one"));
        notices.save(&memory).expect("saved");
        assert_eq!(notices.memory(), Some(memory));
        for damaged in ["", "{}", "{\"version\":2,\"since\":\"1970-01-01T00:00:00Z\",\"receivers\":{}}"] {
            std::fs::write(root.path().join(MEMORY), damaged).expect("written");
            assert_eq!(notices.memory(), None, "{damaged}");
        }
    }
}
