//! The main's configuration with the customization of a replica, one customization after the other.

use std::collections::BTreeSet;

use crate::config::{Alerts, Customization};
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{self, Class};
use crate::model::configuration::{Configuration, Table, upload_names};
use crate::model::value::Value;

use super::desired::Localised;
use super::entry_page::lost_entry_page;
use super::{Note, exclude, fit, label, local_entities, overrides, part, pause, references, scope, settings, zone};

/// The main's configuration as a replica customizes it, with the rows that are `here` where they stay.
///
/// # Errors
/// Those of [`Desired::on`](super::Desired::on).
pub(super) fn customized(
    main: &Configuration,
    here: &Configuration,
    customization: &Customization,
) -> Result<Localised> {
    let alone = scope::left_alone(customization);
    scope::check(customization, &alone)?;
    let mut notes = Vec::new();
    let excluded = exclude::monitors(main, &customization.exclude, &mut notes)?;
    let mut wanted = taken_over(main, here, customization, &alone, &excluded);
    references::keep_own(&mut wanted, here, &alone);
    if !alone.contains(catalog::MONITOR) {
        pause::by_type(&mut wanted, &customization.paused_types, &mut notes);
    }
    if !alone.contains(catalog::MAINTENANCE) {
        zone::of_main(&mut wanted, main, customization.maintenance_timezone, &mut notes);
    }
    overrides::set(&mut wanted, &customization.overrides, &mut notes)?;
    if customization.alerts == Alerts::Off && silence(&mut wanted, &alone) {
        notes.push(Note::new("alerts: off"));
    }
    let names = wanted.tables.iter().map(|table| table.spec.name);
    notes.extend(names.filter(|name| alone.contains(name)).map(|name| Note::new(format!("left alone: {name}"))));
    local_entities::keep(&mut wanted, here, customization, &alone, &mut notes)?;
    overrides::check(&wanted, &customization.overrides)?;
    references::mend(&mut wanted, &references::Parents::of(main), here, |table| alone.contains(table));
    // Last, as the customizations above name monitors as the main does, and as it counts which are on pages here.
    if let Some(label) = &customization.label {
        label::add(&mut wanted, label, customization.clean_status_pages, &mut notes);
    }
    // A status page that is left alone may refer to a file of this host with the same name.
    let files = upload_names(wanted.tables.iter().filter(|table| !alone.contains(table.spec.name)));
    wanted.files = main.files.iter().filter(|file| files.binary_search(&file.name).is_ok()).cloned().collect();
    for table in &mut wanted.tables {
        table.leave_out_unconfirmed();
        table.sort();
    }
    notes.extend(lost_entry_page(&wanted, here).map(Note::new));
    check(&wanted, main, here)?;
    Ok(Localised { configuration: wanted, notes })
}

/// Lets the alerts, the pauses and the label of a replica hold in an earlier configuration of it. They may have changed
/// since: the rows of a replica that was silent do not say which monitor alerts whom, so those that are `here` do.
pub(super) fn customize_again(wanted: &mut Configuration, here: &Configuration, customization: &Customization) {
    let alone = scope::left_alone(customization);
    if !alone.contains(catalog::MONITOR) {
        pause::by_type(wanted, &customization.paused_types, &mut Vec::new());
    }
    let is_silent = wanted.table(catalog::MONITOR_NOTIFICATION).is_some_and(|links| links.rows.is_empty());
    if customization.alerts == Alerts::Off {
        silence(wanted, &alone);
    } else if is_silent {
        let mixed = part::only(std::mem::take(wanted), here, |table| table != catalog::MONITOR_NOTIFICATION);
        *wanted = mixed;
    }
    if let Some(label) = &customization.label {
        label::keep(wanted, label, customization.clean_status_pages);
    }
    for table in &mut wanted.tables {
        table.sort();
    }
}

/// Lets no monitor alert anybody. Returns whether this is left to the customization.
fn silence(wanted: &mut Configuration, alone: &BTreeSet<&str>) -> bool {
    if alone.contains(catalog::MONITOR_NOTIFICATION) {
        return false;
    }
    let links = wanted.table_mut(catalog::MONITOR_NOTIFICATION);
    links.map(|links| links.rows.clear()).is_some()
}

/// Copies the rows that are taken over from the main, and those of this host in tables that are `alone`; no files yet.
fn taken_over(
    main: &Configuration,
    here: &Configuration,
    customization: &Customization,
    alone: &BTreeSet<&str>,
    excluded: &BTreeSet<Value>,
) -> Configuration {
    let without = |table: &Table| match table.position(catalog::ID).filter(|_| !excluded.is_empty()) {
        None => table.clone(),
        Some(id) => {
            let left = table.rows.iter().filter(|row| row.get(id).is_none_or(|id| !excluded.contains(id)));
            Table { spec: table.spec, columns: table.columns.clone(), rows: left.cloned().collect() }
        }
    };
    let tables = main.tables.iter().filter_map(|table| match table.spec.name {
        name if alone.contains(name) => Some(here.table(name).unwrap_or(table).clone()),
        catalog::MONITOR => Some(without(table)),
        _ if table.spec.class == Class::Setting => settings::taken_over(table, here, &customization.settings),
        _ => Some(table.clone()),
    });
    Configuration { tables: tables.collect(), files: Vec::new(), zone: None }
}

/// Whether this host can have what is `wanted`. If it could have the main's configuration, the customization is the
/// reason, and the snapshot must not be rejected for it.
fn check(wanted: &Configuration, main: &Configuration, here: &Configuration) -> Result<()> {
    fit::check(wanted, here).map_err(|error| match error.kind() {
        Kind::NoUser | Kind::Unwritable if fit::check_without_settings(main, here).is_ok() => {
            let hint = "check overrides and local-entities in the configuration, and the users of this host";
            Error::new(Kind::Config, "the customization of this replica cannot be applied")
                .because(error)
                .with_hint(hint)
        }
        _ => error,
    })
}

/// The rows `here` with the overrides set in them, to find out whether the database would take them.
///
/// # Errors
/// [`Kind::Config`] if there is no such table or column, or if this replica may not override it.
pub fn overridden(here: &Configuration, customization: &Customization) -> Result<Configuration> {
    scope::check(customization, &scope::left_alone(customization))?;
    let mut overridden = here.clone();
    overrides::set(&mut overridden, &customization.overrides, &mut Vec::new())?;
    for table in &mut overridden.tables {
        table.leave_out_unconfirmed();
        table.sort();
    }
    Ok(overridden)
}
