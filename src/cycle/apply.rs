//! The replica's sequence: obtain, verify, plan, replace, record. What comes before there is a dump is in
//! `obtain`, what lies between the stop and the healthy start in `replace`.

use crate::config::{SchemaPolicy, Settings};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::localise::{self, Part};
use crate::model::configuration::Configuration;
use crate::model::dump::{self, Dump, Fault};
use crate::model::schema::Schema;
use crate::model::snapshot::Snapshot;
use crate::model::state::{Applied, Held, State};
use crate::plan::{Plan, Size, plan};

use super::live::{needs_restart, put_in_force};
use super::obtain::{Obtained, obtain, resting, up_to_date};
use super::replace::{Goal, refuse};
use super::{Event, Export, Host, Options, Outcome, deferred, drift, held, origin};

/// A dump whose content, manifest and tags agree, and that may be applied.
#[derive(Debug)]
pub struct Verified(pub Dump);

pub(super) async fn run<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    options: &Options,
) -> Result<Outcome> {
    let (snapshot, here, Verified(dump), fetched) = match obtain(host, settings, state, options).await? {
        Obtained::Kept(snapshot, here, verified) => (snapshot, here, verified, None),
        Obtained::Fetched(snapshot, here, bytes) => {
            // restic has proved that these are the bytes that were stored: fetching them again would not mend them.
            let verified = verify(&bytes, Some(&snapshot)).inspect_err(|error| {
                refuse(host, state, Some(&snapshot.id), error);
            })?;
            host.report(&Event::Fetched { snapshot: snapshot.id.clone(), bytes: bytes.len() });
            (snapshot, here, verified, Some(bytes))
        }
        Obtained::Nothing(outcome) => return Ok(outcome),
    };
    let policy = settings.replica.schema;
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, policy) {
        let schema = here.schema.fingerprint();
        let outcome = held(host, state, reason.clone());
        state.replica.held = Some(Held { snapshot: snapshot.id, schema, exact: policy == SchemaPolicy::Exact, reason });
        return Ok(outcome);
    }

    let customization = &settings.replica.customization;
    let localised = |here: &Configuration| match options.as_main {
        true => localise::fitting(&dump.configuration, here, &customization.settings),
        false => localise::wanted(&dump.configuration, here, customization).map(|wanted| wanted.configuration),
    };
    let wanted = localised(&here.configuration).inspect_err(|error| {
        if blames(error) {
            refuse(host, state, Some(&snapshot.id), error);
        }
    })?;
    if state.replica.applied.is_none() && !options.confirm_shrink {
        decide::first_contact(&here.configuration.counts(), &wanted.counts())?;
    }
    // The parts of one snapshot do not wait for each other.
    let patient = !options.retry && !options.at_once;
    let until = resting(host, settings, state).filter(|_| patient);
    let parts = if options.as_main { &[Part::Whole] } else { localise::parts(customization.strategy) };
    let (mut here, mut size, mut restarted, mut waits) = (here, Size::default(), false, None);
    for part in parts {
        if size != Size::default() {
            here = host.export().await?;
        }
        let anew = |here: &Configuration| localised(here).map(|wanted| part.of(wanted, here));
        let wanted = part.of(wanted.clone(), &here.configuration);
        let changes = plan(&here.configuration, &wanted);
        if changes.is_empty() {
            continue;
        }
        if until.is_some() && needs_restart(&changes, settings.replica.restart) {
            // What needs no restart is written all the same, in a part of its own.
            waits = until;
            continue;
        }
        try_out(host, state, &snapshot, &changes, (&here, &wanted), &dump.manifest.schema).await?;
        let goal = Goal { wanted: &anew, changes: &changes, schema: &here.schema };
        restarted |= apply_part(host, settings, state, options, &snapshot, &here, goal).await?;
        size += changes.size();
    }
    if let Some(until) = waits {
        state.replica.waiting = Some(snapshot.id.clone());
        return Ok(deferred(host, state, &snapshot.id, until));
    }

    state.replica.held = None;
    state.replica.refused = None;
    state.replica.setback = None;
    state.replica.restored = None;
    state.replica.waiting = None;
    let written = size != Size::default();
    drift::remember(host, state, customization, (!written).then_some(here)).await;
    if let Some(bytes) = fetched {
        keep(host, &bytes);
    }
    // Without them it is not what this replica customization for.
    state.replica.customization = (!options.as_main).then(|| customization.digest());
    let id = snapshot.id.clone();
    let digest = snapshot.tags.digest;
    state.replica.applied = Some(Applied { snapshot: id.clone(), place: snapshot.tags.place, digest, at: host.now() });
    if written {
        host.report(&Event::Applied { snapshot: id.clone(), digest, size, restarted });
        Ok(Outcome::Applied(id))
    } else {
        Ok(up_to_date(host, state, &id))
    }
}

/// Tries the changes of a part of the snapshot on a copy.
async fn try_out<H: Host>(
    host: &mut H,
    state: &mut State,
    snapshot: &Snapshot,
    changes: &Plan,
    (here, wanted): (&Export, &Configuration),
    main: &Schema,
) -> Result<()> {
    host.report(&Event::Planned { origin: origin(Some(&snapshot.id)), size: changes.size() });
    let tried = host.rehearse(changes, &here.configuration, wanted).await;
    tried.map_err(|error| decide::unwritable(error, &here.schema, main)).inspect_err(|error| {
        if blames(error) {
            refuse(host, state, Some(&snapshot.id), error);
        }
    })
}

/// Puts a part of the snapshot in force. Returns whether Uptime Kuma was restarted for it.
async fn apply_part<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    options: &Options,
    snapshot: &Snapshot,
    here: &Export,
    goal: Goal<'_>,
) -> Result<bool> {
    // From here on the order counts: were this killed, the next cycle goes on as after any other apply.
    let (refused, setback) = (state.replica.refused.take_if(|_| options.retry), state.replica.setback.clone());
    let stopped = state.replica.stopped;
    let restart = settings.replica.restart;
    let replaced = put_in_force(host, settings, state, Some(&snapshot.id), here, goal, restart).await;
    let State { intent, replica, .. } = state;
    match &replaced {
        Ok(()) => *intent = None,
        Err(_) if intent.is_none() && replica.refused.is_none() && replica.setback == setback => {
            // It failed before anything was stopped.
            replica.refused = refused;
        }
        Err(_) => {}
    }
    replaced.map(|()| replica.stopped != stopped)
}

/// Whether an error is the fault of what was to be applied.
fn blames(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unwritable | Kind::NoUser)
}

/// Keeps the dump that is now in force. Without it, the next cycle that needs it asks the repository.
fn keep<H: Host>(host: &mut H, dump: &[u8]) {
    if let Err(error) = host.keep_applied(dump) {
        let text = format!("the snapshot in force is not kept here: {}", error.chain());
        host.report(&Event::Warning { text });
    }
}

/// What is kept of the snapshot in force, if `bytes` are that. One that is damaged, or another's, is no more than a copy.
pub fn in_force(bytes: &[u8], applied: &Applied) -> Option<Verified> {
    let verified = verify(bytes, None).ok()?;
    let manifest = &verified.0.manifest;
    (manifest.digest == applied.digest && manifest.place.as_ref() == Some(&applied.place)).then_some(verified)
}

/// Proves that `bytes` are a dump that may be applied, and, if they come from `snapshot`, the one that
/// its tags promise.
///
/// # Errors
/// [`Kind::SnapshotDamaged`], [`Kind::FormatUnknown`] or [`Kind::NoUser`].
pub fn verify(bytes: &[u8], snapshot: Option<&Snapshot>) -> Result<Verified> {
    let name = snapshot.map_or_else(|| "the dump".to_owned(), |snapshot| format!("snapshot {}", snapshot.id.short()));
    let dump = dump::parse(bytes).map_err(|fault| {
        let kind = match fault {
            Fault::Format(_) => Kind::FormatUnknown,
            Fault::Damaged(_) => Kind::SnapshotDamaged,
        };
        Error::new(kind, format!("{name} cannot be used")).because(fault)
    })?;
    if let Some(Snapshot { tags, .. }) = snapshot {
        let manifest = &dump.manifest;
        let agree = manifest.place.as_ref() == Some(&tags.place)
            && manifest.digest == tags.digest
            && manifest.fingerprint == tags.schema;
        if !agree {
            return Err(Error::new(Kind::SnapshotDamaged, format!("{name} does not contain what its tags say")));
        }
    }
    if !dump.configuration.has_user() {
        let what = format!("{name} has no user who could log in; without any, the set-up page is open to anybody");
        return Err(Error::new(Kind::NoUser, what));
    }
    Ok(Verified(dump))
}
