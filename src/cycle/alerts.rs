//! Switching the alerts of a replica by hand: first in the configuration file, then in its rows, from the snapshot in
//! force that is kept here. Neither the repository nor a restart is needed for it.

use crate::config::{Alerts, Restart, Settings};
use crate::decide::{self, Content};
use crate::error::{Error, Kind, Result};
use crate::localise;
use crate::model::catalog;
use crate::model::configuration::Configuration;
use crate::model::state::{Applied, Left, State};
use crate::plan::plan;

use super::live::put_in_force;
use super::replace::Goal;
use super::role::begin;
use super::{Event, Export, Host, Verified, drift, in_force, verify};

/// What became of the alerts of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// They are as ordered.
    Now,
    /// They will be, with the first snapshot that is applied here.
    Later,
}

/// Makes `alerts` those that this host sends, now and after each apply to come. Nothing else is applied with it.
///
/// # Errors
/// [`Kind::OnHold`], [`Kind::Config`] if the notifications of this host are its own; those of an apply, with the
/// configuration file changed: the next cycle applies it.
pub async fn alerts<H: Host>(host: &mut H, settings: &Settings, state: &mut State, alerts: Alerts) -> Result<Switched> {
    begin(host, settings, state).await?;
    let before = settings.replica.customization.digest();
    let settings = host.set_alerts(alerts)?;
    let customization = &settings.replica.customization;
    let Some(applied) = state.replica.applied.clone() else { return Ok(Switched::Later) };
    let Verified(dump) = kept_or_fetched(host, &applied).await?;
    let here = host.export().await?;
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, settings.replica.schema) {
        let what = "the alerts are switched in the configuration file, and not in Uptime Kuma yet";
        return Err(Error::new(Kind::SchemaDiffers, what).because(reason));
    }
    let anew = |here: &Configuration| {
        let wanted = localise::wanted(&dump.configuration, here, customization)?.configuration;
        Ok(localise::only(wanted, here, |table| table == catalog::MONITOR_NOTIFICATION))
    };
    let switched = anew(&here.configuration)?;
    let changes = plan(&here.configuration, &switched);
    if !changes.is_empty() {
        host.rehearse(&changes, &here.configuration, &switched).await?;
        let goal = Goal { wanted: &anew, changes: &changes, schema: &here.schema };
        if let Err(error) = put_in_force(host, &settings, state, None, &here, goal, Restart::WhenNeeded).await {
            // What is not under way any more is not to be recovered from. Not saved, it is, and that does no harm.
            if let Err(second) = host.save(state) {
                host.report(&Event::Warning { text: second.chain() });
            }
            return Err(error);
        }
        state.intent = None;
    }
    // What was edited here by now is still an edit, and what this changed is none.
    let Content { digest, schema } = drift::content(here.clone(), customization);
    let untouched = state.replica.left.as_ref().is_none_or(|left| left.digest == digest && left.schema == schema);
    let left = match untouched {
        true => switched,
        false => localise::wanted(&dump.configuration, &here.configuration, customization)?.configuration,
    };
    let Content { digest, .. } = drift::content(Export { configuration: left, ..here }, customization);
    state.replica.left = Some(Left { digest, schema });
    if state.replica.customization == Some(before) {
        state.replica.customization = Some(customization.digest());
    }
    host.save(state)?;
    host.report(&Event::Alerts { on: alerts == Alerts::All, size: changes.size() });
    Ok(Switched::Now)
}

/// The dump of the snapshot in force: what is kept of it here, else from the repository.
async fn kept_or_fetched<H: Host>(host: &mut H, applied: &Applied) -> Result<Verified> {
    match host.applied().ok().flatten().and_then(|bytes| in_force(&bytes, applied)) {
        Some(verified) => Ok(verified),
        None => verify(&host.fetch(&applied.snapshot).await?, None),
    }
}
