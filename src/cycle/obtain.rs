//! What a replica does before it has anything to verify: look, decide whether to go on, fetch.

use jiff::Timestamp;

use crate::config::Settings;
use crate::decide::{self, Apply};
use crate::error::{Error, Kind, Result};
use crate::model::snapshot::{Snapshot, SnapshotId};
use crate::model::state::{Applied, State};

use super::{Event, Export, Host, Options, Outcome, Verified, deferred, drift, held, in_force, report_stray};

/// What a look and what follows from it bring.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Obtained {
    /// A snapshot that is to be applied, what is here, and the dump, which is not verified yet.
    Fetched(Snapshot, Export, Vec<u8>),
    /// The same of the snapshot in force, whose dump is kept here.
    Kept(Snapshot, Export, Verified),
    /// There is nothing to apply.
    Nothing(Outcome),
}

/// Looks, decides, and fetches what is to be applied.
///
/// A prune may remove the snapshot, or first its data, between the look and the end of the fetch. So a dump that
/// cannot be had is worth one more look, and one more fetch if another snapshot is the newest by then.
pub(super) async fn obtain<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    options: &Options,
) -> Result<Obtained> {
    let mut lost: Option<(SnapshotId, Error)> = None;
    loop {
        let snapshot = match newest(host, settings, state, options).await? {
            Ok(snapshot) => snapshot,
            Err(outcome) => return Ok(Obtained::Nothing(outcome)),
        };
        if let Some((_, error)) = lost.take_if(|(id, _)| id.same(&snapshot.id)) {
            return Err(error);
        }
        if options.retry {
            report_retry(host, state, &snapshot);
        } else if !options.at_once {
            decide::postponed(state.replica.setback.as_ref(), &snapshot, host.now())?;
            // It was planned already: nothing else is to be found out.
            let waiting = state.replica.waiting.as_ref().is_some_and(|waiting| waiting.same(&snapshot.id));
            if let Some(until) = resting(host, settings, state).filter(|_| waiting) {
                return Ok(Obtained::Nothing(deferred(host, state, &snapshot.id, until)));
            }
        }
        let here = host.export().await?;
        let policy = settings.replica.schema;
        if let Some(reason) = decide::still_held(state.replica.held.as_ref(), &snapshot, &here.schema, policy) {
            let reason = reason.to_owned();
            return Ok(Obtained::Nothing(held(host, state, reason)));
        }
        host.check_interrupted()?;
        if let Some(verified) = kept(host, state, &snapshot) {
            return Ok(Obtained::Kept(snapshot, here, verified));
        }
        match host.fetch(&snapshot.id).await {
            Ok(bytes) => return Ok(Obtained::Fetched(snapshot, here, bytes)),
            Err(error) if lost.is_none() && matches!(error.kind(), Kind::SnapshotGone | Kind::SnapshotDamaged) => {
                lost = Some((snapshot.id, error));
            }
            Err(error) => return Err(error),
        }
    }
}

/// The snapshot to be applied, or why there is none.
async fn newest<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    options: &Options,
) -> Result<Result<Snapshot, Outcome>> {
    let listing = host.look().await?;
    report_stray(host, state, decide::stray(&listing));
    let mut replica = state.replica.with(settings.replica.customization.digest());
    if options.retry {
        replica.refused = None;
    }
    Ok(match decide::apply(&listing, &replica)? {
        Apply::Fetch(snapshot) => Ok(snapshot.clone()),
        Apply::UpToDate(snapshot) => {
            if options.as_main || drift::calls_for_apply(host, settings, state, snapshot).await? {
                Ok(snapshot.clone())
            } else {
                Err(up_to_date(host, state, &snapshot.id))
            }
        }
        Apply::Nothing => {
            let reason = "nothing has been published to the repository yet".to_owned();
            Err(held(host, state, reason))
        }
        Apply::Unreadable(snapshot) => {
            let format = snapshot.tags.format;
            let reason = format!("the main writes dump format {format}; upgrade kuma-replicator on this replica");
            Err(held(host, state, reason))
        }
    })
}

/// Until when Uptime Kuma is left alone, if it is.
pub(super) fn resting<H: Host>(host: &H, settings: &Settings, state: &State) -> Option<Timestamp> {
    decide::resting(state.replica.stopped, host.now(), settings.replica.min_restart_interval)
}

/// The dump of `snapshot`, if it is in force, and kept here.
pub fn kept<H: Host>(host: &mut H, state: &State, snapshot: &Snapshot) -> Option<Verified> {
    let same = |applied: &&Applied| applied.digest == snapshot.tags.digest && applied.place == snapshot.tags.place;
    let applied = state.replica.applied.as_ref().filter(same)?;
    let kept = in_force(&host.applied().ok().flatten()?, applied);
    kept.filter(|Verified(dump)| dump.manifest.fingerprint == snapshot.tags.schema)
}

/// Traces that a person has a snapshot tried again, and what had kept it from that.
fn report_retry<H: Host>(host: &mut H, state: &State, snapshot: &Snapshot) {
    let refused = state.replica.refused.as_ref().map(|refused| (&refused.snapshot, true, &refused.reason));
    let setback = state.replica.setback.as_ref().map(|setback| (&setback.snapshot, false, &setback.reason));
    let kept = refused.into_iter().chain(setback).find(|(id, ..)| id.same(&snapshot.id));
    if let Some((id, rejected, reason)) = kept {
        host.report(&Event::Retried { snapshot: id.clone(), rejected, reason: reason.clone() });
    }
}

pub(super) fn up_to_date<H: Host>(host: &mut H, state: &State, snapshot: &SnapshotId) -> Outcome {
    let again = state.last.as_ref().is_some_and(|last| last.outcome == Outcome::UpToDate.name());
    host.report(&Event::UpToDate { snapshot: snapshot.clone(), again });
    Outcome::UpToDate
}
