//! The row changes that turn the rows of this host into the wanted rows: plain data.
//!
//! The plan for rows that are already as wanted is empty.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::catalog::{self, TableSpec};
use crate::model::configuration::{Configuration, Row, Table, UploadedFile};
use crate::model::value::Value;
use crate::text;

/// All changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The tables that change, in catalog order.
    pub tables: Vec<TablePlan>,
    /// The files under `upload/` to write. Files are never removed: Uptime Kuma does not remove them either.
    pub files: Vec<UploadedFile>,
}

/// The changes of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlan {
    /// The table.
    pub spec: &'static TableSpec,
    /// The columns of all rows below.
    pub columns: Vec<String>,
    /// Rows to remove, as they are here. The history of a removed monitor is removed as well.
    pub deletes: Vec<Row>,
    /// Entities and settings to change in place.
    pub updates: Vec<Update>,
    /// Rows to add.
    pub inserts: Vec<Row>,
}

/// A row that keeps its identity and changes some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The row as it is here.
    pub from: Row,
    /// The row as wanted.
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
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.files.is_empty()
    }

    /// The changes of the table of that name.
    pub fn table(&self, name: &str) -> Option<&TablePlan> {
        self.tables.iter().find(|table| table.spec.name == name)
    }

    /// The ids that another monitor takes over: the monitor that has one here is removed.
    pub fn taken_over(&self) -> Vec<Value> {
        let Some(monitors) = self.table(catalog::MONITOR) else { return Vec::new() };
        let Some(at) = monitors.columns.iter().position(|column| column == catalog::ID) else { return Vec::new() };
        let ids = |rows: &[Row]| -> Vec<Value> { rows.iter().filter_map(|row| row.get(at).cloned()).collect() };
        let added: BTreeSet<Value> = ids(&monitors.inserts).into_iter().collect();
        ids(&monitors.deletes).into_iter().filter(|id| added.contains(id)).collect()
    }

    /// Whether it removes monitors.
    pub fn removes_monitors(&self) -> bool {
        self.table(catalog::MONITOR).is_some_and(|monitors| !monitors.deletes.is_empty())
    }

    /// The free space that a database and its log may need to carry it out, in bytes: a page for each row, and what the rows
    /// contain, before and after, in the log and in the database. With the files that are written.
    pub fn room(&self) -> u64 {
        const PAGE: u64 = 4096;
        let size = self.size();
        let rows = (size.inserts + size.updates + size.deletes) as u64;
        let content: u64 = self.tables.iter().flat_map(TablePlan::rows).flatten().map(Value::bytes).sum();
        let files: u64 = self.files.iter().map(|file| file.content.len() as u64).sum();
        rows.saturating_mul(PAGE).saturating_add(content.saturating_mul(2)).saturating_add(files)
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
    /// The value of `column` in a row; NULL if there is no such column.
    pub fn value<'row>(&self, row: &'row [Value], column: &str) -> &'row Value {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| row.get(at)).unwrap_or(&Value::Null)
    }

    /// All rows that it names, those to be changed before and after.
    fn rows(&self) -> impl Iterator<Item = &Row> {
        let updates = self.updates.iter().flat_map(|update| [&update.from, &update.to]);
        self.deletes.iter().chain(&self.inserts).chain(updates)
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

/// The plan that turns `here` into `wanted`. Only the tables and columns of `wanted` are compared; `localise` has
/// checked that this host has all of them.
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
    if wanted.spec.ordered_within.is_some() {
        (plan.deletes, plan.inserts) = reordered(here, wanted);
        return plan;
    }
    let (compare, identity) = (wanted.compare(), wanted.identity_positions());
    let same = |a: &Row, b: &Row| identity.iter().all(|at| a.get(*at) == b.get(*at));

    // Both sides are in canonical order, so one pass over them finds every difference.
    let (mut here, mut there) = (here.iter().peekable(), wanted.rows.iter().peekable());
    loop {
        let order = match (here.peek(), there.peek()) {
            (Some(a), Some(b)) => compare(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return plan,
        };
        let old = if order.is_le() { here.next() } else { None };
        let new = if order.is_ge() { there.next() } else { None };
        match (old, new) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) if same(old, new) => {
                plan.updates.push(Update { from: old.clone(), to: new.clone() });
            }
            // Another row with the same key, such as another monitor: it must not inherit the history.
            (old, new) => {
                plan.deletes.extend(old.cloned());
                plan.inserts.extend(new.cloned());
            }
        }
    }
}

/// The links to remove and to add, so that those of each row are in the wanted order: what is added comes after what stays.
fn reordered(here: &[Row], wanted: &Table) -> (Vec<Row>, Vec<Row>) {
    let compare = wanted.compare();
    let same_owner = |a: &Row, b: &Row| compare(a, b).is_eq();
    let (mut deletes, mut inserts) = (Vec::new(), Vec::new());
    let (mut here, mut there) = (here.chunk_by(same_owner).peekable(), wanted.rows.chunk_by(same_owner).peekable());
    loop {
        let order = match (here.peek().and_then(|rows| rows.first()), there.peek().and_then(|rows| rows.first())) {
            (Some(a), Some(b)) => compare(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return (deletes, inserts),
        };
        let old = if order.is_le() { here.next().unwrap_or_default() } else { &[] };
        let new = if order.is_ge() { there.next().unwrap_or_default() } else { &[] };
        let mut rest = new.iter().peekable();
        let (kept, removed): (Vec<&Row>, Vec<&Row>) = old.iter().partition(|row| rest.next_if_eq(row).is_some());
        if left(old, &removed) == kept {
            deletes.extend(removed.into_iter().cloned());
            inserts.extend(rest.cloned());
        } else {
            deletes.extend_from_slice(old);
            inserts.extend_from_slice(new);
        }
    }
}

/// What is left of `rows` without those of the same content as `removed`, of equal ones the first.
fn left<'a>(rows: &'a [Row], removed: &[&Row]) -> Vec<&'a Row> {
    let mut counts: BTreeMap<&Row, usize> = BTreeMap::new();
    for row in removed {
        *counts.entry(row).or_default() += 1;
    }
    let stays = |row: &&Row| match counts.get_mut(*row).filter(|count| **count > 0) {
        Some(count) => {
            *count -= 1;
            false
        }
        None => true,
    };
    rows.iter().filter(stays).collect()
}
