//! What an operator orders by hand: restore, hold, release, promote, demote, alerts, forget. Each order waits for a running
//! cycle, and the journal records it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::{Cli, Switch};
use crate::config::{Alerts, Role, Settings};
use crate::cycle::{
    Activity, AlertsSwitch, Event, Kuma as _, Options, Promotion, RoleChange, Session, Source, Store as _,
    Surroundings as _, Tidying,
};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::host::store::{MAX_WAIT, Store};
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, System, keep_for_receivers};
use crate::logging;
use crate::model::snapshot::Malformed;
use crate::model::state::{Hold, PendingHistory, State};
use crate::report::{ForgetDocument, PlanDocument, say, show};
use crate::text;

use super::settings::settings;

/// Whether an order needs the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// It does, and waits like a cycle.
    Repository,
    /// It does not: a cycle that waits for the repository ends for it.
    Nothing,
}

/// Everything an order needs, under the lock.
async fn begin(cli: &Cli, needs: Needs) -> Result<(Settings, System, State)> {
    let directories = Directories::from_environment();
    let store = match needs {
        Needs::Repository => Store::wait(&directories.state, MAX_WAIT).await?,
        Needs::Nothing => Store::wait_first(&directories.state).await?,
    };
    // Not before: a signal ends the wait.
    let interrupt = Interrupt::install()?;
    // Read under the lock: the process that held it before may have changed the role.
    let settings = settings(cli)?;
    let state = store.load()?;
    let system = System::new(settings.clone(), cli.config.clone(), directories, store, interrupt);
    Ok((settings, system, state))
}

pub(super) async fn restore(cli: &Cli, dry_run: bool, source: &str) -> Result<()> {
    let source = match source {
        "previous" => Source::Previous,
        text => Source::Snapshot(text.parse().map_err(|error: Malformed| {
            Error::new(Kind::Usage, format!("cannot restore '{text}'"))
                .because(error)
                .with_hint("give \"previous\" or an id of at least 8 digits from kuma-replicator snapshots")
        })?),
    };
    let needs = if source == Source::Previous { Needs::Nothing } else { Needs::Repository };
    let (settings, mut system, mut state) = begin(cli, needs).await?;
    let mut session = Session::new(&mut system, &settings, &mut state, Options::default());
    let restoration = session.prepare_restore(source).await?;
    let running = session.host.activity().await? == Activity::Running;
    let document = PlanDocument::ordered(settings.role, "restore", restoration.name.clone());
    let document = document.changes(&restoration.change.plan);
    show(&if running && !restoration.change.plan.is_empty() { document.restart(&[]) } else { document }, false)?;
    if dry_run {
        return Ok(());
    }
    let restored = session.restore(restoration).await;
    restored.map_err(|error| match error.kind() {
        Kind::ServiceBusy => error.with_hint("wait until it answers, or stop it first: systemctl stop uptime-kuma"),
        _ => error,
    })
}

pub(super) async fn hold(cli: &Cli, duration: Option<SignedDuration>, reason: &str) -> Result<()> {
    let now = Timestamp::now();
    let until = duration.map(|duration| {
        now.checked_add(duration).ok().filter(|until| *until > now).ok_or_else(|| {
            let how = if duration.is_negative() { "until" } else { "for" };
            let what = format!("cannot hold {how} {duration:#}");
            Error::new(Kind::Usage, what).with_hint("give a time such as 2h or 30m")
        })
    });
    let until = until.transpose()?;
    let directories = Directories::from_environment();
    let store = Store::wait_first(&directories.state).await?;
    let mut state = store.load()?;
    let before = state.hold.replace(Hold { reason: reason.to_owned(), since: now, until });
    store.save(&state)?;
    if let Some(before) = decide::on_hold(before.as_ref(), now) {
        say(format!("this replaces the hold until {}", described(before)))?;
    }
    let reason = reason.to_owned();
    let last_success_age = decide::last_success_age(state.last_success, now);
    logging::report(&Event::OnHold { reason, until, again: false, last_success_age });
    if state.intent.is_none() && state.replica.history.is_none() {
        return Ok(());
    }
    // Otherwise a cycle would start Uptime Kuma, or an upgrade would fail, while a person relies on this hold.
    let (settings, interrupt) = (settings(cli)?, Interrupt::install()?);
    let mut system = System::new(settings.clone(), cli.config.clone(), directories, store, interrupt);
    let mut session = Session::new(&mut system, &settings, &mut state, Options::default());
    session.recover().await?;
    while let Some(PendingHistory { rows, bring_back }) = session.state.replica.history {
        let rows = if rows == 0 { "history".to_owned() } else { text::count(rows, "row") };
        say(format!("{rows} of removed monitors left to remove"))?;
        session.host.check_interrupted()?;
        let tidied = session.tidy_history(bring_back).await;
        session.host.save(session.state)?;
        tidied?;
    }
    Ok(())
}

/// When a hold ends, and why there is one.
fn described(Hold { reason, until, .. }: &Hold) -> String {
    let end =
        until.map_or_else(|| "kuma-replicator release".to_owned(), |until| text::time(until, &TimeZone::system()));
    format!("{end}: {}", text::line(reason))
}

pub(super) async fn release(cli: &Cli) -> Result<()> {
    let directories = Directories::from_environment();
    let store = Store::wait_first(&directories.state).await?;
    let mut state = store.load()?;
    if state.hold.take().is_none() {
        return say("this host was not on hold");
    }
    state.obeyed("release", Timestamp::now());
    store.save(&state)?;
    let event = Event::Released { by_hand: true };
    logging::report(&event);
    // A hold ends whatever is wrong with the configuration.
    if let Ok(settings) = settings(cli) {
        keep_for_receivers(&event, &settings, &directories);
    }
    Ok(())
}

/// How `forget` is ordered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgetting {
    pub(super) dry_run: bool,
    pub(super) prune: bool,
    pub(super) json: bool,
}

pub(super) async fn forget(cli: &Cli, Forgetting { dry_run, prune, json }: Forgetting) -> Result<()> {
    let (settings, mut system, mut state) = begin(cli, Needs::Repository).await?;
    let mut session = Session::new(&mut system, &settings, &mut state, Options::default());
    let retained = session.prepare_forget().await?;
    let tidying = Tidying::of(&retained, prune);
    show(&ForgetDocument::new(retained, dry_run, prune, TimeZone::system()), json)?;
    if dry_run || tidying.forget.is_empty() && !prune {
        return Ok(());
    }
    session.forget_as_ordered(&tidying).await
}

pub(super) async fn promote(cli: &Cli, promotion: Promotion) -> Result<()> {
    let (settings, mut system, mut state) = begin(cli, Needs::Repository).await?;
    match Session::new(&mut system, &settings, &mut state, Options::default()).promote(promotion).await? {
        RoleChange::Unchanged => say("this host is the main already"),
        RoleChange::Changed => Ok(()),
    }
}

pub(super) async fn demote(cli: &Cli, as_is: bool) -> Result<()> {
    let needs = if as_is { Needs::Nothing } else { Needs::Repository };
    let (settings, mut system, mut state) = begin(cli, needs).await?;
    match Session::new(&mut system, &settings, &mut state, Options::default()).demote(as_is).await? {
        RoleChange::Unchanged => say("this host is a replica already"),
        RoleChange::Changed => Ok(()),
    }
}

pub(super) async fn alerts(cli: &Cli, switch: Switch) -> Result<()> {
    let (settings, mut system, mut state) = begin(cli, Needs::Nothing).await?;
    if settings.role == Role::Main {
        let what = "only the alerts of a replica can be switched; this host is the main";
        return Err(Error::new(Kind::Usage, what).with_hint("run it on a replica; on the main, detach notifications"));
    }
    let alerts = match switch {
        Switch::On => Alerts::On,
        Switch::Off => Alerts::Off,
    };
    match Session::new(&mut system, &settings, &mut state, Options::default()).switch_alerts(alerts).await? {
        AlertsSwitch::Now => Ok(()),
        AlertsSwitch::WithFirstApply => say("nothing was applied here yet: the first apply switches the alerts"),
    }
}
