//! Columns that have other values on a replica than on the main.

use crate::config::Override;
use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;

use super::Note;

/// Applies one override after the other: each matches the values that those before it have set.
///
/// # Errors
/// [`Kind::Config`] if the main's schema has no such table or column.
pub(super) fn set(wanted: &mut Configuration, overrides: &[Override], notes: &mut Vec<Note>) -> Result<()> {
    for (number, one) in (1..).zip(overrides) {
        let fail = |what: String| Error::new(Kind::Config, format!("replica.overrides, number {number}: {what}"));
        let Some(table) = wanted.table_mut(&one.table) else {
            let what = format!("this version of Uptime Kuma has no table {}", one.table);
            return Err(fail(what).with_hint("remove the override until the main runs a version that has the table"));
        };
        if let Some(column) = one.columns().find(|column| table.position(column).is_none()) {
            let hint = format!("there are {}", table.columns.join(", "));
            let what = format!("{} has no column {column} in this version of Uptime Kuma", one.table);
            return Err(fail(what).with_hint(hint));
        }
        let rows = set_one(table, one);
        notes.push(Note::rows(format!("override {number}"), rows, &one.table));
    }
    Ok(())
}

/// Refuses values that refer to a row that is not `wanted`.
///
/// # Errors
/// [`Kind::Config`], naming the row that is missing.
pub(super) fn check(wanted: &Configuration, overrides: &[Override]) -> Result<()> {
    for (number, one) in (1..).zip(overrides) {
        let Some(table) = wanted.table(&one.table) else { continue };
        for (column, value) in one.values().filter(|(_, value)| *value != Value::Null) {
            let Some(reference) = table.spec.references.iter().find(|it| it.column == column) else { continue };
            let Some(parent) = wanted.table(reference.parent) else { continue };
            let used = table.rows.iter().any(|row| equal(table.value(row, column), &value));
            if used && !parent.rows.iter().any(|row| equal(parent.value(row, catalog::ID), &value)) {
                let what = format!("replica.overrides, number {number}: there is no {} {value} here", reference.parent);
                return Err(
                    Error::new(Kind::Config, what).with_hint("set the id of an existing row, or clear the column")
                );
            }
        }
    }
    Ok(())
}

fn set_one(table: &mut Table, one: &Override) -> usize {
    let at = |column: &str| table.position(column);
    let matching: Vec<(usize, Value)> =
        one.matching.iter().filter_map(|(column, scalar)| Some((at(column)?, scalar.value()))).collect();
    let values: Vec<(usize, Value)> = one.values().filter_map(|(column, value)| Some((at(column)?, value))).collect();
    let matches = |row: &Row| matching.iter().all(|(at, value)| row.get(*at).is_some_and(|own| equal(own, value)));
    let mut count = 0;
    for row in table.rows.iter_mut().filter(|row| matches(row)) {
        count += 1;
        for (at, value) in &values {
            let Some(new) = row.get(*at).map(|old| stored(value, old)) else { continue };
            if row.get(*at) != Some(&new)
                && let Some(old) = row.get_mut(*at)
            {
                *old = new;
            }
        }
    }
    count
}

/// Equal as SQLite compares: numbers by their value, whatever their storage class.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(number), real @ Value::Real(_)) | (real @ Value::Real(_), Value::Integer(number)) => {
            whole(real) == Some(*number)
        }
        (Value::Real(a), Value::Real(b)) => a == b,
        _ => a == b,
    }
}

/// `value` in the storage class of the number that it replaces, as SQLite would store it in that column.
fn stored(value: &Value, old: &Value) -> Value {
    match (value, old) {
        #[allow(clippy::cast_precision_loss, reason = "SQLite does the same in a column of reals")]
        (Value::Integer(number), Value::Real(_)) => Value::Real(*number as f64),
        (real @ Value::Real(_), Value::Integer(_)) => whole(real).map_or_else(|| value.clone(), Value::Integer),
        _ => value.clone(),
    }
}

/// The integer with the same value, if a real can hold it exactly.
fn whole(real: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match real {
        #[allow(clippy::cast_possible_truncation, reason = "it has no fraction and is small enough")]
        Value::Real(real) if real.fract() == 0.0 && real.abs() <= EXACT => Some(*real as i64),
        _ => None,
    }
}
