//! Whether the snapshot in force is to be applied again: this replica customization something else than before, it was
//! booted, or somebody edited what the last apply left there.

use crate::config::{Customization, OnDrift, Settings};
use crate::decide::{self, Content};
use crate::error::{Exit, Result};
use crate::localise;
use crate::model::digest::Digest;
use crate::model::dump;
use crate::model::snapshot::Snapshot;
use crate::model::state::{Drift, Left, ReplicaState, State};

use super::{Event, Export, Host};

/// What speaks for applying the snapshot in force again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reapply {
    /// Other customization than at the last apply.
    Customization,
    /// A boot since then.
    Boot,
    /// Somebody's edits: this is here instead of what was left.
    Edits(Left),
    /// Nothing: this is here.
    Nothing(Left),
    /// It cannot be found out at the moment.
    Unknown,
}

impl Reapply {
    /// Finds out, and changes nothing.
    ///
    /// # Errors
    /// Those of [`Host::export`], but for a database that is busy at the moment.
    pub async fn find<H: Host>(host: &mut H, settings: &Settings, replica: &ReplicaState) -> Result<Self> {
        if replica.customization != Some(settings.replica.customization.digest()) {
            return Ok(Self::Customization);
        }
        let applied = replica.applied.as_ref().map(|applied| applied.at);
        if settings.replica.apply_on_boot && applied.is_none_or(|at| at < host.booted()) {
            return Ok(Self::Boot);
        }
        let Content { digest, schema } = match host.export().await {
            Ok(export) => content(export, &settings.replica.customization),
            // Uptime Kuma migrates, say: there is time in the next cycle.
            Err(error) if error.kind().exit() == Exit::TryAgain => return Ok(Self::Unknown),
            Err(error) => return Err(error),
        };
        let here = Left { digest, schema };
        Ok(match &replica.left {
            Some(left) if left.schema == schema && left.digest != digest => Self::Edits(here),
            // The same; or nothing to compare with: an upgrade of Uptime Kuma may have rewritten rows.
            _ => Self::Nothing(here),
        })
    }

    /// Whether a cycle then applies `snapshot`, which is in force, again.
    ///
    /// # Errors
    /// [`SnapshotRejected`](crate::error::Kind::SnapshotRejected) if it was tried with these customization and taken back.
    pub fn applies(&self, settings: &Settings, replica: &ReplicaState, snapshot: &Snapshot) -> Result<bool> {
        let possible = decide::not_refused(&replica.with(settings.replica.customization.digest()), snapshot);
        match self {
            Self::Customization | Self::Boot => possible.map(|()| true),
            // What somebody edited here is no reason to try that every minute.
            Self::Edits(_) => Ok(settings.replica.on_drift == OnDrift::Overwrite && possible.is_ok()),
            Self::Nothing(_) | Self::Unknown => Ok(false),
        }
    }
}

/// Compares, tells a new difference once, and says whether `snapshot`, which is in force, is to be applied again.
///
/// # Errors
/// Those of [`Reapply::find`] and [`Reapply::applies`].
pub(super) async fn calls_for_apply<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    snapshot: &Snapshot,
) -> Result<bool> {
    let replica = &mut state.replica;
    let again = Reapply::find(host, settings, replica).await?;
    let applies = again.applies(settings, replica, snapshot)?;
    match again {
        Reapply::Edits(Left { digest, .. }) => {
            if replica.drift.as_ref().is_none_or(|drift| drift.digest != digest) {
                replica.drift = Some(Drift { digest, since: host.now() });
                host.report(&Event::Drifted { digest, overwrite: applies });
            }
        }
        Reapply::Nothing(here) => {
            replica.left = Some(here);
            replica.drift = None;
        }
        Reapply::Customization | Reapply::Boot | Reapply::Unknown => {}
    }
    Ok(applies)
}

/// Remembers what an apply has left: what was there before, if it wrote nothing; else what is there once Uptime Kuma
/// runs with it, as that completes some rows at its start.
pub(super) async fn remember<H: Host>(
    host: &mut H,
    state: &mut State,
    customization: &Customization,
    unwritten: Option<Export>,
) {
    let content = match unwritten {
        Some(export) => Some(content(export, customization)),
        // What cannot be read now is taken as it is in the next cycle.
        None => host.export().await.ok().map(|export| content(export, customization)),
    };
    state.replica.left = content.map(|Content { digest, schema }| Left { digest, schema });
    state.replica.drift = None;
}

/// What of an export is replicated to a host with these customization.
pub(super) fn content(export: Export, customization: &Customization) -> Content {
    let digest = Digest::of(&dump::body(&localise::managed(export.configuration, customization)));
    Content { digest, schema: export.schema.fingerprint() }
}
