//! Uptime Kuma's SQLite database: exposure it, proving that nobody has it open, and what its errors mean.
//!
//! Nothing here knows why rows are read or written.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::cycle::{Export, History};
use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::plan::Plan;

use super::{history, read, write};
use crate::host::kuma::uploads::{Staged, Uploads};
use crate::host::system::files::check_room;

pub(super) type Sql<T> = rusqlite::Result<T>;

/// How long a statement waits for a lock that Uptime Kuma holds for a moment.
const BUSY: Duration = Duration::from_secs(5);

/// The room that there must be for SQLite's log, and for what Uptime Kuma writes when it starts, in bytes.
pub const ROOM: u64 = 16 << 20;

/// One Uptime Kuma database and the uploaded files beside it.
#[derive(Debug, Clone)]
pub struct Database {
    path: PathBuf,
}

/// The database with everybody else kept out: one exclusive transaction is open until this is dropped.
#[derive(Debug)]
pub struct Claim {
    database: Database,
    connection: Connection,
}

impl Database {
    /// The database at `path`; it need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The uploaded files beside it.
    pub fn uploads(&self) -> Uploads {
        Uploads::beside(&self.path)
    }

    /// Exports the configuration in one read transaction of the live database.
    ///
    /// Opened read-write but told to write nothing: a read-only connection leaves files behind beside a
    /// stopped WAL database, a read-write one removes them (<https://www.sqlite.org/wal.html#readonly>).
    ///
    /// # Errors
    /// `DatabaseMissing`, `DatabaseBusy`, `DatabaseCorrupt`, `NotPermitted` or `SchemaUnknown`.
    pub fn export(&self) -> Result<Export> {
        let connection = self.open()?;
        let run = || {
            connection.execute_batch("PRAGMA query_only=ON; BEGIN")?;
            Ok(())
        };
        run().map_err(|error| self.failed("read", error))?;
        let export = read::export(self, &connection)?;
        connection.execute_batch("ROLLBACK").map_err(|error| self.failed("read", error))?;
        connection.close().map_err(|(_, error)| self.failed("close", error))?;
        Ok(export)
    }

    /// Names of tables that are neither replicated nor known to be local.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn unknown_tables(&self) -> Result<Vec<String>> {
        read::unknown_tables(&self.open()?).map_err(|error| self.failed("read", error))
    }

    /// Why Uptime Kuma is in the middle of a migration and must not be stopped, if it is.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn migrating(&self) -> Result<Option<String>> {
        read::migrating(&self.open()?).map_err(|error| self.failed("read", error))
    }

    /// Removes the files that a killed [`Claim::write`] left unfinished, and the history that one set aside, while
    /// Uptime Kuma runs, until `deadline`.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn remove_leftovers(&self, deadline: Instant) -> Result<()> {
        let connection = self.open()?;
        history::dependents(&connection)
            .and_then(|dependents| history::remove_leftovers(&connection, &dependents, Some(deadline)))
            .map_err(|error| self.failed("remove history from", error))?;
        self.uploads().remove_leftovers()
    }

    /// Where SQLite makes its files: beside the database, not beside a link to it.
    fn directory(&self) -> Result<PathBuf> {
        let path = self.path.canonicalize();
        let path = path.map_err(|error| Error::io(format!("find database {}", self.path.display()), error))?;
        Ok(path.parent().unwrap_or(Path::new("/")).to_owned())
    }

    /// Has SQLite read all of it. Rules of tables that rows do not keep are no damage: versions of Uptime Kuma
    /// have made such databases, and work with them.
    ///
    /// # Errors
    /// `DatabaseCorrupt`, with what SQLite found first; else as for [`Database::export`].
    pub fn check_intact(&self) -> Result<()> {
        let connection = self.open()?;
        match read::damage(&connection).map_err(|error| self.failed("check", error))? {
            None => Ok(()),
            Some(damage) => {
                let what = format!("database {} is damaged", self.path.display());
                Err(Error::new(Kind::DatabaseCorrupt, what).because(damage))
            }
        }
    }

    /// Proves that the user `uid` could open the database and write beside it. Rights by group or by access
    /// lists are given credit: only what cannot work is refused.
    ///
    /// # Errors
    /// `NotPermitted`, naming what that user cannot write.
    pub fn check_usable_by(&self, uid: u32) -> Result<()> {
        let directory = self.directory()?;
        let beside = |end: &str| {
            let mut name = self.path.canonicalize().unwrap_or_else(|_| self.path.clone()).into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        for (path, bits) in [(directory, 0o3), (beside(""), 0o6), (beside("-wal"), 0o6), (beside("-shm"), 0o6)] {
            // Files that come and go with Uptime Kuma.
            let Ok(found) = std::fs::metadata(&path) else { continue };
            let granted = |shift: u32| found.mode() >> shift & bits == bits;
            let allowed = if found.uid() == uid { granted(6) } else { granted(3) || granted(0) };
            if !allowed && uid != 0 {
                let what = format!("user {uid}, as which Uptime Kuma runs, cannot write {}", path.display());
                return Err(Error::new(Kind::NotPermitted, what).with_hint("give it to that user: chown, chmod u+rwX"));
            }
        }
        Ok(())
    }

    /// Proves that the database and what `changes` need beside it can be written from here, now. SQLite
    /// itself falls back to reading without a word when it opens a file that it cannot write.
    ///
    /// # Errors
    /// `NotPermitted`, naming what cannot be written; `DatabaseBusy` while somebody else writes; `DiskFull`;
    /// else as for [`Database::export`].
    pub fn check_writable(&self, changes: &Plan) -> Result<()> {
        let hint =
            "let the unit write there: ReadWritePaths= in a drop-in of kuma-replicator.service, see operating.md";
        let refused = |path: &Path| {
            Error::new(Kind::NotPermitted, format!("{} cannot be written from here", path.display())).with_hint(hint)
        };
        let connection = self.open()?;
        if connection.is_readonly(rusqlite::MAIN_DB).map_err(|error| self.failed("open", error))? {
            return Err(refused(&self.path));
        }
        // Uptime Kuma does not start while another program holds this lock. It is given back at once.
        let locked = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        locked.map_err(|error| self.failed("lock", error))?;
        let directory = self.directory()?;
        rustix::fs::access(&directory, rustix::fs::Access::WRITE_OK)
            .map_err(|error| refused(&directory).because(error))?;
        let files: usize = changes.files.iter().map(|file| file.content.len()).sum();
        check_room(&directory, ROOM.saturating_add(files as u64))?;
        if changes.files.is_empty() { Ok(()) } else { self.uploads().check_writable() }
    }

    /// Proves that nobody has the database open and keeps everybody out. A plain `BEGIN IMMEDIATE` would
    /// succeed while Uptime Kuma runs; with `locking_mode=EXCLUSIVE` a WAL database can only be opened by
    /// one connection (<https://www.sqlite.org/pragma.html#pragma_locking_mode>).
    ///
    /// # Errors
    /// `DatabaseBusy` if somebody still has it open after `patience`; else as for [`Database::export`].
    pub async fn claim(&self, patience: Duration) -> Result<Claim> {
        let deadline = Instant::now() + patience;
        loop {
            match self.try_claim() {
                Err(error) if error.kind() == Kind::DatabaseBusy && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                result => return result,
            }
        }
    }

    fn try_claim(&self) -> Result<Claim> {
        let connection = self.open()?;
        let run = || {
            connection.busy_timeout(Duration::ZERO)?;
            // Foreign keys are off so that nothing cascades: the plan says what goes, and what is left is
            // checked before the commit.
            connection.execute_batch(
                "PRAGMA foreign_keys=OFF; PRAGMA synchronous=FULL; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE",
            )
        };
        run().map_err(|error| self.failed("claim", error))?;
        Ok(Claim { database: self.clone(), connection })
    }

    pub(super) fn open(&self) -> Result<Connection> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => {
                return Err(Error::new(Kind::DatabaseMissing, format!("{} is not a file", self.path.display())));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::new(Kind::DatabaseMissing, format!("there is no database {}", self.path.display())));
            }
            Err(error) => return Err(Error::io(format!("find database {}", self.path.display()), error)),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| self.failed("open", error))?;
        connection.busy_timeout(BUSY).map_err(|error| self.failed("open", error))?;
        Ok(connection)
    }

    /// Commits, closes, and gives `staged` their names. Returns what did not work after the commit.
    pub(super) fn commit(&self, connection: Connection, staged: Staged) -> Result<Vec<String>> {
        connection.execute_batch("COMMIT").map_err(|error| self.failed("commit", error))?;
        // From here on the new rows are in force, whatever else goes wrong.
        let closed = connection.close().map_err(|(_, error)| self.failed("close", error));
        Ok([staged.put_in_place(), closed].into_iter().filter_map(|done| Some(done.err()?.chain())).collect())
    }

    pub(super) fn failed(&self, doing: &str, error: rusqlite::Error) -> Error {
        let full = if is_no_room(&error) { ": the disk is full" } else { "" };
        let what = format!("{doing} database {}{full}", self.path.display());
        Error::new(kind(&error).unwrap_or(Kind::Files), what).because(error)
    }
}

impl Claim {
    /// Exports the configuration of the claimed database.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn export(&self) -> Result<Export> {
        read::export(&self.database, &self.connection)
    }

    /// Writes `plan` and the files in it, and commits only if everything reads back as `wanted`; `history` says
    /// what becomes of that of removed monitors. Returns what did not work after the commit.
    ///
    /// # Errors
    /// `Unwritable` if a rule of the database is broken, else `WriteFailed`, `DiskFull` and their like;
    /// the database and the files are then as they were.
    pub fn write(self, plan: &Plan, wanted: &Configuration, history: History) -> Result<Vec<String>> {
        write::write(&self.connection, plan, wanted, history)?;
        let staged = self.database.uploads().stage(&plan.files)?;
        self.database.commit(self.connection, staged)
    }
}

/// Tries `plan` on a copy of the tables of `database` in memory that holds the rows of `here`.
///
/// # Errors
/// `Unwritable`, naming the row, if a rule of the database would be broken.
pub fn rehearse(database: &Database, plan: &Plan, here: &Configuration, wanted: &Configuration) -> Result<()> {
    let live = database.open()?;
    let copy = write::empty_copy(&live).map_err(|error| database.failed("copy the tables of", error))?;
    drop(live);
    write::fill(&copy, here)?;
    write::write(&copy, plan, wanted, History::Remove)
}

/// What an error of SQLite means (<https://www.sqlite.org/rescode.html>), where that does not depend on what
/// was being done.
pub(super) fn kind(error: &rusqlite::Error) -> Option<Kind> {
    if is_no_room(error) {
        return Some(Kind::DiskFull);
    }
    Some(match error.sqlite_error_code()? {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Kind::DatabaseBusy,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::DatabaseCorrupt,
        ErrorCode::DiskFull => Kind::DiskFull,
        ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen => Kind::NotPermitted,
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => Kind::Unwritable,
        ErrorCode::SystemIoFailure => Kind::Files,
        _ => return None,
    })
}

/// Whether the shared memory beside the database could not be made larger, which SQLite calls an I/O error.
fn is_no_room(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}
