//! Small configurations that differ from each other.

use kuma_replicator::model::configuration::{Configuration, Row, Table};
use kuma_replicator::model::value::Value;

use super::rows::{i, t, table};

/// A small configuration that differs from others by `generation` in an entity, a link and the number of rows.
pub(crate) fn generation(generation: i64) -> Configuration {
    let monitors = (1..=3 + generation)
        .map(|id| vec![i(id), Value::text(format!("monitor {id} of {generation}")), t("2026-01-01 00:00:00")])
        .collect();
    Configuration {
        tables: vec![
            table("user", &["id", "username"], vec![vec![i(1), t("admin")]]),
            table("tag", &["id", "name"], vec![vec![i(1), t("prod")], vec![i(2), t("test")]]),
            table("monitor", &["id", "name", "created_date"], monitors),
            table("monitor_tag", &["monitor_id", "tag_id"], vec![vec![i(1), i(1 + generation % 2)]]),
        ],
        files: Vec::new(),
        zone: None,
    }
}

/// A fleet's configuration: two monitors that alert two people, in words of this `version`.
pub(crate) fn fleet(version: i64) -> Configuration {
    let name = |what: &str| t(&format!("{what} {version}"));
    let made = || t("2026-01-01 00:00:00");
    Configuration {
        tables: vec![
            table("user", &["id", "username"], vec![vec![i(1), t("admin")]]),
            table("notification", &["id", "name"], vec![vec![i(1), name("mail")], vec![i(2), name("chat")]]),
            table(
                "monitor",
                &["id", "name", "created_date"],
                vec![vec![i(1), name("web"), made()], vec![i(2), name("dns"), made()]],
            ),
            table("monitor_notification", &["monitor_id", "notification_id"], vec![vec![i(1), i(1)], vec![i(2), i(2)]]),
        ],
        files: Vec::new(),
        zone: None,
    }
}

/// The table of that name.
pub(crate) fn table_of<'a>(configuration: &'a Configuration, name: &str) -> &'a Table {
    configuration.table(name).unwrap()
}

/// Its rows, to change them.
pub(crate) fn rows_mut<'a>(configuration: &'a mut Configuration, name: &str) -> &'a mut Vec<Row> {
    &mut configuration.table_mut(name).unwrap().rows
}

/// Renames a row of a table, by its place.
pub(crate) fn rename(configuration: &mut Configuration, table: &str, row: usize, name: &str) {
    let at = table_of(configuration, table).position("name").unwrap();
    rows_mut(configuration, table)[row][at] = t(name);
}

/// The name of a row of a table, by its place.
pub(crate) fn name(configuration: &Configuration, table: &str, row: usize) -> Value {
    let table = table_of(configuration, table);
    table.value(&table.rows[row], "name").clone()
}
