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
    let count = rename(wanted, clean, |name| Some([name, format!(" ({label})").as_bytes()].concat()));
    notes.push(Note::monitors(format!("label {label}"), count));
}

/// The same for names of which some, or all, have the label already.
pub(super) fn keep(wanted: &mut Configuration, label: &str, clean: bool) {
    let label = format!(" ({label})");
    rename(wanted, clean, |name| {
        let lacks_it = !name.ends_with(label.as_bytes());
        lacks_it.then(|| [name, label.as_bytes()].concat())
    });
}

/// Changes the names of all monitors but those that stay `clean`. Returns how many there are.
fn rename(wanted: &mut Configuration, clean: bool, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> usize {
    let spared = if clean { on_pages(wanted) } else { BTreeSet::new() };
    let Some(monitors) = wanted.table_mut(catalog::MONITOR) else { return 0 };
    let (Some(id), Some(name)) = (monitors.position(catalog::ID), monitors.position(catalog::NAME)) else { return 0 };
    let mut count = 0;
    for row in &mut monitors.rows {
        let clean = row.get(id).is_some_and(|id| spared.contains(id));
        let Some(Value::Text(old)) = row.get(name).filter(|_| !clean) else { continue };
        count += 1;
        if let Some(new) = change(old)
            && let Some(name) = row.get_mut(name)
        {
            *name = Value::Text(new.into());
        }
    }
    count
}

fn on_pages(wanted: &Configuration) -> BTreeSet<Value> {
    let Some(links) = wanted.table(catalog::MONITOR_GROUP) else { return BTreeSet::new() };
    links.rows.iter().map(|row| links.value(row, catalog::MONITOR_ID).clone()).collect()
}
