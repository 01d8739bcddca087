//! The row changes that turn the rows here into the rows wanted: plain data.
//!
//! Planning against rows that are already as wanted gives an empty plan.

use std::cmp::Ordering;

use crate::model::catalog::{self, Class, TableSpec};
use crate::model::configuration::{Configuration, Row, Table, UploadedFile};
use crate::model::value::Value;
use crate::text;

/// All changes, tables in catalog order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The tables that change.
    pub tables: Vec<TablePlan>,
    /// The files under `upload/` to write. Files are never removed: Uptime Kuma does not remove them either.
    pub files: Vec<UploadedFile>,
}

/// The changes of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlan {
    /// Which table.
    pub spec: &'static TableSpec,
    /// The columns of all rows below.
    pub columns: Vec<String>,
    /// Rows to remove, as they are here. A monitor's history goes with it.
    pub deletes: Vec<Row>,
    /// Entities and settings to change in place.
    pub updates: Vec<Update>,
    /// Rows to add.
    pub inserts: Vec<Row>,
}

/// One row that stays the one it is and changes some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The row as it is here.
    pub from: Row,
    /// The row as it is wanted.
    pub to: Row,
}

/// How many rows a plan touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Rows added.
    pub inserts: usize,
    /// Rows changed in place.
    pub updates: usize,
    /// Rows removed.
    pub deletes: usize,
    /// Files written.
    pub files: usize,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.files.is_empty()
    }

    /// The first table with changes that a running server would not take up by itself, if there is one.
    pub fn cached_table(&self) -> Option<&'static str> {
        let loaded =
            |table: &&TablePlan| table.spec.cached || table.changes_cached_columns() || table.changes_cached_settings();
        self.tables.iter().find(loaded).map(|table| table.spec.name)
    }

    /// How many rows and files it touches.
    pub fn size(&self) -> Size {
        let mut size = Size { files: self.files.len(), ..Size::default() };
        for table in &self.tables {
            size.inserts += table.inserts.len();
            size.updates += table.updates.len();
            size.deletes += table.deletes.len();
        }
        size
    }
}

impl TablePlan {
    /// Whether values change that a running server does not read again, though it does the rest of the row.
    fn changes_cached_columns(&self) -> bool {
        let loaded = |at: usize| {
            self.columns.get(at).map(String::as_str).is_some_and(|name| self.spec.cached_columns.contains(&name))
        };
        self.updates.iter().any(|update| update.changed().any(loaded))
    }

    /// Whether settings change that a running server does not read again.
    fn changes_cached_settings(&self) -> bool {
        let Some(key) = self.columns.iter().position(|column| column == catalog::KEY) else { return false };
        let loaded = |row: &Row| {
            let setting = row.get(key).and_then(Value::as_text).and_then(catalog::setting);
            setting.is_some_and(|setting| setting.cached)
        };
        let rows = self.deletes.iter().chain(&self.inserts).chain(self.updates.iter().map(|update| &update.to));
        self.spec.class == Class::Setting && rows.into_iter().any(loaded)
    }
}

impl Size {
    /// Rows of any kind.
    pub fn rows(&self) -> usize {
        self.inserts + self.updates + self.deletes
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.deletes += other.deletes;
        self.files += other.files;
    }
}

/// What is still to be done: `3 rows to add, 1 to change`.
impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.listed(["to add", "to change", "to remove", "to write"]))
    }
}

impl Size {
    /// What was done: `3 rows added, 1 changed`.
    pub fn done(&self) -> String {
        self.listed(["added", "changed", "removed", "written"])
    }

    /// The numbers that are not zero, each with what happens to it; rows are named once.
    fn listed(&self, [add, change, remove, write]: [&str; 4]) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (number, verb) in [(self.inserts, add), (self.updates, change), (self.deletes, remove)] {
            match number {
                0 => {}
                _ if !parts.is_empty() => parts.push(format!("{number} {verb}")),
                _ => parts.push(format!("{} {verb}", text::count(number as u64, "row"))),
            }
        }
        if self.files > 0 {
            parts.push(format!("{} {write}", text::count(self.files as u64, "file")));
        }
        if parts.is_empty() { "no changes".to_owned() } else { parts.join(", ") }
    }
}

impl Update {
    /// Positions of the columns whose values differ.
    pub fn changed(&self) -> impl Iterator<Item = usize> {
        self.from.iter().zip(&self.to).enumerate().filter(|(_, (from, to))| from != to).map(|(at, _)| at)
    }
}

/// The plan that turns `here` into `wanted`, as far as the tables and columns of the latter go; those are all
/// here, `localise` sees to it.
pub fn plan(here: &Configuration, wanted: &Configuration) -> Plan {
    let tables = wanted
        .tables
        .iter()
        .map(|wanted| match here.table(wanted.spec.name) {
            Some(here) if here.columns == wanted.columns => table_plan(&here.rows, wanted),
            Some(here) => table_plan(&here.limited_to(&wanted.columns).rows, wanted),
            None => table_plan(&[], wanted),
        })
        .filter(|table| !(table.deletes.is_empty() && table.updates.is_empty() && table.inserts.is_empty()))
        .collect();
    let files = wanted.files.iter().filter(|file| !here.files.contains(file)).cloned().collect();
    Plan { tables, files }
}

fn table_plan(here: &[Row], wanted: &Table) -> TablePlan {
    let mut plan = TablePlan {
        spec: wanted.spec,
        columns: wanted.columns.clone(),
        deletes: Vec::new(),
        updates: Vec::new(),
        inserts: Vec::new(),
    };
    let id = wanted.identity();
    let created = if wanted.spec.name == catalog::MONITOR { wanted.position(catalog::CREATED) } else { None };
    let key = |a: &Row, b: &Row| id.map_or_else(|| a.cmp(b), |id| a.get(id).cmp(&b.get(id)));

    // Both sides are in canonical order, so one pass over them finds every difference.
    let (mut here, mut there) = (here.iter().peekable(), wanted.rows.iter().peekable());
    loop {
        let order = match (here.peek(), there.peek()) {
            (Some(a), Some(b)) => key(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return plan,
        };
        let old = if order.is_le() { here.next() } else { None };
        let new = if order.is_ge() { there.next() } else { None };
        match (old, new) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) if created.is_none_or(|at| value(old, at) == value(new, at)) => {
                plan.updates.push(Update { from: old.clone(), to: new.clone() });
            }
            // Another monitor under the same id: it must not inherit the history.
            (old, new) => {
                plan.deletes.extend(old.cloned());
                plan.inserts.extend(new.cloned());
            }
        }
    }
}

fn value(row: &Row, at: usize) -> &Value {
    row.get(at).unwrap_or(&Value::Null)
}
