//! One function per verb. They read arguments, call the cycle or the host, and give a document to
//! `report`; none of them decides anything about replication.

mod check;
mod operate;
mod transfer;

use std::path::Path;

use jiff::Timestamp;

use crate::cli::{Cli, Printing, Verb};
use crate::config::{OnDrift, Role, Settings};
use crate::cycle::{self, Activity, Event, Host as _, Orders, Promotion, Verified};
use crate::decide::{self, Apply, Publish};
use crate::error::{Error, Exit, Kind, Result};
use crate::host::files::{self, Store};
use crate::host::instance::Instance;
use crate::host::interrupt::Interrupt;
use crate::host::{Directories, System, notify, repository};
use crate::model::limits::MAX_SETTINGS;
use crate::model::manifest::Place;
use crate::model::state::{Intent, State};
use crate::plan::plan;
use crate::report::{InitDocument, PlanDocument, SnapshotsDocument, StatusDocument, print};
use crate::{localise, logging};

/// Does what the command line says and gives the exit code.
pub async fn run(cli: &Cli) -> Exit {
    let result = match &cli.verb {
        Verb::Run { confirm_shrink, retry } => {
            let orders = Orders { confirm_shrink: *confirm_shrink, retry: *retry, ..Orders::default() };
            return run_cycle(cli, orders).await;
        }
        Verb::Recover => return recover(cli).await,
        Verb::Plan(Printing { json }) => show_plan(cli, *json).await,
        Verb::Status(Printing { json }) => status(cli, *json).await,
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
        Verb::Demote { as_is } => operate::demote(cli, *as_is).await,
        Verb::Import { database, dry_run, file } => transfer::import(cli, database.as_deref(), *dry_run, file).await,
    };
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            // What was tried on this host is traced; a typing error is nobody's concern.
            if is_order(&cli.verb) && exit != Exit::Usage {
                logging::tell(&Event::Failed { error, snapshot: None, idle: None });
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
        Verb::Run { .. } | Verb::Hold { .. } | Verb::Release | Verb::Promote { .. } | Verb::Demote { .. } => true,
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

async fn run_cycle(cli: &Cli, orders: Orders) -> Exit {
    let mut state = State::default();
    match try_cycle(cli, orders, &mut state).await {
        Ok(()) => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            let taken_back = state.replica.refused.filter(|_| error.kind() == Kind::RolledBack);
            let snapshot = taken_back.map(|refused| refused.snapshot);
            let event = Event::Failed { error, snapshot, idle: decide::idle(state.last_success, Timestamp::now()) };
            notify::status(&event.to_string());
            logging::tell(&event);
            exit
        }
    }
}

/// Runs the cycle; `state` becomes what is remembered after it, as far as that could be read.
async fn try_cycle(cli: &Cli, orders: Orders, state: &mut State) -> Result<()> {
    let settings = settings(cli)?;
    if orders.retry && settings.role == Role::Main {
        let what = "only a replica tries a snapshot again; this host is the main";
        return Err(Error::new(Kind::Usage, what).hint("kuma-replicator run publishes what changed"));
    }
    let directories = Directories::from_environment();
    let interrupt = Interrupt::install()?;
    let store = Store::lock(&directories.state)?;
    if self::settings(cli)?.role != settings.role {
        let what = "the role of this host was turned while this cycle began";
        return Err(Error::new(Kind::AlreadyRunning, what).hint("the next cycle has the new role"));
    }
    *state = store.load()?;
    let mut system = System::new(settings.clone(), cli.config.clone(), directories, store, interrupt);
    cycle::run(&mut system, &settings, state, &orders).await.map(drop)
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
            logging::tell(&Event::Failed { error, snapshot: None, idle: None });
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
        return if matches!(activity, Ok(Activity::Running)) { Ok(()) } else { Err(error.hint(hint)) };
    }
    if activity? == Activity::Running || instance.systemd().await?.shutting_down().await? {
        return Ok(());
    }
    for text in instance.start(&dependents).await? {
        logging::tell(&Event::Warning { text });
    }
    logging::tell(&Event::Recovered { snapshot, started: true });
    Ok(())
}

async fn show_plan(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let directories = Directories::from_environment();
    // The lock keeps a cycle from changing what is looked at; nothing is written under it.
    let store = Store::lock(&directories.state)?;
    let state = store.load()?;
    if let Some(reason) = decide::on_hold(state.hold.as_ref(), Timestamp::now()) {
        return print(&PlanDocument::new(settings.role, "held", reason), json);
    }
    let mut system = System::new(settings.clone(), cli.config.clone(), directories, store, Interrupt::never());
    let document = match settings.role {
        Role::Main => plan_publish(&mut system, &settings, &state).await?,
        Role::Replica => plan_apply(&mut system, &settings, &state).await?,
    };
    print(&document, json)
}

async fn plan_publish(system: &mut System, settings: &Settings, state: &State) -> Result<PlanDocument> {
    if let Some(fenced) = state.main.as_ref().and_then(|main| main.fenced.as_ref()) {
        return Err(decide::fenced_since(fenced));
    }
    let prepared = cycle::prepare(system).await?;
    let mut main = match &state.main {
        Some(main) => main.clone(),
        None => cycle::first_state(system)?,
    };
    if let Some(published) = &main.published {
        decide::shrink(&published.counts, &prepared.export.configuration.counts(), settings.main.max_shrink)?;
    }
    let listing = system.look().await?;
    main.epoch = decide::epoch(&listing, &main);
    let rows: u64 = prepared.export.configuration.counts().values().sum();
    let document = |would, message| PlanDocument::new(Role::Main, would, message);
    Ok(match decide::publish(&listing, &main, prepared.content())? {
        Publish::AlreadyThere(snapshot) => {
            document("unchanged", format!("snapshot {} is this configuration", snapshot.id.short())).snapshot(snapshot)
        }
        Publish::At(Place { epoch, sequence, .. }) => {
            let digest = prepared.digest.short();
            let document =
                document("publish", format!("{rows} rows as epoch {epoch}, sequence {sequence}, digest {digest}"));
            match listing.newest().first() {
                // What changed since the newest snapshot, as a replica that has it will see it.
                Some(newest) if newest.label.readable() => {
                    let Verified(dump) = cycle::verify(&system.fetch(&newest.id).await?, Some(newest))?;
                    document.changes(&plan(&dump.configuration, &prepared.export.configuration), false)
                }
                _ => document,
            }
        }
    })
}

async fn plan_apply(system: &mut System, settings: &Settings, state: &State) -> Result<PlanDocument> {
    let document = |would, message: String| PlanDocument::new(Role::Replica, would, message);
    let listing = system.look().await?;
    let step = decide::apply(&listing, &state.replica)?;
    let snapshot = match step {
        Apply::Nothing => return Ok(document("held", "nothing has been published to the repository yet".to_owned())),
        Apply::UpToDate(snapshot) if state.replica.drift.is_none() => {
            return Ok(
                document("up to date", format!("snapshot {} is in force", snapshot.id.short())).snapshot(snapshot)
            );
        }
        Apply::Unreadable(snapshot) => {
            return Ok(
                document("held", format!("the main writes dump format {}", snapshot.label.format)).snapshot(snapshot)
            );
        }
        Apply::UpToDate(snapshot) | Apply::Fetch(snapshot) => snapshot,
    };
    let drift = state.replica.drift.as_ref().filter(|_| matches!(step, Apply::UpToDate(_)));
    let Verified(dump) = cycle::verify(&system.fetch(&snapshot.id).await?, Some(snapshot))?;
    let here = system.export().await?;
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, settings.replica.schema) {
        return Ok(document("held", reason).snapshot(snapshot));
    }
    let wanted = localise::wanted(&dump.configuration, &here.configuration, &settings.replica.wishes)?;
    if state.replica.applied.is_none() {
        decide::first_contact(&here.configuration.counts(), &wanted.counts())?;
    }
    let changes = plan(&here.configuration, &wanted);
    if changes.is_empty() {
        let message = format!("the rows here equal snapshot {}; it is only recorded", snapshot.id.short());
        return Ok(document("up to date", message).snapshot(snapshot));
    }
    let tried = system.rehearse(&changes, &here.configuration, &wanted).await;
    tried.map_err(|error| decide::unwritable(error, &here.schema, &dump.manifest.schema))?;
    let running = system.activity().await? == Activity::Running;
    let (would, message) = match drift {
        Some(drift) if settings.replica.on_drift == OnDrift::Report => {
            let since = drift.since.round(jiff::Unit::Second).unwrap_or(drift.since);
            let id = snapshot.id.short();
            ("up to date", format!("edited here, found {since}; to be as in snapshot {id} again it would take"))
        }
        _ => ("apply", format!("snapshot {} of host {}", snapshot.id.short(), snapshot.host)),
    };
    Ok(document(would, message).snapshot(snapshot).changes(&changes, running && would == "apply"))
}

async fn status(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let state = files::read_state(&Directories::from_environment().state)?.unwrap_or_default();
    let mut instance = Instance::new(settings.kuma);
    // Whether the service runs is worth showing, but not worth failing for.
    let service = instance.activity().await.ok().map(|activity| match activity {
        Activity::Running => "running",
        Activity::Stopped => "stopped",
    });
    let unit = instance.unit().to_string();
    let now = Timestamp::now();
    let alarm = decide::alarm(&state, now, settings.overdue_after);
    let document = StatusDocument::new(
        settings.role,
        settings.repository.to_string(),
        unit,
        service,
        state,
        alarm.as_ref().err(),
        now,
    );
    print(&document, json)?;
    alarm
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
        return Err(Error::new(Kind::Usage, what).hint("run kuma-replicator init on the main"));
    }
    let interrupt = Interrupt::install()?;
    let created = repository(&settings, &Directories::from_environment(), &interrupt)?.init().await?;
    print(&InitDocument { repository: settings.repository.to_string(), created }, false)
}
