//! The schema of the database: columns, migrations, unknown tables, and whether a migration is running.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};

use super::Database;
use super::sql::{Sql, columns, table_names};
use crate::error::Result;
use crate::model::catalog;
use crate::model::schema::Schema;

impl Database {
    /// The names of the tables that are neither replicated nor known to be local.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn unknown_tables(&self) -> Result<Vec<String>> {
        unknown_tables(&self.open()?).map_err(|error| self.failed("read", error))
    }

    /// Which migration Uptime Kuma is running, if any: it must not be stopped then.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn migrating(&self) -> Result<Option<String>> {
        migrating(&self.open()?).map_err(|error| self.failed("read", error))
    }
}

/// What stands in the place of a replicated table and is none, for people: a view or a virtual table, which may compute
/// its rows without end, or a table whose name is spelled otherwise. Uptime Kuma makes none of them.
pub(super) fn impostor(connection: &Connection) -> Sql<Option<String>> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_list WHERE schema = 'main'")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
        let spec = catalog::TABLES.iter().find(|spec| spec.name.eq_ignore_ascii_case(&name));
        match spec {
            Some(spec) if kind != "table" => return Ok(Some(format!("{} is a {kind}", spec.name))),
            Some(spec) if spec.name != name => return Ok(Some(format!("table {} is called {name}", spec.name))),
            _ => {}
        }
    }
    Ok(None)
}

fn unknown_tables(connection: &Connection) -> Sql<Vec<String>> {
    let known = |name: &str| catalog::find(name).is_some() || catalog::LOCAL.contains(&name);
    Ok(table_names(connection)?.into_iter().filter(|name| !known(name)).collect())
}

/// The schema of the database.
pub(super) fn current_schema(connection: &Connection) -> Sql<Schema> {
    schema(connection, &table_names(connection)?)
}

/// The schema of the database, in which there are `tables`.
pub(super) fn schema(connection: &Connection, tables: &BTreeSet<String>) -> Sql<Schema> {
    let mut names = BTreeMap::new();
    for spec in catalog::TABLES.iter().filter(|spec| spec.in_schema() && tables.contains(spec.name)) {
        names.insert(spec.name.to_owned(), columns(connection, spec.name)?.into_iter().collect());
    }
    Ok(Schema { tables: names, migrations: migrations(connection, tables)? })
}

/// The applied migrations: knex names (2.x), or the patch files of 1.x, to which 2.x adds none.
fn migrations(connection: &Connection, tables: &BTreeSet<String>) -> Sql<BTreeSet<String>> {
    if tables.contains("knex_migrations") {
        let names: BTreeSet<String> = connection
            .prepare("SELECT name FROM knex_migrations WHERE name IS NOT NULL")?
            .query_map([], |row| row.get(0))?
            .collect::<Sql<_>>()?;
        if !names.is_empty() {
            return Ok(names);
        }
    }
    let mut names = BTreeSet::new();
    if let Some(patches) = setting(connection, "databasePatchedFiles")? {
        // If the text is not a JSON object, the set has no patches and equals no healthy one.
        let patches: BTreeMap<String, serde_json::Value> = serde_json::from_str(&patches).unwrap_or_default();
        names.extend(patches.into_iter().filter(|(_, done)| done.as_bool() == Some(true)).map(|(name, _)| name));
    }
    if let Some(version) = setting(connection, "database_version")? {
        names.insert(format!("database_version {version}"));
    }
    Ok(names)
}

fn setting(connection: &Connection, key: &str) -> Sql<Option<String>> {
    let sql = "SELECT CAST(value AS TEXT) FROM setting WHERE key=?1";
    Ok(connection.query_row(sql, [key], |row| row.get(0)).optional()?.flatten())
}

/// Which migration is running, by the marks that Uptime Kuma sets: `migrateAggregateTableState` in
/// `server/database.js`, and the lock of knex. After a stop during a migration every later start fails.
pub(super) fn migrating(connection: &Connection) -> Sql<Option<String>> {
    let tables = table_names(connection)?;
    if tables.contains("setting")
        && setting(connection, "migrateAggregateTableState")?.as_deref() == Some("\"migrating\"")
    {
        return Ok(Some("Uptime Kuma is migrating its statistics".to_owned()));
    }
    if tables.contains("knex_migrations_lock") {
        let locked: Option<i64> =
            connection.query_row("SELECT max(is_locked) FROM knex_migrations_lock", [], |row| row.get(0))?;
        if locked == Some(1) {
            return Ok(Some("Uptime Kuma is migrating its database (knex_migrations_lock is set)".to_owned()));
        }
    }
    Ok(None)
}
