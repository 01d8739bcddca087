//! Whether somebody edited the configuration of a replica: what the last apply left there, against what is there.

use crate::config::{OnDrift, Settings};
use crate::decide::Content;
use crate::error::{Exit, Result};
use crate::model::snapshot::SnapshotId;
use crate::model::state::{Drift, Left, State};

use super::{Event, Host, prepare};

/// Compares, tells a new difference once, and says whether `snapshot`, which is in force, is to be applied again.
///
/// # Errors
/// Those of [`Host::export`], but for a database that is busy at the moment.
pub(super) async fn calls_for_apply<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    snapshot: &SnapshotId,
) -> Result<bool> {
    let Content { digest, schema } = match prepare(host).await {
        Ok(prepared) => prepared.content(),
        // Uptime Kuma migrates, say: there is time in the next cycle.
        Err(error) if error.kind().exit() == Exit::TryAgain => return Ok(false),
        Err(error) => return Err(error),
    };
    let replica = &mut state.replica;
    match &replica.left {
        Some(left) if left.schema == schema && left.digest != digest => {}
        // The same; or nothing to compare with: an upgrade of Uptime Kuma may have rewritten rows.
        _ => {
            replica.left = Some(Left { digest, schema });
            replica.drift = None;
            return Ok(false);
        }
    }
    // A snapshot that was taken back when it was applied again is not tried every minute.
    let refused = replica.refused.as_ref().is_some_and(|refused| refused.snapshot.same(snapshot));
    let overwrite = settings.replica.on_drift == OnDrift::Overwrite && !refused;
    if replica.drift.as_ref().is_none_or(|drift| drift.digest != digest) {
        replica.drift = Some(Drift { digest, since: host.now() });
        host.tell(&Event::Drifted { digest, overwrite });
    }
    Ok(overwrite)
}

/// Remembers what an apply has left: `content` if it wrote nothing; else what is there once Uptime Kuma runs with
/// it, as that completes some rows at its start.
pub(super) async fn remember<H: Host>(host: &mut H, state: &mut State, content: Option<Content>) {
    let content = match content {
        Some(content) => Some(content),
        // What cannot be read now is taken as it is in the next cycle.
        None => prepare(host).await.ok().map(|prepared| prepared.content()),
    };
    state.replica.left = content.map(|Content { digest, schema }| Left { digest, schema });
    state.replica.drift = None;
}
