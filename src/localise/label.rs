//! The label of a replica. It is added to the name of each monitor, which is the only text that every alert of Uptime
//! Kuma contains: so an alert says which host sent it.

use std::collections::BTreeSet;

use crate::model::catalog;
use crate::model::configuration::Configuration;
use crate::model::value::Value;

use super::Note;

/// Renames each monitor `web` to `web (fra1)`, except those on status pages if these are to stay `clean`. The names must
/// be the main's. A name that is not text stays as it is.
pub(super) fn add(wanted: &mut Configuration, label: &str, clean: bool, notes: &mut Vec<Note>) {
    let spared = if clean { on_pages(wanted) } else { BTreeSet::new() };
    let Some(monitors) = wanted.table_mut(catalog::MONITOR) else { return };
    let (Some(id), Some(name)) = (monitors.position(catalog::ID), monitors.position(catalog::NAME)) else { return };
    let mut count = 0;
    for row in &mut monitors.rows {
        let clean = row.get(id).is_some_and(|id| spared.contains(id));
        if let Some(Value::Text(name)) = row.get_mut(name)
            && !clean
        {
            name.extend_from_slice(format!(" ({label})").as_bytes());
            count += 1;
        }
    }
    notes.push(Note::monitors(format!("label {label}"), count));
}

fn on_pages(wanted: &Configuration) -> BTreeSet<Value> {
    let Some(links) = wanted.table(catalog::MONITOR_GROUP) else { return BTreeSet::new() };
    links.rows.iter().map(|row| links.value(row, catalog::MONITOR_ID).clone()).collect()
}
