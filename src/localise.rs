//! Turns what the main has into what this replica wants.
//!
//! Whatever is wanted locally is decided here and nowhere else, before the plan is made, so that a plan
//! never has to know why a row is wanted.

use crate::config::Strategy;
use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;

/// The configuration this host is to have: that of the main, as far as `strategy` takes it over.
///
/// # Errors
/// [`Kind::NoUser`] if nobody could log in, [`Kind::SchemaDiffers`] if the rows do not fit the tables
/// `here` (equal fingerprints rule that out for a snapshot).
pub fn wanted(main: &Configuration, here: &Configuration, strategy: Strategy) -> Result<Configuration> {
    let wanted = match strategy {
        Strategy::Snapshot => main.clone(),
    };
    if !wanted.has_user() {
        return Err(Error::new(Kind::NoUser, "the configuration to apply has no user"));
    }
    let shape = |configuration: &Configuration| {
        configuration.tables.iter().map(|table| (table.spec.name, table.columns.clone())).collect::<Vec<_>>()
    };
    if shape(&wanted) != shape(here) {
        return Err(Error::new(Kind::SchemaDiffers, "the rows to apply do not fit the tables of this database"));
    }
    Ok(wanted)
}
