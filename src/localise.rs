//! Turns what the main has into what this replica wants.
//!
//! Whatever is wanted locally is decided here and nowhere else, before the plan is made, so that a plan
//! never has to know why a row is wanted. What is left alone is wanted as it is here.

mod exclude;
mod label;
mod local_entities;
mod note;
mod overrides;
mod references;
mod scope;
mod settings;

use crate::config::{Alerts, Customization};
use crate::error::{Error, Kind, Result};
use crate::model::configuration::{Configuration, Table, upload_names};
use crate::model::value::Value;
use crate::model::{catalog, sanity};

pub use note::Note;
pub use scope::{Part, managed, only, parts};

/// What a replica wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Localised {
    /// All of it: what comes from the main, and what is left alone as it is here.
    pub configuration: Configuration,
    /// What came of each wish, for people.
    pub notes: Vec<Note>,
}

/// The configuration a replica is to have: that of the main, as far as `customization` take it over.
///
/// # Errors
/// [`Kind::Config`] if the customization do not fit what the main has, and those of [`fitting`].
pub fn wanted(main: &Configuration, here: &Configuration, customization: &Customization) -> Result<Localised> {
    let alone = scope::left_alone(customization);
    scope::check(customization, &alone)?;
    let mut wanted = main.clone();
    settings::follow(&mut wanted, here, &customization.settings);
    let mut notes = Vec::new();
    exclude::monitors(&mut wanted, &customization.exclude, &mut notes)?;
    references::keep_own(&mut wanted, here, &alone);
    if !alone.contains(catalog::MONITOR) {
        pause(&mut wanted, &customization.paused_types, &mut notes);
    }
    overrides::set(&mut wanted, &customization.overrides, &mut notes)?;
    if customization.alerts == Alerts::None
        && let Some(links) = wanted.table_mut(catalog::MONITOR_NOTIFICATION)
    {
        links.rows.clear();
        notes.push(Note::new("alerts: none"));
    }
    for table in wanted.tables.iter_mut().filter(|table| alone.contains(table.spec.name)) {
        if let Some(own) = here.table(table.spec.name) {
            table.clone_from(own);
        }
        notes.push(Note::new(format!("left alone: {}", table.spec.name)));
    }
    local_entities::keep(&mut wanted, here, customization, &alone, &mut notes)?;
    overrides::check(&wanted, &customization.overrides)?;
    references::mend(&mut wanted, main, here, |table| alone.contains(table));
    // After all that goes by the main's names, and by which monitors are on pages here.
    if let Some(label) = &customization.label {
        label::add(&mut wanted, label, customization.clean_status_pages, &mut notes);
    }
    // A page of this host may have a file of the same name.
    let files = upload_names(wanted.tables.iter().filter(|table| !alone.contains(table.spec.name)));
    wanted.files.retain(|file| files.binary_search(&file.name).is_ok());
    for table in &mut wanted.tables {
        table.sort();
    }
    check(&wanted, here).map_err(|error| match error.kind() {
        // The snapshot is not to be refused for it.
        Kind::NoUser | Kind::Unwritable if fitting(main, here, &[]).is_ok() => {
            let hint = "look at overrides and local-entities in the configuration, and at the users of this host";
            Error::new(Kind::Config, "what this replica customization for cannot be applied")
                .because(error)
                .with_hint(hint)
        }
        _ => error,
    })?;
    Ok(Localised { configuration: wanted, notes })
}

/// What is here with the overrides in it, to find out whether the database would take them.
///
/// # Errors
/// [`Kind::Config`] if there is no such table or column, or if it is not for this replica to change.
pub fn overridden(here: &Configuration, customization: &Customization) -> Result<Configuration> {
    scope::check(customization, &scope::left_alone(customization))?;
    let mut overridden = here.clone();
    overrides::set(&mut overridden, &customization.overrides, &mut Vec::new())?;
    for table in &mut overridden.tables {
        table.sort();
    }
    Ok(overridden)
}

/// `configuration` as it is, but for settings, of which only those with these keys are taken, if it can be this host's.
///
/// # Errors
/// [`Kind::NoUser`] if nobody could log in, [`Kind::Unwritable`] if Uptime Kuma could not run with it,
/// [`Kind::SchemaDiffers`] if the rows do not fit the tables
/// `here` (the schema gate rules that out for a snapshot).
pub fn fitting(configuration: &Configuration, here: &Configuration, settings: &[String]) -> Result<Configuration> {
    let mut wanted = configuration.clone();
    settings::follow(&mut wanted, here, settings);
    check(&wanted, here)?;
    Ok(wanted)
}

fn check(configuration: &Configuration, here: &Configuration) -> Result<()> {
    if !configuration.has_user() {
        return Err(Error::new(Kind::NoUser, "the configuration to apply has no user who could log in"));
    }
    if let Some(problem) = sanity::first_problem(configuration) {
        return Err(Error::new(Kind::Unwritable, format!("Uptime Kuma could not run with it: {problem}")));
    }
    let fits = |table: &Table| {
        let there = here.table(table.spec.name);
        there.is_some_and(|there| table.columns.iter().all(|column| there.position(column).is_some()))
    };
    if let Some(table) = configuration.tables.iter().find(|table| !fits(table)) {
        let what = format!("the rows of {} do not fit the tables of this database", table.spec.name);
        return Err(Error::new(Kind::SchemaDiffers, what));
    }
    Ok(())
}

/// Pauses the monitors of some types, as Uptime Kuma does when somebody pauses them.
fn pause(wanted: &mut Configuration, types: &[String], notes: &mut Vec<Note>) {
    let Some(monitors) = wanted.table_mut(catalog::MONITOR) else { return };
    let (Some(kind), Some(active)) = (monitors.position(catalog::TYPE), monitors.position(catalog::ACTIVE)) else {
        return;
    };
    let paused = |value: &Value| value.as_text().is_some_and(|text| types.iter().any(|kind| kind == text));
    let mut count = 0;
    for row in &mut monitors.rows {
        if row.get(kind).is_some_and(paused)
            && let Some(active) = row.get_mut(active)
            && *active != Value::Integer(0)
        {
            *active = Value::Integer(0);
            count += 1;
        }
    }
    if count > 0 {
        notes.push(Note::new(format!("paused by their type: {count} monitors")));
    }
}
