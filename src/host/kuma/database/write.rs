//! Writing a plan into a database: the statements between `BEGIN` and `COMMIT`, and the proof before the commit. Foreign
//! keys are off, so nothing cascades: only the rows that the plan names are removed, and the rows that refer to them
//! (`history`).

use std::collections::BTreeMap;

use rusqlite::{Connection, params_from_iter};

use crate::cycle::History;
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{self, Class, TableSpec};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;
use crate::plan::{Plan, TablePlan, Update};

use super::history::{Dependent, dependents};
use super::read::{rowids, tables_like};
use super::sql::{Sql, execute, kind, quoted, quoted_list, table_names};

/// Writes `plan` in the open transaction, and proves that the tables are then as `wanted`.
pub(super) fn write(connection: &Connection, plan: &Plan, wanted: &Configuration, history: History) -> Result<()> {
    let dangling_before = dangling(connection).map_err(|error| failed("check references", error))?;
    let dependents = dependents(connection).map_err(|error| failed("read the schema", error))?;
    for id in plan.taken_over() {
        let mut histories = dependents.iter().filter(|dependent| dependent.is_history());
        histories
            .try_for_each(|dependent| dependent.vacate(connection, &id, history))
            .map_err(|error| failed(&format!("set aside the history of monitor {id}"), error))?;
    }
    // Children before parents, and before other rows take the unique values of removed rows.
    for table in plan.tables.iter().rev() {
        delete(connection, table, &dependents)?;
    }
    for table in &plan.tables {
        change(connection, table)?;
    }
    read_back(connection, wanted)?;
    let dangling = dangling(connection).map_err(|error| failed("check references", error))?;
    let before = |reference: &str| dangling_before.get(reference).copied().unwrap_or(0);
    match dangling.iter().find(|(reference, count)| **count > before(reference)) {
        Some((reference, _)) => Err(Error::new(Kind::Unwritable, format!("a reference would dangle: {reference}"))),
        None => Ok(()),
    }
}

/// Inserts the rows of `configuration` into empty tables. A row that is here already and breaks a rule of its table is no
/// reason to refuse changes of other rows.
pub(super) fn fill(connection: &Connection, configuration: &Configuration) -> Result<()> {
    let rules = |ignore: &str| {
        let set = connection.execute_batch(&format!("PRAGMA ignore_check_constraints={ignore}"));
        set.map_err(|error| failed("prepare the copy", error))
    };
    rules("ON")?;
    for table in &configuration.tables {
        let failed = |error| failed(&format!("copy a row of {}", table.spec.name), error);
        let mut insert = connection.prepare(&insert_sql(table.spec.name, &table.columns)).map_err(failed)?;
        for row in &table.rows {
            insert.execute(params_from_iter(row)).map_err(failed)?;
        }
    }
    rules("OFF")
}

fn failed(what: &str, error: rusqlite::Error) -> Error {
    Error::new(kind(&error).unwrap_or(Kind::WriteFailed), what).because(error)
}

fn row_failed(doing: &str, table: &TablePlan, row: &Row, error: rusqlite::Error) -> Error {
    failed(&format!("{doing} {}", describe(table.spec.name, &table.columns, row)), error)
}

/// A row as its table and identity, without any value that may be a secret.
fn describe(table: &str, columns: &[String], row: &Row) -> String {
    let identity = catalog::find(table).and_then(TableSpec::identity);
    let keys = columns.iter().zip(row).filter(|(name, _)| match identity {
        None => name.ends_with("_id"),
        Some(identity) => *name == identity,
    });
    let keys: Vec<String> = keys.map(|(name, value)| format!("{name} {value}")).collect();
    format!("{table} row {}", keys.join(", "))
}

fn insert_sql(table: &str, columns: &[String]) -> String {
    let holes = vec!["?"; columns.len()].join(",");
    format!("INSERT INTO {} ({}) VALUES ({holes})", quoted(table), quoted_list(columns))
}

fn delete(connection: &Connection, table: &TablePlan, dependents: &[Dependent]) -> Result<()> {
    let name = table.spec.name;
    let Some(identity) = table.spec.identity() else { return delete_links(connection, table) };
    let sql = format!("DELETE FROM {} WHERE {} = ?", quoted(name), quoted(identity));
    for row in &table.deletes {
        let id = id_of(table, row);
        let mut of_this_table = dependents.iter().filter(|dependent| dependent.parent == name);
        of_this_table
            .try_for_each(|dependent| dependent.detach(connection, id))
            .and_then(|()| expect_one(execute(connection, &sql, std::slice::from_ref(id))?))
            .map_err(|error| row_failed("remove", table, row, error))?;
    }
    Ok(())
}

/// Removes links, which have no identity: for each row to remove, the first row of the same content. One pass finds them
/// all; a search for each would read the table thousands of times.
fn delete_links(connection: &Connection, table: &TablePlan) -> Result<()> {
    if table.deletes.is_empty() {
        return Ok(());
    }
    let mut wanted: BTreeMap<&Row, usize> = BTreeMap::new();
    for row in &table.deletes {
        *wanted.entry(row).or_default() += 1;
    }
    let rows = rowids(connection, table.spec.name, &table.columns);
    let rows = rows.map_err(|error| failed(&format!("find links in {}", table.spec.name), error))?;
    let sql = format!("DELETE FROM {} WHERE rowid = ?", quoted(table.spec.name));
    for (id, row) in &rows {
        let Some(count) = wanted.get_mut(row).filter(|count| **count > 0) else { continue };
        *count -= 1;
        execute(connection, &sql, std::slice::from_ref(id))
            .and_then(expect_one)
            .map_err(|error| row_failed("remove", table, row, error))?;
    }
    match wanted.into_iter().find(|(_, count)| *count > 0) {
        Some((row, _)) => Err(row_failed("remove", table, row, rusqlite::Error::StatementChangedRows(0))),
        None => Ok(()),
    }
}

fn expect_one(rows: usize) -> Sql<()> {
    if rows == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(rows)) }
}

/// The identity of a row of `table`; for a link NULL, which equals nothing.
fn id_of<'row>(table: &TablePlan, row: &'row Row) -> &'row Value {
    let at = table.spec.identity().and_then(|identity| table.columns.iter().position(|name| name == identity));
    at.and_then(|at| row.get(at)).unwrap_or(&Value::Null)
}

/// The identity column of `table`, quoted. Links have none and are never changed in place.
fn identity(table: &TablePlan) -> String {
    quoted(table.spec.identity().unwrap_or(catalog::ID))
}

fn change(connection: &Connection, table: &TablePlan) -> Result<()> {
    let unique = unique_columns(connection, table.spec.name).map_err(|error| failed("read the indexes", error))?;
    for update in &table.updates {
        park(connection, table, update, &unique).map_err(|error| row_failed("change", table, &update.to, error))?;
    }
    for update in &table.updates {
        let changed: Vec<usize> = update.changed().collect();
        update_row(connection, table, update, &changed)
            .map_err(|error| row_failed("change", table, &update.to, error))?;
    }
    if table.inserts.is_empty() {
        return Ok(());
    }
    if table.spec.class == Class::Setting {
        remove_defaults(connection, table)?;
    }
    // Before the insert: its failure ends the transaction.
    if table.spec.class == Class::Link && used_up(connection, table.spec.name) {
        let what = format!("table {} has used up its ids", table.spec.name);
        let hint = "lower seq of that table in sqlite_sequence while Uptime Kuma is stopped";
        return Err(Error::new(Kind::Unwritable, what).with_hint(hint));
    }
    let insert = connection.prepare(&insert_sql(table.spec.name, &table.columns));
    let mut insert = insert.map_err(|error| failed(&format!("add rows to {}", table.spec.name), error))?;
    for row in &table.inserts {
        insert.execute(params_from_iter(row)).map_err(|error| row_failed("add", table, row, error))?;
    }
    Ok(())
}

/// Whether `table` has used the largest id, after which SQLite gives no other and says that the disk is full
/// (<https://www.sqlite.org/autoinc.html>).
fn used_up(connection: &Connection, table: &str) -> bool {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?";
    connection.query_row(sql, [table], |row| row.get::<_, i64>(0)).is_ok_and(|seq| seq == i64::MAX)
}

/// Removes rows of settings that are about to be added: one that the server wrote itself counts as none
/// ([`catalog::is_default`]), but is there.
fn remove_defaults(connection: &Connection, table: &TablePlan) -> Result<()> {
    let sql = format!("DELETE FROM {} WHERE {} = ?", quoted(table.spec.name), quoted(catalog::KEY));
    for row in &table.inserts {
        let removed = execute(connection, &sql, std::slice::from_ref(id_of(table, row)));
        removed.map_err(|error| row_failed("replace", table, row, error))?;
    }
    Ok(())
}

/// Replaces the unique values that a row is about to change by placeholders, so that two rows can exchange theirs.
fn park(connection: &Connection, table: &TablePlan, update: &Update, unique: &[String]) -> Sql<()> {
    let id = id_of(table, &update.to);
    for column in update.changed().filter_map(|at| table.columns.get(at)).filter(|column| unique.contains(column)) {
        let sql =
            format!("UPDATE {} SET {} = ? WHERE {} = ?", quoted(table.spec.name), quoted(column), identity(table));
        // A blob, because no text equals a blob.
        let placeholder = Value::Blob(id.to_string().into_bytes().into());
        expect_one(execute(connection, &sql, &[placeholder, id.clone()])?)?;
    }
    Ok(())
}

fn update_row(connection: &Connection, table: &TablePlan, update: &Update, changed: &[usize]) -> Sql<()> {
    let sets: Vec<String> =
        changed.iter().filter_map(|at| Some(format!("{} = ?", quoted(table.columns.get(*at)?)))).collect();
    let mut values: Vec<Value> = changed.iter().filter_map(|at| update.to.get(*at).cloned()).collect();
    values.push(id_of(table, &update.to).clone());
    let sql = format!("UPDATE {} SET {} WHERE {} = ?", quoted(table.spec.name), sets.join(", "), identity(table));
    expect_one(execute(connection, &sql, &values)?)
}

/// The columns of `table` in unique indexes other than the primary key.
fn unique_columns(connection: &Connection, table: &str) -> Sql<Vec<String>> {
    connection
        .prepare_cached(
            r#"SELECT DISTINCT info.name FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS info
               WHERE list."unique" AND list.origin <> 'pk' AND info.name IS NOT NULL"#,
        )?
        .query_map([table], |row| row.get(0))?
        .collect()
}

/// The dangling references of configuration rows, and the number of each. They are described without the rowids of
/// links, which change.
fn dangling(connection: &Connection) -> Sql<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    let tables = table_names(connection)?;
    for spec in catalog::TABLES.iter().filter(|spec| tables.contains(spec.name)) {
        let sql = "SELECT violation.rowid, violation.parent FROM pragma_foreign_key_check(?1) AS violation";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([spec.name])?;
        while let Some(row) = rows.next()? {
            let (rowid, parent): (Option<i64>, String) = (row.get(0)?, row.get(1)?);
            let row = match (spec.identity(), rowid) {
                (None, _) | (_, None) => "a row".to_owned(),
                (_, Some(rowid)) => format!("row {rowid}"),
            };
            *found.entry(format!("{row} of {} to a missing {parent}", spec.name)).or_default() += 1;
        }
    }
    Ok(found)
}

/// Proves that the tables are as `wanted`.
fn read_back(connection: &Connection, wanted: &Configuration) -> Result<()> {
    let tables = tables_like(connection, wanted).map_err(|error| failed("read back what was written", error))?;
    if tables == wanted.tables {
        return Ok(());
    }
    let differs = wanted.tables.iter().zip(&tables).find(|(wanted, found)| wanted != found);
    let what = differs.map_or_else(|| "the tables".to_owned(), |(wanted, found)| first_difference(wanted, found));
    Err(Error::new(Kind::Unwritable, format!("{what} did not read back as written")))
}

fn first_difference(wanted: &Table, found: &Table) -> String {
    let rows = wanted.rows.iter().zip(&found.rows).find(|(wanted, found)| wanted != found);
    let Some((row, other)) = rows else { return format!("the rows of {}", wanted.spec.name) };
    let column = wanted.columns.iter().zip(row.iter().zip(other)).find(|(_, (a, b))| a != b);
    let column = column.map_or("?", |(name, _)| name.as_str());
    format!("column {column} of {}", describe(wanted.spec.name, &wanted.columns, row))
}
