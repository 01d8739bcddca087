//! Rows that must exist on every host, while their values may be those of this host.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Customization;
use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;

use super::{Note, scope};

/// Keeps the values of this host in rows that are here already, in the tables for which the customization says so.
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
    // Users are the first table.
    for table in &mut wanted.tables {
        let Some(own) = here.table(table.spec.name) else { continue };
        if alone.contains(table.spec.name) {
            for row in table.rows.iter_mut().filter(|_| !moved.is_empty()) {
                follow(&moved, &table.columns, row);
            }
        } else if table.spec.name == catalog::USER {
            if scope::own_users(customization) {
                moved = users(table, own)?;
                notes.push(Note::new("kept: the users of this host"));
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
            notes.push(Note::rows("kept", count, table.spec.name).expecting_none());
        }
    }
    Ok(())
}

/// The id of a user on this host, and the id of the main that this user gets.
type Moved = (Value, Value);

/// Makes users with the main's ids, as all rows of the main belong to these, and with the log-ins of this host. A user
/// whose id the main does not have gets an id of the main that no user of this host has; if none is left, it keeps its
/// own.
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
    if let Some(twice) = users.iter().map(|row| table.value(row, catalog::USERNAME)).find(|name| !names.insert(*name)) {
        let what = format!("a user of this host and another user of the main are both named {twice}");
        return Err(Error::new(Kind::Config, what).with_hint("rename one of them in Uptime Kuma"));
    }
    table.rows = users;
    Ok(moved)
}

/// Makes a row that belongs to a moved user belong to the new id.
fn follow(moved: &[Moved], columns: &[String], row: &mut Row) {
    let Some(at) = columns.iter().position(|column| column == catalog::USER_ID) else { return };
    if let Some((_, new)) = moved.iter().find(|(old, _)| row.get(at) == Some(old))
        && let Some(owner) = row.get_mut(at)
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
