//! `status`: what this host remembers, and how its rows differ from what is in force. Asks no network.

use jiff::Timestamp;

use crate::cli::Cli;
use crate::config::Settings;
use crate::cycle::{Activity, Verified, in_force};
use crate::decide;
use crate::error::Result;
use crate::host::kuma::instance::Instance;
use crate::host::{Directories, store};
use crate::localise;
use crate::model::state::Applied;
use crate::plan::{Plan, plan};
use crate::report::{StatusDocument, print};

use super::settings;

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
    let now = Timestamp::now();
    let alarm = decide::alarm(&state, now, settings.overdue_after);
    let edits = match (&state.replica.drift, &state.replica.applied) {
        (Some(_), Some(applied)) => edits(&mut instance, &settings, &directories, applied).await,
        _ => None,
    };
    let unit = instance.unit().to_string();
    let mut document = StatusDocument::new(&settings, unit, service, state, alarm.as_ref().err(), now);
    if let Some(edits) = edits {
        document = document.edits(&edits);
    }
    print(&document, json)?;
    alarm
}

/// What it would take to be as in the snapshot in force again; none if that cannot be found out.
async fn edits(
    instance: &mut Instance,
    settings: &Settings,
    directories: &Directories,
    applied: &Applied,
) -> Option<Plan> {
    let Verified(dump) = in_force(&store::read_applied(&directories.state).ok().flatten()?, applied)?;
    let here = instance.database().await.ok()?.export().ok()?.configuration;
    let wanted = localise::wanted(&dump.configuration, &here, &settings.replica.customization).ok()?;
    Some(plan(&here, &wanted.configuration))
}
