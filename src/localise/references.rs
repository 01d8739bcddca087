//! What refers to rows that are not there: nothing is to lead nowhere that led somewhere where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::catalog::{self, Orphan, TableSpec};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;

/// The columns of a table that refer to rows of tables that are left alone, and may refer to nothing.
pub(super) fn own_columns(spec: &TableSpec, alone: &BTreeSet<&str>) -> Vec<&'static str> {
    if alone.contains(spec.name) {
        return Vec::new();
    }
    let own = spec.references.iter().filter(|it| it.orphan == Orphan::Stays && alone.contains(it.parent));
    own.map(|it| it.column).collect()
}

/// Gives those columns the values they have here, as the main's numbers mean other rows.
pub(super) fn keep_own(wanted: &mut Configuration, here: &Configuration, alone: &BTreeSet<&str>) {
    for table in &mut wanted.tables {
        let Some(own) = here.table(table.spec.name) else { continue };
        let rows = by_identity(own);
        for column in own_columns(table.spec, alone) {
            let Some(at) = table.position(column) else { continue };
            let identities: Vec<Vec<Value>> = table.rows.iter().map(|row| identity(table, row)).collect();
            for (row, identity) in table.rows.iter_mut().zip(identities) {
                if let Some(value) = row.get_mut(at) {
                    *value = rows.get(&identity).map_or(Value::Null, |row| own.value(row, column).clone());
                }
            }
        }
    }
}

/// Does to what refers to a missing row what Uptime Kuma does when that row goes, if it is not missing in the
/// `source` of the table that refers to it. Tables that are not in `wanted` are as they are `here`.
pub(super) fn mend<'a>(
    wanted: &mut Configuration,
    here: &'a Configuration,
    source: impl Fn(&str) -> &'a Configuration,
) {
    loop {
        let present: BTreeMap<&str, BTreeSet<Vec<Value>>> = catalog::TABLES
            .iter()
            .filter_map(|spec| wanted.table(spec.name).or_else(|| here.table(spec.name)))
            .map(|table| (table.spec.name, identities(table)))
            .collect();
        let mut again = false;
        for table in &mut wanted.tables {
            for reference in table.spec.references {
                let (Some(present), Some(parents)) =
                    (present.get(reference.parent), source(table.spec.name).table(reference.parent))
                else {
                    continue;
                };
                let Some(at) = table.position(reference.column) else { continue };
                let gone: BTreeSet<&Value> = parents
                    .rows
                    .iter()
                    .filter(|row| !present.contains(&identity(parents, row)))
                    .map(|row| parents.value(row, catalog::ID))
                    .collect();
                let lost = |row: &Row| row.get(at).is_some_and(|value| gone.contains(value));
                if gone.is_empty() || !table.rows.iter().any(lost) {
                    continue;
                }
                match reference.orphan {
                    Orphan::Goes => {
                        table.rows.retain(|row| !lost(row));
                        again = true;
                    }
                    Orphan::Stays => {
                        for value in table.rows.iter_mut().filter(|row| lost(row)).filter_map(|row| row.get_mut(at)) {
                            *value = Value::Null;
                        }
                    }
                }
            }
        }
        if !again {
            return;
        }
    }
}

/// What makes a row the one it is: its id, and of a monitor when it was made, too.
fn identity(table: &Table, row: &[Value]) -> Vec<Value> {
    let columns =
        if table.spec.name == catalog::MONITOR { &[catalog::ID, catalog::CREATED][..] } else { &[catalog::ID] };
    columns.iter().map(|column| table.value(row, column).clone()).collect()
}

fn identities(table: &Table) -> BTreeSet<Vec<Value>> {
    table.rows.iter().map(|row| identity(table, row)).collect()
}

fn by_identity(table: &Table) -> BTreeMap<Vec<Value>, &Row> {
    table.rows.iter().map(|row| (identity(table, row), row)).collect()
}
