//! What a running server needs to take row changes up, by the grades of the catalog.

use std::collections::BTreeSet;

use crate::model::catalog::{self, Class, Grade};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::dangling;
use crate::model::told::Told;
use crate::model::value::Value;

use super::{Plan, TablePlan};

/// What a running server needs to take up all changes of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uptake {
    /// The tables with changes that need a restart, in catalog order.
    pub restart: Vec<&'static str>,
    /// What the server is told.
    pub told: Told,
}

impl Uptake {
    /// The highest grade.
    pub fn grade(&self) -> Grade {
        match (self.restart.is_empty(), self.told.has_rows()) {
            (false, _) => Grade::Restart,
            (true, true) => Grade::Told,
            (true, false) => Grade::Read,
        }
    }
}

/// What a running server needs to take up `plan`, which leads from the rows `here` to those that are `wanted`.
pub fn uptake(plan: &Plan, here: &Configuration, wanted: &Configuration) -> Uptake {
    let mut uptake = Uptake::default();
    for table in &plan.tables {
        let mut told = BTreeSet::new();
        let mut restart = false;
        for (row, grade) in graded(table, [here, wanted]) {
            match (grade, table.value(row, catalog::ID).as_integer()) {
                (Grade::Read, _) => {}
                (Grade::Told, Some(id)) => drop(told.insert(id)),
                (Grade::Told, None) | (Grade::Restart, _) => restart = true,
            }
        }
        if restart {
            uptake.restart.push(table.spec.name);
        }
        match table.spec.name {
            catalog::MONITOR => uptake.told.monitors = told,
            catalog::MAINTENANCE => uptake.told.maintenances = told,
            _ => {}
        }
        uptake.told.pages |= table.spec.on_pages;
    }
    uptake
}

/// Each row that changes, as it is afterwards if it is still there, with what that takes.
fn graded<'a>(table: &'a TablePlan, sides: [&'a Configuration; 2]) -> impl Iterator<Item = (&'a Row, Grade)> {
    let alone = table.deletes.iter().chain(&table.inserts).map(|row| (row, row_grade(table, row)));
    let changed = table.updates.iter().map(move |update| {
        let columns = update.changed().filter_map(|at| table.columns.get(at)).map(String::as_str);
        let needs = |column: &str| match column {
            // The server knows a page by its slug only for a domain.
            catalog::SLUG if !sides.iter().any(|side| has_domain(side, table.value(&update.to, catalog::ID))) => {
                Grade::Read
            }
            column => table.spec.grade_of(column),
        };
        let grade = match table.spec.class {
            Class::Setting => Some(row_grade(table, &update.to)),
            _ => columns.map(needs).max(),
        };
        (&update.to, grade.unwrap_or(Grade::Read))
    });
    alone.chain(changed)
}

/// What it takes that a row is added or removed.
fn row_grade(table: &TablePlan, row: &Row) -> Grade {
    let setting = || catalog::setting(table.value(row, catalog::KEY).as_text()?);
    match table.spec.class {
        Class::Setting => setting().map_or(Grade::Read, |setting| setting.grade),
        _ => table.spec.grade,
    }
}

/// Whether the status page with this id has a domain.
fn has_domain(configuration: &Configuration, page: &Value) -> bool {
    let Some(domains) = configuration.table(catalog::DOMAINS) else { return false };
    domains.rows.iter().any(|row| domains.value(row, catalog::STATUS_PAGE_ID) == page)
}

/// The rows that are `wanted`, with those left as they are `here` whose changes need more than `grade`, and those that
/// refer to such; `None` if nothing of the changes is left.
pub fn without(grade: Grade, here: &Configuration, wanted: &Configuration) -> Option<Configuration> {
    let mut part = wanted.clone();
    for table in &mut part.tables {
        let plan = super::plan(here, &Configuration { tables: vec![table.clone()], ..Configuration::default() });
        let Some(changes) = plan.tables.first() else { continue };
        let kept: Vec<&Row> =
            graded(changes, [here, wanted]).filter(|(_, needs)| *needs > grade).map(|(row, _)| row).collect();
        let Some(before) = here.table(table.spec.name).filter(|_| !kept.is_empty()) else { continue };
        undo(table, &before.limited_to(&table.columns), &kept);
    }
    dangling::leave_out(&mut part);
    let plan = super::plan(here, &part);
    (!plan.is_empty() && uptake(&plan, here, &part).grade() <= grade).then_some(part)
}

/// Leaves rows of `table` as they are in `before`.
fn undo(table: &mut Table, before: &Table, rows: &[&Row]) {
    let key = |row: &Row| table.identity().and_then(|at| row.get(at)).cloned();
    let keys: BTreeSet<Option<Value>> = rows.iter().map(|row| key(row)).collect();
    let is_one = |row: &Row| match key(row) {
        Some(id) => keys.contains(&Some(id)),
        // Links have no key, and a table of links has one grade.
        None => true,
    };
    let mut rows: Vec<Row> = table.rows.iter().filter(|row| !is_one(row)).cloned().collect();
    rows.extend(before.rows.iter().filter(|row| is_one(row)).cloned());
    table.rows = rows;
    table.sort();
}
