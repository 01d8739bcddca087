//! Writing while Uptime Kuma runs. Uptime Kuma waits for the lock in the meantime, version 1.23 for one second, so only
//! the tables in the plan are read and written.

use crate::cycle::{Export, History};
use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::plan::Plan;

use super::{Database, read, schema, write};

impl Database {
    /// Writes `plan`, which was made from `here`, in one transaction of the live database, and commits only if the rows
    /// then read back as `wanted`. Returns what failed after the commit, for people.
    ///
    /// # Errors
    /// `DatabaseBusy` if Uptime Kuma holds the lock for longer than a moment, or if the rows have changed since;
    /// `ServiceBusy` during a migration, `SchemaDiffers` after one; else as for [`super::Claim::write`]. The database
    /// and the files are then as they were.
    pub fn write_live(&self, plan: &Plan, here: &Export, wanted: &Configuration) -> Result<Vec<String>> {
        let failed = |error| self.failed("write", error);
        let touched = |configuration: &Configuration| Configuration {
            tables: configuration
                .tables
                .iter()
                .filter(|table| plan.tables.iter().any(|plan| plan.spec == table.spec))
                .cloned()
                .collect(),
            files: Vec::new(),
            zone: None,
        };
        let (before, wanted) = (touched(&here.configuration), touched(wanted));
        let staged = self.uploads().stage(&plan.files)?;
        // If the connection is dropped before the commit, SQLite rolls back. Foreign keys are off so that nothing
        // cascades.
        let connection = self.open()?;
        connection
            .execute_batch("PRAGMA foreign_keys=OFF; PRAGMA synchronous=FULL; BEGIN IMMEDIATE")
            .map_err(|error| self.failed("lock", error))?;
        if let Some(reason) = schema::migrating(&connection).map_err(failed)? {
            return Err(Error::new(Kind::ServiceBusy, format!("nothing is written now: {reason}")));
        }
        if schema::current_schema(&connection).map_err(failed)? != here.schema {
            let what = "the database was upgraded while the changes were planned";
            return Err(Error::new(Kind::SchemaDiffers, what).with_hint("the next cycle compares the schemas again"));
        }
        if read::tables_like(&connection, &before).map_err(failed)? != before.tables {
            let what = "the configuration was edited while the changes were planned";
            return Err(Error::new(Kind::DatabaseBusy, what).with_hint("the next cycle plans again"));
        }
        write::write(&connection, plan, &wanted, History::Remove)?;
        self.commit(connection, staged)
    }
}
