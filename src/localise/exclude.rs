//! Monitors that a replica does not take over.

use std::collections::BTreeSet;

use wildmatch::WildMatch;

use crate::config::Exclude;
use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::{Configuration, Table};
use crate::model::value::Value;

use super::Note;

/// The type of a monitor that is a group of others.
const GROUP: &str = "group";

/// Removes the monitors that `exclude` names, with everything in the groups among them.
///
/// # Errors
/// [`Kind::Config`] if no monitor would be left.
pub(super) fn monitors(wanted: &mut Configuration, exclude: &Exclude, notes: &mut Vec<Note>) -> Result<()> {
    if !exclude.monitors() {
        return Ok(());
    }
    let mut excluded: BTreeSet<Value> = BTreeSet::new();
    let Some(table) = wanted.table(catalog::MONITOR) else { return Ok(()) };
    let mut add = |what: String, found: Vec<Value>| {
        notes.push(Note::matched(format!("excluded by {what}"), found.len(), "monitors"));
        excluded.extend(found);
    };
    for tag in &exclude.monitor_tags {
        add(format!("tag {tag}"), tagged(wanted, tag));
    }
    let text = |row: &[Value], column: &str| table.value(row, column).as_text().unwrap_or_default().to_owned();
    let ids = |fits: &dyn Fn(&[Value]) -> bool| -> Vec<Value> {
        table.rows.iter().filter(|row| fits(row)).map(|row| table.value(row, catalog::ID).clone()).collect()
    };
    for pattern in &exclude.monitor_names {
        let matching = WildMatch::new(pattern);
        add(format!("name {pattern}"), ids(&|row| matching.matches(&text(row, NAME))));
    }
    for kind in &exclude.monitor_types {
        add(format!("type {kind}"), ids(&|row| text(row, catalog::TYPE) == *kind));
    }
    for pattern in &exclude.monitor_groups {
        let matching = WildMatch::new(pattern);
        let found = ids(&|row| text(row, catalog::TYPE) == GROUP && matching.matches(&text(row, NAME)));
        add(format!("group {pattern}"), within(table, found));
    }
    let excluded = within(table, excluded.into_iter().collect());
    let all = table.rows.len();
    let excluded: BTreeSet<Value> = excluded.into_iter().collect();
    if !excluded.is_empty() && excluded.len() == all {
        let what = format!("replica.exclude leaves none of the {all} monitors that the main has");
        let hint = "take a pattern out; to leave the monitors of this host alone, exclude the table \"monitor\"";
        return Err(Error::new(Kind::Config, what).hint(hint));
    }
    if let Some(monitors) = wanted.table_mut(catalog::MONITOR)
        && let Some(id) = monitors.position(catalog::ID)
    {
        monitors.rows.retain(|row| row.get(id).is_none_or(|id| !excluded.contains(id)));
    }
    Ok(())
}

/// The column with what people call a row.
const NAME: &str = "name";

fn tagged(main: &Configuration, tag: &str) -> Vec<Value> {
    let (Some(tags), Some(links)) = (main.table("tag"), main.table("monitor_tag")) else { return Vec::new() };
    let named = tags.rows.iter().filter(|row| tags.value(row, NAME).as_text() == Some(tag));
    let named: BTreeSet<&Value> = named.map(|row| tags.value(row, catalog::ID)).collect();
    let links = links.rows.iter().map(|row| (links.value(row, "tag_id"), links.value(row, "monitor_id")));
    let found: BTreeSet<&Value> = links.filter(|(tag, _)| named.contains(tag)).map(|(_, monitor)| monitor).collect();
    found.into_iter().cloned().collect()
}

/// These monitors, and all in the groups among them.
fn within(monitors: &Table, mut found: Vec<Value>) -> Vec<Value> {
    let mut known: BTreeSet<Value> = found.iter().cloned().collect();
    loop {
        let inside = |row: &&Vec<Value>| {
            known.contains(monitors.value(row, catalog::PARENT)) && !known.contains(monitors.value(row, catalog::ID))
        };
        let more: Vec<Value> =
            monitors.rows.iter().filter(inside).map(|row| monitors.value(row, catalog::ID).clone()).collect();
        if more.is_empty() {
            return found;
        }
        known.extend(more.iter().cloned());
        found.extend(more);
    }
}
