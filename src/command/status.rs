//! `status`: what this host remembers, and how its rows differ from the snapshot in force. Makes no network requests.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::Cli;
use crate::config::Settings;
use crate::cycle::{Activity, Verified, in_force};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::host::Directories;
use crate::host::kuma::instance::Instance;
use crate::host::store;
use crate::localise::Desired;
use crate::model::state::Applied;
use crate::plan::{Plan, plan};
use crate::report::{Clock, StatusDocument, print};

use super::settings::settings;

pub(super) async fn show(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let directories = Directories::from_environment();
    let state = store::read_state(&directories.state)?.unwrap_or_default();
    let mut instance = Instance::new(settings.kuma.clone());
    // Whether the service runs is worth showing, but not worth failing for.
    let service = instance.activity().await.ok().map(|activity| match activity {
        Activity::Running => "running",
        Activity::Stopped => "stopped",
    });
    let clock = Clock { now: Timestamp::now(), zone: TimeZone::system() };
    let alarm = decide::alarm(&state, clock.now, settings.overdue_after, &clock.zone);
    let edits = match &state.replica.applied {
        Some(applied) if state.replica.is_drifted() => {
            Some(edits(&mut instance, &settings, &directories, applied).await)
        }
        _ => None,
    };
    let mut document = StatusDocument::new(&settings, service, state, alarm.as_ref().err(), clock);
    if let Some(edits) = edits {
        document = document.edits(edits.as_ref().map(Plan::clone));
    }
    print(&document, json)?;
    alarm
}

/// What it would take to undo the edits, from the kept dump of the snapshot in force.
async fn edits(
    instance: &mut Instance,
    settings: &Settings,
    directories: &Directories,
    applied: &Applied,
) -> Result<Plan> {
    let kept = match store::read_applied(&directories.state)? {
        Some(bytes) => in_force(&bytes, applied)?,
        None => None,
    };
    let Some(Verified(dump)) = kept else {
        return Err(Error::new(Kind::Files, "the snapshot in force is not kept on this host"));
    };
    let here = instance.database().await?.export().await?.configuration;
    let wanted = Desired::customized(&dump.configuration, &settings.replica.customization).on(&here)?;
    Ok(plan(&here, &wanted.configuration))
}
