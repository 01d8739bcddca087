//! References to rows that are missing on this host: a row that refers to another one on its own host does so here, or
//! is treated as if that one had been deleted.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::catalog::{OnDelete, TableSpec};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::dangling;
use crate::model::value::Value;

/// The columns of a table that refer to tables that are left alone, and may be NULL.
pub(super) fn own_columns(spec: &TableSpec, alone: &BTreeSet<&str>) -> impl Iterator<Item = &'static str> {
    let taken = !alone.contains(spec.name);
    let own = spec
        .references
        .iter()
        .filter(move |it| taken && it.on_delete == OnDelete::SetNull && alone.contains(it.parent));
    own.map(|it| it.column)
}

/// Keeps the values of this host in those columns: the ids of the main mean other rows here.
pub(super) fn keep_own(wanted: &mut Configuration, here: &Configuration, alone: &BTreeSet<&str>) {
    for table in &mut wanted.tables {
        let Some(own) = here.table(table.spec.name) else { continue };
        let (identity, own_identity) = (Identity::of(table), Identity::of(own));
        for column in own_columns(table.spec, alone) {
            let (Some(at), Some(own_at)) = (table.position(column), own.position(column)) else { continue };
            let values: HashMap<Key<&Value>, &Value> =
                own.rows.iter().filter_map(|row| Some((own_identity.key(row), row.get(own_at)?))).collect();
            for row in &mut table.rows {
                let value = values.get(&identity.key(row)).copied().unwrap_or(&Value::Null);
                if row.get(at) != Some(value)
                    && let Some(old) = row.get_mut(at)
                {
                    *old = value.clone();
                }
            }
        }
    }
}

/// The rows of the tables that others refer to: what they refer to in the configuration that they come from.
pub(super) struct Parents(HashMap<&'static str, Vec<Key<Value>>>);

impl Parents {
    pub(super) fn of(configuration: &Configuration) -> Self {
        let parents: HashSet<&str> =
            configuration.tables.iter().flat_map(|table| table.spec.references).map(|it| it.parent).collect();
        let tables = configuration.tables.iter().filter(|table| parents.contains(table.spec.name));
        let keys = |table: &Table| {
            let identity = Identity::of(table);
            let keys = table.rows.iter().map(|row| identity.key(row));
            keys.map(|key| key.into_iter().cloned().collect()).collect()
        };
        Self(tables.map(|table| (table.spec.name, keys(table))).collect())
    }

    /// The ids of the rows of `parent` that are no longer in that table.
    fn gone(&self, parent: &str, now: Option<&Table>) -> HashSet<Value> {
        let (Some(before), Some(now)) = (self.0.get(parent), now) else { return HashSet::new() };
        let identity = Identity::of(now);
        let now: HashSet<Key<&Value>> = now.rows.iter().map(|row| identity.key(row)).collect();
        let gone = before.iter().filter(|key| !now.contains(&key.iter().collect::<Key<&Value>>()));
        gone.filter_map(|key| key.first().cloned()).collect()
    }
}

/// Treats rows that refer to a missing row as Uptime Kuma does when that row is deleted, if it is not missing in the
/// configuration that they come from: that of the `main`, or the one `here`. Tables that are not in `wanted` are as
/// they are here.
pub(super) fn mend(wanted: &mut Configuration, main: &Parents, here: &Configuration, from_here: impl Fn(&str) -> bool) {
    let before_here = Parents::of(here);
    let mut known: HashMap<(&str, bool), HashSet<Value>> = HashMap::new();
    // Parents come before their children, so it is known by then which of their rows are left.
    for at in 0..wanted.tables.len() {
        let Some(spec) = wanted.tables.get(at).map(|table| table.spec) else { continue };
        let from_here = from_here(spec.name);
        for reference in spec.references {
            let gone = known.entry((reference.parent, from_here)).or_insert_with(|| {
                let now = wanted.table(reference.parent).or_else(|| here.table(reference.parent));
                if from_here { &before_here } else { main }.gone(reference.parent, now)
            });
            if !gone.is_empty()
                && let Some(table) = wanted.tables.get_mut(at)
            {
                dangling::delete_references(table, reference, gone);
            }
        }
    }
}

/// The values of the columns that identify a row, first its id.
type Key<V> = Vec<V>;

/// The positions of the columns that identify a row.
struct Identity(Vec<usize>);

impl Identity {
    fn of(table: &Table) -> Self {
        Self(table.identity_positions())
    }

    fn key<'row>(&self, row: &'row Row) -> Key<&'row Value> {
        self.0.iter().map(|at| row.get(*at).unwrap_or(&Value::Null)).collect()
    }
}
