//! Reading rows. Columns are discovered and addressed by name: their order differs between fresh and upgraded databases
//! of the same Uptime Kuma version.

use rusqlite::Connection;

use super::Database;
use super::schema::{impostor, migrating, schema};
use super::sql::{Sql, columns, quoted, quoted_list, table_names, value};
use crate::cycle::Export;
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{self, Class, Major, TableSpec};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::known::Known;
use crate::model::limits::{MAX_COLUMNS, Tally};
use crate::model::schema::Schema;
use crate::model::value::Value;

/// The configuration and the schema in the open transaction.
pub(super) fn export(database: &Database, connection: &Connection) -> Result<Export> {
    let schema = readable(database, connection)?;
    let mut tables = Vec::new();
    if let Some(limit) = read_tables(connection, &mut tables).map_err(|error| database.failed("read", error))? {
        let what = format!("the configuration in {} is not exported", database.path().display());
        let hint = "see /usr/share/doc/kuma-replicator/limits.md";
        return Err(Error::new(Kind::SnapshotDamaged, what).because(limit).with_hint(hint));
    }
    let mut configuration = Configuration { tables, files: Vec::new(), zone: None };
    let mut warnings = Vec::new();
    configuration.files = database.uploads().read(&configuration.upload_names(), &mut warnings)?;
    Ok(Export { configuration, schema, warnings, source: None })
}

/// The schema in the open transaction, if this is a database that can be exported now.
pub(super) fn readable(database: &Database, connection: &Connection) -> Result<Schema> {
    let failed = |error| database.failed("read", error);
    let tables = table_names(connection).map_err(failed)?;
    if let Some(missing) = catalog::REQUIRED.iter().find(|name| !tables.contains(**name)) {
        let what =
            format!("{} is not a database of a supported Uptime Kuma: no table {missing}", database.path().display());
        return Err(Error::new(Kind::SchemaUnknown, what));
    }
    if let Some(impostor) = impostor(connection).map_err(failed)? {
        let what = format!("{} is not a database that Uptime Kuma made: {impostor}", database.path().display());
        let hint = "stop Uptime Kuma and restore its database from a backup";
        return Err(Error::new(Kind::SchemaUnknown, what).with_hint(hint));
    }
    // During a migration the rows are neither the old configuration nor the new one.
    if let Some(reason) = migrating(connection).map_err(failed)? {
        let what = format!("the configuration in {} is not exported: {reason}", database.path().display());
        return Err(Error::new(Kind::ServiceBusy, what));
    }
    schema(connection, &tables).map_err(failed)
}

/// The replicated rows of those tables of `like` that exist, with its columns and in canonical order.
pub(super) fn tables_like(connection: &Connection, like: &Configuration) -> Sql<Vec<Table>> {
    let mut tables = Vec::new();
    for Table { spec, columns: wanted, .. } in &like.tables {
        let columns = columns(connection, spec.name)?;
        if !columns.is_empty() {
            let table = read_table(connection, spec, columns, like, &mut |_| true)?;
            // Columns that the main does not have are not compared.
            tables.push(if table.columns == *wanted { table } else { table.limited_to(wanted) });
        }
    }
    Ok(tables)
}

/// Reads the replicated rows of all tables, within the limits of a dump. Returns the limit that they break, if they do.
fn read_tables(connection: &Connection, found: &mut Vec<Table>) -> Sql<Option<String>> {
    let mut tally = Tally::default();
    for spec in catalog::TABLES {
        let columns = columns(connection, spec.name)?;
        if columns.is_empty() {
            continue;
        }
        if columns.len() > MAX_COLUMNS {
            return Ok(Some(format!("table {} has more than {MAX_COLUMNS} columns", spec.name)));
        }
        let mut broken = None;
        let table = read_table(connection, spec, columns, &Configuration::default(), &mut |row| {
            broken = tally.row(row.len()).and_then(|()| row.iter().try_for_each(|value| tally.value(value))).err();
            broken.is_none()
        })?;
        if let Some(reason) = broken {
            return Ok(Some(format!("up to table {}, {reason}", spec.name)));
        }
        found.push(table);
    }
    Ok(None)
}

/// Reads the rows of a table until `accept` returns `false` for one. Those of a `known` configuration are taken in place of
/// equal ones.
fn read_table(
    connection: &Connection,
    spec: &'static TableSpec,
    columns: Vec<String>,
    known: &Configuration,
    accept: &mut dyn FnMut(&[Value]) -> bool,
) -> Sql<Table> {
    let mut table = Table::new(spec, columns.into_iter().filter(|column| spec.travels(column)).collect());
    let mut statement = connection.prepare(&selection(spec, &table.columns))?;
    let mut rows = statement.query([])?;
    let mut values = Vec::with_capacity(table.columns.len());
    let mut known = Known::of(known, &table);
    while let Some(row) = rows.next()? {
        for at in 0..table.columns.len() {
            values.push(value(row.get_ref(at)?));
        }
        if !accept(&values) {
            break;
        }
        table.rows.push(known.row(&values).unwrap_or_else(|| values.drain(..).collect()));
        values.clear();
    }
    if spec.class == Class::Setting {
        let tables = table_names(connection)?;
        table.leave_out_defaults(Major::of(|name| tables.contains(name)));
    }
    table.leave_out_unconfirmed();
    table.sort();
    Ok(table)
}

/// The SQL that selects these columns of the replicated rows of a table.
pub(super) fn selection(spec: &TableSpec, columns: &[String]) -> String {
    let mut sql = format!("SELECT {} FROM {}", quoted_list(columns), quoted(spec.name));
    if spec.class == Class::Setting {
        let keys: Vec<String> = catalog::SETTINGS.iter().map(|setting| format!("'{}'", setting.key)).collect();
        sql.push_str(&format!(" WHERE {} COLLATE BINARY IN ({})", quoted(catalog::KEY), keys.join(",")));
    }
    if spec.ordered_within.is_some() {
        sql.push_str(" ORDER BY rowid");
    }
    sql
}

/// The rowid of each row of `table`, in their order, and its values in `columns`.
pub(super) fn rowids(connection: &Connection, table: &str, columns: &[String]) -> Sql<Vec<(Value, Row)>> {
    let sql = format!("SELECT rowid, {} FROM {} ORDER BY rowid", quoted_list(columns), quoted(table));
    connection
        .prepare(&sql)?
        .query_map([], |row| {
            let values = (1..=columns.len()).map(|at| Ok(value(row.get_ref(at)?)));
            Ok((value(row.get_ref(0)?), values.collect::<Sql<_>>()?))
        })?
        .collect()
}
