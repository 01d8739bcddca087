//! `run`: one cycle.

use std::time::Duration;

use jiff::Timestamp;

use crate::cli::Cli;
use crate::config::Role;
use crate::cycle::{Event, Options, Session};
use crate::decide;
use crate::error::{Error, Exit, Kind, Result};
use crate::host::store::{self, Store};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::notify;
use crate::host::{Directories, System, booted, is_started_by_timer};
use crate::logging;
use crate::model::state::{LastCycle, State};

use super::settings::settings;

/// How long a cycle waits for a command that is at work, such as `plan`.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a cycle unless the timer started it too early, reports its failure as an event, and returns the exit code.
pub(super) async fn run(cli: &Cli, options: Options) -> Exit {
    let directories = Directories::from_environment();
    if store::has_failed_within(&directories.state, decide::AFTER_FAILURE, booted()) && is_started_by_timer().await {
        return Exit::Success;
    }
    // Before anything is changed: what kills this run must not keep the next one from going on.
    store::forget_failure(&directories.state);
    let (mut state, mut before) = (State::default(), None);
    match try_cycle(cli, options, &directories, &mut state, &mut before).await {
        Ok(()) => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            if exit == Exit::Usage {
                logging::error(&error);
                return exit;
            }
            store::remember_failure(&directories.state);
            let rolled_back = state.replica.verdict.filter(|_| error.kind() == Kind::RolledBack);
            let snapshot = rolled_back.map(|verdict| verdict.snapshot);
            let last_success_age = decide::last_success_age(state.last_success, Timestamp::now());
            // The rows that are refused stand in the journal once, and in `status` as long as they are.
            let again = error.kind() == Kind::Shrunk && before.is_some_and(|last| last.message == error.chain());
            let event = Event::Failed { error, snapshot, last_success_age, again };
            notify::status(&event.to_string());
            logging::report(&event);
            exit
        }
    }
}

/// Runs the cycle. Afterwards `state` is what this host remembers, as far as that could be read, and `before` how the cycle
/// before ended.
async fn try_cycle(
    cli: &Cli,
    options: Options,
    directories: &Directories,
    state: &mut State,
    before: &mut Option<LastCycle>,
) -> Result<()> {
    let settings = settings(cli)?;
    if options.retry && settings.role == Role::Main {
        return Err(no_retry());
    }
    let store = Store::wait(&directories.state, PATIENCE).await?;
    // Not before: a signal ends the wait.
    let interrupt = Interrupt::install()?;
    // Read under the lock: an order that held it may have changed them.
    let settings = self::settings(cli)?;
    if options.retry && settings.role == Role::Main {
        return Err(no_retry());
    }
    *state = store.load()?;
    before.clone_from(&state.last_cycle);
    if !decide::is_due(&settings, state, Timestamp::now(), booted()) && is_started_by_timer().await {
        return Ok(());
    }
    let system = System::new(settings.clone(), cli.config.clone(), directories.clone(), store, interrupt);
    let mut system = system.that_gives_way();
    Session::new(&mut system, &settings, state, options).run().await.map(drop)
}

fn no_retry() -> Error {
    let what = "only a replica tries a snapshot again; this host is the main";
    Error::new(Kind::Usage, what).with_hint("kuma-replicator run publishes what changed")
}
