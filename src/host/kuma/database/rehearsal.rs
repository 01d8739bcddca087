//! Writing a plan in memory first, so that what the database would refuse is known before Uptime Kuma is stopped.

use rusqlite::Connection;

use super::file::harden;
use super::history::dependents;
use super::sql::Sql;
use super::{Database, write};
use crate::cycle::History;
use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::Configuration;
use crate::plan::Plan;

/// Writes `plan` into a copy of the tables of `database` in memory that holds the rows of `here`.
///
/// # Errors
/// `Unwritable`, naming the row, if a rule of the database would be broken, and the index if the rule is not
/// Uptime Kuma's, or the table of this host whose rows could not let go of a removed row; `SchemaUnknown` for a table that
/// SQLite cannot have stored.
pub fn rehearse(database: &Database, plan: &Plan, here: &Configuration, wanted: &Configuration) -> Result<()> {
    let live = database.open()?;
    let try_without = |left_out: &[String]| try_on_copy(database, &live, left_out, (plan, here, wanted));
    let Err(error) = try_without(&[]) else { return refuse_stuck(database, &live, plan) };
    if error.kind() != Kind::Unwritable {
        return Err(error);
    }
    let foreign = foreign_indexes(&live).map_err(|error| database.failed("read the indexes of", error))?;
    if foreign.is_empty() || try_without(&foreign).is_err() {
        return Err(error);
    }
    let hint = "drop the index on this host, or correct the named row on the main; then kuma-replicator run --retry";
    let what = format!("a unique index of this host, which is not Uptime Kuma's, refuses it: {}", foreign.join(", "));
    Err(Error::new(Kind::Unwritable, what).because(error).with_hint(hint))
}

/// Fails if a row of another table refers to a row that is removed, and can neither go with it nor refer to nothing. Such
/// tables are not in the copy.
fn refuse_stuck(database: &Database, live: &Connection, plan: &Plan) -> Result<()> {
    let failed = |error| database.failed("read the references in", error);
    for dependent in dependents(live).map_err(failed)? {
        let Some(table) = plan.table(&dependent.parent) else { continue };
        let Some(identity) = table.spec.identity() else { continue };
        if table.deletes.is_empty() || !dependent.cannot_be_cleared(live).map_err(failed)? {
            continue;
        }
        for id in table.deletes.iter().map(|row| table.value(row, identity)) {
            if dependent.refers_to(live, id).map_err(failed)? {
                let what = format!("{} row {id} cannot be removed on this host", table.spec.name);
                let why = format!("{}, which is not Uptime Kuma's, refers to it and may not be NULL", dependent.name());
                let hint = "remove the rows that refer to it on this host; then kuma-replicator run --retry";
                return Err(Error::new(Kind::Unwritable, what).because(why).with_hint(hint));
            }
        }
    }
    Ok(())
}

/// The unique indexes of the replicated tables that Uptime Kuma did not make: it calls its own `slug`, or, as knex does,
/// something with `_unique` at its end.
fn foreign_indexes(live: &Connection) -> Sql<Vec<String>> {
    let mut statement = live.prepare(
        "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE UNIQUE %' ORDER BY name",
    )?;
    let found: Sql<Vec<(String, String)>> = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect();
    let is_foreign = |(table, name): &(String, String)| {
        catalog::find(table).is_some() && name != "slug" && !name.ends_with("_unique")
    };
    Ok(found?.into_iter().filter(is_foreign).map(|(_, name)| name).collect())
}

/// The same without some indexes.
fn try_on_copy(
    database: &Database,
    live: &Connection,
    left_out: &[String],
    (plan, here, wanted): (&Plan, &Configuration, &Configuration),
) -> Result<()> {
    let copy = empty_copy(live, left_out).map_err(|error| match error {
        rusqlite::Error::InvalidQuery => {
            let what = format!("the schema in {} is not one that SQLite wrote", database.path().display());
            Error::new(Kind::SchemaUnknown, what).with_hint("stop Uptime Kuma and restore its database from a backup")
        }
        error => database.failed("copy the tables of", error),
    })?;
    write::fill(&copy, here)?;
    copy_sequences(live, &copy).map_err(|error| database.failed("copy the tables of", error))?;
    write::write(&copy, plan, wanted, History::Remove)
}

/// The empty tables of the configuration with their indexes, except those `left_out`, in memory, and a transaction open
/// on them.
fn empty_copy(live: &Connection, left_out: &[String]) -> Sql<Connection> {
    let copy = Connection::open_in_memory()?;
    harden(&copy)?;
    copy.execute_batch("PRAGMA foreign_keys=OFF")?;
    let mut statement = live.prepare(
        "SELECT tbl_name, sql, name FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'index') ORDER BY type DESC",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, sql): (String, String) = (row.get(0)?, row.get(1)?);
        if catalog::find(&table).is_some() && !left_out.contains(&row.get(2)?) {
            copy.prepare(definition(&sql)?).map_err(|_| rusqlite::Error::InvalidQuery)?.execute([])?;
        }
    }
    copy.execute_batch("BEGIN")?;
    Ok(copy)
}

/// The text of a schema entry, which is executed as it stands. The owner of the database can write anything there:
/// only one statement that makes a table or an index is accepted. [`Connection::prepare`] refuses a second one.
fn definition(sql: &str) -> Sql<&str> {
    let starts = ["CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "];
    // SQLite stores the beginning of a statement in this form, however it was typed.
    if starts.iter().any(|start| sql.starts_with(start)) { Ok(sql) } else { Err(rusqlite::Error::InvalidQuery) }
}

/// Gives the copy the ids that the tables of `live` have used.
fn copy_sequences(live: &Connection, copy: &Connection) -> Sql<()> {
    let Ok(mut statement) = live.prepare("SELECT name, seq FROM sqlite_sequence WHERE typeof(seq) = 'integer'") else {
        return Ok(());
    };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, seq): (String, i64) = (row.get(0)?, row.get(1)?);
        if catalog::find(&name).is_some() {
            copy.execute("DELETE FROM sqlite_sequence WHERE name = ?", [&name])?;
            copy.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (&name, seq))?;
        }
    }
    Ok(())
}
