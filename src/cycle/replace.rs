//! The part of an apply in which Uptime Kuma is stopped: intent, stop, write, start, check; and the ways back.
//!
//! Whatever happens after Uptime Kuma was stopped, the last thing done is to start it again.

use std::time::Instant;

use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::model::dump;
use crate::model::schema::Schema;
use crate::model::snapshot::SnapshotId;
use crate::model::state::{Intent, Refused, Setback, State};
use crate::plan::{Plan, Size, plan};

use super::publish::CanonicalExport;
use super::{Activity, Event, History, Host, millis, origin};

/// Deals with an apply that was begun and not ended: Uptime Kuma is to run again if it ran before, and to
/// answer, before anything else is decided. If it does not, and the rows had been written, they are taken
/// back. Whether a healthy one has the new rows is found by planning anew.
///
/// # Errors
/// If Uptime Kuma can not be brought up; the intent stays, so the next cycle tries again.
pub async fn recover<H: Host>(host: &mut H, settings: &Settings, state: &mut State) -> Result<()> {
    let Some(intent) = state.intent.clone() else { return Ok(()) };
    let mut started = false;
    if intent.start
        && let Err(error) = bring_back(host, &intent, &mut started).await
    {
        if !condemns(&error) {
            return Err(error);
        }
        let Some(previous) = replaced(host, &intent).await? else { return Err(error) };
        let unit = settings.kuma.unit.to_string();
        return Err(roll_back(host, state, intent.snapshot.as_ref(), &previous, &unit, error).await);
    }
    if intent.start && intent.previous.is_some() {
        remove_leftovers(host).await;
    }
    host.report(&Event::Recovered { origin: origin(intent.snapshot.as_ref()), started });
    state.intent = None;
    host.save(state)
}

async fn bring_back<H: Host>(host: &mut H, intent: &Intent, started: &mut bool) -> Result<()> {
    if host.activity().await? == Activity::Stopped {
        host.start(&intent.dependents).await?;
        *started = true;
    }
    host.check_healthy().await
}

/// The configuration that the interrupted apply of `intent` replaced, if it got so far.
async fn replaced<H: Host>(host: &mut H, intent: &Intent) -> Result<Option<Configuration>> {
    let Some(digest) = intent.previous else { return Ok(None) };
    let Some(bytes) = host.previous()? else { return Ok(None) };
    // Not `verify`: what was there before may well have had no user yet.
    let dump = dump::parse(&bytes)
        .map_err(|fault| Error::new(Kind::SnapshotDamaged, "the way back cannot be used").because(fault))?;
    let here = CanonicalExport::new(host.export().await?);
    Ok((dump.manifest.digest == digest && here.digest != digest).then_some(dump.configuration))
}

/// What is to be in force.
#[derive(Clone, Copy)]
pub(super) struct Goal<'a> {
    /// The rows wanted, by what is there: what is this host's own may be edited until Uptime Kuma is stopped.
    pub(super) wanted: &'a dyn Fn(&Configuration) -> Result<Configuration>,
    /// The plan against the live rows; on the stopped database it is made anew.
    pub(super) changes: &'a Plan,
    /// The schema for which all of it was made.
    pub(super) schema: &'a Schema,
}

/// Stops, writes, starts and checks. Without a `snapshot`, a person restores something. When this returns an
/// error, the previous configuration is in force.
pub(super) async fn replace<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    snapshot: Option<&SnapshotId>,
    goal: Goal<'_>,
) -> Result<()> {
    let unit = settings.kuma.unit.to_string();
    let start = host.activity().await? == Activity::Running;
    host.check_intact().await?;
    host.check_writable(goal.changes).await?;
    let mut dependents = Vec::new();
    if start {
        host.check_stoppable().await?;
        dependents = host.dependents().await?;
    }
    host.check_interrupted()?;
    let (snapshot_id, since) = (snapshot.cloned(), host.now());
    state.intent = Some(Intent { snapshot: snapshot_id, start, dependents, since, previous: None });
    if start {
        state.replica.stopped = Some(since);
    }
    host.save(state)?;

    if start {
        host.report(&Event::Stopping { unit: unit.clone() });
        let since = Instant::now();
        if let Err(error) = host.stop().await {
            return Err(resume(host, state, snapshot, start, error).await);
        }
        host.report(&Event::Stopped { unit: unit.clone(), millis: millis(since.elapsed()) });
    }
    let since = Instant::now();
    // Without a start there is no way back.
    let history = if start { History::SetAside } else { History::Remove };
    let written = write(host, goal.wanted, history, Some((state, goal.schema))).await;
    host.release();
    let (previous, size) = match written {
        Ok(written) => written,
        Err(error) => return Err(resume(host, state, snapshot, start, error).await),
    };
    host.report(&Event::Written { origin: origin(snapshot), size, millis: millis(since.elapsed()) });
    if !start {
        return Ok(());
    }
    match bring_up(host, state, &unit).await {
        Ok(()) => {
            remove_leftovers(host).await;
            Ok(())
        }
        // The system is going down, say, or the bus is gone: nothing is known against the rows. The intent
        // stays, and the next cycle checks that Uptime Kuma answers, finds them written, and records them.
        Err(error) if !condemns(&error) => Err(error),
        Err(error) => Err(roll_back(host, state, snapshot, &previous, &unit, error).await),
    }
}

/// Writes what is `wanted`, by what is there, into the stopped database. Returns the configuration that was there, and
/// what changed.
/// The first time, the schema must still be the one that was planned for, and what was there becomes the way
/// back, as the intent in the state then says.
async fn write<H: Host>(
    host: &mut H,
    wanted: &dyn Fn(&Configuration) -> Result<Configuration>,
    history: History,
    first: Option<(&mut State, &Schema)>,
) -> Result<(Configuration, Size)> {
    host.claim().await?;
    // Planned anew: the rows may have changed between the first plan and the stop.
    let previous = CanonicalExport::new(host.export().await?);
    let wanted = wanted(&previous.export.configuration)?;
    let changes = plan(&previous.export.configuration, &wanted);
    if let Some((state, schema)) = first {
        if previous.export.schema != *schema {
            let what = "the database was exchanged or upgraded while Uptime Kuma was being stopped";
            return Err(Error::new(Kind::SchemaDiffers, what).with_hint("the next cycle looks at what is there now"));
        }
        let dump = previous.dump(&host.name(), host.now(), None)?;
        host.keep_previous(&dump)?;
        if let Some(intent) = &mut state.intent {
            intent.previous = Some(previous.digest);
        }
        host.save(state)?;
    }
    for text in host.write(&changes, &wanted, history).await? {
        host.report(&Event::Warning { text });
    }
    Ok((previous.export.configuration, changes.size()))
}

/// The units that are to be started with Uptime Kuma, by the intent.
fn dependents(state: &State) -> Vec<String> {
    state.intent.as_ref().map(|intent| intent.dependents.clone()).unwrap_or_default()
}

async fn bring_up<H: Host>(host: &mut H, state: &State, unit: &str) -> Result<()> {
    let since = Instant::now();
    host.start(&dependents(state)).await?;
    host.report(&Event::Started { unit: unit.to_owned() });
    host.check_healthy().await?;
    host.report(&Event::Healthy { unit: unit.to_owned(), millis: millis(since.elapsed()) });
    Ok(())
}

/// Uptime Kuma has come up: nobody goes back to the monitors that were removed, nor to half-written files.
async fn remove_leftovers<H: Host>(host: &mut H) {
    if let Err(error) = host.remove_leftovers().await {
        let text = format!("what the apply has set aside stays until the next one: {}", error.chain());
        host.report(&Event::Warning { text });
    }
}

/// Whether an error of a start is the fault of the rows, and not of what lies between us and Uptime Kuma.
pub(super) fn condemns(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unhealthy | Kind::StartFailed)
}

/// After a failure before the commit: Uptime Kuma runs again with what it had, and will not be stopped for
/// this snapshot again, or not at once. Returns the error to report.
async fn resume<H: Host>(
    host: &mut H,
    state: &mut State,
    snapshot: Option<&SnapshotId>,
    start: bool,
    error: Error,
) -> Error {
    if matches!(error.kind(), Kind::WriteFailed | Kind::Unwritable) {
        refuse(host, state, snapshot, &error);
    } else {
        postpone(host, state, snapshot, &error);
    }
    if start && let Err(second) = host.start(&dependents(state)).await {
        // The intent stays on disk: the next run starts Uptime Kuma first.
        let text = format!("Uptime Kuma could not be started again: {}", second.chain());
        host.report(&Event::Warning { text });
        return error;
    }
    state.intent = None;
    error
}

/// Remembers that `snapshot` is not to be tried again, so that Uptime Kuma is not stopped for it every minute.
/// What a person restores is never refused: it is not tried by itself.
pub(super) fn refuse<H: Host>(host: &H, state: &mut State, snapshot: Option<&SnapshotId>, error: &Error) {
    if let Some(snapshot) = snapshot.cloned() {
        state.replica.refused = Some(Refused { snapshot, reason: error.chain(), at: host.now(), customization: None });
    }
}

/// Remembers that `snapshot` was tried for nothing once more, though it is not to blame.
fn postpone<H: Host>(host: &H, state: &mut State, snapshot: Option<&SnapshotId>, error: &Error) {
    let Some(snapshot) = snapshot else { return };
    let before = state.replica.setback.take().filter(|setback| setback.snapshot.same(snapshot));
    let attempts = before.map_or(0, |setback| setback.attempts).saturating_add(1);
    let (snapshot, reason) = (snapshot.clone(), error.chain());
    state.replica.setback = Some(Setback { snapshot, attempts, reason, at: host.now() });
}

/// After a commit with which Uptime Kuma does not come up: writes the previous configuration back and
/// refuses the snapshot from now on. Returns the error to report.
pub(super) async fn roll_back<H: Host>(
    host: &mut H,
    state: &mut State,
    snapshot: Option<&SnapshotId>,
    previous: &Configuration,
    unit: &str,
    error: Error,
) -> Error {
    let name = snapshot.map_or_else(|| "what was restored".to_owned(), |id| format!("snapshot {}", id.short()));
    refuse(host, state, snapshot, &error);
    // Saved at once: if this is interrupted too, the next cycle goes on with it.
    if let Err(second) = host.save(state) {
        host.report(&Event::Warning { text: second.chain() });
    }
    // It may hang half-way up; whether it really is down, the claim proves.
    if let Err(second) = host.stop().await {
        host.report(&Event::Warning { text: second.chain() });
    }
    let written = write(host, &|_| Ok(previous.clone()), History::BringBack, None).await;
    host.release();
    let restored = match written {
        Ok(_) => bring_up(host, state, unit).await.inspect_err(|second| {
            // What fails with either configuration is not the fault of the new one.
            if condemns(second) {
                state.replica.refused = None;
                postpone(host, state, snapshot, &error);
            }
        }),
        Err(second) => match host.start(&dependents(state)).await {
            Ok(()) => Err(second),
            Err(third) => Err(second.because(third)),
        },
    };
    match restored {
        Ok(()) => {
            state.intent = None;
            Error::new(Kind::RolledBack, format!("Uptime Kuma did not come up with {name}")).because(error)
        }
        Err(second) if second.kind() == Kind::Interrupted => second,
        Err(second) => Error::new(
            Kind::RollbackFailed,
            format!("Uptime Kuma did not come up with {name} ({}), nor with the previous configuration", error.chain()),
        )
        .because(second),
    }
}
