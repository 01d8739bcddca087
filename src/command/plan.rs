//! `plan`: what `run` would do now.

use jiff::Timestamp;

use crate::cli::Cli;
use crate::config::{Role, Settings};
use crate::cycle::{self, Activity, Host as _, Reapply, Verified};
use crate::decide::{self, Apply, Publish};
use crate::error::Result;
use crate::host::store::Store;
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, System};
use crate::localise::{self, Localised};
use crate::model::manifest::Place;
use crate::model::state::State;
use crate::plan::plan;
use crate::report::{PlanDocument, print};

use super::settings;

pub(super) async fn show(cli: &Cli, json: bool) -> Result<()> {
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
                Some(newest) if newest.tags.readable() => {
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
    let customization = &settings.replica.customization;
    let listing = system.look().await?;
    let step = decide::apply(&listing, &state.replica.with(customization.digest()))?;
    let (snapshot, again) = match step {
        Apply::Nothing => return Ok(document("held", "nothing has been published to the repository yet".to_owned())),
        Apply::UpToDate(snapshot) => {
            let again = Reapply::find(system, settings, &state.replica).await?;
            if matches!(again, Reapply::Nothing(_) | Reapply::Unknown) {
                let message = format!("snapshot {} is in force", snapshot.id.short());
                return Ok(document("up to date", message).snapshot(snapshot));
            }
            (snapshot, Some(again))
        }
        Apply::Unreadable(snapshot) => {
            return Ok(
                document("held", format!("the main writes dump format {}", snapshot.tags.format)).snapshot(snapshot)
            );
        }
        Apply::Fetch(snapshot) => (snapshot, None),
    };
    let applies = again.as_ref().map_or(Ok(true), |again| again.applies(settings, &state.replica, snapshot))?;
    let Verified(dump) = match cycle::kept(system, state, snapshot) {
        Some(verified) => verified,
        None => cycle::verify(&system.fetch(&snapshot.id).await?, Some(snapshot))?,
    };
    let here = system.export().await?;
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, settings.replica.schema) {
        return Ok(document("held", reason).snapshot(snapshot));
    }
    let Localised { configuration: wanted, notes } =
        localise::wanted(&dump.configuration, &here.configuration, customization)?;
    if state.replica.applied.is_none() {
        decide::first_contact(&here.configuration.counts(), &wanted.counts())?;
    }
    let changes = plan(&here.configuration, &wanted);
    if changes.is_empty() {
        let message = format!("the rows here equal snapshot {}; it is only recorded", snapshot.id.short());
        return Ok(document("up to date", message).snapshot(snapshot).notes(&notes));
    }
    let tried = system.rehearse(&changes, &here.configuration, &wanted).await;
    tried.map_err(|error| decide::unwritable(error, &here.schema, &dump.manifest.schema))?;
    let restart = applies
        && cycle::needs_restart(&changes, settings.replica.restart)
        && system.activity().await? == Activity::Running;
    let would = if applies { "apply" } else { "up to date" };
    let takes = if applies { "takes" } else { "would take" };
    let id = snapshot.id.short();
    let message = match (&again, &state.replica.drift) {
        (None, _) => format!("snapshot {id} of host {}", snapshot.host),
        (Some(Reapply::Edits(here)), Some(drift)) if drift.digest == here.digest => {
            let since = drift.since.round(jiff::Unit::Second).unwrap_or(drift.since);
            format!("edited here, found {since}; to be as in snapshot {id} again it {takes}")
        }
        (Some(Reapply::Boot), _) => format!("snapshot {id} again, as this host was booted"),
        (Some(Reapply::Customization), _) => {
            format!("snapshot {id} again, as this replica customization for something else")
        }
        (Some(_), _) => format!("edited here; to be as in snapshot {id} again it {takes}"),
    };
    Ok(document(would, message).snapshot(snapshot).notes(&notes).changes(&changes, restart))
}
