//! Files of this program's own: the lock, the state, the way back. Everything is written atomically and
//! readable by its owner only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::error::{Error, Kind, Result};
use crate::host::users;
use crate::model::limits::{MAX_DUMP, MAX_STATE};
use crate::model::state::State;

const STATE: &str = "state.json";
const PREVIOUS: &str = "previous.dump";
const APPLIED: &str = "applied.dump";
const LOCK: &str = "lock";
const PRIVATE: u32 = 0o600;

/// The state directory, held by this process alone. Only its owner can write the state.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    _lock: File,
}

impl Store {
    /// Takes the lock in `directory`, which is made if it is missing.
    ///
    /// # Errors
    /// [`Kind::AlreadyRunning`] if another process has it.
    pub fn lock(directory: &Path) -> Result<Self> {
        make_private_directory(directory)?;
        let path = directory.join(LOCK);
        let what = || format!("lock {}", path.display());
        // The directory may belong to another user, who must not have root follow a link, or give away what was
        // there before.
        let open = |new| {
            let flags = OFlags::NOFOLLOW.bits().cast_signed();
            OpenOptions::new().write(true).create_new(new).mode(PRIVATE).custom_flags(flags).open(&path)
        };
        let lock = match open(true) {
            Ok(lock) => std::fs::metadata(directory).and_then(|owner| users::give(&lock, &owner)).map(|()| lock),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => open(false),
            Err(error) => Err(error),
        };
        let lock = lock.map_err(|error| Error::io(what(), error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory: directory.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(Kind::AlreadyRunning, "another kuma-replicator is at work on this host"))
            }
            Err(TryLockError::Error(error)) => Err(Error::io(what(), error)),
        }
    }

    /// Takes the lock as [`Store::lock`] does, and waits up to `patience` for a cycle that is at work.
    ///
    /// # Errors
    /// [`Kind::AlreadyRunning`] if the other still has it then.
    pub async fn wait(directory: &Path, patience: Duration) -> Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::lock(directory) {
                Err(error) if error.kind() == Kind::AlreadyRunning && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                result => return result,
            }
        }
    }

    /// The state as it was last saved; a new one if there is none.
    ///
    /// # Errors
    /// As for [`read_state`].
    pub fn load(&self) -> Result<State> {
        Ok(read_state(&self.directory)?.unwrap_or_default())
    }

    /// Whether the state says that Uptime Kuma was stopped and is to run again, even if no more of it can be
    /// understood.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn tells_to_start(&self) -> Result<bool> {
        let bytes = self.read(STATE, MAX_STATE)?;
        Ok(bytes.is_some_and(|bytes| State::tells_to_start(&bytes)))
    }

    /// Saves the state; when this returns, it is on disk.
    ///
    /// # Errors
    /// If it cannot be written; the old one is then untouched.
    pub fn save(&self, state: &State) -> Result<()> {
        self.replace(STATE, &state.render())
    }

    /// Keeps `dump` as the way back.
    ///
    /// # Errors
    /// As for [`Store::save`].
    pub fn keep_previous(&self, dump: &[u8]) -> Result<()> {
        self.replace(PREVIOUS, dump)
    }

    /// What root writes by hand belongs to whom the directory belongs to: the user that the unit runs as.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        replace_as(&self.directory.join(name), bytes, |file| users::give(file, &std::fs::metadata(&self.directory)?))
    }

    /// The way back, if one is kept.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn previous(&self) -> Result<Option<Vec<u8>>> {
        self.read(PREVIOUS, MAX_DUMP)
    }

    /// Keeps `dump` as that of the snapshot in force.
    ///
    /// # Errors
    /// As for [`Store::save`].
    pub fn keep_applied(&self, dump: &[u8]) -> Result<()> {
        self.replace(APPLIED, dump)
    }

    /// The dump of the snapshot in force, if one is kept.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn applied(&self) -> Result<Option<Vec<u8>>> {
        read_applied(&self.directory)
    }

    fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        read_if_there(&self.directory.join(name), limit)
    }
}

/// The dump of the snapshot in force in `directory`, without a lock, if one is kept.
///
/// # Errors
/// If it is there and cannot be read.
pub fn read_applied(directory: &Path) -> Result<Option<Vec<u8>>> {
    read_if_there(&directory.join(APPLIED), MAX_DUMP)
}

fn read_if_there(path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    match read_small(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("read {}", path.display()), error)),
    }
}

/// The files in the state directory that tell something, whether they are there or not.
pub fn written(directory: &Path) -> [PathBuf; 3] {
    [STATE, PREVIOUS, APPLIED].map(|name| directory.join(name))
}

/// Reads the state in `directory` without a lock: `None` if there is none.
///
/// # Errors
/// [`Kind::StateDamaged`] if it cannot be understood; the file is kept as it is.
pub fn read_state(directory: &Path) -> Result<Option<State>> {
    let path = directory.join(STATE);
    let damaged = || Error::new(Kind::StateDamaged, format!("state file {} cannot be used", path.display()));
    let bytes = match read_small(&path, MAX_STATE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if is_unfit(&error) => return Err(damaged().because(error)),
        read => read.map_err(|error| Error::io(format!("read {}", path.display()), error))?,
    };
    Ok(Some(State::parse(&bytes).map_err(|fault| damaged().because(fault))?))
}

/// The content of a regular file of at most `limit` bytes. A pipe is not waited for, a device not read.
///
/// # Errors
/// Why it cannot be read; [`is_unfit`] tells whether it is not such a file.
pub fn read_small(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(std::io::Error::new(ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// The text of a file that [`read_small`] reads.
///
/// # Errors
/// As for [`read_small`]; bytes that are no UTF-8 are unfit too.
pub fn read_small_text(path: &Path, limit: usize) -> std::io::Result<String> {
    String::from_utf8(read_small(path, limit)?)
        .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Whether a file was read and is not what it should be.
pub fn is_unfit(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::InvalidData
}

/// Fails with [`Kind::DiskFull`] if the file system of `directory` has less room than `bytes` for users other
/// than root.
///
/// # Errors
/// If it cannot be asked, or if that is so.
pub fn check_room(directory: &Path, bytes: u64) -> Result<()> {
    let what = || format!("look for room in {}", directory.display());
    let found = rustix::fs::statvfs(directory).map_err(|error| Error::io(what(), error.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some file systems do not count at all.
    if found.f_blocks == 0 || free >= bytes {
        return Ok(());
    }
    let what = format!("{} has room for {free} bytes, and {bytes} may be needed", directory.display());
    Err(Error::new(Kind::DiskFull, what))
}

/// Makes `directory`, and its parents, readable by their owner only.
///
/// # Errors
/// If it cannot be made.
pub fn make_private_directory(directory: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| Error::io(format!("make directory {}", directory.display()), error))
}

/// Writes a file of somebody else's anew, with the owner and the mode it has; through links, not over them.
///
/// # Errors
/// If it is not there or cannot be written; the old file is then untouched.
pub fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("write {}", path.display());
    let path = path.canonicalize().map_err(|error| Error::io(what(), error))?;
    let old = std::fs::metadata(&path).map_err(|error| Error::io(what(), error))?;
    replace_as(&path, bytes, |file| {
        std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))?;
        file.set_permissions(old.permissions())
    })
}

/// Writes a private file in place of the one before: wholly the old or wholly the new, also after a
/// power cut.
///
/// # Errors
/// If it cannot be written; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_as(path, bytes, |_| Ok(()))
}

fn replace_as(path: &Path, bytes: &[u8], prepare: impl FnOnce(&File) -> std::io::Result<()>) -> Result<()> {
    let what = || format!("write {}", path.display());
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    write_new(&temporary, bytes, prepare)?;
    std::fs::rename(&temporary, path).map_err(|error| Error::io(what(), error))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| Error::io(what(), error))
}

/// Writes a new file, in place of anything of that name, prepares it, and waits until it is on disk.
///
/// # Errors
/// If it cannot be written; what was written of it is removed.
fn write_new(path: &Path, bytes: &[u8], prepare: impl FnOnce(&File) -> std::io::Result<()>) -> Result<()> {
    let write = move || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
        prepare(&file).and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all()).inspect_err(|_| {
            // The error that matters is the one that is returned.
            let _ = std::fs::remove_file(path);
        })
    };
    write().map_err(|error| Error::io(format!("write {}", path.display()), error))
}
