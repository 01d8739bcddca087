//! The replica's sequence: look, decide, fetch, verify, plan, replace, record. What lies between the
//! stop and the healthy start is in `replace`.

use crate::config::{SchemaPolicy, Settings};
use crate::decide::{self, Apply};
use crate::error::{Error, Kind, Result};
use crate::localise;
use crate::model::dump::{self, Dump, Fault};
use crate::model::snapshot::{Snapshot, SnapshotId};
use crate::model::state::{Applied, Held, State};
use crate::plan::plan;

use super::publish::Prepared;
use super::replace::{refuse, replace};
use super::{Event, Host, Orders, Outcome, deferred, drift, held, tell_stray};

/// A dump whose content, manifest and tags agree, and that may be applied.
#[derive(Debug)]
pub struct Verified(pub Dump);

pub(super) async fn run<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    orders: &Orders,
) -> Result<Outcome> {
    let listing = host.look().await?;
    tell_stray(host, state, decide::stray(&listing));
    let mut replica = state.replica.clone();
    if orders.retry {
        replica.refused = None;
    }
    let snapshot = match decide::apply(&listing, &replica)? {
        Apply::Nothing => return Ok(held(host, state, "nothing has been published to the repository yet".to_owned())),
        Apply::UpToDate(snapshot) => {
            if !orders.as_main && !drift::calls_for_apply(host, settings, state, &snapshot.id).await? {
                return Ok(up_to_date(host, state, &snapshot.id));
            }
            snapshot.clone()
        }
        Apply::Unreadable(snapshot) => {
            let format = snapshot.label.format;
            let reason = format!("the main writes dump format {format}; upgrade kuma-replicator on this replica");
            return Ok(held(host, state, reason));
        }
        Apply::Fetch(snapshot) => snapshot.clone(),
    };
    if orders.retry {
        tell_retry(host, state, &snapshot);
    } else if !orders.at_once {
        decide::postponed(state.replica.setback.as_ref(), &snapshot, host.now())?;
        let interval = settings.replica.min_restart_interval;
        if let Some(until) = decide::resting(state.replica.stopped, host.now(), interval) {
            return Ok(deferred(host, state, &snapshot.id, until));
        }
    }
    let here = host.export().await?;
    let policy = settings.replica.schema;
    if let Some(reason) = decide::still_held(state.replica.held.as_ref(), &snapshot, &here.schema, policy) {
        let reason = reason.to_owned();
        return Ok(held(host, state, reason));
    }
    host.check_interrupted()?;

    let bytes = host.fetch(&snapshot.id).await?;
    // restic has proved that these are the bytes that were stored: fetching them again would not mend them.
    let Verified(dump) = verify(&bytes, Some(&snapshot)).inspect_err(|error| {
        refuse(host, state, Some(&snapshot.id), error);
    })?;
    host.tell(&Event::Fetched { snapshot: snapshot.id.clone(), bytes: bytes.len() });
    drop(bytes);
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, policy) {
        let schema = here.schema.fingerprint();
        let outcome = held(host, state, reason.clone());
        state.replica.held = Some(Held { snapshot: snapshot.id, schema, exact: policy == SchemaPolicy::Exact, reason });
        return Ok(outcome);
    }

    let wanted = if orders.as_main {
        localise::fitting(&dump.configuration, &here.configuration)?
    } else {
        localise::wanted(&dump.configuration, &here.configuration, &settings.replica)?
    };
    let changes = plan(&here.configuration, &wanted);
    let size = changes.size();
    let written = !changes.is_empty();
    if written {
        host.tell(&Event::Planned { snapshot: Some(snapshot.id.clone()), size });
        host.rehearse(&changes, &here.configuration, &wanted).await.inspect_err(|error| {
            if error.kind() == Kind::Unwritable {
                refuse(host, state, Some(&snapshot.id), error);
            }
        })?;
        // From here on the order counts: were this killed, the next cycle goes on as after any other apply.
        let (refused, setback) = (state.replica.refused.take_if(|_| orders.retry), state.replica.setback.clone());
        let replaced = replace(host, settings, state, Some(&snapshot.id), &wanted, &changes).await;
        let State { intent, replica, .. } = state;
        if replaced.is_err() && intent.is_none() && replica.refused.is_none() && replica.setback == setback {
            // It failed before anything was stopped.
            replica.refused = refused;
        }
        replaced?;
    }

    state.intent = None;
    state.replica.held = None;
    state.replica.refused = None;
    state.replica.setback = None;
    state.replica.restored = None;
    let id = snapshot.id.clone();
    let digest = snapshot.label.digest;
    let content = (!written).then(|| Prepared::new(here).content());
    drift::remember(host, state, content).await;
    state.replica.applied = Some(Applied { snapshot: id.clone(), place: snapshot.label.place, digest, at: host.now() });
    if written {
        host.tell(&Event::Applied { snapshot: id.clone(), digest, size });
        Ok(Outcome::Applied(id))
    } else {
        Ok(up_to_date(host, state, &id))
    }
}

/// Traces that a person has a snapshot tried again, and what had kept it from that.
fn tell_retry<H: Host>(host: &mut H, state: &State, snapshot: &Snapshot) {
    let refused = state.replica.refused.as_ref().map(|refused| (&refused.snapshot, &refused.reason));
    let setback = state.replica.setback.as_ref().map(|setback| (&setback.snapshot, &setback.reason));
    if let Some((id, reason)) = refused.into_iter().chain(setback).find(|(id, _)| id.same(&snapshot.id)) {
        host.tell(&Event::Retried { snapshot: id.clone(), reason: reason.clone() });
    }
}

fn up_to_date<H: Host>(host: &mut H, state: &State, snapshot: &SnapshotId) -> Outcome {
    let again = state.last.as_ref().is_some_and(|last| last.outcome == Outcome::UpToDate.name());
    host.tell(&Event::UpToDate { snapshot: snapshot.clone(), again });
    Outcome::UpToDate
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
    if let Some(Snapshot { label, .. }) = snapshot {
        let manifest = &dump.manifest;
        let agree = manifest.place.as_ref() == Some(&label.place)
            && manifest.digest == label.digest
            && manifest.fingerprint == label.schema;
        if !agree {
            return Err(Error::new(Kind::SnapshotDamaged, format!("{name} does not contain what its tags say")));
        }
    }
    if !dump.configuration.has_user() {
        return Err(Error::new(Kind::NoUser, format!("{name} has no user; it would open the set-up page to anybody")));
    }
    Ok(Verified(dump))
}
