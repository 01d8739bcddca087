//! What is to be in force on a host, said before its rows are known: they may change until Uptime Kuma is stopped.

use crate::config::Customization;
use crate::error::Result;
use crate::model::configuration::Configuration;

use super::{Note, Part, customized, fit, zone};

/// What is to be in force on a host, by its origin.
#[derive(Debug, Clone, Copy)]
pub enum Desired<'a> {
    /// A part of the main's configuration with the customization of this replica; other parts stay as they are here.
    Customized {
        /// The main's configuration.
        main: &'a Configuration,
        /// What the replica customizes.
        customization: &'a Customization,
        /// The tables that are written.
        part: Part,
    },
    /// The main's configuration without customization.
    AsMain {
        /// The main's configuration.
        main: &'a Configuration,
        /// Of what the replica customizes, only which settings are taken over, and whose time zone maintenances have.
        customization: &'a Customization,
    },
    /// A configuration of this host, such as an earlier one. All settings stay as they are here.
    Restored {
        /// That configuration.
        configuration: &'a Configuration,
        /// What this host customizes now, if it is a replica: the alerts, the pauses and the label hold.
        customization: Option<&'a Customization>,
    },
}

/// What a host is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Localised {
    /// The rows and files of each table: the desired ones, and those of this host where a table is left alone.
    pub configuration: Configuration,
    /// What each customization has changed, for people.
    pub notes: Vec<Note>,
}

impl<'a> Desired<'a> {
    /// All of the main's configuration with the customization of this replica.
    pub fn customized(main: &'a Configuration, customization: &'a Customization) -> Self {
        Self::Customized { main, customization, part: Part::Whole }
    }

    /// The configuration of a host whose rows are `here`. Each row is copied once.
    ///
    /// # Errors
    /// [`Kind::Config`](crate::error::Kind::Config) if the customization does not fit the main's configuration,
    /// [`Kind::NoUser`](crate::error::Kind::NoUser) if no user could log in,
    /// [`Kind::Unwritable`](crate::error::Kind::Unwritable) if Uptime Kuma could not run with it,
    /// [`Kind::SchemaDiffers`](crate::error::Kind::SchemaDiffers) if the rows do not fit the tables `here` (the schema
    /// gate rules that out for a snapshot).
    pub fn on(&self, here: &Configuration) -> Result<Localised> {
        let plain = |configuration| Localised { configuration, notes: Vec::new() };
        match *self {
            Self::Customized { main, customization, part } => {
                let Localised { configuration, notes } = customized::customized(main, here, customization)?;
                Ok(Localised { configuration: part.of(configuration, here), notes })
            }
            Self::AsMain { main, customization } => {
                let mut configuration = fit::fitting(main, here, &customization.settings)?;
                let mut notes = Vec::new();
                zone::of_main(&mut configuration, main, customization.maintenance_timezone, &mut notes);
                Ok(Localised { configuration, notes })
            }
            Self::Restored { configuration, customization } => {
                let mut wanted = fit::fitting(configuration, here, &[])?;
                if let Some(customization) = customization {
                    customized::customize_again(&mut wanted, here, customization);
                }
                Ok(plain(wanted))
            }
        }
    }
}
