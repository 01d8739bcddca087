//! Row changes for people. Values are shown only where the catalog allows it; every other value is masked.

use std::fmt;

use serde::Serialize;

use crate::model::catalog::TableSpec;
use crate::model::configuration::Row;
use crate::model::value::Value;
use crate::plan::{Plan, Size, TablePlan, Update};
use crate::terminal::{Shape, Tone};
use crate::text;

/// Shown in place of a value that may be a secret.
const MASK: &str = "(hidden)";

/// All changes of a plan.
#[derive(Debug, Default, Serialize)]
pub(super) struct Changes {
    pub(super) size: Size,
    changes: Vec<Change>,
    files: Vec<String>,
}

/// One row change with secrets masked.
#[derive(Debug, Serialize)]
struct Change {
    #[serde(rename = "do")]
    action: &'static str,
    table: &'static str,
    row: String,
    columns: Vec<ColumnChange>,
}

/// One changed column.
#[derive(Debug, Serialize)]
struct ColumnChange {
    column: String,
    from: String,
    to: String,
}

impl Changes {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut changes = Self::default();
        changes.extend(plan);
        changes
    }

    /// Adds the changes of `plan`.
    pub(super) fn extend(&mut self, plan: &Plan) {
        self.size += plan.size();
        self.changes.extend(plan.tables.iter().flat_map(table_changes));
        self.files.extend(plan.files.iter().map(|file| file.name.clone()));
    }

    /// Writes the first `most` changes and all files, each after a line feed, and the number of further changes.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, most: usize) -> fmt::Result {
        for change in self.changes.iter().take(most) {
            let sign = match change.action {
                "add" => '+',
                "remove" => '-',
                _ => '~',
            };
            write!(f, "\n  {sign} {} {}", change.table, text::line(&change.row))?;
            for ColumnChange { column, from, to } in &change.columns {
                let (column, from, to) = (text::line(column), text::line(from), text::line(to));
                if from == to {
                    write!(f, "\n      {column}: changed {MASK}")?;
                } else {
                    write!(f, "\n      {column}: {from} → {to}")?;
                }
            }
        }
        for file in &self.files {
            write!(f, "\n  + upload/{file}")?;
        }
        match self.changes.len().saturating_sub(most) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more; kuma-replicator plan shows all"),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.files.is_empty()
    }
}

/// How a terminal shows a line of [`Changes::show`].
pub(super) fn shape(line: &str) -> Shape {
    let (tone, indent) = match line.get(..4) {
        Some("  + ") => (Tone::Good, 4),
        Some("  ~ ") => (Tone::Warning, 4),
        Some("  - ") => (Tone::Bad, 4),
        Some("    ") => (Tone::Plain, 8),
        Some("  * ") => (Tone::Plain, 4),
        _ => (Tone::Plain, 2),
    };
    Shape { tone, painted: line.len(), indent }
}

fn table_changes(table: &TablePlan) -> Vec<Change> {
    let change =
        |action, row: &Row, columns| Change { action, table: table.spec.name, row: row_name(table, row), columns };
    let deletes = table.deletes.iter().map(|row| change("remove", row, Vec::new()));
    let updates = table.updates.iter().map(|update| change("change", &update.to, column_changes(table, update)));
    let inserts = table.inserts.iter().map(|row| change("add", row, Vec::new()));
    deletes.chain(updates).chain(inserts).collect()
}

fn column_changes(table: &TablePlan, update: &Update) -> Vec<ColumnChange> {
    let show = |row: &Row, at: usize, column: &str| {
        row.get(at).map(|value| shown(table.spec, column, value)).unwrap_or_default()
    };
    update
        .changed()
        .filter_map(|at| {
            let column = table.columns.get(at)?;
            let (from, to) = (show(&update.from, at, column), show(&update.to, at, column));
            Some(ColumnChange { column: column.clone(), from, to })
        })
        .collect()
}

fn shown(spec: &TableSpec, column: &str, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        value if spec.shown.contains(&column) => value.to_string(),
        _ => MASK.to_owned(),
    }
}

/// A row by its key and its title; a link by the rows that it joins.
fn row_name(table: &TablePlan, row: &Row) -> String {
    let value = |name: &str| table.columns.iter().position(|column| column == name).and_then(|at| row.get(at));
    let names = table.spec.identity().into_iter().chain(table.spec.title.iter().copied());
    let parts: Vec<String> = names
        .filter_map(|name| value(name).map(|value| (name, value)))
        .filter(|(_, value)| !matches!(value, Value::Null))
        .map(|(name, value)| {
            if table.spec.identity() == Some(name) {
                value.as_text().map_or_else(|| value.to_string(), str::to_owned)
            } else {
                format!("{name} {}", shown(table.spec, name, value))
            }
        })
        .collect();
    parts.join(" ")
}
