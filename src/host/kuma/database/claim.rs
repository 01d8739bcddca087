//! Writing while Uptime Kuma is stopped: the claim, which proves that nobody has the database open and keeps everybody
//! out.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Database, read, write};
use crate::cycle::{Export, History};
use crate::error::{Kind, Result};
use crate::model::configuration::Configuration;
use crate::plan::Plan;

/// How often a claim is tried.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A database that nobody else can open: one exclusive transaction is open until this is dropped.
#[derive(Debug)]
pub struct Claim {
    database: Database,
    connection: Connection,
}

impl Database {
    /// Proves that nobody has the database open and keeps everybody out. A plain `BEGIN IMMEDIATE` would succeed while
    /// Uptime Kuma runs; with `locking_mode=EXCLUSIVE` only one connection can open a WAL database
    /// (<https://www.sqlite.org/pragma.html#pragma_locking_mode>).
    ///
    /// # Errors
    /// `DatabaseBusy` if another process still has it open after `timeout`; else as for [`Database::export`].
    pub fn claim(&self, timeout: Duration) -> Result<Claim> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.try_claim() {
                Err(error) if error.kind() == Kind::DatabaseBusy && Instant::now() < deadline => {
                    std::thread::sleep(POLL_INTERVAL);
                }
                result => return result,
            }
        }
    }

    fn try_claim(&self) -> Result<Claim> {
        let connection = self.open()?;
        let run = || {
            connection.busy_timeout(Duration::ZERO)?;
            // Foreign keys are off so that nothing cascades: the plan names the rows to remove, and the references
            // are checked before the commit.
            connection.execute_batch(
                "PRAGMA foreign_keys=OFF; PRAGMA synchronous=FULL; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE",
            )
        };
        run().map_err(|error| self.failed("claim", error))?;
        Ok(Claim { database: self.clone(), connection })
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

    /// Writes `plan` and the files in it, and commits only if everything reads back as `wanted`. Returns what failed
    /// after the commit, for people.
    ///
    /// # Errors
    /// `Unwritable` if a rule of the database would be broken, else `WriteFailed`, `DiskFull` and the like. The
    /// database and the files are then as they were.
    pub fn write(self, plan: &Plan, wanted: &Configuration, history: History) -> Result<Vec<String>> {
        write::write(&self.connection, plan, wanted, history)?;
        let staged = self.database.uploads().stage(&plan.files)?;
        self.database.commit(self.connection, staged)
    }
}
