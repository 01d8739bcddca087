//! Whether a host can have a configuration: a user can log in, Uptime Kuma can run with it, and the database has the
//! columns.

use crate::error::{Error, Kind, Result};
use crate::model::catalog::Class;
use crate::model::configuration::{Configuration, Table};
use crate::model::sanity;

use super::settings;

/// `configuration` as it is, except for values that nobody has confirmed, and for settings: those with these keys are taken
/// over.
///
/// # Errors
/// Those of [`check`].
pub(super) fn fitting(configuration: &Configuration, here: &Configuration, keys: &[String]) -> Result<Configuration> {
    let tables = configuration.tables.iter().filter_map(|table| match table.spec.class {
        Class::Setting => settings::taken_over(table, here, keys),
        _ => Some(table.clone()),
    });
    let mut wanted = Configuration { tables: tables.collect(), files: configuration.files.clone(), zone: None };
    wanted.tables.iter_mut().for_each(Table::leave_out_unconfirmed);
    check(&wanted, here)?;
    Ok(wanted)
}

/// Whether a host whose rows are `here` can have `configuration`.
///
/// # Errors
/// [`Kind::NoUser`], [`Kind::Unwritable`] or [`Kind::SchemaDiffers`].
pub(super) fn check(configuration: &Configuration, here: &Configuration) -> Result<()> {
    check_tables(configuration, here, |_| true)
}

/// The same without settings.
pub(super) fn check_without_settings(configuration: &Configuration, here: &Configuration) -> Result<()> {
    check_tables(configuration, here, |table| table.spec.class != Class::Setting)
}

fn check_tables(configuration: &Configuration, here: &Configuration, counts: impl Fn(&Table) -> bool) -> Result<()> {
    if !configuration.has_user() {
        return Err(Error::new(Kind::NoUser, "the configuration to apply has no user who could log in"));
    }
    if let Some(problem) = sanity::first_problem(configuration) {
        return Err(Error::new(Kind::Unwritable, format!("Uptime Kuma could not run with it: {problem}")));
    }
    let fits = |table: &Table| {
        let own = here.table(table.spec.name);
        own.is_some_and(|own| table.columns.iter().all(|column| own.position(column).is_some()))
    };
    match configuration.tables.iter().find(|table| counts(table) && !fits(table)) {
        Some(table) => {
            let what = format!("the rows of {} do not fit the tables of this database", table.spec.name);
            Err(Error::new(Kind::SchemaDiffers, what))
        }
        None => Ok(()),
    }
}
