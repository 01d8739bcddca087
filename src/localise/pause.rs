//! Monitors that are paused on a replica because of their type.

use crate::model::catalog;
use crate::model::configuration::Configuration;
use crate::model::value::Value;

use super::Note;

/// Pauses the monitors of some types, as Uptime Kuma does when a user pauses them.
pub(super) fn by_type(wanted: &mut Configuration, types: &[String], notes: &mut Vec<Note>) {
    let Some(monitors) = wanted.table_mut(catalog::MONITOR) else { return };
    let (Some(kind), Some(active)) = (monitors.position(catalog::TYPE), monitors.position(catalog::ACTIVE)) else {
        return;
    };
    let paused = |value: &Value| value.as_text().is_some_and(|text| types.iter().any(|kind| kind == text));
    let mut count = 0;
    for row in &mut monitors.rows {
        if row.get(kind).is_some_and(paused)
            && row.get(active).is_some_and(|active| *active != Value::Integer(0))
            && let Some(active) = row.get_mut(active)
        {
            *active = Value::Integer(0);
            count += 1;
        }
    }
    if count > 0 {
        notes.push(Note::monitors("paused by their type", count));
    }
}
