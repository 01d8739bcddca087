//! Removing snapshots, and data that no snapshot needs. Both take an exclusive lock, beside which no other host can publish,
//! so both are given more time than others to remove it when they are ended early.

use std::time::Duration;

use super::failure;
use super::process::{End, Process};
use super::repository::Restic;
use super::run::Output;
use crate::error::{Error, Kind, Result};
use crate::model::snapshot::SnapshotId;

/// How long a restic with an exclusive lock may take to remove it after an interrupt.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a prune may take, if `timeout` in `[restic]` is not longer.
pub const PRUNE_TIMEOUT: Duration = Duration::from_secs(3600);

impl Restic {
    /// Removes these snapshots, and not their data. One that is gone already does no harm. Ends early if `order` comes.
    ///
    /// # Errors
    /// [`Kind::RepositoryDenied`] if the storage refuses to remove them; any failure of restic. Some may be removed then.
    pub async fn forget(&self, ids: &[SnapshotId], order: impl Future<Output = ()>) -> Result<()> {
        let what = format!("cannot forget snapshots in repository {}", self.repository);
        let ids: Vec<String> = ids.iter().map(SnapshotId::to_string).collect();
        let arguments: Vec<&str> = ["forget"].into_iter().chain(ids.iter().map(String::as_str)).collect();
        let process = Process { patience: PATIENCE, ..self.process(&arguments, Output::Answer) };
        let finished = self.finish_process(&what, process, self.stopped(order)).await?;
        let text = finished.messages.text();
        let left = failure::not_removed(&text).filter(|_| !matches!(finished.end, End::Interrupted | End::Deadline));
        if let Some((kind, line)) = left {
            return Err(refused(Error::new(kind, what).because(self.credentials.secrets().mask(line))));
        }
        self.check(&what, &finished, Output::Answer).map_err(refused)
    }

    /// Removes the data that no snapshot in the repository needs any more. Ends early if `order` comes.
    ///
    /// # Errors
    /// Any failure of restic.
    pub async fn prune(&self, order: impl Future<Output = ()>) -> Result<()> {
        let what = format!("cannot prune repository {}", self.repository);
        let timeout = PRUNE_TIMEOUT.max(self.timeout);
        let process = Process { patience: PATIENCE, timeout, ..self.process(&["prune"], Output::Answer) };
        let finished = self.finish_process(&what, process, self.stopped(order)).await?;
        self.check(&what, &finished, Output::Answer).map_err(refused)
    }

    async fn stopped(&self, order: impl Future<Output = ()>) {
        tokio::select! {
            () = self.interrupt.wait() => {}
            () = order => {}
        }
    }
}

/// Says what a person can do about storage from which this host may not remove anything.
fn refused(error: Error) -> Error {
    match error.kind() {
        Kind::RepositoryDenied => error.with_hint(
            "where that is meant, as with append-only storage, write keep = \"all\" in [main]; \
             /usr/share/doc/kuma-replicator/retention.md says what else can be done",
        ),
        _ => error,
    }
}
