//! References to rows that do not exist. Uptime Kuma shows and uses no such row, and its database would accept none; it
//! remains when a person deletes a row with another program, or after a downgrade of Uptime Kuma.

use std::collections::{BTreeSet, HashSet};

use super::catalog::{OnDelete, Reference};
use super::configuration::{Configuration, Row, Table};
use super::value::Value;

/// How many rows are named.
const NAMED: usize = 10;

/// Treats rows that refer to a missing row as Uptime Kuma does when that row is deleted: they are left out, or refer to
/// nothing. Returns what was changed, for people.
pub fn leave_out(configuration: &mut Configuration) -> Vec<String> {
    let mut said = Vec::new();
    // Parents come before their children, so it is known by then which of their rows are left.
    for at in 0..configuration.tables.len() {
        let Some(spec) = configuration.tables.get(at).map(|table| table.spec) else { continue };
        for reference in spec.references {
            let lost = lost(configuration, at, reference);
            let Some(table) = configuration.tables.get_mut(at).filter(|_| !lost.is_empty()) else { continue };
            let done = match reference.on_delete {
                OnDelete::Cascade => "it is left out",
                OnDelete::SetNull => "it counts as none",
            };
            for row in table.rows.iter().filter(|row| lost.contains(table.value(row, reference.column))) {
                let id = table.value(row, reference.column);
                said.push(format!(
                    "{} refers to {} {id}, which does not exist: {done}",
                    name(table, row),
                    reference.parent
                ));
            }
            delete_references(table, reference, &lost);
        }
    }
    if said.len() > NAMED {
        let more = said.len() - NAMED;
        said.truncate(NAMED);
        said.push(format!("{more} more rows refer to rows that do not exist"));
    }
    said
}

/// The ids that `reference` names in the table at this place, and that its parent has not.
fn lost(configuration: &Configuration, at: usize, reference: &Reference) -> HashSet<Value> {
    let Some(parents) = configuration.table(reference.parent).filter(|parent| parent.identity().is_some()) else {
        return HashSet::new();
    };
    let parents: HashSet<&Value> = parents.ids().collect();
    let table = configuration.tables.get(at);
    let column = table.and_then(|table| table.position(reference.column));
    let named = table.into_iter().flat_map(|table| &table.rows).filter_map(|row| row.get(column?));
    named.filter(|id| **id != Value::Null && !parents.contains(id)).cloned().collect()
}

/// Treats the rows of `table` whose `reference` names a row that is `gone` as Uptime Kuma does when it is deleted.
pub fn delete_references(table: &mut Table, reference: &Reference, gone: &HashSet<Value>) {
    let Some(column) = table.position(reference.column) else { return };
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

/// Whether all rows that a row of `table` cannot do without exist in `configuration`.
pub fn refers_to<'a>(table: &'a Table, configuration: &'a Configuration) -> impl Fn(&Row) -> bool + 'a {
    let references = table.spec.references.iter().filter(|reference| reference.on_delete == OnDelete::Cascade);
    let parents: Vec<(usize, BTreeSet<&Value>)> = references
        .filter_map(|reference| {
            let parents = configuration.table(reference.parent)?.ids().collect();
            Some((table.position(reference.column)?, parents))
        })
        .collect();
    move |row| parents.iter().all(|(at, parents)| row.get(*at).is_none_or(|id| parents.contains(id)))
}

/// A row for people: by its id and its name, or a link by all its references.
pub fn name(table: &Table, row: &Row) -> String {
    let spec = table.spec;
    let keys: Vec<&str> = match spec.identity() {
        Some(identity) => std::iter::once(identity).chain(spec.title.iter().copied()).collect(),
        None => spec.references.iter().map(|reference| reference.column).collect(),
    };
    let known = keys.iter().filter(|column| table.position(column).is_some());
    let keys: Vec<String> = known.map(|column| format!("{column} {}", table.value(row, column))).collect();
    format!("{} row {}", spec.name, keys.join(", "))
}

#[cfg(test)]
mod tests {
    use super::leave_out;
    use crate::model::catalog;
    use crate::model::configuration::{Configuration, Table};
    use crate::model::value::Value;

    fn table(name: &str, columns: &[&str], rows: &[&[i64]]) -> Table {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        let mut table = Table::new(catalog::find(name).expect("in the catalog"), columns);
        // 0 stands for NULL.
        let value = |number: &i64| if *number == 0 { Value::Null } else { Value::Integer(*number) };
        table.rows = rows.iter().map(|row| row.iter().map(value).collect()).collect();
        table
    }

    #[test]
    fn what_refers_to_nothing_is_left_out_as_uptime_kuma_would() {
        let mut configuration = Configuration {
            tables: vec![
                table("notification", &["id"], &[&[1]]),
                table("monitor", &["id", "parent"], &[&[1, 0], &[2, 7], &[3, 2]]),
                table(
                    "monitor_notification",
                    &["monitor_id", "notification_id"],
                    &[&[1, 1], &[1, 2], &[2, 1], &[8, 1]],
                ),
            ],
            files: Vec::new(),
            zone: None,
        };
        let said = leave_out(&mut configuration);
        let expected = [
            table("notification", &["id"], &[&[1]]),
            table("monitor", &["id", "parent"], &[&[1, 0], &[2, 0], &[3, 2]]),
            table("monitor_notification", &["monitor_id", "notification_id"], &[&[1, 1], &[2, 1]]),
        ];
        assert_eq!(configuration.tables, expected);
        assert_eq!(
            said,
            [
                "monitor row id 2 refers to monitor 7, which does not exist: it counts as none",
                "monitor_notification row monitor_id 8, notification_id 1 refers to monitor 8, which does not exist: \
                 it is left out",
                "monitor_notification row monitor_id 1, notification_id 2 refers to notification 2, which does not \
                 exist: it is left out",
            ]
        );
        assert!(leave_out(&mut configuration).is_empty());
    }

    #[test]
    fn many_are_counted() {
        let links: Vec<[i64; 2]> = (1..=30).map(|id| [id, 1]).collect();
        let links: Vec<&[i64]> = links.iter().map(|row| row.as_slice()).collect();
        let mut configuration = Configuration {
            tables: vec![
                table("monitor", &["id"], &[]),
                table("monitor_notification", &["monitor_id", "notification_id"], &links),
            ],
            files: Vec::new(),
            zone: None,
        };
        let said = leave_out(&mut configuration);
        assert_eq!(
            (said.len(), said.last().map(String::as_str)),
            (11, Some("20 more rows refer to rows that do not exist"))
        );
    }
}
