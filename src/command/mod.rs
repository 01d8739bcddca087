//! One function per verb. They read arguments, call the cycle or the host, and give a document to
//! `report`; none of them decides anything about replication.

mod check;
mod operate;
mod plan;
mod status;
mod transfer;

use std::path::Path;

use jiff::Timestamp;

use crate::cli::{Cli, Printing, Verb};
use crate::config::{Role, Settings};
use crate::cycle::{self, Activity, Event, Options, Promotion};
use crate::decide;
use crate::error::{Error, Exit, Kind, Result};
use crate::host::kuma::instance::Instance;
use crate::host::store::Store;
use crate::host::system::files;
use crate::host::system::interrupt::Interrupt;
use crate::host::system::notify;
use crate::host::{Directories, System, repository};
use crate::logging;
use crate::model::limits::MAX_SETTINGS;
use crate::model::state::{Intent, State};
use crate::report::{InitDocument, SnapshotsDocument, print};

/// Does what the command line says and gives the exit code.
pub async fn run(cli: &Cli) -> Exit {
    let result = match &cli.verb {
        Verb::Run { confirm_shrink, retry } => {
            let options = Options { confirm_shrink: *confirm_shrink, retry: *retry, ..Options::default() };
            return run_cycle(cli, options).await;
        }
        Verb::Recover => return recover(cli).await,
        Verb::Plan(Printing { json }) => plan::show(cli, *json).await,
        Verb::Status(Printing { json }) => status::show(cli, *json).await,
        Verb::Snapshots(Printing { json }) => snapshots(cli, *json).await,
        Verb::Check(Printing { json }) => check::check(cli, *json).await,
        Verb::Init => init(cli).await,
        Verb::Export { database, file } => transfer::export(cli, database.as_deref(), file).await,
        Verb::Restore { dry_run, source } => operate::restore(cli, *dry_run, source).await,
        Verb::Hold { duration, reason } => operate::hold(cli, *duration, reason).await,
        Verb::Release => operate::release().await,
        Verb::Promote { as_is, confirm_shrink } => {
            operate::promote(cli, Promotion { as_is: *as_is, confirm_shrink: *confirm_shrink }).await
        }
        Verb::Alerts { switch } => operate::alerts(cli, *switch).await,
        Verb::Demote { as_is } => operate::demote(cli, *as_is).await,
        Verb::Import { database, dry_run, file } => transfer::import(cli, database.as_deref(), *dry_run, file).await,
    };
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            // What was tried on this host is traced; a typing error is nobody's concern.
            if is_order(&cli.verb) && exit != Exit::Usage {
                logging::report(&Event::Failed { error, snapshot: None, last_success_age: None });
            } else {
                logging::error(&error);
            }
            exit
        }
    }
}

/// Whether a verb changes something on this host, or lets a cycle do so: whoever types it leaves a trace in the
/// journal.
pub fn is_order(verb: &Verb) -> bool {
    match verb {
        Verb::Run { .. }
        | Verb::Hold { .. }
        | Verb::Release
        | Verb::Promote { .. }
        | Verb::Demote { .. }
        | Verb::Alerts { .. } => true,
        Verb::Restore { dry_run, .. } => !dry_run,
        _ => false,
    }
}

/// Reads and checks the configuration file.
fn settings(cli: &Cli) -> Result<Settings> {
    let path = &cli.config;
    let text = files::read_small_text(path, MAX_SETTINGS).map_err(|error| {
        let (missing, unfit) = (error.kind() == std::io::ErrorKind::NotFound, files::is_unfit(&error));
        let what = format!("read configuration {}", path.display());
        if unfit {
            return Error::new(Kind::Config, what).because(error);
        }
        let failed = Error::io(what, error);
        if missing { failed_configuration(path).because(failed) } else { failed }
    })?;
    Settings::parse(&text, path)
}

fn failed_configuration(path: &Path) -> Error {
    Error::new(Kind::Config, format!("there is no configuration {}", path.display()))
}

async fn run_cycle(cli: &Cli, options: Options) -> Exit {
    let mut state = State::default();
    match try_cycle(cli, options, &mut state).await {
        Ok(()) => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            let taken_back = state.replica.refused.filter(|_| error.kind() == Kind::RolledBack);
            let snapshot = taken_back.map(|refused| refused.snapshot);
            let last_success_age = decide::last_success_age(state.last_success, Timestamp::now());
            let event = Event::Failed { error, snapshot, last_success_age };
            notify::status(&event.to_string());
            logging::report(&event);
            exit
        }
    }
}

/// Runs the cycle; `state` becomes what is remembered after it, as far as that could be read.
async fn try_cycle(cli: &Cli, options: Options, state: &mut State) -> Result<()> {
    let settings = settings(cli)?;
    if options.retry && settings.role == Role::Main {
        let what = "only a replica tries a snapshot again; this host is the main";
        return Err(Error::new(Kind::Usage, what).with_hint("kuma-replicator run publishes what changed"));
    }
    let directories = Directories::from_environment();
    let interrupt = Interrupt::install()?;
    let store = Store::lock(&directories.state)?;
    if self::settings(cli)?.role != settings.role {
        let what = "the role of this host was turned while this cycle began";
        return Err(Error::new(Kind::AlreadyRunning, what).with_hint("the next cycle has the new role"));
    }
    *state = store.load()?;
    let mut system = System::new(settings.clone(), cli.config.clone(), directories, store, interrupt);
    cycle::run(&mut system, &settings, state, &options).await.map(drop)
}

/// Runs after every cycle, also after a killed one. Only starts what a cycle left stopped; whether Uptime
/// Kuma is healthy, and what became of the rows, the next cycle finds out.
async fn recover(cli: &Cli) -> Exit {
    match try_recover(cli).await {
        Ok(()) => Exit::Success,
        // A cycle that somebody runs by hand at this moment looks after its own.
        Err(error) if error.kind() == Kind::AlreadyRunning => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            logging::report(&Event::Failed { error, snapshot: None, last_success_age: None });
            exit
        }
    }
}

async fn try_recover(cli: &Cli) -> Result<()> {
    let directories = Directories::from_environment();
    let store = Store::lock(&directories.state)?;
    let loaded = store.load();
    let (start, snapshot, dependents) = match &loaded {
        Ok(State { intent: Some(Intent { start: true, snapshot, dependents, .. }), .. }) => {
            (true, snapshot.clone(), dependents.clone())
        }
        Ok(_) => return Ok(()),
        // The cycle has said what is wrong with it. It may still tell who stopped Uptime Kuma.
        Err(_) => (store.tells_to_start()?, None, Vec::new()),
    };
    let mut instance = Instance::new(settings(cli)?.kuma);
    let unit = instance.unit().clone();
    let activity = instance.activity().await;
    if let Err(error) = loaded
        && !start
    {
        // Somebody may have stopped it on purpose: that is not undone on a guess.
        let hint = format!("the file was kept; if nobody stopped {unit} on purpose: systemctl start {unit}");
        return if matches!(activity, Ok(Activity::Running)) { Ok(()) } else { Err(error.with_hint(hint)) };
    }
    if activity? == Activity::Running || instance.systemd().await?.shutting_down().await? {
        return Ok(());
    }
    for text in instance.start(&dependents).await? {
        logging::report(&Event::Warning { text });
    }
    logging::report(&Event::Recovered { origin: cycle::origin(snapshot.as_ref()), started: true });
    Ok(())
}

async fn snapshots(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let interrupt = Interrupt::install()?;
    let listing = repository(&settings, &Directories::from_environment(), &interrupt)?.look().await?;
    print(&SnapshotsDocument::new(listing), json)
}

async fn init(cli: &Cli) -> Result<()> {
    let settings = settings(cli)?;
    if settings.role == Role::Replica {
        let what = "only a main creates the repository; this host is a replica";
        return Err(Error::new(Kind::Usage, what).with_hint("run kuma-replicator init on the main"));
    }
    let interrupt = Interrupt::install()?;
    let created = repository(&settings, &Directories::from_environment(), &interrupt)?.init().await?;
    print(&InitDocument { repository: settings.repository.to_string(), created }, false)
}
