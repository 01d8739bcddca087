//! The database file: where it is, opening it, closing it after a write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::sql::{Sql, is_disk_full, kind};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::uploads::{Staged, Uploads};

/// How long a statement waits for a lock that Uptime Kuma holds for a moment.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// One Uptime Kuma database and the uploaded files beside it.
#[derive(Debug, Clone)]
pub struct Database {
    path: PathBuf,
}

impl Database {
    /// The database at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The uploaded files beside it.
    pub fn uploads(&self) -> Uploads {
        Uploads::beside(&self.path)
    }

    /// The directory in which SQLite makes its files: that of the database, not that of a link to it.
    pub(super) fn directory(&self) -> Result<PathBuf> {
        Ok(self.real_path()?.parent().unwrap_or(Path::new("/")).to_owned())
    }

    /// The file that SQLite makes beside the database, with this end of its name.
    pub(super) fn beside(&self, end: &str) -> Result<PathBuf> {
        let mut name = self.real_path()?.into_os_string();
        name.push(end);
        Ok(name.into())
    }

    fn real_path(&self) -> Result<PathBuf> {
        let path = self.path.canonicalize();
        path.map_err(|error| Error::io(format!("find database {}", self.path.display()), error))
    }

    /// Fails if there is none.
    ///
    /// # Errors
    /// [`Kind::DatabaseMissing`]; or why it cannot be found.
    pub fn find(&self) -> Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => Ok(()),
            Ok(_) => Err(Error::new(Kind::DatabaseMissing, format!("{} is not a file", self.path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(self.missing()),
            Err(error) => Err(Error::io(format!("find database {}", self.path.display()), error)),
        }
    }

    /// Fails unless the database, and what lies beside it under the names that SQLite uses, are files: SQLite would wait
    /// for a pipe without end.
    pub(super) fn check_files(&self) -> Result<()> {
        self.find()?;
        for end in ["-journal", "-wal", "-shm"] {
            let path = self.beside(end)?;
            if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
                let what = format!("{} is not a file, and SQLite needs that name", path.display());
                let hint = "stop Uptime Kuma, remove what has that name, and start Uptime Kuma";
                return Err(Error::new(Kind::DatabaseCorrupt, what).with_hint(hint));
            }
        }
        Ok(())
    }

    pub(super) fn open(&self) -> Result<Connection> {
        self.check_files()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| self.failed("open", error))?;
        let prepared = harden(&connection).and_then(|()| connection.busy_timeout(LOCK_TIMEOUT));
        prepared.map_err(|error| self.failed("open", error))?;
        Ok(connection)
    }

    /// Commits, closes, and gives `staged` their names. Returns what failed after the commit, for people.
    pub(super) fn commit(&self, connection: Connection, staged: Staged) -> Result<Vec<String>> {
        connection.execute_batch("COMMIT").map_err(|error| self.failed("commit", error))?;
        // The new rows are in force now, whatever else fails.
        let closed = connection.close().map_err(|(_, error)| self.failed("close", error));
        Ok([staged.put_in_place(), closed].into_iter().filter_map(|done| Some(done.err()?.chain())).collect())
    }

    pub(super) fn missing(&self) -> Error {
        Error::new(Kind::DatabaseMissing, format!("there is no database {}", self.path.display()))
    }

    pub(super) fn failed(&self, doing: &str, error: rusqlite::Error) -> Error {
        let full = if is_disk_full(&error) { ": the disk is full" } else { "" };
        let what = format!("{doing} database {}{full}", self.path.display());
        let error = Error::new(kind(&error).unwrap_or(Kind::Files), what).because(error);
        match self.directory() {
            Ok(directory) if error.kind() == Kind::NotPermitted && is_read_only(&directory) => {
                error.with_hint(read_only_hint(&directory))
            }
            _ => error,
        }
    }
}

/// Whether `directory` is on a file system that this process cannot write, whatever the rights are.
fn is_read_only(directory: &Path) -> bool {
    accessat(CWD, directory, Access::WRITE_OK, AtFlags::EACCESS) == Err(Errno::ROFS)
}

/// What to do about a `directory` that is read-only for this process: usually the sandbox of the service is the cause.
fn read_only_hint(directory: &Path) -> String {
    format!(
        "let the service write there: systemctl edit kuma-replicator, [Service], ReadWritePaths={}; if it is mounted \
         read-only, mount it writable",
        directory.display()
    )
}

/// Prepares a connection for a database of another user: no other database can be attached to it, what its schema
/// calls can do no harm (<https://www.sqlite.org/security.html>), and no trigger changes what is written. Uptime Kuma
/// has none.
pub(super) fn harden(connection: &Connection) -> Sql<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    Ok(())
}
