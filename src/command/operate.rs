//! What an operator orders by hand: restore, hold, release, promote, demote. Each waits for a cycle that is at work.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cli::Cli;
use crate::config::{Role, Settings};
use crate::cycle::{self, Activity, Host as _, Source, Turn};
use crate::error::{Error, Kind, Result};
use crate::host::files::Store;
use crate::host::interrupt::Interrupt;
use crate::host::{Directories, System};
use crate::model::snapshot::{Malformed, SnapshotId};
use crate::model::state::{Hold, State};
use crate::report::{PlanDocument, print, say};

use super::settings;

/// How long an order waits for a cycle that is at work: longer than most applies.
const PATIENCE: Duration = Duration::from_secs(300);

/// Everything an order needs, under the lock.
async fn begin(cli: &Cli) -> Result<(Settings, System, State)> {
    let settings = settings(cli)?;
    let directories = Directories::from_environment();
    let interrupt = Interrupt::install()?;
    let store = Store::wait(&directories.state, PATIENCE).await?;
    let state = store.load()?;
    let system = System::new(settings.clone(), cli.config.clone(), directories, store, interrupt);
    Ok((settings, system, state))
}

pub(super) async fn restore(cli: &Cli, dry_run: bool, source: &str) -> Result<()> {
    let (source, reason) = match source {
        "previous" => (Source::Previous, "the previous configuration was restored".to_owned()),
        text => {
            let id: SnapshotId = text.parse().map_err(|error: Malformed| {
                Error::new(Kind::Usage, format!("cannot restore '{text}'"))
                    .because(error)
                    .hint("give \"previous\" or an id of at least 8 digits from kuma-replicator snapshots")
            })?;
            let reason = format!("snapshot {} was restored", id.short());
            (Source::Snapshot(id), reason)
        }
    };
    let (settings, mut system, mut state) = begin(cli).await?;
    let restoration = cycle::prepare_restore(&mut system, &settings, &mut state, &source).await?;
    let running = system.activity().await? == Activity::Running;
    let document = PlanDocument::new(settings.role, "restore", restoration.name.clone());
    print(&document.changes(&restoration.changes, running), false)?;
    if dry_run {
        return Ok(());
    }
    cycle::restore(&mut system, &settings, &mut state, restoration, reason).await?;
    say("the cycles of this host are on hold now; kuma-replicator release ends that")
}

pub(super) async fn hold(duration: Option<SignedDuration>, reason: &str) -> Result<()> {
    let now = Timestamp::now();
    let until = duration.map(|duration| {
        now.checked_add(duration).ok().filter(|until| *until > now).ok_or_else(|| {
            Error::new(Kind::Usage, format!("cannot hold for {duration:#}")).hint("give a time such as 2h or 30m")
        })
    });
    let until = until.transpose()?;
    let store = Store::wait(&Directories::from_environment().state, PATIENCE).await?;
    let mut state = store.load()?;
    state.hold = Some(Hold { reason: reason.to_owned(), since: now, until });
    store.save(&state)?;
    say(match until {
        Some(until) => format!("on hold until {until}: no cycle changes anything on this host"),
        None => "on hold until kuma-replicator release: no cycle changes anything on this host".to_owned(),
    })
}

pub(super) async fn release() -> Result<()> {
    let store = Store::wait(&Directories::from_environment().state, PATIENCE).await?;
    let mut state = store.load()?;
    if state.hold.take().is_none() {
        return say("this host was not on hold");
    }
    store.save(&state)?;
    say("released: the next cycle goes on")
}

pub(super) async fn promote(cli: &Cli, as_is: bool) -> Result<()> {
    let (settings, mut system, mut state) = begin(cli).await?;
    let turn = cycle::promote(&mut system, &settings, &mut state, as_is).await?;
    say_turn(&turn, Role::Main)
}

pub(super) async fn demote(cli: &Cli, as_is: bool) -> Result<()> {
    let (settings, mut system, mut state) = begin(cli).await?;
    let turn = cycle::demote(&mut system, &settings, &mut state, as_is).await?;
    say_turn(&turn, Role::Replica)
}

fn say_turn(turn: &Turn, role: Role) -> Result<()> {
    let article = if role == Role::Main { "the" } else { "a" };
    say(match turn {
        Turn::Already => format!("this host is {article} {role} already"),
        Turn::Turned => format!("this host is {article} {role} now"),
    })
}
