//! The replica's sequence: recover, look, decide, fetch, verify, plan, stop, write, start, check, record.
//!
//! Whatever happens after Uptime Kuma was stopped, the last thing done is to start it again.

use std::time::Instant;

use crate::config::Settings;
use crate::decide::{self, Apply};
use crate::error::{Error, Kind, Result};
use crate::localise;
use crate::model::configuration::Configuration;
use crate::model::dump::{self, Dump, Fault};
use crate::model::snapshot::{Snapshot, SnapshotId};
use crate::model::state::{Applied, Held, Intent, Refused, State};
use crate::plan::{Size, plan};

use super::publish::Prepared;
use super::{Activity, Event, Host, Outcome, millis};

/// A dump whose content, manifest and tags agree, and that may be applied.
#[derive(Debug)]
pub struct Verified(pub Dump);

pub(super) async fn run<H: Host>(host: &mut H, settings: &Settings, state: &mut State) -> Result<Outcome> {
    recover(host, state).await?;
    host.check_interrupted()?;

    let listing = host.look().await?;
    let snapshot = match decide::apply(&listing, &state.replica)? {
        Apply::Nothing => return Ok(held(host, state, "nothing has been published to the repository yet".to_owned())),
        Apply::UpToDate(snapshot) => return Ok(up_to_date(host, state, &snapshot.id)),
        Apply::Unreadable(snapshot) => {
            let format = snapshot.label.format;
            let reason = format!("the main writes dump format {format}; upgrade kuma-replicator on this replica");
            return Ok(held(host, state, reason));
        }
        Apply::Fetch(snapshot) => snapshot.clone(),
    };
    let here = host.export().await?;
    if let Some(reason) = decide::still_held(state.replica.held.as_ref(), &snapshot, &here.schema) {
        let reason = reason.to_owned();
        return Ok(held(host, state, reason));
    }
    host.check_interrupted()?;

    let bytes = host.fetch(&snapshot.id).await?;
    // restic has proved that these are the bytes that were stored: fetching them again would not mend them.
    let Verified(dump) = verify(&bytes, Some(&snapshot)).inspect_err(|error| {
        refuse(host, state, &snapshot.id, error);
    })?;
    host.tell(&Event::Fetched { snapshot: snapshot.id.clone(), bytes: bytes.len() });
    drop(bytes);
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema) {
        let schema = here.schema.fingerprint();
        let outcome = held(host, state, reason.clone());
        state.replica.held = Some(Held { snapshot: snapshot.id, schema, reason });
        return Ok(outcome);
    }

    let wanted = localise::wanted(&dump.configuration, &here.configuration, settings.replica.strategy)?;
    let changes = plan(&here.configuration, &wanted);
    let size = changes.size();
    let written = !changes.is_empty();
    if written {
        host.tell(&Event::Planned { snapshot: snapshot.id.clone(), size });
        host.rehearse(&changes, &here.configuration, &wanted).inspect_err(|error| {
            if error.kind() == Kind::Unwritable {
                refuse(host, state, &snapshot.id, error);
            }
        })?;
        replace(host, settings, state, &snapshot.id, &wanted).await?;
    }

    state.replica.intent = None;
    state.replica.held = None;
    state.replica.refused = None;
    let id = snapshot.id.clone();
    let digest = snapshot.label.digest;
    state.replica.applied = Some(Applied { snapshot: id.clone(), place: snapshot.label.place, digest, at: host.now() });
    if written {
        host.tell(&Event::Applied { snapshot: id.clone(), digest, size });
        Ok(Outcome::Applied(id))
    } else {
        Ok(up_to_date(host, state, &id))
    }
}

fn up_to_date<H: Host>(host: &mut H, state: &State, snapshot: &SnapshotId) -> Outcome {
    let again = state.last.as_ref().is_some_and(|last| last.outcome == Outcome::UpToDate.name());
    host.tell(&Event::UpToDate { snapshot: snapshot.clone(), again });
    Outcome::UpToDate
}

fn held<H: Host>(host: &mut H, state: &State, reason: String) -> Outcome {
    let again = state.last.as_ref().is_some_and(|last| last.outcome == "held" && last.message == reason);
    host.tell(&Event::Held { reason: reason.clone(), again });
    Outcome::Held(reason)
}

/// Deals with an apply that was begun and not ended: Uptime Kuma is to run again if it ran before, and to
/// answer, before anything else is decided. Whether the rows were written is found by planning anew.
///
/// # Errors
/// If Uptime Kuma can not be brought up; the intent stays, so the next cycle tries again.
pub async fn recover<H: Host>(host: &mut H, state: &mut State) -> Result<()> {
    let Some(intent) = state.replica.intent.clone() else { return Ok(()) };
    let mut started = false;
    if intent.start {
        if host.activity().await? == Activity::Stopped {
            host.start().await?;
            started = true;
        }
        host.check_healthy().await?;
    }
    host.tell(&Event::Recovered { snapshot: intent.snapshot, started });
    state.replica.intent = None;
    host.save(state)
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

/// Stops, writes, starts and checks. When this returns an error, the previous configuration is in force.
async fn replace<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    snapshot: &SnapshotId,
    wanted: &Configuration,
) -> Result<()> {
    let unit = settings.kuma.unit.to_string();
    let start = host.activity().await? == Activity::Running;
    if start {
        host.check_stoppable().await?;
    }
    host.check_interrupted()?;
    state.replica.intent = Some(Intent { snapshot: snapshot.clone(), start, since: host.now() });
    host.save(state)?;

    if start {
        host.tell(&Event::Stopping { unit: unit.clone() });
        let since = Instant::now();
        if let Err(error) = host.stop().await {
            return Err(resume(host, state, start, error).await);
        }
        host.tell(&Event::Stopped { unit: unit.clone(), millis: millis(since.elapsed()) });
    }
    let since = Instant::now();
    let written = write(host, wanted, true).await;
    host.release();
    let (previous, size) = match written {
        Ok(written) => written,
        Err(error) => {
            if matches!(error.kind(), Kind::WriteFailed | Kind::Unwritable) {
                refuse(host, state, snapshot, &error);
            }
            return Err(resume(host, state, start, error).await);
        }
    };
    host.tell(&Event::Written { snapshot: snapshot.clone(), size, millis: millis(since.elapsed()) });
    if !start {
        return Ok(());
    }
    match bring_up(host, &unit).await {
        Ok(()) => Ok(()),
        // The system is going down, which is nobody's fault. The intent stays: the first cycle of the next
        // boot checks that Uptime Kuma answers, finds the rows written, and records the snapshot.
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => Err(way_back(host, state, snapshot, &previous, &unit, error).await),
    }
}

/// Writes `wanted` into the stopped database. Returns the configuration that was there, and what changed.
/// With `keep`, what was there becomes the way back.
async fn write<H: Host>(host: &mut H, wanted: &Configuration, keep: bool) -> Result<(Configuration, Size)> {
    host.claim().await?;
    // Planned anew: the rows may have changed between the first plan and the stop.
    let previous = Prepared::new(host.export().await?);
    let changes = plan(&previous.export.configuration, wanted);
    if keep {
        let dump = previous.dump(&host.name(), host.now(), None)?;
        host.keep_previous(&dump)?;
    }
    host.write(&changes, wanted).await?;
    Ok((previous.export.configuration, changes.size()))
}

async fn bring_up<H: Host>(host: &mut H, unit: &str) -> Result<()> {
    let since = Instant::now();
    host.start().await?;
    host.tell(&Event::Started { unit: unit.to_owned() });
    host.check_healthy().await?;
    host.tell(&Event::Healthy { unit: unit.to_owned(), millis: millis(since.elapsed()) });
    Ok(())
}

/// After a failure before the commit: Uptime Kuma runs again with what it had. Returns the error to report.
async fn resume<H: Host>(host: &mut H, state: &mut State, start: bool, error: Error) -> Error {
    if start && let Err(second) = host.start().await {
        // The intent stays on disk: the next run starts Uptime Kuma first.
        let text = format!("Uptime Kuma could not be started again: {}", second.chain());
        host.tell(&Event::Warning { text });
        return error;
    }
    state.replica.intent = None;
    error
}

/// Remembers that `snapshot` is not to be tried again, so that Uptime Kuma is not stopped for it every minute.
fn refuse<H: Host>(host: &H, state: &mut State, snapshot: &SnapshotId, error: &Error) -> String {
    let reason = error.chain();
    state.replica.refused = Some(Refused { snapshot: snapshot.clone(), reason: reason.clone(), at: host.now() });
    reason
}

/// After a commit with which Uptime Kuma does not come up: writes the previous configuration back and
/// refuses the snapshot from now on. Returns the error to report.
async fn way_back<H: Host>(
    host: &mut H,
    state: &mut State,
    snapshot: &SnapshotId,
    previous: &Configuration,
    unit: &str,
    error: Error,
) -> Error {
    let reason = refuse(host, state, snapshot, &error);
    // It may hang half-way up; whether it really is down, the claim proves.
    if let Err(second) = host.stop().await {
        host.tell(&Event::Warning { text: second.chain() });
    }
    let written = write(host, previous, false).await;
    host.release();
    let restored = match written {
        Ok(_) => bring_up(host, unit).await,
        Err(second) => match host.start().await {
            Ok(()) => Err(second),
            Err(third) => Err(second.because(third)),
        },
    };
    match restored {
        Ok(()) => {
            state.replica.intent = None;
            Error::new(Kind::RolledBack, format!("Uptime Kuma did not come up with snapshot {}", snapshot.short()))
                .because(error)
        }
        Err(second) => Error::new(
            Kind::WayBackFailed,
            format!(
                "Uptime Kuma did not come up with snapshot {} ({reason}), nor with the previous configuration",
                snapshot.short()
            ),
        )
        .because(second),
    }
}
