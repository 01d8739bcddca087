//! `plan`: prepares what `run` would carry out, and prints it.

use jiff::Timestamp;

use crate::cli::Cli;
use crate::cycle::{
    Activity, Application, Cause, Kuma as _, Options, Publication, Ready, Session, Surroundings as _, Tidying,
    WHY_DEFERRED, Way,
};
use crate::error::Result;
use crate::host::store::{MAX_WAIT, Store};
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, System};
use crate::model::manifest::Place;
use crate::model::snapshot::Snapshot;
use crate::model::state::LocalRows;
use crate::plan::plan;
use crate::report::{self, PlanDocument};
use crate::{logging, text};

use super::settings::settings;

pub(super) async fn show(cli: &Cli, json: bool) -> Result<()> {
    // The lock keeps a cycle from changing what is looked at. Nothing is written under it.
    let directories = Directories::from_environment();
    let store = Store::lock(&directories.state)?;
    show_under(store, directories, cli, json).await
}

/// The same, after a cycle that is at work.
pub(super) async fn show_next(cli: &Cli) -> Result<()> {
    let directories = Directories::from_environment();
    let store = Store::wait(&directories.state, MAX_WAIT).await?;
    show_under(store, directories, cli, false).await
}

async fn show_under(store: Store, directories: Directories, cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let mut state = store.load()?;
    let system = System::new(settings.clone(), cli.config.clone(), directories, store, Interrupt::never());
    let mut system = system.for_preview().that_gives_way();
    let mut session = Session::new(&mut system, &settings, &mut state, Options::default());
    if let Some(intent) = &session.state.intent {
        logging::warning(&format!("{} was interrupted; run finishes it first, which plan does not do", intent.origin));
    }
    let ready = session.prepare().await?;
    let document = describe(&mut session, ready).await?;
    // A pager may show it for hours. The lock is released before.
    drop(system);
    report::show(&document, json)
}

async fn describe(session: &mut Session<'_, System>, ready: Ready) -> Result<PlanDocument> {
    let (role, outcome) = (session.settings.role, ready.outcome());
    let document = |message: String| PlanDocument::new(role, outcome.name(), message);
    Ok(match ready {
        Ready::OnHold(hold) => document(hold.reason),
        Ready::Unchanged { digest, found: None, .. } => {
            document(format!("the configuration is the one that was published last (digest {})", digest.short()))
        }
        Ready::Unchanged { found: Some(snapshot), tidying, .. } => {
            let message = format!("already identical to snapshot {}", snapshot.id.short());
            document(message + &tidied(&tidying)).snapshot(&snapshot)
        }
        Ready::Publish(publication) => publish(session, &publication, document).await,
        Ready::UpToDate { snapshot, drifted: false } => {
            document(format!("snapshot {} is in force", snapshot.id.short())).snapshot(&snapshot)
        }
        Ready::UpToDate { snapshot, drifted: true } => {
            let message = format!("snapshot {} is in force, with edits made on this replica", snapshot.id.short());
            let message = message + &since(session);
            match session.undo_drift(&snapshot).await {
                Ok((changes, notes)) => document(format!("{message}; to undo them would take:"))
                    .snapshot(&snapshot)
                    .notes(&notes)
                    .changes(&changes),
                Err(error) => {
                    logging::warning(&format!("what it would take to undo them cannot be shown: {}", error.chain()));
                    document(message).snapshot(&snapshot)
                }
            }
        }
        Ready::Blocked { reason, snapshot } => match snapshot {
            Some(snapshot) => document(reason).snapshot(&snapshot),
            None => document(reason),
        },
        Ready::Deferred { snapshot, until } => document(deferred(session, &snapshot, until)).snapshot(&snapshot),
        Ready::Apply(application) => {
            let document = apply(session, application, document);
            if !document.restarts() {
                return Ok(document);
            }
            // A server of which nothing is known is restarted all the same.
            let server = session.host.server().await.ok();
            document.begin_within(server.and_then(|server| server.known_to_take()))
        }
    })
}

/// A publish, with what changed since the newest snapshot, as a replica that has it will see it.
async fn publish(
    session: &mut Session<'_, System>,
    publication: &Publication,
    document: impl Fn(String) -> PlanDocument,
) -> PlanDocument {
    let message = published(publication);
    match session.published_before(publication).await {
        Ok(Some(before)) => {
            let now = &publication.canonical.export.configuration;
            let zone = match &now.zone {
                Some(zone) if before.zone != now.zone => format!("; maintenances that follow the server run in {zone}"),
                _ => String::new(),
            };
            document(message + &zone).changes(&plan(&before, now))
        }
        Ok(None) => document(message),
        Err(error) => {
            logging::warning(&format!("what changes cannot be shown: {}", error.chain()));
            document(message)
        }
    }
}

/// What is tidied up in the repository.
fn tidied(Tidying { forget, kept, prune }: &Tidying) -> String {
    let forget = match forget.len() {
        0 => String::new(),
        forgotten => format!("; forgets {}, and {kept} stay", text::count(forgotten as u64, "snapshot")),
    };
    forget + if *prune { "; prunes the repository" } else { "" }
}

fn published(publication: &Publication) -> String {
    let Place { epoch, sequence, .. } = publication.place;
    let rows: u64 = publication.canonical.export.configuration.counts().values().sum();
    let (rows, digest) = (text::count(rows, "row"), publication.canonical.digest.short());
    format!("{rows} as epoch {epoch}, sequence {sequence}, digest {digest}")
}

fn apply(
    session: &Session<'_, System>,
    application: Application,
    document: impl Fn(String) -> PlanDocument,
) -> PlanDocument {
    let Application { snapshot, cause, changes, clearance, deferred: until, notes, .. } = &application;
    let id = snapshot.id.short();
    let message = match (until, cause) {
        (Some(until), _) if changes.is_empty() => deferred(session, snapshot, *until),
        (Some(until), _) => deferred(session, snapshot, *until) + "; this does not wait:",
        (None, _) if changes.is_empty() => format!("already identical to snapshot {id}; run only records it"),
        (None, Cause::New | Cause::Ordered) => format!("snapshot {id} of host {}", snapshot.host),
        (None, Cause::Customization) => format!("snapshot {id} again, as the customization of this replica changed"),
        (None, Cause::Boot) => format!("snapshot {id} again, as this host was booted"),
        (None, Cause::Drift(_)) => {
            format!("snapshot {id} again, as rows were edited on this replica{}", since(session))
        }
    };
    let running = clearance.as_ref().is_some_and(|clearance| clearance.activity == Activity::Running);
    let mut document = document(message).snapshot(snapshot).notes(notes);
    for (_, change) in changes {
        document = document.changes(&change.plan);
        document = match &change.way {
            _ if !running => document,
            Way::Live(told) => document.told(told),
            Way::Restart(reasons) => document.restart(reasons),
            // Nothing is carried out that has to wait.
            Way::Later(_) => document,
        };
    }
    document
}

fn deferred(session: &Session<'_, System>, snapshot: &Snapshot, until: Timestamp) -> String {
    let until = text::time(until, &session.host.zone());
    format!("snapshot {} is deferred until {until}: {WHY_DEFERRED}", snapshot.id.short())
}

/// Since when the edits on this replica are known.
fn since(session: &Session<'_, System>) -> String {
    match session.state.replica.applied.as_ref().map(|applied| &applied.rows) {
        Some(LocalRows::Drifted { since, .. }) => {
            format!(" (found {})", text::time(*since, &session.host.zone()))
        }
        _ => String::new(),
    }
}
