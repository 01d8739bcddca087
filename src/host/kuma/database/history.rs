//! Rows outside the configuration that refer to rows in it, above all the history of monitors.
//!
//! The history of a removed monitor can be set aside, under the negative of its id, which no monitor has: a rollback
//! needs it until Uptime Kuma has started without that monitor.

use std::time::Instant;

use rusqlite::Connection;

use super::Database;
use super::sql::{Sql, columns, execute, quoted, table_names};
use crate::cycle::History;
use crate::error::Result;
use crate::model::catalog::{self, OnDelete};
use crate::model::value::Value;

/// How many rows one statement removes, while Uptime Kuma waits for its database.
const BATCH_ROWS: usize = 1000;

/// A column outside the configuration that refers to a row of it.
pub(super) struct Dependent {
    table: String,
    column: String,
    pub(super) parent: String,
    on_delete: OnDelete,
}

impl Database {
    /// Removes the history that a write set aside and the files that a killed write left unfinished, while Uptime Kuma
    /// runs, until `deadline`.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn remove_leftovers(&self, deadline: Instant) -> Result<()> {
        let connection = self.open()?;
        dependents(&connection)
            .and_then(|dependents| remove_leftovers(&connection, &dependents, Some(deadline)))
            .map_err(|error| self.failed("remove history from", error))?;
        self.uploads().remove_leftovers()
    }
}

impl Dependent {
    /// Removes, clears or sets aside what refers to the row `id`, which is about to be removed.
    pub(super) fn detach(&self, connection: &Connection, id: &Value, history: History) -> Sql<()> {
        let (table, column) = (quoted(&self.table), quoted(&self.column));
        let sql = if self.on_delete == OnDelete::SetNull {
            format!("UPDATE {table} SET {column} = NULL WHERE {column} = ?")
        } else if history == History::SetAside && self.parent == catalog::MONITOR {
            format!("UPDATE {table} SET {column} = -{column} WHERE {column} = ?")
        } else {
            format!("DELETE FROM {table} WHERE {column} = ?")
        };
        execute(connection, &sql, std::slice::from_ref(id)).map(drop)
    }

    fn can_be_set_aside(&self) -> bool {
        self.parent == catalog::MONITOR && self.on_delete == OnDelete::Cascade
    }
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

/// Gives these `monitors` their history back. Other history that is still set aside belongs to monitors that will not
/// come back.
pub(super) fn bring_back(connection: &Connection, dependents: &[Dependent], monitors: &[&Value]) -> Sql<()> {
    for dependent in dependents.iter().filter(|dependent| dependent.can_be_set_aside()) {
        let (table, column) = (quoted(&dependent.table), quoted(&dependent.column));
        let sql = format!("UPDATE {table} SET {column} = -{column} WHERE {column} = -?");
        for id in monitors {
            execute(connection, &sql, std::slice::from_ref(*id))?;
        }
    }
    Ok(())
}

/// Removes the history that was set aside, until `deadline`. Without a transaction around it, Uptime Kuma can write
/// between two statements.
pub(super) fn remove_leftovers(
    connection: &Connection,
    dependents: &[Dependent],
    deadline: Option<Instant>,
) -> Sql<()> {
    for dependent in dependents.iter().filter(|dependent| dependent.can_be_set_aside()) {
        let (table, column) = (quoted(&dependent.table), quoted(&dependent.column));
        let some = format!("SELECT rowid FROM {table} WHERE {column} < 0 LIMIT {BATCH_ROWS}");
        let sql = format!("DELETE FROM {table} WHERE rowid IN ({some})");
        while execute(connection, &sql, &[])? == BATCH_ROWS {
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(());
            }
        }
    }
    Ok(())
}
