//! The tables and the customization once more, in the plainest code: the real code is compared with it.

use std::collections::BTreeSet;

use kuma_replicator::config::{Customization, Strategy};
use kuma_replicator::model::configuration::{Configuration, Row, Table};
use kuma_replicator::model::value::Value;

/// The tables that are left alone when one is excluded: itself, and those whose rows belong to its rows.
pub(crate) const BELONG: &[(&str, &[&str])] = &[
    ("user", &["api_key"]),
    ("api_key", &["api_key"]),
    ("proxy", &["proxy"]),
    ("docker_host", &["docker_host"]),
    ("remote_browser", &["remote_browser"]),
    ("tag", &["tag", "monitor_tag"]),
    ("notification", &["notification", "monitor_notification"]),
    (
        "status_page",
        &["status_page", "group", "incident", "monitor_group", "maintenance_status_page", "status_page_cname"],
    ),
    ("group", &["group", "monitor_group"]),
    ("monitor", &["monitor", "monitor_notification", "monitor_tag", "monitor_group", "monitor_maintenance"]),
    ("maintenance", &["maintenance", "monitor_maintenance", "maintenance_status_page"]),
    ("incident", &["incident"]),
    ("monitor_notification", &["monitor_notification"]),
    ("monitor_tag", &["monitor_tag"]),
    ("monitor_group", &["monitor_group"]),
    ("monitor_maintenance", &["monitor_maintenance"]),
    ("maintenance_status_page", &["maintenance_status_page"]),
    ("status_page_cname", &["status_page_cname"]),
];

pub(crate) fn alone(customization: &Customization) -> BTreeSet<&'static str> {
    let notifications = (customization.strategy == Strategy::Default).then_some("notification");
    let named: Vec<&str> = customization.exclude.tables.iter().map(String::as_str).chain(notifications).collect();
    BELONG.iter().filter(|(name, _)| named.contains(name)).flat_map(|(_, tables)| *tables).copied().collect()
}

/// Whether the values of the rows of `table` are this host's.
pub(crate) fn kept(customization: &Customization, table: &str) -> bool {
    match table {
        "user" => {
            customization.local_entities.keeps("user") || customization.exclude.tables.contains(&"user".to_owned())
        }
        _ => customization.local_entities.keeps(table),
    }
}

/// Whether `column` of a table that is taken over has this host's values.
pub(crate) fn own(customization: &Customization, table: &str, column: &str) -> bool {
    let alone = alone(customization);
    let parent = match (table, column) {
        ("monitor", "proxy_id") => "proxy",
        ("monitor", "docker_host") => "docker_host",
        ("monitor", "remote_browser") => "remote_browser",
        _ => return false,
    };
    alone.contains(parent) && !alone.contains("monitor")
}

pub(crate) fn get<'row>(table: &Table, row: &'row Row, column: &str) -> &'row Value {
    &row[table.position(column).unwrap_or_else(|| panic!("{} has no {column}", table.spec.name))]
}

pub(crate) fn ids(configuration: &Configuration, table: &str) -> BTreeSet<Value> {
    let table = configuration.table(table);
    table.map_or_else(BTreeSet::new, |table| table.rows.iter().map(|row| get(table, row, "id").clone()).collect())
}

/// Which rows they are: monitors made at another time are others.
pub(crate) fn identities(configuration: &Configuration, table: &str) -> BTreeSet<(Value, Value)> {
    let Some(table) = configuration.table(table) else { return BTreeSet::new() };
    let made = |row| if table.spec.name == "monitor" { get(table, row, "created_date").clone() } else { Value::Null };
    table.rows.iter().map(|row| (get(table, row, "id").clone(), made(row))).collect()
}

/// The name of the user with this id.
pub(crate) fn name_of<'a>(configuration: &'a Configuration, id: &Value) -> Option<&'a Value> {
    let users = configuration.table("user")?;
    users.rows.iter().find(|row| get(users, row, "id") == id).map(|row| get(users, row, "username"))
}

/// References to missing rows: table, column and id, whether a foreign key is declared or not.
pub(crate) fn dangling(configuration: &Configuration) -> BTreeSet<(&'static str, &'static str, Value)> {
    let mut found = BTreeSet::new();
    for table in &configuration.tables {
        for reference in table.spec.references.iter().filter(|it| table.position(it.column).is_some()) {
            let there = ids(configuration, reference.parent);
            let values = table.rows.iter().map(|row| get(table, row, reference.column));
            let lost = values.filter(|value| **value != Value::Null && !there.contains(value));
            found.extend(lost.map(|value| (table.spec.name, reference.column, value.clone())));
        }
    }
    found
}

/// The monitors that are not wanted: those that the customization excludes, and all below one of those.
pub(crate) fn excluded(main: &Configuration, customization: &Customization) -> BTreeSet<Value> {
    let text = |value: &Value| value.as_text().unwrap_or_default().to_owned();
    let (monitors, tags, links) =
        (main.table("monitor").unwrap(), main.table("tag").unwrap(), main.table("monitor_tag").unwrap());
    let exclude = &customization.exclude;
    let tagged = |id: &Value| {
        links.rows.iter().filter(|link| get(links, link, "monitor_id") == id).any(|link| {
            let tag = tags.rows.iter().find(|tag| get(tags, tag, "id") == get(links, link, "tag_id")).unwrap();
            exclude.monitor_tags.contains(&text(get(tags, tag, "name")))
        })
    };
    let named = |row: &Row| {
        let (name, kind) = (text(get(monitors, row, "name")), text(get(monitors, row, "type")));
        let one_of = |patterns: &[String]| patterns.iter().any(|pattern| glob(pattern, &name));
        tagged(get(monitors, row, "id"))
            || one_of(&exclude.monitor_names)
            || exclude.monitor_types.contains(&kind)
            || (kind == "group" && one_of(&exclude.monitor_groups))
    };
    let row = |id: &Value| monitors.rows.iter().find(|row| get(monitors, row, "id") == id);
    let mut found = BTreeSet::new();
    for start in &monitors.rows {
        let mut at = Some(start);
        while let Some(one) = at {
            if named(one) {
                found.insert(get(monitors, start, "id").clone());
                break;
            }
            at = row(get(monitors, one, "parent"));
        }
    }
    found
}

/// The plainest matching of `*` and `?`.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            glob(rest.as_str(), text) || text.chars().next().is_some_and(|c| glob(pattern, &text[c.len_utf8()..]))
        }
        Some(one) => {
            text.chars().next().is_some_and(|c| (one == '?' || one == c) && glob(rest.as_str(), &text[c.len_utf8()..]))
        }
    }
}
