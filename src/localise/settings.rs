//! Settings: those that a replica lists are the main's, the others are as they are here.

use crate::model::catalog;
use crate::model::configuration::{Configuration, Row, Table};

/// Makes of the main's settings in `wanted` those that are to be `here`, if the settings of these keys are taken
/// over. One that the main does not have is none here either, so that its default counts. Without any key, or
/// without settings of the main (dump format 1), nothing is wanted of the table.
pub(super) fn follow(wanted: &mut Configuration, here: &Configuration, keys: &[String]) {
    limit(wanted, keys);
    let Some(settings) = wanted.table_mut(catalog::SETTING) else { return };
    if let Some(here) = here.table(catalog::SETTING) {
        let here = here.limited_to(&settings.columns);
        settings.rows.extend(here.rows.iter().filter(|row| !listed(&here, row, keys)).cloned());
    }
    settings.sort();
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
