//! Whether the database is intact, whether Uptime Kuma's user can use it, and whether it can be written now.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::Connection;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::Database;
use super::sql::Sql;
use crate::error::{Error, Kind, Result};
use crate::host::system::files::check_room;

/// The free space that the first writes of a starting Uptime Kuma, and small files, may need, in bytes. What a plan
/// needs comes on top.
pub const ROOM: u64 = 16 << 20;

impl Database {
    /// Has SQLite read the whole database. Rows that violate a rule of their table are no damage: versions of Uptime
    /// Kuma have made such databases, and work with them.
    ///
    /// # Errors
    /// `DatabaseCorrupt` with the first damage that SQLite found; else as for [`Database::export`].
    pub fn check_intact(&self) -> Result<()> {
        let connection = self.open()?;
        match damage(&connection).map_err(|error| self.failed("check", error))? {
            None => Ok(()),
            Some(damage) => {
                let what = format!("database {} is damaged", self.path().display());
                Err(Error::new(Kind::DatabaseCorrupt, what).because(damage))
            }
        }
    }

    /// Proves that the user `uid` can open the database and write beside it. Any group is taken for one of the user's,
    /// since access lists may add rights: only what cannot work is refused.
    ///
    /// # Errors
    /// `NotPermitted`, naming the path that the user cannot write.
    pub fn check_usable_by(&self, uid: u32) -> Result<()> {
        let directory = self.directory()?;
        let files = [self.beside("")?, self.beside("-wal")?, self.beside("-shm")?];
        for (path, bits) in std::iter::once((directory, 0o3)).chain(files.map(|file| (file, 0o6))) {
            // Uptime Kuma makes and removes the last two.
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

    /// Proves that this process can write the database, with this much `room` for it and its log beside [`ROOM`], and the
    /// `uploads` beside it, now. When SQLite opens a file that it cannot write, it falls back to reading without an error.
    ///
    /// # Errors
    /// `NotPermitted`, naming the path; `DatabaseBusy` while another process writes; `DiskFull`; else as for
    /// [`Database::export`].
    pub fn check_writable(&self, room: u64, uploads: bool) -> Result<()> {
        let hint =
            "let the unit write there: ReadWritePaths= in a drop-in of kuma-replicator.service, see repositories.md";
        let refused = |path: &Path| {
            Error::new(Kind::NotPermitted, format!("{} cannot be written from here", path.display())).with_hint(hint)
        };
        let connection = self.open()?;
        if connection.is_readonly(rusqlite::MAIN_DB).map_err(|error| self.failed("open", error))? {
            return Err(refused(self.path()));
        }
        // Uptime Kuma does not start while another program holds this lock, so it is released at once.
        let locked = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        locked.map_err(|error| self.failed("lock", error))?;
        let directory = self.directory()?;
        // With the rights of this process as they are, also that to pass a directory of root.
        accessat(CWD, &directory, Access::WRITE_OK, AtFlags::EACCESS)
            .map_err(|error| refused(&directory).because(error))?;
        check_room(&directory, ROOM.saturating_add(room))?;
        if uploads { self.uploads().check_writable() } else { Ok(()) }
    }
}

/// The first damage that `PRAGMA quick_check` reports. After the damage it also reports rows that violate a rule of
/// their table, which are skipped here (<https://www.sqlite.org/pragma.html#pragma_quick_check>).
fn damage(connection: &Connection) -> Sql<Option<String>> {
    const RULES: [&str; 5] =
        ["NULL value in ", "CHECK constraint failed in ", "NUMERIC value in ", "TEXT value in ", "non-"];
    let mut statement = connection.prepare("PRAGMA quick_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let finding: String = row.get(0)?;
        if finding != "ok" && !RULES.iter().any(|rule| finding.starts_with(rule)) {
            return Ok(Some(finding.lines().take(2).collect::<Vec<_>>().join(" ")));
        }
    }
    Ok(None)
}
