//! Whether the snapshot in force is to be applied again: this replica wishes something else than before, it was
//! booted, or somebody edited what the last apply left there.

use crate::config::{OnDrift, Settings, Wishes};
use crate::decide::{self, Content};
use crate::error::{Exit, Result};
use crate::localise;
use crate::model::digest::Digest;
use crate::model::dump;
use crate::model::snapshot::Snapshot;
use crate::model::state::{Drift, Left, State};

use super::{Event, Export, Host};

/// Compares, tells a new difference once, and says whether `snapshot`, which is in force, is to be applied again.
///
/// # Errors
/// Those of [`Host::export`], but for a database that is busy at the moment; `SnapshotRefused` if it was tried
/// with these wishes.
pub(super) async fn calls_for_apply<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    snapshot: &Snapshot,
) -> Result<bool> {
    let wishes = settings.replica.wishes.digest();
    // A snapshot that was taken back when it was applied again is not tried every minute.
    let refused = decide::not_refused(&state.replica.with(wishes), snapshot);
    let applied = state.replica.applied.as_ref().map(|applied| applied.at);
    let booted = settings.replica.apply_on_boot && applied.is_none_or(|at| at < host.booted());
    if state.replica.wishes != Some(wishes) || booted {
        return refused.map(|()| true);
    }
    let Content { digest, schema } = match host.export().await {
        Ok(export) => content(&export, &settings.replica.wishes),
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
    let overwrite = settings.replica.on_drift == OnDrift::Overwrite && refused.is_ok();
    if replica.drift.as_ref().is_none_or(|drift| drift.digest != digest) {
        replica.drift = Some(Drift { digest, since: host.now() });
        host.tell(&Event::Drifted { digest, overwrite });
    }
    Ok(overwrite)
}

/// Remembers what an apply has left: what was there before, if it wrote nothing; else what is there once Uptime Kuma
/// runs with it, as that completes some rows at its start.
pub(super) async fn remember<H: Host>(host: &mut H, state: &mut State, wishes: &Wishes, unwritten: Option<&Export>) {
    let content = match unwritten {
        Some(export) => Some(content(export, wishes)),
        // What cannot be read now is taken as it is in the next cycle.
        None => host.export().await.ok().map(|export| content(&export, wishes)),
    };
    state.replica.left = content.map(|Content { digest, schema }| Left { digest, schema });
    state.replica.drift = None;
}

/// What of an export is replicated to a host with these wishes.
pub(super) fn content(export: &Export, wishes: &Wishes) -> Content {
    let digest = Digest::of(&dump::body(&localise::managed(&export.configuration, wishes)));
    Content { digest, schema: export.schema.fingerprint() }
}
