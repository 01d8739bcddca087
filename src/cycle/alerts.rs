//! Switching the alerts of a replica by hand: first in the configuration file, then in its rows, from the kept dump of
//! the snapshot in force. It needs neither the repository nor a restart.

use crate::config::{Alerts, Settings};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::localise::{Desired, Part};
use crate::model::configuration::Configuration;
use crate::model::content::Content;
use crate::model::origin::Origin;
use crate::model::state::LocalRows;
use crate::plan::Size;

use super::change::Cleared;
use super::outside::Host;
use super::{Change, Event, Export, Session, Verified, verify};

/// What an order to switch the alerts did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertsSwitch {
    /// They are switched.
    Now,
    /// They will be, with the first snapshot that is applied here.
    WithFirstApply,
}

impl<H: Host> Session<'_, H> {
    /// Switches the alerts of this host, now and for each apply to come. Nothing else is applied with it.
    ///
    /// # Errors
    /// [`Kind::Config`] if the notifications of this host are its own; those of an apply, with the
    /// configuration file changed: the next cycle applies it.
    pub async fn switch_alerts(&mut self, alerts: Alerts) -> Result<AlertsSwitch> {
        // Also on hold: it is an order of a person, in the very disaster that it is for.
        self.recover().await?;
        let before = self.settings.replica.customization.digest();
        let settings = self.host.set_alerts(alerts)?;
        let mut session = Session::new(self.host, &settings, self.state, self.options);
        if session.state.replica.applied.is_none() {
            return Ok(AlertsSwitch::WithFirstApply);
        }
        let Verified(dump) = session.kept_or_fetched().await?;
        let here = session.host.export().await?;
        if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, settings.replica.schema) {
            let what = "the alerts are switched in the configuration file, and not in Uptime Kuma yet";
            return Err(Error::new(Kind::SchemaDiffers, what).because(reason));
        }
        let main = &dump.configuration;
        let size = session.write_alerts(alerts, &here, main, &settings).await?;
        session.remember_alerts(here, main)?;
        if let Some(applied) = &mut session.state.replica.applied
            && applied.customization == Some(before)
        {
            applied.customization = Some(settings.replica.customization.digest());
        }
        session.host.save(session.state)?;
        session.report(&Event::Alerts { on: alerts == Alerts::On, size });
        Ok(AlertsSwitch::Now)
    }

    /// Writes which monitors use which notifications, as the new settings have it. Returns what changed.
    async fn write_alerts(
        &mut self,
        alerts: Alerts,
        here: &Export,
        main: &Configuration,
        settings: &Settings,
    ) -> Result<Size> {
        let desired = Desired::Customized { main, customization: &settings.replica.customization, part: Part::Alerts };
        let wanted = desired.on(&here.configuration)?.configuration;
        let mut change =
            Change::new(Origin::Alerts { on: alerts == Alerts::On }, &here.configuration, &here.schema, wanted);
        let size = change.plan.size();
        if change.plan.is_empty() {
            return Ok(size);
        }
        self.host.rehearse(&here.configuration, &change.wanted).await?;
        change.way = self.way_if_needed(&change, &here.configuration).await?;
        let clearance = self.clear(&[&change.plan]).await?;
        if let Err(error) = self.put_in_force(Cleared { change, here, desired, clearance: &clearance }).await {
            // Nothing is under way any more. If that cannot be saved, the next cycle finds nothing to recover.
            self.save_or_warn();
            return Err(error);
        }
        self.state.intent = None;
        Ok(size)
    }

    /// What was edited here before is still an edit, and what was switched is none.
    fn remember_alerts(&mut self, here: Export, main: &Configuration) -> Result<()> {
        let customization = &self.settings.replica.customization;
        let (schema, content) = (here.schema.clone(), self.content(here.clone()));
        let edited = self.state.replica.baseline().is_some_and(|baseline| baseline != content);
        let part = if edited { Part::Whole } else { Part::Alerts };
        let desired = Desired::Customized { main, customization, part };
        let configuration = desired.on(&here.configuration)?.configuration;
        let baseline: Content = self.content(Export { configuration, schema, ..Export::default() });
        if let Some(applied) = &mut self.state.replica.applied {
            applied.rows = match applied.rows {
                LocalRows::Restored { digest } => LocalRows::Restored { digest },
                LocalRows::Drifted { digest, since, .. } => LocalRows::Drifted { baseline, digest, since },
                LocalRows::AsApplied { .. } | LocalRows::Unknown => LocalRows::AsApplied { baseline },
            };
        }
        Ok(())
    }

    /// The dump of the snapshot in force: the kept one, else that in the repository.
    async fn kept_or_fetched(&mut self) -> Result<Verified> {
        if let Some(verified) = self.kept(&Configuration::default()) {
            return Ok(verified);
        }
        let Some(applied) = &self.state.replica.applied else {
            return Err(Error::new(Kind::Bug, "no snapshot is in force"));
        };
        verify(&self.host.fetch(&applied.snapshot.clone()).await?, None)
    }
}
