//! The state directory: the lock, the state, the kept dumps. Everything in it is written atomically, and only its owner
//! can read it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::host::system::files::{PRIVATE, is_unfit, make_private_directory, open_own, read_own, replace_as};
use crate::host::system::users;
use crate::model::limits::{MAX_DUMP, MAX_MANIFEST, MAX_STATE};
use crate::model::looked::KeptListing;
use crate::model::manifest::Manifest;
use crate::model::state::{Hold, State, StateFault};
use crate::terminal;

use super::counters::COUNTERS;
use super::notices::{MEMORY, NOTICED};

const STATE: &str = "state.json";
const PREVIOUS: &str = "previous.dump";
const APPLIED: &str = "applied.dump";
const LISTING: &str = "listing.json";
const INHERITED: &str = "inherited.settings";
const LOCK: &str = "lock";

/// Locked by the orders that wait and need no repository.
const WAITING: &str = "waiting";

/// The hold once more: an order of a person outlasts the state.
const HOLD: &str = "hold.json";

/// The longest that an order waits for a cycle: longer than most applies.
pub const MAX_WAIT: Duration = Duration::from_secs(300);

/// How often a file is looked at that another process has locked.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The locked state directory. Only the process that holds this can write the state.
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
        let lock = open_lock(directory, LOCK)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory: directory.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(Kind::AlreadyRunning, "another kuma-replicator is at work on this host"))
            }
            Err(TryLockError::Error(error)) => {
                Err(Error::io(format!("lock {}", directory.join(LOCK).display()), error))
            }
        }
    }

    /// Takes the lock as [`Store::lock`] does, and waits up to `timeout` for the process that has it. The kernel wakes it
    /// up for the lock, so processes that come later again and again do not keep it away.
    ///
    /// # Errors
    /// [`Kind::AlreadyRunning`] if the other process still has it then.
    pub async fn wait(directory: &Path, timeout: Duration) -> Result<Self> {
        let busy = match Self::lock(directory) {
            Err(error) if error.kind() == Kind::AlreadyRunning => error,
            result => return result,
        };
        let _waiting = terminal::wait("waiting for another kuma-replicator, which is at work on this host");
        let lock = open_lock(directory, LOCK)?;
        let (sender, receiver) = oneshot::channel();
        // It ends with this process, or gives back what it gets too late.
        let wait = thread::Builder::new().spawn(move || sender.send(lock.lock().map(|()| lock)));
        wait.map_err(|error| Error::io(format!("lock {}", directory.join(LOCK).display()), error))?;
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(Ok(lock))) => Ok(Self { directory: directory.to_owned(), _lock: lock }),
            Ok(Ok(Err(error))) => Err(Error::io(format!("lock {}", directory.join(LOCK).display()), error)),
            Ok(Err(_)) | Err(_) => Err(busy),
        }
    }

    /// The same for an order that needs no repository, up to [`MAX_WAIT`]: a cycle that only waits for the repository ends
    /// for it.
    ///
    /// # Errors
    /// As for [`Store::wait`].
    pub async fn wait_first(directory: &Path) -> Result<Self> {
        make_private_directory(directory)?;
        let waiting = open_lock(directory, WAITING)?;
        let deadline = Instant::now() + MAX_WAIT;
        let _waiting = terminal::wait("waiting for another kuma-replicator, which is at work on this host");
        // A cycle that looks whether an order waits has this lock for a moment.
        while waiting.try_lock_shared().is_err() && Instant::now() < deadline {
            tokio::time::sleep(POLL_INTERVAL / 10).await;
        }
        let begun = waiting.set_modified(SystemTime::now());
        begun.map_err(|error| Error::io(format!("lock {}", directory.join(WAITING).display()), error))?;
        Self::wait(directory, MAX_WAIT).await
    }

    /// Waits until an order waits that goes first. Does not wait for a file that it cannot use, nor for an order that should
    /// have given up long ago: it is suspended.
    pub fn until_an_order_waits(&self) -> impl Future<Output = ()> + use<> {
        let path = self.directory.join(WAITING);
        async move {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let file = open_own(&path, OpenOptions::new().write(true));
                if file.is_ok_and(|file| waits_still(&file) && matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
                {
                    return;
                }
            }
        }
    }

    /// The state that was last saved; a new one if there is none.
    ///
    /// # Errors
    /// As for [`read_state`].
    pub fn load(&self) -> Result<State> {
        Ok(read_state(&self.directory)?.unwrap_or_default())
    }

    /// Whether the state records that Uptime Kuma was stopped and has to run again, even if the rest of it cannot be
    /// read.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn requires_start(&self) -> Result<bool> {
        let bytes = self.read(STATE, MAX_STATE)?;
        Ok(bytes.is_some_and(|bytes| State::requires_start(&bytes)))
    }

    /// Saves the state; when it returns, the state is on disk.
    ///
    /// # Errors
    /// If it cannot be written; the old one then stays.
    pub fn save(&self, state: &State) -> Result<()> {
        self.replace(STATE, &state.render())?;
        match &state.hold {
            Some(hold) => self.replace(HOLD, &hold.render()),
            None => match std::fs::remove_file(self.directory.join(HOLD)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(Error::io(format!("remove {}", self.directory.join(HOLD).display()), error))
                }
                _ => Ok(()),
            },
        }
    }

    /// Keeps `dump` as the configuration for a rollback or for `restore previous`.
    ///
    /// # Errors
    /// As for [`Store::save`].
    pub fn keep_previous(&self, dump: &[u8]) -> Result<()> {
        self.replace(PREVIOUS, dump)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        replace_in(&self.directory, name, bytes)
    }

    /// The dump that [`Store::keep_previous`] kept, if any.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn previous(&self) -> Result<Option<Vec<u8>>> {
        self.read(PREVIOUS, MAX_DUMP)
    }

    /// Keeps `dump`, that of the snapshot in force.
    ///
    /// # Errors
    /// As for [`Store::save`].
    pub fn keep_applied(&self, dump: &[u8]) -> Result<()> {
        self.replace(APPLIED, dump)
    }

    /// The dump that [`Store::keep_applied`] kept, if any.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn applied(&self) -> Result<Option<Vec<u8>>> {
        read_applied(&self.directory)
    }

    /// Keeps the settings that this host publishes as the main without having them.
    ///
    /// # Errors
    /// As for [`Store::save`].
    pub fn keep_inherited(&self, settings: &[u8]) -> Result<()> {
        self.replace(INHERITED, settings)
    }

    /// What [`Store::keep_inherited`] kept, if anything.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn inherited(&self) -> Result<Option<Vec<u8>>> {
        read_inherited(&self.directory)
    }

    /// Keeps what a look found.
    ///
    /// # Errors
    /// As for [`Store::save`].
    pub fn keep_listing(&self, listing: &KeptListing) -> Result<()> {
        self.replace(LISTING, &listing.render())
    }

    /// What [`Store::keep_listing`] kept, if it can be used.
    pub fn listing(&self) -> Option<KeptListing> {
        self.read(LISTING, MAX_DUMP).ok().flatten().and_then(|bytes| KeptListing::parse(&bytes))
    }

    fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        read_if_exists(&self.directory.join(name), limit)
    }
}

/// Replaces a file in `directory`. One that root writes by hand gets the owner of the directory: the user that the unit runs
/// as.
pub(super) fn replace_in(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    replace_as(&directory.join(name), bytes, |file| users::give(file, &std::fs::metadata(directory)?))
}

/// Whether an order that began to wait when this file was changed may still wait. A clock that went back proves nothing.
fn waits_still(file: &File) -> bool {
    let begun = file.metadata().and_then(|metadata| metadata.modified());
    begun.is_ok_and(|begun| begun.elapsed().is_ok_and(|age| age <= MAX_WAIT))
}

/// Opens a file to lock, which is made if it is missing.
pub(super) fn open_lock(directory: &Path, name: &str) -> Result<File> {
    let path = directory.join(name);
    // Root must not give away a file that existed before.
    let open = |new| open_own(&path, OpenOptions::new().read(true).write(true).create_new(new).mode(PRIVATE));
    let lock = match open(true) {
        Ok(lock) => std::fs::metadata(directory).and_then(|owner| users::give(&lock, &owner)).map(|()| lock),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open(false),
        Err(error) => Err(error),
    };
    lock.map_err(|error| Error::io(format!("lock {}", path.display()), error))
}

/// The dump of the snapshot in force in `directory`, without a lock, if one is kept.
///
/// # Errors
/// If it exists and cannot be read.
pub fn read_applied(directory: &Path) -> Result<Option<Vec<u8>>> {
    read_if_exists(&directory.join(APPLIED), MAX_DUMP)
}

/// The settings that a host publishes as the main without having them, in `directory`, without a lock.
///
/// # Errors
/// If they exist and cannot be read.
pub fn read_inherited(directory: &Path) -> Result<Option<Vec<u8>>> {
    read_if_exists(&directory.join(INHERITED), MAX_DUMP)
}

/// The first line of the dump of the snapshot in force in `directory`, if it is kept and can be read.
pub(super) fn applied_manifest(directory: &Path) -> Option<Manifest> {
    let file = open_own(&directory.join(APPLIED), OpenOptions::new().read(true)).ok()?;
    let mut line = Vec::new();
    BufReader::new(file.take(MAX_MANIFEST as u64)).read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice(&line).ok()
}

pub(super) fn read_if_exists(path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    match read_own(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("read {}", path.display()), error)),
    }
}

/// The files in the state directory that contain data, whether they exist or not.
pub fn written(directory: &Path) -> [PathBuf; 9] {
    [STATE, PREVIOUS, APPLIED, INHERITED, LISTING, HOLD, COUNTERS, MEMORY, NOTICED].map(|name| directory.join(name))
}

/// How many bytes the kept dumps in `directory` take.
pub fn kept_bytes(directory: &Path) -> u64 {
    let sizes = [PREVIOUS, APPLIED].into_iter().filter_map(|name| directory.join(name).symlink_metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

/// Reads the state in `directory` without a lock: `None` if there is none. Without a state, a hold that is kept beside it
/// still counts.
///
/// # Errors
/// [`Kind::StateDamaged`] if it cannot be understood; the file then stays as it is.
pub fn read_state(directory: &Path) -> Result<Option<State>> {
    match read_undamaged(&directory.join(STATE), State::parse)? {
        None => {
            let hold = read_undamaged(&directory.join(HOLD), Hold::parse)?;
            Ok(hold.map(|hold| State { hold: Some(hold), ..State::default() }))
        }
        state => Ok(state),
    }
}

/// What `parse` makes of a file, if there is one.
fn read_undamaged<T>(path: &Path, parse: fn(&[u8]) -> std::result::Result<T, StateFault>) -> Result<Option<T>> {
    let damaged = || Error::new(Kind::StateDamaged, format!("state file {} cannot be used", path.display()));
    let bytes = match read_own(path, MAX_STATE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if is_unfit(&error) => return Err(damaged().because(error)),
        read => read.map_err(|error| Error::io(format!("read {}", path.display()), error))?,
    };
    parse(&bytes).map(Some).map_err(|fault| damaged().because(fault))
}
