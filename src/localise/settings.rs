//! Settings: a replica takes over those that it lists, and keeps its own values of all others.

use crate::model::catalog;
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;

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

/// The settings of the `fleet` that a host lacks whose configuration is `here`, and the keys of those that it has with
/// other values.
pub fn inherited(fleet: &Configuration, here: &Configuration) -> (Configuration, Vec<String>) {
    let (mut lacking, mut other) = (Configuration::default(), Vec::new());
    let Some(settings) = fleet.table(catalog::SETTING) else { return (lacking, other) };
    let mut missing = Table::new(settings.spec, settings.columns.clone());
    let own = here.table(catalog::SETTING).map(|own| own.limited_to(&settings.columns));
    for row in &settings.rows {
        let key = settings.value(row, catalog::KEY);
        match own.iter().flat_map(|own| &own.rows).find(|own| settings.value(own, catalog::KEY) == key) {
            None => missing.rows.push(row.clone()),
            Some(own) if own != row => other.extend(key.as_text().map(str::to_owned)),
            Some(_) => {}
        }
    }
    lacking.tables.push(missing);
    (lacking, other)
}

/// Adds the settings in `inherited` that `configuration` does not have itself.
pub fn add_inherited(configuration: &mut Configuration, inherited: &Configuration) {
    let Some(inherited) = inherited.table(catalog::SETTING) else { return };
    let Some(settings) = configuration.table_mut(catalog::SETTING) else { return };
    let more = inherited.limited_to(&settings.columns).rows;
    let is_own = |key: &Value| settings.ids().any(|own| own == key);
    let more: Vec<Row> = more.into_iter().filter(|row| !is_own(settings.value(row, catalog::KEY))).collect();
    settings.rows.extend(more);
    settings.sort();
}

fn listed(table: &Table, row: &Row, keys: &[String]) -> bool {
    table.value(row, catalog::KEY).as_text().is_some_and(|key| keys.iter().any(|listed| listed == key))
}
