//! Changes that a running server takes up by itself: they are written while it runs.

use std::time::Instant;

use crate::config::{Restart, Settings};
use crate::error::{Error, Kind, Result};
use crate::model::snapshot::SnapshotId;
use crate::model::state::{Intent, State};
use crate::plan::Plan;

use super::publish::CanonicalExport;
use super::replace::{Goal, condemns, replace, roll_back};
use super::{Activity, Event, Export, Host, millis, origin};

/// How many rows are changed while Uptime Kuma waits: 10,000 take a fifth of a second on two busy cores, and versions
/// before 2.3.1 wait for one second.
pub const MAX_LIVE_ROWS: usize = 10_000;

/// Whether Uptime Kuma has to be restarted for `changes`.
pub fn needs_restart(changes: &Plan, restart: Restart) -> bool {
    match restart {
        Restart::WhenNeeded => changes.cached_table().is_some() || changes.size().rows() > MAX_LIVE_ROWS,
        Restart::Always => !changes.is_empty(),
    }
}

/// Puts `goal` in force, which was planned from the rows `here`, and restarts Uptime Kuma if that has to be. Without a
/// `snapshot`, a person ordered it. When this returns an error, the previous configuration is in force.
pub(super) async fn put_in_force<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    snapshot: Option<&SnapshotId>,
    here: &Export,
    goal: Goal<'_>,
    restart: Restart,
) -> Result<()> {
    if needs_restart(goal.changes, restart) || host.activity().await? == Activity::Stopped {
        return replace(host, settings, state, snapshot, goal).await;
    }
    host.check_intact().await?;
    host.check_writable(goal.changes).await?;
    // For a way back it would have to be stopped; and one that does not answer now proves nothing afterwards.
    host.check_stoppable().await?;
    let dependents = host.dependents().await?;
    host.check_interrupted()?;
    // Fetching and trying took their time. An edit since then is found as one in the next cycle, in whatever table it is;
    // of those of the plan, the write proves it once more.
    let previous = CanonicalExport::new(host.export().await?);
    if previous.export != *here {
        let what = "the configuration was edited while the changes were planned";
        return Err(Error::new(Kind::DatabaseBusy, what).with_hint("the next cycle plans anew"));
    }
    let wanted = (goal.wanted)(&here.configuration)?;
    let dump = previous.dump(&host.name(), host.now(), None)?;
    host.keep_previous(&dump)?;
    // Not that it would be stopped: were this killed after the commit, somebody has to see whether it answers.
    let (id, since) = (snapshot.cloned(), host.now());
    state.intent = Some(Intent { snapshot: id, start: true, dependents, since, previous: Some(previous.digest) });
    host.save(state)?;

    let since = Instant::now();
    let warnings = host.write_live(goal.changes, here, &wanted).await.inspect_err(|_| state.intent = None)?;
    for text in warnings {
        host.report(&Event::Warning { text });
    }
    let size = goal.changes.size();
    host.report(&Event::Written { origin: origin(snapshot), size, millis: millis(since.elapsed()) });
    match host.check_healthy().await {
        Ok(()) => Ok(()),
        Err(error) if condemns(&error) => {
            let unit = settings.kuma.unit.to_string();
            Err(roll_back(host, state, snapshot, &previous.export.configuration, &unit, error).await)
        }
        Err(error) => Err(error),
    }
}
