//! What hangs on rows of the configuration and is none itself, above all the history of monitors.
//!
//! The history of a removed monitor can be set aside, under the negative of its id, which no monitor has: until
//! Uptime Kuma has come up without that monitor, a way back must find it.

use std::time::Instant;

use rusqlite::Connection;

use crate::cycle::History;
use crate::model::catalog;
use crate::model::value::Value;

use super::file::Sql;
use super::read::{columns, quoted, table_names};
use super::write::execute;

/// How many rows are removed while Uptime Kuma waits for its database.
const BATCH: usize = 1000;

/// A column outside the configuration that refers to a row of it.
pub(super) struct Dependent {
    table: String,
    column: String,
    pub(super) parent: String,
    clears: bool,
}

impl Dependent {
    /// Does to what hangs on the row `id` what its removal calls for.
    pub(super) fn part_with(&self, connection: &Connection, id: &Value, history: History) -> Sql<()> {
        let (table, column) = (quoted(&self.table), quoted(&self.column));
        let sql = if self.clears {
            format!("UPDATE {table} SET {column} = NULL WHERE {column} = ?")
        } else if history == History::SetAside && self.parent == catalog::MONITOR {
            format!("UPDATE {table} SET {column} = -{column} WHERE {column} = ?")
        } else {
            format!("DELETE FROM {table} WHERE {column} = ?")
        };
        execute(connection, &sql, std::slice::from_ref(id)).map(drop)
    }

    fn can_be_aside(&self) -> bool {
        self.parent == catalog::MONITOR && !self.clears
    }
}

/// Tables outside the catalog that hang on its rows: by declared foreign keys, and the history of
/// monitors, for which some versions declare none.
pub(super) fn dependents(connection: &Connection) -> Sql<Vec<Dependent>> {
    let mut found = Vec::new();
    for table in table_names(connection)?.into_iter().filter(|table| catalog::find(table).is_none()) {
        let mut statement =
            connection.prepare_cached(r#"SELECT "table", "from", "on_delete" FROM pragma_foreign_key_list(?1)"#)?;
        let mut rows = statement.query([&table])?;
        while let Some(row) = rows.next()? {
            let (parent, column, on_delete): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            // Rows of other declared actions are nobody's to remove here: they stay as they are.
            let clears = on_delete == "SET NULL";
            if catalog::find(&parent).is_some() && (clears || on_delete == "CASCADE") {
                found.push(Dependent { table: table.clone(), column, parent, clears });
            }
        }
        let known = found.iter().any(|dependent: &Dependent| dependent.table == table);
        if catalog::MONITOR_HISTORY.contains(&table.as_str()) && !known {
            let (column, parent) = ("monitor_id".to_owned(), catalog::MONITOR.to_owned());
            if columns(connection, &table)?.contains(&column) {
                found.push(Dependent { table, column, parent, clears: false });
            }
        }
    }
    Ok(found)
}

/// Gives the history that was set aside back to these `monitors`. What another write has set aside, and no sweep got at
/// yet, is of monitors that are gone for good.
pub(super) fn bring_back(connection: &Connection, dependents: &[Dependent], monitors: &[&Value]) -> Sql<()> {
    for dependent in dependents.iter().filter(|dependent| dependent.can_be_aside()) {
        let (table, column) = (quoted(&dependent.table), quoted(&dependent.column));
        let sql = format!("UPDATE {table} SET {column} = -{column} WHERE {column} = -?");
        for id in monitors {
            execute(connection, &sql, std::slice::from_ref(*id))?;
        }
    }
    Ok(())
}

/// Removes the history that was set aside, as far as it gets until `deadline`. Without a transaction around it,
/// others get at the database again and again meanwhile.
pub(super) fn remove_leftovers(
    connection: &Connection,
    dependents: &[Dependent],
    deadline: Option<Instant>,
) -> Sql<()> {
    for dependent in dependents.iter().filter(|dependent| dependent.can_be_aside()) {
        let (table, column) = (quoted(&dependent.table), quoted(&dependent.column));
        let some = format!("SELECT rowid FROM {table} WHERE {column} < 0 LIMIT {BATCH}");
        let sql = format!("DELETE FROM {table} WHERE rowid IN ({some})");
        while execute(connection, &sql, &[])? == BATCH {
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(());
            }
        }
    }
    Ok(())
}
