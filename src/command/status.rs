//! `status`: what this host remembers, and how its rows differ from the snapshot in force. Makes no network requests.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::Cli;
use crate::config::{Role, Settings, UnitName};
use crate::cycle::{Activity, Verified, in_force};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::instance::Instance;
use crate::host::{Directories, SERVICE, store};
use crate::localise::Desired;
use crate::metrics::{self, Known};
use crate::model::configuration::Configuration;
use crate::model::state::Applied;
use crate::plan::{Plan, plan};
use crate::report::{self, Clock, StatusDocument};
use crate::terminal;

use super::settings::settings;

pub(super) async fn show(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let directories = Directories::from_environment();
    let state = store::read_state(&directories.state)?.unwrap_or_default();
    let mut instance = Instance::new(settings.kuma.clone());
    let waiting = terminal::wait(format!("asking systemd about {}", instance.unit()));
    // Whether the service runs is worth showing, but not worth failing for.
    let service = instance.activity().await.ok().map(|activity| match activity {
        Activity::Running => "running",
        Activity::Stopped => "stopped",
    });
    let takes = match (settings.role, service) {
        (Role::Replica, Some("running")) => instance.server().await.ok().and_then(|server| server.known_to_take()),
        _ => None,
    };
    let not_started = not_started(&mut instance).await;
    let clock = Clock { now: Timestamp::now(), zone: TimeZone::system() };
    let alarm = decide::alarm(&state, clock.now, settings.overdue_after, &clock.zone);
    // It says more than that cycles are overdue.
    let alarm = match (alarm, &not_started) {
        (Err(error), Some(_)) if error.kind() != Kind::Overdue => Err(error),
        (_, Some(reason)) => {
            let what = format!("systemd could not start {SERVICE}: {reason}");
            Err(Error::new(Kind::NotPermitted, what).with_hint("kuma-replicator check says more"))
        }
        (alarm, None) => alarm,
    };
    let edits = match &state.replica.applied {
        Some(applied) if state.replica.is_drifted() => {
            Some(edits(&mut instance, &settings, &directories, applied).await)
        }
        _ => None,
    };
    drop(waiting);
    let mut document = StatusDocument::new(&settings, service, state, alarm.as_ref().err(), clock);
    document = document.not_started(not_started);
    if let Some(memory) = store::read_memory(&directories.state).filter(|_| !settings.receivers.is_empty()) {
        document = document.receivers(&memory, &settings.receivers);
    }
    if let Some(takes) = takes {
        let interval = settings.replica.min_restart_interval;
        document = document.restarts(takes, decide::between_restarts(interval, Some(takes)));
    }
    if let Some(edits) = edits {
        document = document.edits(edits.as_ref().map(Plan::clone));
    }
    report::show(&document, json)?;
    alarm
}

/// What the last cycle wrote, or would have written, into the metrics file.
pub(super) fn metrics(cli: &Cli) -> Result<()> {
    let settings = settings(cli)?;
    let directories = Directories::from_environment();
    let state = store::read_state(&directories.state)?.unwrap_or_default();
    let counters = store::read_counters(&directories.state)?;
    report::say(metrics::text(&Known { settings: &settings, state: &state, counters: &counters }))
}

/// Why systemd could not even start the last cycle, if it could not. That it is unknown is not worth failing for.
async fn not_started(instance: &mut Instance) -> Option<String> {
    let name = UnitName::new(SERVICE).ok()?;
    instance.systemd().await.ok()?.not_started(&name).await.ok()?
}

/// What it would take to undo the edits, from the kept dump of the snapshot in force.
async fn edits(
    instance: &mut Instance,
    settings: &Settings,
    directories: &Directories,
    applied: &Applied,
) -> Result<Plan> {
    let kept = match store::read_applied(&directories.state)? {
        Some(bytes) => in_force(&bytes, applied, &Configuration::default())?,
        None => None,
    };
    let Some(Verified(dump)) = kept else {
        return Err(Error::new(Kind::Files, "the snapshot in force is not kept on this host"));
    };
    let _waiting = terminal::wait("comparing the configuration of Uptime Kuma with the snapshot in force");
    let here = instance.database().await?.export().await?.configuration;
    let wanted = Desired::customized(&dump.configuration, &settings.replica.customization).on(&here)?;
    Ok(plan(&here, &wanted.configuration))
}
