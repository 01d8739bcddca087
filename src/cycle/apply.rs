//! The replica's sequence: obtain, verify, plan, replace, record. What comes before there is a dump is in
//! `obtain`, what lies between the stop and the healthy start in `replace`.

use crate::config::{SchemaPolicy, Settings};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::localise;
use crate::model::dump::{self, Dump, Fault};
use crate::model::snapshot::Snapshot;
use crate::model::state::{Applied, Held, State};
use crate::plan::plan;

use super::obtain::{Obtained, obtain, up_to_date};
use super::publish::Prepared;
use super::replace::{Goal, refuse, replace};
use super::{Event, Host, Orders, Outcome, drift, held};

/// A dump whose content, manifest and tags agree, and that may be applied.
#[derive(Debug)]
pub struct Verified(pub Dump);

pub(super) async fn run<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    orders: &Orders,
) -> Result<Outcome> {
    let (snapshot, here, bytes) = match obtain(host, settings, state, orders).await? {
        Obtained::Dump(snapshot, here, bytes) => (snapshot, here, bytes),
        Obtained::Nothing(outcome) => return Ok(outcome),
    };
    // restic has proved that these are the bytes that were stored: fetching them again would not mend them.
    let Verified(dump) = verify(&bytes, Some(&snapshot)).inspect_err(|error| {
        refuse(host, state, Some(&snapshot.id), error);
    })?;
    host.tell(&Event::Fetched { snapshot: snapshot.id.clone(), bytes: bytes.len() });
    drop(bytes);
    let policy = settings.replica.schema;
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, policy) {
        let schema = here.schema.fingerprint();
        let outcome = held(host, state, reason.clone());
        state.replica.held = Some(Held { snapshot: snapshot.id, schema, exact: policy == SchemaPolicy::Exact, reason });
        return Ok(outcome);
    }

    let blames = |error: &Error| matches!(error.kind(), Kind::Unwritable | Kind::NoUser);
    let wanted = if orders.as_main {
        localise::fitting(&dump.configuration, &here.configuration, &settings.replica.wishes.settings)
    } else {
        localise::wanted(&dump.configuration, &here.configuration, &settings.replica.wishes)
    };
    let wanted = wanted.inspect_err(|error| {
        if blames(error) {
            refuse(host, state, Some(&snapshot.id), error);
        }
    })?;
    if state.replica.applied.is_none() && !orders.confirm_shrink {
        decide::first_contact(&here.configuration.counts(), &wanted.counts())?;
    }
    let changes = plan(&here.configuration, &wanted);
    let size = changes.size();
    let written = !changes.is_empty();
    if written {
        host.tell(&Event::Planned { snapshot: Some(snapshot.id.clone()), size });
        host.rehearse(&changes, &here.configuration, &wanted).await.inspect_err(|error| {
            if blames(error) {
                refuse(host, state, Some(&snapshot.id), error);
            }
        })?;
        // From here on the order counts: were this killed, the next cycle goes on as after any other apply.
        let (refused, setback) = (state.replica.refused.take_if(|_| orders.retry), state.replica.setback.clone());
        let goal = Goal { wanted: &wanted, changes: &changes, schema: &here.schema };
        let replaced = replace(host, settings, state, Some(&snapshot.id), goal).await;
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
        let what = format!("{name} has no user who could log in; without any, the set-up page is open to anybody");
        return Err(Error::new(Kind::NoUser, what));
    }
    Ok(Verified(dump))
}
