//! Reading rows and schema. Columns are discovered and addressed by name: their order differs between
//! fresh and upgraded databases of the same Uptime Kuma version.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use crate::cycle::Export;
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{self, Class, TableSpec};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::limits::{MAX_COLUMNS, Tally};
use crate::model::schema::Schema;
use crate::model::value::Value;

use super::Database;

type Sql<T> = rusqlite::Result<T>;

/// `name` as an identifier in SQL: several of Uptime Kuma's names are keywords.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `names` quoted and separated by commas.
pub(super) fn quoted_list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",")
}

/// The configuration and the schema, as the open transaction sees them.
pub(super) fn export(database: &Database, connection: &Connection) -> Result<Export> {
    let failed = |error| database.failed("read", error);
    let tables = table_names(connection).map_err(failed)?;
    if let Some(missing) = catalog::REQUIRED.iter().find(|name| !tables.contains(**name)) {
        let what =
            format!("{} is not a database of a supported Uptime Kuma: no table {missing}", database.path().display());
        return Err(Error::new(Kind::SchemaUnknown, what));
    }
    // Half a migration is neither the old configuration nor the new one.
    if let Some(reason) = migrating(connection).map_err(failed)? {
        let what = format!("the configuration in {} is not exported: {reason}", database.path().display());
        return Err(Error::new(Kind::ServiceBusy, what));
    }
    let schema = schema(connection, &tables).map_err(failed)?;
    let tables = match read_limited(connection).map_err(failed)? {
        Ok(tables) => tables,
        Err(reason) => {
            let what = format!("the configuration in {} is not exported", database.path().display());
            let hint = "see Limits in operating.md";
            return Err(Error::new(Kind::SnapshotDamaged, what).because(reason).with_hint(hint));
        }
    };
    let mut configuration = Configuration { tables, files: Vec::new() };
    let mut warnings = Vec::new();
    configuration.files = database.uploads().read(&configuration.upload_names(), &mut warnings)?;
    Ok(Export { configuration, schema, warnings })
}

/// The replicated rows of the tables that `like` has, as far as they exist, with its columns and in canonical order.
pub(super) fn tables_like(connection: &Connection, like: &Configuration) -> Sql<Vec<Table>> {
    let mut tables = Vec::new();
    for Table { spec, columns: wanted, .. } in &like.tables {
        let columns = columns(connection, spec.name)?;
        if !columns.is_empty() {
            let table = read_table(connection, spec, columns, &mut |_| true)?;
            // What the main does not know of is not compared.
            tables.push(if table.columns == *wanted { table } else { table.limited_to(wanted) });
        }
    }
    Ok(tables)
}

/// The replicated rows of all tables of a database that may hold anything; or which limit it breaks.
fn read_limited(connection: &Connection) -> Sql<std::result::Result<Vec<Table>, String>> {
    let mut tally = Tally::default();
    let mut tables = Vec::new();
    for spec in catalog::TABLES {
        let columns = columns(connection, spec.name)?;
        if columns.is_empty() {
            continue;
        }
        if columns.len() > MAX_COLUMNS {
            return Ok(Err(format!("table {} has more than {MAX_COLUMNS} columns", spec.name)));
        }
        let mut broken = None;
        let table = read_table(connection, spec, columns, &mut |row| {
            broken = tally.row(row.len()).and_then(|()| row.iter().try_for_each(|value| tally.value(value))).err();
            broken.is_none()
        })?;
        if let Some(reason) = broken {
            return Ok(Err(format!("up to table {}, {reason}", spec.name)));
        }
        tables.push(table);
    }
    Ok(Ok(tables))
}

/// Reads a table as long as `wanted` says so of each row.
fn read_table(
    connection: &Connection,
    spec: &'static TableSpec,
    columns: Vec<String>,
    wanted: &mut dyn FnMut(&Row) -> bool,
) -> Sql<Table> {
    let mut table = Table::new(spec, columns.into_iter().filter(|column| spec.travels(column)).collect());
    let mut sql = format!("SELECT {} FROM {}", quoted_list(&table.columns), quoted(spec.name));
    if spec.class == Class::Setting {
        let keys: Vec<String> = catalog::SETTINGS.iter().map(|setting| format!("'{}'", setting.key)).collect();
        sql.push_str(&format!(" WHERE {} COLLATE BINARY IN ({})", quoted(catalog::KEY), keys.join(",")));
    }
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // In one piece: collecting results would grow each row of a hundred values six times.
        let mut values = Vec::with_capacity(table.columns.len());
        for at in 0..table.columns.len() {
            values.push(value(row.get_ref(at)?));
        }
        if !wanted(&values) {
            break;
        }
        table.rows.push(values);
    }
    table.sort();
    Ok(table)
}

/// The rowid of each row of `table`, and its values in `columns`.
pub(super) fn rowids(connection: &Connection, table: &str, columns: &[String]) -> Sql<Vec<(Value, Row)>> {
    let sql = format!("SELECT rowid, {} FROM {}", quoted_list(columns), quoted(table));
    connection
        .prepare(&sql)?
        .query_map([], |row| {
            let values = (1..=columns.len()).map(|at| Ok(value(row.get_ref(at)?)));
            Ok((value(row.get_ref(0)?), values.collect::<Sql<_>>()?))
        })?
        .collect()
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(bytes.to_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
    }
}

/// Column names of `table`; empty if there is no such table.
pub(super) fn columns(connection: &Connection, table: &str) -> Sql<Vec<String>> {
    connection.prepare_cached("SELECT name FROM pragma_table_info(?1)")?.query_map([table], |row| row.get(0))?.collect()
}

/// Names of all tables.
pub(super) fn table_names(connection: &Connection) -> Sql<BTreeSet<String>> {
    connection.prepare("SELECT name FROM sqlite_master WHERE type='table'")?.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn unknown_tables(connection: &Connection) -> Sql<Vec<String>> {
    let known = |name: &str| catalog::find(name).is_some() || catalog::LOCAL.contains(&name);
    Ok(table_names(connection)?.into_iter().filter(|name| !known(name)).collect())
}

/// The schema of the database.
pub(super) fn current_schema(connection: &Connection) -> Sql<Schema> {
    schema(connection, &table_names(connection)?)
}

fn schema(connection: &Connection, tables: &BTreeSet<String>) -> Sql<Schema> {
    let mut names = BTreeMap::new();
    for spec in catalog::TABLES.iter().filter(|spec| spec.in_schema() && tables.contains(spec.name)) {
        names.insert(spec.name.to_owned(), columns(connection, spec.name)?.into_iter().collect());
    }
    Ok(Schema { tables: names, migrations: migrations(connection, tables)? })
}

/// The applied migrations: knex names (2.x), or the patch files of 1.x, which 2.x no longer records anew.
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
        // Text that is no JSON object leaves the set without patches, and so unequal to any healthy one.
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

/// What `PRAGMA quick_check` says first about pages; of rows that do not keep a rule of their table it speaks
/// as well, but later, and they are no damage (<https://www.sqlite.org/pragma.html#pragma_quick_check>).
pub(super) fn damage(connection: &Connection) -> Sql<Option<String>> {
    const RULES: [&str; 5] =
        ["NULL value in ", "CHECK constraint failed in ", "NUMERIC value in ", "TEXT value in ", "non-"];
    let mut statement = connection.prepare("PRAGMA quick_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        if said != "ok" && !RULES.iter().any(|rule| said.starts_with(rule)) {
            return Ok(Some(said.lines().take(2).collect::<Vec<_>>().join(" ")));
        }
    }
    Ok(None)
}

/// Uptime Kuma leaves these marks while it migrates; a stop in that time makes every later start fail
/// (`migrateAggregateTableState` in `server/database.js`, and knex's own lock).
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
