//! Monitors that a replica does not take over from the main.

use std::collections::BTreeSet;

use wildmatch::WildMatch;

use crate::config::Exclude;
use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::{Configuration, Table};
use crate::model::value::Value;

use super::Note;

/// The ids of the monitors that `exclude` names, with everything in the groups among them.
///
/// # Errors
/// [`Kind::Config`] if no monitor would be left.
pub(super) fn monitors(main: &Configuration, exclude: &Exclude, notes: &mut Vec<Note>) -> Result<BTreeSet<Value>> {
    let mut excluded: BTreeSet<Value> = BTreeSet::new();
    let Some(table) = main.table(catalog::MONITOR).filter(|_| exclude.monitors()) else { return Ok(excluded) };
    let mut add = |what: String, found: BTreeSet<Value>| {
        notes.push(Note::monitors(format!("excluded by {what}"), found.len()));
        excluded.extend(found);
    };
    for tag in &exclude.monitor_tags {
        add(format!("tag {tag}"), tagged(main, tag));
    }
    let (name, kind) = (table.position(catalog::NAME), table.position(catalog::TYPE));
    let ids = |fits: &dyn Fn(&str, &str) -> bool| -> BTreeSet<Value> {
        let fitting = table.rows.iter().filter(|row| fits(text(row, name), text(row, kind)));
        fitting.map(|row| table.value(row, catalog::ID).clone()).collect()
    };
    for pattern in &exclude.monitor_names {
        let matching = WildMatch::new(pattern);
        add(format!("name {pattern}"), ids(&|name, _| matching.matches(name)));
    }
    for excluded in &exclude.monitor_types {
        add(format!("type {excluded}"), ids(&|_, kind| kind == excluded));
    }
    for pattern in &exclude.monitor_groups {
        let matching = WildMatch::new(pattern);
        let found = ids(&|name, kind| kind == catalog::GROUP_TYPE && matching.matches(name));
        add(format!("group {pattern}"), within(table, found));
    }
    let (excluded, all) = (within(table, excluded), table.rows.len());
    if !excluded.is_empty() && excluded.len() == all {
        let what = format!("replica.exclude leaves none of the {all} monitors that the main has");
        let hint = "remove a pattern; to leave the monitors of this host alone, exclude the table \"monitor\"";
        return Err(Error::new(Kind::Config, what).with_hint(hint));
    }
    Ok(excluded)
}

/// The text at a position of a row; empty if there is none.
fn text(row: &[Value], at: Option<usize>) -> &str {
    at.and_then(|at| row.get(at)).and_then(Value::as_text).unwrap_or_default()
}

fn tagged(main: &Configuration, tag: &str) -> BTreeSet<Value> {
    let (Some(tags), Some(links)) = (main.table(catalog::TAG), main.table(catalog::MONITOR_TAG)) else {
        return BTreeSet::new();
    };
    let named = tags.rows.iter().filter(|row| tags.value(row, catalog::NAME).as_text() == Some(tag));
    let named: BTreeSet<&Value> = named.map(|row| tags.value(row, catalog::ID)).collect();
    let tagged = links.rows.iter().filter(|row| named.contains(links.value(row, catalog::TAG_ID)));
    tagged.map(|row| links.value(row, catalog::MONITOR_ID).clone()).collect()
}

/// These monitors, and all monitors in the groups among them.
fn within(monitors: &Table, mut found: BTreeSet<Value>) -> BTreeSet<Value> {
    let (Some(id), Some(parent)) = (monitors.position(catalog::ID), monitors.position(catalog::PARENT)) else {
        return found;
    };
    loop {
        let inside = monitors.rows.iter().filter_map(|row| Some((row.get(id)?, row.get(parent)?)));
        let inside = inside.filter(|(id, parent)| found.contains(parent) && !found.contains(id));
        let more: Vec<Value> = inside.map(|(id, _)| id.clone()).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}
