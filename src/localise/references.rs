//! What refers to rows that are not there: nothing is to lead nowhere that led somewhere where it comes from.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::catalog::{self, OnDelete, TableSpec};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;

/// The columns of a table that refer to rows of tables that are left alone, and may refer to nothing.
pub(super) fn own_columns(spec: &TableSpec, alone: &BTreeSet<&str>) -> impl Iterator<Item = &'static str> {
    let taken = !alone.contains(spec.name);
    let own = spec
        .references
        .iter()
        .filter(move |it| taken && it.on_delete == OnDelete::SetNull && alone.contains(it.parent));
    own.map(|it| it.column)
}

/// Gives those columns the values they have here, as the main's numbers mean other rows.
pub(super) fn keep_own(wanted: &mut Configuration, here: &Configuration, alone: &BTreeSet<&str>) {
    for table in &mut wanted.tables {
        let Some(own) = here.table(table.spec.name) else { continue };
        let (identity, own_identity) = (Identity::of(table), Identity::of(own));
        for column in own_columns(table.spec, alone) {
            let (Some(at), Some(own_at)) = (table.position(column), own.position(column)) else { continue };
            let values: HashMap<Key<'_>, &Value> =
                own.rows.iter().filter_map(|row| Some((own_identity.key(row), row.get(own_at)?))).collect();
            for row in &mut table.rows {
                let value = values.get(&identity.key(row)).copied().unwrap_or(&Value::Null).clone();
                if let Some(old) = row.get_mut(at) {
                    *old = value;
                }
            }
        }
    }
}

/// Does to what refers to a missing row what Uptime Kuma does when that row goes, if it is not missing where the
/// table that refers to it comes from: from the `main`, or from `here`. Tables that are not in `wanted` are as they
/// are here.
pub(super) fn mend(
    wanted: &mut Configuration,
    main: &Configuration,
    here: &Configuration,
    from_here: impl Fn(&str) -> bool,
) {
    let mut known: HashMap<(&str, bool), HashSet<Value>> = HashMap::new();
    // Parents stand before their children: what has become of them is known by then.
    for at in 0..wanted.tables.len() {
        let Some(spec) = wanted.tables.get(at).map(|table| table.spec) else { continue };
        let from_here = from_here(spec.name);
        for reference in spec.references {
            let gone = known.entry((reference.parent, from_here)).or_insert_with(|| {
                let source = if from_here { here } else { main };
                let there = wanted.table(reference.parent).or_else(|| here.table(reference.parent));
                source
                    .table(reference.parent)
                    .zip(there)
                    .map_or_else(HashSet::new, |(source, there)| gone(source, there))
            });
            let Some(table) = wanted.tables.get_mut(at).filter(|_| !gone.is_empty()) else { continue };
            let Some(column) = table.position(reference.column) else { continue };
            let lost = |row: &Row| row.get(column).is_some_and(|value| gone.contains(value));
            match reference.on_delete {
                OnDelete::Cascade => table.rows.retain(|row| !lost(row)),
                OnDelete::SetNull => {
                    for value in table.rows.iter_mut().filter(|row| lost(row)).filter_map(|row| row.get_mut(column)) {
                        *value = Value::Null;
                    }
                }
            }
        }
    }
}

/// The ids of the rows of a table that are no longer there.
fn gone(before: &Table, there: &Table) -> HashSet<Value> {
    let (identity, old_identity) = (Identity::of(there), Identity::of(before));
    let there: HashSet<Key<'_>> = there.rows.iter().map(|row| identity.key(row)).collect();
    let gone = before.rows.iter().map(|row| old_identity.key(row)).filter(|key| !there.contains(key));
    gone.map(|(id, _)| id.clone()).collect()
}

/// What makes a row of a table the one it is: its id, and of a monitor when it was made, too.
struct Identity {
    id: Option<usize>,
    created: Option<usize>,
}

/// The values of those columns.
type Key<'row> = (&'row Value, &'row Value);

impl Identity {
    fn of(table: &Table) -> Self {
        let created = if table.spec.name == catalog::MONITOR { table.position(catalog::CREATED) } else { None };
        Self { id: table.position(catalog::ID), created }
    }

    fn key<'row>(&self, row: &'row Row) -> Key<'row> {
        let value = |at: Option<usize>| at.and_then(|at| row.get(at)).unwrap_or(&Value::Null);
        (value(self.id), value(self.created))
    }
}
