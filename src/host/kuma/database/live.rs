//! Writing while Uptime Kuma runs. It waits for the lock that is held meanwhile, version 1.23 for one second: so only
//! what the plan touches is read and written in here.

use crate::cycle::{Export, History};
use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::plan::Plan;

use super::{Database, read, write};

impl Database {
    /// Writes `plan`, which was made from `here`, in one transaction of the live database, and commits only if the rows
    /// then read back as `wanted`. Returns what did not work after the commit.
    ///
    /// # Errors
    /// `DatabaseBusy` if somebody holds the lock for longer than a moment, or has changed the rows since; `ServiceBusy`
    /// during a migration, `SchemaDiffers` after one; else as for [`super::Claim::write`]. The database and the files
    /// are then as they were.
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
        };
        let (before, wanted) = (touched(&here.configuration), touched(wanted));
        let staged = self.uploads().stage(&plan.files)?;
        // Dropped before the commit, it is rolled back. Foreign keys are off so that nothing cascades.
        let connection = self.open()?;
        connection
            .execute_batch("PRAGMA foreign_keys=OFF; PRAGMA synchronous=FULL; BEGIN IMMEDIATE")
            .map_err(|error| self.failed("lock", error))?;
        if let Some(reason) = read::migrating(&connection).map_err(failed)? {
            return Err(Error::new(Kind::ServiceBusy, format!("nothing is written now: {reason}")));
        }
        if read::current_schema(&connection).map_err(failed)? != here.schema {
            let what = "the database was upgraded while the changes were planned";
            return Err(Error::new(Kind::SchemaDiffers, what).with_hint("the next cycle looks at what is there now"));
        }
        if read::tables_like(&connection, &before).map_err(failed)? != before.tables {
            let what = "the configuration was edited while the changes were planned";
            return Err(Error::new(Kind::DatabaseBusy, what).with_hint("the next cycle plans anew"));
        }
        write::write(&connection, plan, &wanted, History::Untouched)?;
        self.commit(connection, staged)
    }
}
