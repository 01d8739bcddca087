//! Which part of a replica's configuration comes from the main at all.

use std::collections::BTreeSet;

use crate::config::{Customization, Values};
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{self, OnDelete};
use crate::model::configuration::Configuration;

use super::{references, settings};

/// The tables whose rows go together with another's: those that the names stand for, without users.
pub(super) fn left_alone(customization: &Customization) -> BTreeSet<&'static str> {
    let mut found: BTreeSet<&str> = customization.excluded().filter_map(catalog::find).map(|spec| spec.name).collect();
    // Children come after their parents.
    for spec in catalog::TABLES {
        if spec.references.iter().any(|it| it.on_delete == OnDelete::Cascade && found.contains(it.parent)) {
            found.insert(spec.name);
        }
    }
    // Everything belongs to users, so there are always some with the main's ids.
    found.remove(catalog::USER);
    found
}

/// Refuses customization for rows and columns that are left alone.
///
/// # Errors
/// [`Kind::Config`], naming the wish.
pub(super) fn check(customization: &Customization, alone: &BTreeSet<&str>) -> Result<()> {
    let fail = |what: String, hint: &str| Err(Error::new(Kind::Config, what).with_hint(hint));
    if alone.contains(catalog::MONITOR) && customization.exclude.monitors() {
        let what = "replica.exclude names monitors, while the table \"monitor\" is excluded altogether".to_owned();
        return fail(what, "take out either of them: the monitors of this host are left alone");
    }
    for (number, one) in (1..).zip(&customization.overrides) {
        let which = format!("replica.overrides, number {number}: ");
        if alone.contains(one.table.as_str()) {
            return fail(
                format!("{which}{} is left alone here", one.table),
                "edit the row in Uptime Kuma on this host",
            );
        }
        let Some(spec) = catalog::find(&one.table) else { continue };
        // Once set, such a value would no longer be found.
        if let Some(column) = references::own_columns(spec, alone).find(|column| one.matching.contains_key(*column)) {
            let what = format!("{which}{column} in where has the values of this host, not those of the main");
            return fail(what, "name the rows by other columns");
        }
    }
    Ok(())
}

/// Whether log-ins are this host's own.
pub(super) fn own_users(customization: &Customization) -> bool {
    customization.local_entities.user == Values::Keep || customization.excluded().any(|table| table == catalog::USER)
}

/// Whether the rows of a table have values of this host.
pub(super) fn own_values(customization: &Customization, table: &str) -> bool {
    customization.local_entities.values(table) == Values::Keep || (table == catalog::USER && own_users(customization))
}

/// What of the configuration `here` would be overwritten: only a change in it is an edit that matters.
pub fn managed(here: Configuration, customization: &Customization) -> Configuration {
    let alone = left_alone(customization);
    let mut managed = here;
    managed.tables.retain(|table| !alone.contains(table.spec.name));
    settings::limit(&mut managed, &customization.settings);
    for table in &mut managed.tables {
        let own = own_values(customization, table.spec.name);
        let own_columns: Vec<&str> = references::own_columns(table.spec, &alone).collect();
        if own {
            *table = table.limited_to(&[catalog::ID.to_owned()]);
        } else if !own_columns.is_empty() {
            let columns: Vec<String> =
                table.columns.iter().filter(|column| !own_columns.contains(&column.as_str())).cloned().collect();
            *table = table.limited_to(&columns);
        }
    }
    let files = managed.upload_names();
    managed.files.retain(|file| files.binary_search(&file.name).is_ok());
    managed
}
