//! Turns what the main has into what this replica wants.
//!
//! Whatever is wanted locally is decided here and nowhere else, before the plan is made, so that a plan
//! never has to know why a row is wanted.

mod settings;

use crate::config::Wishes;
use crate::error::{Error, Kind, Result};
use crate::model::configuration::{Configuration, Table};
use crate::model::value::Value;
use crate::model::{catalog, harm};

/// The configuration a replica is to have: that of the main, as far as `wishes` take it over.
///
/// # Errors
/// Those of [`fitting`].
pub fn wanted(main: &Configuration, here: &Configuration, wishes: &Wishes) -> Result<Configuration> {
    let mut wanted = fitting(main, here, &wishes.settings)?;
    for table in wanted.tables.iter_mut().filter(|table| table.spec.name == catalog::MONITOR) {
        pause(table, &wishes.paused_types);
    }
    Ok(wanted)
}

/// `configuration` as it is, but for settings, of which only those with these keys are taken, if it can be this host's.
///
/// # Errors
/// [`Kind::NoUser`] if nobody could log in, [`Kind::Unwritable`] if Uptime Kuma could not run with it,
/// [`Kind::SchemaDiffers`] if the rows do not fit the tables
/// `here` (the schema gate rules that out for a snapshot).
pub fn fitting(configuration: &Configuration, here: &Configuration, settings: &[String]) -> Result<Configuration> {
    if !configuration.has_user() {
        return Err(Error::new(Kind::NoUser, "the configuration to apply has no user who could log in"));
    }
    if let Some(harm) = harm::find(configuration) {
        return Err(Error::new(Kind::Unwritable, format!("Uptime Kuma could not run with it: {harm}")));
    }
    let mut wanted = configuration.clone();
    settings::follow(&mut wanted, here, settings);
    let fits = |table: &Table| {
        let there = here.table(table.spec.name);
        there.is_some_and(|there| table.columns.iter().all(|column| there.position(column).is_some()))
    };
    if let Some(table) = wanted.tables.iter().find(|table| !fits(table)) {
        let what = format!("the rows of {} do not fit the tables of this database", table.spec.name);
        return Err(Error::new(Kind::SchemaDiffers, what));
    }
    Ok(wanted)
}

/// Pauses the monitors of some types, as Uptime Kuma does when somebody pauses them.
fn pause(monitors: &mut Table, types: &[String]) {
    let (Some(kind), Some(active)) = (monitors.position(catalog::TYPE), monitors.position(catalog::ACTIVE)) else {
        return;
    };
    let paused = |value: &Value| value.as_text().is_some_and(|text| types.iter().any(|kind| kind == text));
    for row in &mut monitors.rows {
        if row.get(kind).is_some_and(paused)
            && let Some(active) = row.get_mut(active)
        {
            *active = Value::Integer(0);
        }
    }
}
