//! Rows outside the configuration that refer to rows in it, above all the history of monitors.
//!
//! The history of a removed monitor stays where it is until Uptime Kuma has answered without that monitor: a rollback
//! needs it. Then it is removed in small transactions, while Uptime Kuma runs. Only where another monitor takes over the
//! id, the history is set aside before, under the negative of the id, which no monitor has.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _};

use super::Database;
use super::sql::{Sql, columns, execute, quoted, table_names};
use crate::cycle::History;
use crate::error::Result;
use crate::model::catalog::{self, OnDelete};
use crate::model::value::Value;

/// How many rows one statement changes, while Uptime Kuma waits for its database.
const BATCH_ROWS: usize = 1000;

/// A column outside the configuration that refers to a row of it.
pub(super) struct Dependent {
    table: String,
    column: String,
    pub(super) parent: String,
    on_delete: OnDelete,
}

impl Database {
    /// Sets the history of these `monitors` aside, within this time. What was set aside under their ids before is removed
    /// first. Returns how many rows are left to set aside.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn set_history_aside(&self, monitors: &[i64], within: Duration) -> Result<u64> {
        let deadline = Instant::now() + within;
        self.on_history("set aside history in", |connection, histories| {
            let mut left = 0;
            for history in histories {
                for id in monitors {
                    left += history.in_batches(connection, Change::SetAside, *id, deadline)?;
                }
            }
            Ok(left)
        })
    }

    /// Removes the history that no monitor has, within this time, and the files that a killed write left unfinished. With
    /// `bring_back`, history that was set aside goes back to its monitor instead.
    /// Returns how many rows are left.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn tidy_history(&self, bring_back: bool, within: Duration) -> Result<u64> {
        let deadline = Instant::now() + within;
        let left = self.on_history("remove history from", |connection, histories| {
            let mut left = 0;
            for history in histories {
                for id in history.orphans(connection)? {
                    let has_monitor = id < 0 && exists(connection, -id)?;
                    let change = if bring_back && has_monitor { Change::BringBack } else { Change::Remove };
                    left += history.in_batches(connection, change, id, deadline)?;
                }
            }
            Ok(left)
        })?;
        self.uploads().remove_leftovers()?;
        Ok(left)
    }

    /// How many rows of history no monitor has.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn orphaned_history(&self) -> Result<u64> {
        self.on_history("count history in", |connection, histories| {
            let mut rows = 0;
            for history in histories {
                for id in history.orphans(connection)? {
                    rows += history.count(connection, id)?;
                }
            }
            Ok(rows)
        })
    }

    fn on_history<T>(&self, doing: &str, work: impl FnOnce(&Connection, &[Dependent]) -> Sql<T>) -> Result<T> {
        let connection = self.open()?;
        let run = || {
            // A transaction that a power cut takes back is done again.
            connection.execute_batch("PRAGMA foreign_keys=OFF; PRAGMA synchronous=NORMAL")?;
            let mut histories = dependents(&connection)?;
            histories.retain(Dependent::is_history);
            work(&connection, &histories)
        };
        run().map_err(|error| self.failed(doing, error))
    }
}

/// What happens to rows of history.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Remove,
    SetAside,
    BringBack,
}

impl Dependent {
    /// Removes or clears what refers to the row `id`, which is about to be removed. History of monitors stays.
    pub(super) fn detach(&self, connection: &Connection, id: &Value) -> Sql<()> {
        let (table, column) = (quoted(&self.table), quoted(&self.column));
        let sql = if self.on_delete == OnDelete::SetNull {
            format!("UPDATE {table} SET {column} = NULL WHERE {column} = ?")
        } else if self.is_history() {
            return Ok(());
        } else {
            format!("DELETE FROM {table} WHERE {column} = ?")
        };
        execute(connection, &sql, std::slice::from_ref(id)).map(drop)
    }

    /// Whether [`detach`](Self::detach) could not clear the column, as it may not be NULL.
    pub(super) fn cannot_be_cleared(&self, connection: &Connection) -> Sql<bool> {
        let not_null = r#"SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2 COLLATE NOCASE AND "notnull""#;
        Ok(self.on_delete == OnDelete::SetNull
            && connection.prepare_cached(not_null)?.exists([&self.table, &self.column])?)
    }

    /// Whether a row refers to `id`.
    pub(super) fn refers_to(&self, connection: &Connection, id: &Value) -> Sql<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE {} = ?", quoted(&self.table), quoted(&self.column));
        connection.prepare_cached(&sql)?.exists([id])
    }

    /// Its column for people.
    pub(super) fn name(&self) -> String {
        format!("column {} of table {}", self.column, self.table)
    }

    /// Empties the history under `id`, which another monitor takes over in the open transaction.
    pub(super) fn vacate(&self, connection: &Connection, id: &Value, history: History) -> Sql<()> {
        let (table, column) = (quoted(&self.table), quoted(&self.column));
        let sql = match history {
            History::SetAside => format!("UPDATE OR REPLACE {table} SET {column} = -{column} WHERE {column} = ?"),
            History::Remove => format!("DELETE FROM {table} WHERE {column} = ?"),
        };
        execute(connection, &sql, std::slice::from_ref(id)).map(drop)
    }

    pub(super) fn is_history(&self) -> bool {
        self.parent == catalog::MONITOR && self.on_delete == OnDelete::Cascade
    }

    /// The ids that this history has and the table of monitors has not. Each is looked up in the index, so this takes no
    /// longer for a long history.
    fn orphans(&self, connection: &Connection) -> Sql<Vec<i64>> {
        let (table, column, monitor) = (quoted(&self.table), quoted(&self.column), quoted(catalog::MONITOR));
        let next = format!("SELECT min({column}) FROM {table} WHERE {column} > ids.id");
        let sql = format!(
            "WITH RECURSIVE ids(id) AS (SELECT min({column}) FROM {table} UNION ALL
                 SELECT ({next}) FROM ids WHERE ids.id IS NOT NULL)
             SELECT id FROM ids WHERE typeof(id) = 'integer' AND id NOT IN (SELECT id FROM {monitor})"
        );
        connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
    }

    fn count(&self, connection: &Connection, id: i64) -> Sql<u64> {
        let sql = format!("SELECT count(*) FROM {} WHERE {} = ?", quoted(&self.table), quoted(&self.column));
        connection.query_row(&sql, [id], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    }

    /// Changes the rows of `id` in small transactions until `deadline`. Between two of them Uptime Kuma has as much time
    /// to write. Returns how many rows are left.
    fn in_batches(&self, connection: &Connection, change: Change, id: i64, deadline: Instant) -> Sql<u64> {
        let (table, column) = (quoted(&self.table), quoted(&self.column));
        if change == Change::SetAside {
            let left = self.in_batches(connection, Change::Remove, -id, deadline)?;
            if left > 0 {
                return Ok(left + self.count(connection, id)?);
            }
        }
        let some = format!("rowid IN (SELECT rowid FROM {table} WHERE {column} = ? LIMIT {BATCH_ROWS})");
        let sql = match change {
            Change::Remove => format!("DELETE FROM {table} WHERE {some}"),
            // Two rows for one moment: the one that was moved covers more of it.
            Change::SetAside | Change::BringBack => {
                format!("UPDATE OR REPLACE {table} SET {column} = -{column} WHERE {some}")
            }
        };
        loop {
            let since = Instant::now();
            let changed = execute(connection, &sql, &[Value::Integer(id)])?;
            if changed == 0 {
                return Ok(0);
            }
            if Instant::now() > deadline {
                return self.count(connection, id);
            }
            std::thread::sleep(since.elapsed());
        }
    }
}

fn exists(connection: &Connection, monitor: i64) -> Sql<bool> {
    let sql = format!("SELECT 1 FROM {} WHERE id = ?", quoted(catalog::MONITOR));
    Ok(connection.query_row(&sql, [monitor], |_| Ok(())).optional()?.is_some())
}

/// The columns outside the catalog that refer to its rows: declared foreign keys, and the history of monitors, for
/// which some versions declare none.
pub(super) fn dependents(connection: &Connection) -> Sql<Vec<Dependent>> {
    let mut found = Vec::new();
    for table in table_names(connection)?.into_iter().filter(|table| catalog::find(table).is_none()) {
        let mut statement =
            connection.prepare_cached(r#"SELECT "table", "from", "on_delete" FROM pragma_foreign_key_list(?1)"#)?;
        let mut rows = statement.query([&table])?;
        while let Some(row) = rows.next()? {
            let (parent, column, on_delete): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let on_delete = match on_delete.as_str() {
                "CASCADE" => OnDelete::Cascade,
                "SET NULL" => OnDelete::SetNull,
                // Rows with another declared action stay as they are.
                _ => continue,
            };
            if catalog::find(&parent).is_some() {
                found.push(Dependent { table: table.clone(), column, parent, on_delete });
            }
        }
        let known = found.iter().any(|dependent: &Dependent| dependent.table == table);
        if catalog::MONITOR_HISTORY.contains(&table.as_str()) && !known {
            let (column, parent) = ("monitor_id".to_owned(), catalog::MONITOR.to_owned());
            if columns(connection, &table)?.contains(&column) {
                found.push(Dependent { table, column, parent, on_delete: OnDelete::Cascade });
            }
        }
    }
    Ok(found)
}
