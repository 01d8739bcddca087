//! Settings: a replica takes over those that it lists, and keeps its own values of all others.

use crate::model::catalog;
use crate::model::configuration::{Configuration, Row, Table};

/// The settings of a host that takes over those with these keys from the `main`. One that the main does not have is
/// removed here as well, so that its default counts. Without any key, nothing is wanted of the table.
pub(super) fn taken_over(main: &Table, here: &Configuration, keys: &[String]) -> Option<Table> {
    if keys.is_empty() {
        return None;
    }
    let mut settings = Table::new(main.spec, main.columns.clone());
    settings.rows.extend(main.rows.iter().filter(|row| listed(main, row, keys)).cloned());
    settings.leave_out_defaults(here.major());
    if let Some(here) = here.table(main.spec.name) {
        let here = here.limited_to(&settings.columns);
        let others = |row: &Row| !listed(&here, row, keys);
        settings.rows.extend(here.rows.iter().filter(|row| others(row)).cloned());
    }
    settings.sort();
    Some(settings)
}

/// Leaves only the settings of these keys, and no table without any.
pub(super) fn limit(configuration: &mut Configuration, keys: &[String]) {
    if keys.is_empty() {
        configuration.tables.retain(|table| table.spec.name != catalog::SETTING);
    } else if let Some(settings) = configuration.table_mut(catalog::SETTING) {
        let mut rows = std::mem::take(&mut settings.rows);
        rows.retain(|row| listed(settings, row, keys));
        settings.rows = rows;
    }
}

fn listed(table: &Table, row: &Row, keys: &[String]) -> bool {
    table.value(row, catalog::KEY).as_text().is_some_and(|key| keys.iter().any(|listed| listed == key))
}
