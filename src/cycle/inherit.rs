//! Settings that a promoted host publishes for the fleet although it has none of them: those that the former main had.
//! Otherwise a promotion would remove them on all replicas that list them, such as the one without which no API key works.

use crate::error::{Error, Kind, Result};
use crate::localise;
use crate::model::configuration::Configuration;
use crate::model::dump;

use super::outside::Host;
use super::{Event, Session, Verified};

impl<H: Host> Session<'_, H> {
    /// Keeps the settings of the snapshot in force that this host lacks, whose configuration is `here`, and reports those
    /// that will have other values on replicas.
    pub(super) fn keep_inherited(&mut self, here: &Configuration) -> Result<()> {
        let (inherited, other) = match self.kept(here) {
            Some(Verified(fleet)) => localise::inherited(&fleet.configuration, here),
            None => Default::default(),
        };
        self.host.keep_inherited(&dump::body(&inherited))?;
        if !other.is_empty() {
            let text = format!(
                "this host has other values than the main had of the settings {}: replicas that list them take those of \
                 this host",
                other.join(", ")
            );
            self.report(&Event::Warning { text });
        }
        Ok(())
    }

    /// The settings that are published for the fleet, beside those of this host.
    pub(super) fn inherited(&mut self) -> Result<Configuration> {
        let Some(bytes) = self.host.inherited()? else { return Ok(Configuration::default()) };
        inherited(&bytes)
    }
}

/// Reads what [`Store::keep_inherited`](super::Store::keep_inherited) kept.
///
/// # Errors
/// [`Kind::StateDamaged`].
pub fn inherited(bytes: &[u8]) -> Result<Configuration> {
    dump::parse_body(bytes).map_err(|fault| {
        let what = "the settings that this host has taken over as the main cannot be read";
        let hint = "remove inherited.settings in the state directory, and set in Uptime Kuma what the fleet needs";
        Error::new(Kind::StateDamaged, what).because(fault).with_hint(hint)
    })
}
