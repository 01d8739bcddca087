//! Which tables, rows and columns of a replica come from the main.

use std::collections::BTreeSet;

use crate::config::Customization;
use crate::error::{Error, Kind, Result};
use crate::model::catalog::{self, OnDelete};
use crate::model::configuration::Configuration;

use super::{references, settings};

/// The tables that stay as they are here: the excluded ones, and those whose rows belong to rows of an excluded one.
pub(super) fn left_alone(customization: &Customization) -> BTreeSet<&'static str> {
    let mut found: BTreeSet<&str> = customization.excluded().filter_map(catalog::find).map(|spec| spec.name).collect();
    // Children are listed after their parents.
    for spec in catalog::TABLES {
        if spec.references.iter().any(|it| it.on_delete == OnDelete::Cascade && found.contains(it.parent)) {
            found.insert(spec.name);
        }
    }
    // All rows belong to users, so the ids of users are always the main's.
    found.remove(catalog::USER);
    found
}

/// Refuses a customization of rows and columns that are left alone.
///
/// # Errors
/// [`Kind::Config`], naming the customization.
pub(super) fn check(customization: &Customization, alone: &BTreeSet<&str>) -> Result<()> {
    let fail = |what: String, hint: &str| Err(Error::new(Kind::Config, what).with_hint(hint));
    if alone.contains(catalog::MONITOR) && customization.exclude.monitors() {
        let what = "replica.exclude names monitors, while the whole table \"monitor\" is excluded".to_owned();
        return fail(what, "remove one of the two: with the table excluded, the monitors of this host are left alone");
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
        // After the override has set the column, the next cycle would no longer find the row by it.
        if let Some(column) = references::own_columns(spec, alone).find(|column| one.matching.contains_key(*column)) {
            let what = format!("{which}{column} in where has the values of this host, not those of the main");
            return fail(what, "name the rows by other columns");
        }
    }
    Ok(())
}

/// Whether the log-ins of this host are kept.
pub(super) fn own_users(customization: &Customization) -> bool {
    customization.local_entities.keeps(catalog::USER) || customization.excluded().any(|table| table == catalog::USER)
}

/// Whether the rows of a table keep the values of this host.
pub(super) fn own_values(customization: &Customization, table: &str) -> bool {
    customization.local_entities.keeps(table) || (table == catalog::USER && own_users(customization))
}

/// The part of the configuration `here` that an apply overwrites: only a change in it counts as drift.
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
