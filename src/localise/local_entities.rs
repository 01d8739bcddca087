//! Rows that must exist on every host, with the values that they have on this one.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Customization;
use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;

use super::{Note, scope};

/// Gives rows that are here already the values they have here, where they are this host's own.
///
/// # Errors
/// [`Kind::Config`] if two users would have the same name.
pub(super) fn keep(
    wanted: &mut Configuration,
    here: &Configuration,
    customization: &Customization,
    alone: &BTreeSet<&str>,
    notes: &mut Vec<Note>,
) -> Result<()> {
    let mut moved = Vec::new();
    // Users come first.
    for table in &mut wanted.tables {
        let Some(own) = here.table(table.spec.name) else { continue };
        if alone.contains(table.spec.name) {
            for row in table.rows.iter_mut().filter(|_| !moved.is_empty()) {
                follow(&moved, &table.columns, row);
            }
        } else if table.spec.name == catalog::USER {
            if scope::own_users(customization) {
                moved = users(table, own)?;
                notes.push(Note::new("users: this host's own"));
            }
        } else if scope::own_values(customization, table.spec.name) {
            let (rows, id) = (by_id(own), table.identity());
            let mut count = 0;
            for row in &mut table.rows {
                let Some(mine) = id.and_then(|id| rows.get(row.get(id)?)) else { continue };
                *row = projected(own, mine, &table.columns);
                follow(&moved, &table.columns, row);
                count += 1;
            }
            notes.push(Note::new(format!("kept: {count} rows of {}", table.spec.name)));
        }
    }
    Ok(())
}

/// An id that a user of this host has, and the one of the main that it takes over.
type Moved = (Value, Value);

/// Users with the main's ids, as everything belongs to those, and this host's log-ins. Who has an id that the main
/// does not have takes over one that nobody here has; who is left stays.
fn users(table: &mut Table, own: &Table) -> Result<Vec<Moved>> {
    let mut moved = Vec::new();
    let rows = by_id(own);
    let ids: BTreeSet<Value> = table.rows.iter().map(|row| table.value(row, catalog::ID).clone()).collect();
    let mut strangers = own
        .rows
        .iter()
        .filter(|row| !ids.contains(own.value(row, catalog::ID)))
        .map(|row| projected(own, row, &table.columns));
    let at = table.position(catalog::ID);
    let mut users: Vec<Row> = Vec::new();
    for row in &table.rows {
        let id = table.value(row, catalog::ID);
        users.push(match rows.get(id) {
            Some(mine) => projected(own, mine, &table.columns),
            None => match strangers.next() {
                Some(mut mine) => {
                    if let Some(at) = at.and_then(|at| mine.get_mut(at)) {
                        moved.push((std::mem::replace(at, id.clone()), id.clone()));
                    }
                    mine
                }
                None => row.clone(),
            },
        });
    }
    users.extend(strangers);
    let mut names = BTreeSet::new();
    if let Some(twice) = users.iter().map(|row| table.value(row, "username")).find(|name| !names.insert(*name)) {
        let what = format!("a user of this host and another one of the main are both named {twice}");
        return Err(Error::new(Kind::Config, what).with_hint("rename one of them in Uptime Kuma"));
    }
    table.rows = users;
    Ok(moved)
}

/// What belongs to a user of this host goes on to belong to it.
fn follow(moved: &[Moved], columns: &[String], row: &mut Row) {
    let at = columns.iter().position(|column| column == "user_id").and_then(|at| row.get_mut(at));
    if let Some(owner) = at
        && let Some((_, new)) = moved.iter().find(|(old, _)| old == owner)
    {
        *owner = new.clone();
    }
}

fn by_id(table: &Table) -> BTreeMap<&Value, &Row> {
    table.rows.iter().map(|row| (table.value(row, catalog::ID), row)).collect()
}

fn projected(table: &Table, row: &Row, columns: &[String]) -> Row {
    columns.iter().map(|column| table.value(row, column).clone()).collect()
}
