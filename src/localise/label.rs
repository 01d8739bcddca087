//! Who speaks: the name of a monitor is the only text that every alert of Uptime Kuma has in it, so the label of a
//! replica stands there.

use std::collections::BTreeSet;

use crate::model::catalog;
use crate::model::configuration::Configuration;
use crate::model::value::Value;

use super::Note;

/// The table that puts monitors on status pages.
const ON_PAGES: &str = "monitor_group";

/// Gives every monitor the name `web (fra1)` that is named `web` now, but for those on status pages if these are to
/// stay `clean`. The names must be the main's. What is not text stays as it is.
pub(super) fn add(wanted: &mut Configuration, label: &str, clean: bool, notes: &mut Vec<Note>) {
    let spared = if clean { on_pages(wanted) } else { BTreeSet::new() };
    let Some(monitors) = wanted.table_mut(catalog::MONITOR) else { return };
    let (Some(id), Some(name)) = (monitors.position(catalog::ID), monitors.position("name")) else { return };
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
    notes.push(Note::matched(format!("label {label}"), count, "monitors"));
}

fn on_pages(wanted: &Configuration) -> BTreeSet<Value> {
    let Some(links) = wanted.table(ON_PAGES) else { return BTreeSet::new() };
    links.rows.iter().map(|row| links.value(row, "monitor_id").clone()).collect()
}
