//! `run`: one cycle.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cli::Cli;
use crate::config::{Role, Settings};
use crate::cycle::{Conclusion, Event, Options, Session};
use crate::decide;
use crate::error::{Error, Exit, Kind, Result};
use crate::host::store::{self, Store};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::notify as status;
use crate::host::{Directories, System, booted, is_started_by_timer, tell_prometheus};
use crate::logging;
use crate::model::outcome::Outcome;
use crate::model::state::{LastCycle, State};
use crate::report::{self, RunDocument};

use super::notify::{self, Left};
use super::settings::settings;

/// How long a cycle waits for a command that is at work, such as `plan`.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A cycle of this process.
struct Cycle<'a> {
    cli: &'a Cli,
    options: Options,
    directories: Directories,
    /// That of this host, once it is known.
    role: Option<Role>,
    /// What this host remembers, as far as that could be read.
    state: State,
    /// How the cycle before ended.
    before: Option<LastCycle>,
    /// Whether it reported something that the journal keeps.
    has_news: bool,
    /// The settings, once it has begun.
    settings: Option<Settings>,
    /// What receivers are told of it.
    left: Left,
}

/// Runs a cycle unless the timer started it too early, reports its failure as an event, and returns the exit code.
pub(super) async fn run(cli: &Cli, options: Options, json: bool) -> Exit {
    let (directories, begun) = (Directories::from_environment(), Instant::now());
    if store::has_failed_within(&directories.state, decide::AFTER_FAILURE, booted()) && is_started_by_timer().await {
        return Exit::Success;
    }
    if json {
        logging::keep();
    }
    // Before anything is changed: what kills this run must not keep the next one from going on.
    store::forget_failure(&directories.state);
    let (state, before, left) = (State::default(), None, Left::default());
    let mut cycle =
        Cycle { cli, options, directories, role: None, state, before, has_news: false, settings: None, left };
    let result = cycle.run().await;
    cycle.left.ended = notify::ended(&result, begun.elapsed());
    let exit = cycle.conclude(result, begun, json);
    // The lock is free, and Uptime Kuma runs.
    notify::tell(cycle.left, &cycle.directories).await;
    exit
}

impl Cycle<'_> {
    /// Reports how it ended, and returns the exit code.
    fn conclude(&self, result: Result<Option<Conclusion>>, begun: Instant, json: bool) -> Exit {
        let (outcome, message, failure) = match result {
            Ok(None) => return Exit::Success,
            Ok(Some(end)) => (end.outcome(), end.reason().unwrap_or_default().to_owned(), None),
            Err(error) => (Outcome::from(error.kind()), error.chain(), Some(error)),
        };
        let document = json.then(|| {
            RunDocument::new(outcome, message, begun.elapsed()).failure(failure.as_ref()).of(self.role, &self.state)
        });
        let exit = failure.as_ref().map_or(Exit::Success, |error| error.kind().exit());
        if let Some(error) = failure {
            self.report(error);
        }
        if let Some(settings) = &self.settings {
            tell_prometheus(settings, &self.state, &self.directories, begun.elapsed());
        }
        match document.map(|document| report::print_json(&document.events(logging::kept()))) {
            Some(Err(error)) if exit == Exit::Success => {
                logging::error(&error);
                error.kind().exit()
            }
            _ => exit,
        }
    }

    /// Runs it. Returns nothing if the timer started it and nothing is due.
    async fn run(&mut self) -> Result<Option<Conclusion>> {
        self.settings()?;
        let store = Store::wait(&self.directories.state, PATIENCE).await?;
        // Not before: a signal ends the wait.
        let interrupt = Interrupt::install()?;
        // Read under the lock: an order that held it may have changed them.
        let settings = self.settings()?;
        self.state = store.load()?;
        self.before.clone_from(&self.state.last_cycle);
        if !decide::is_due(&settings, &self.state, Timestamp::now(), booted()) && is_started_by_timer().await {
            return Ok(None);
        }
        self.left.starts = notify::begin(&settings, &self.directories.state);
        self.settings = Some(settings.clone());
        let configuration = self.cli.config.clone();
        let system = System::new(settings.clone(), configuration, self.directories.clone(), store, interrupt);
        let mut system = system.that_gives_way();
        let mut session = Session::new(&mut system, &settings, &mut self.state, self.options);
        let result = session.run().await;
        self.has_news = session.has_news;
        result.map(Some)
    }

    /// The settings of this host, if these options fit its role.
    fn settings(&mut self) -> Result<Settings> {
        let settings = settings(self.cli)?;
        self.role = Some(settings.role);
        self.left.settings = Some(settings.clone());
        if self.options.retry && settings.role == Role::Main {
            return Err(no_retry());
        }
        Ok(settings)
    }

    /// Reports why it failed, and remembers that it did.
    fn report(&self, error: Error) {
        if error.kind().exit() == Exit::Usage {
            return logging::error(&error);
        }
        store::remember_failure(&self.directories.state);
        let rolled_back = self.state.replica.verdict.as_ref().filter(|_| error.kind() == Kind::RolledBack);
        let snapshot = rolled_back.map(|verdict| verdict.snapshot.clone());
        let last_success_age = decide::last_success_age(self.state.last_success, Timestamp::now());
        // The rows that are refused stand in the journal once, and in `status` as long as they are.
        let is_same = self.before.as_ref().is_some_and(|last| last.message == error.chain());
        let again = error.kind() == Kind::Shrunk && is_same && !self.has_news;
        let event = Event::Failed { error, snapshot, last_success_age, again };
        status::status(&event.to_string());
        logging::report(&event);
        store::count(&self.directories.state, &event);
    }
}

fn no_retry() -> Error {
    let what = "only a replica tries a snapshot again; this host is the main";
    Error::new(Kind::Usage, what).with_hint("kuma-replicator run publishes what changed")
}
