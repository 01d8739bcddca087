//! Whether the snapshot in force is applied again: the customization changed, this host was booted, or rows were edited
//! on this replica.

use jiff::Timestamp;

use crate::config::OnDrift;
use crate::decide;
use crate::error::{Exit, Result};
use crate::model::content::Content;
use crate::model::digest::Digest;
use crate::model::snapshot::Snapshot;
use crate::model::state::LocalRows;

use super::outside::Host;
use super::{Cause, Event, Export, Session};

/// What the database of a replica says about the snapshot in force.
enum Found {
    /// The customization is not the one that it was applied with.
    Customization,
    /// This host was booted since.
    Boot,
    /// Rows were edited; this is in the database instead of what the apply left.
    Drift(Content),
    /// This is in the database, and no edit is known.
    Same(Content),
    /// The database cannot be read at the moment.
    Unknown,
}

impl<H: Host> Session<'_, H> {
    /// Why `snapshot`, which is in force, is applied again, if it is. Remembers edits, and reports new ones.
    ///
    /// # Errors
    /// [`SnapshotRejected`](crate::error::Kind::SnapshotRejected) if it was rejected with this customization; those of
    /// an export, unless the database cannot be read at the moment.
    pub(super) async fn cause(&mut self, snapshot: &Snapshot) -> Result<Option<Cause>> {
        if self.options.as_main {
            return Ok(Some(Cause::Ordered));
        }
        let customization = self.settings.replica.customization.digest();
        let possible = match self.options.retry {
            true => Ok(()),
            false => decide::rejected(&self.state.replica, snapshot, customization, &self.host.zone()),
        };
        match self.compare(customization).await? {
            Found::Customization => possible.map(|()| Some(Cause::Customization)),
            Found::Boot => possible.map(|()| Some(Cause::Boot)),
            Found::Drift(content) => {
                // An edit is no reason to try a rejected snapshot every minute.
                let overwrite = self.settings.replica.on_drift == OnDrift::Overwrite && possible.is_ok();
                let since = self.remember_drift(content, overwrite);
                Ok(overwrite.then_some(Cause::Drift(since)))
            }
            Found::Same(content) => {
                self.set_rows(LocalRows::AsApplied { baseline: content });
                Ok(None)
            }
            Found::Unknown => Ok(None),
        }
    }

    async fn compare(&mut self, customization: Digest) -> Result<Found> {
        let applied = self.state.replica.applied.as_ref();
        if applied.and_then(|applied| applied.customization) != Some(customization) {
            return Ok(Found::Customization);
        }
        let at = applied.map(|applied| applied.at);
        if self.settings.replica.apply_on_boot && at.is_none_or(|at| at < self.host.booted()) {
            return Ok(Found::Boot);
        }
        let content = match self.managed_content().await {
            Ok(content) => content,
            // Uptime Kuma migrates, for example: the next cycle compares.
            Err(error) if error.kind().exit() == Exit::TryAgain => return Ok(Found::Unknown),
            Err(error) => return Err(error),
        };
        Ok(match self.state.replica.baseline() {
            Some(baseline) if baseline.schema == content.schema && baseline.digest != content.digest => {
                Found::Drift(content)
            }
            // Or there is nothing to compare with: an upgrade of Uptime Kuma may have rewritten rows.
            _ => Found::Same(content),
        })
    }

    /// Returns since when the edits are known.
    fn remember_drift(&mut self, content: Content, overwrite: bool) -> Option<Timestamp> {
        let applied = self.state.replica.applied.as_mut()?;
        if let LocalRows::Drifted { digest, since, .. } = &applied.rows
            && *digest == content.digest
        {
            return Some(*since);
        }
        let (LocalRows::AsApplied { baseline } | LocalRows::Drifted { baseline, .. }) = applied.rows else {
            return None;
        };
        let (digest, since) = (content.digest, self.host.now());
        applied.rows = LocalRows::Drifted { baseline, digest, since };
        self.report(&Event::Drifted { digest, overwrite });
        None
    }

    fn set_rows(&mut self, rows: LocalRows) {
        if let Some(applied) = &mut self.state.replica.applied {
            applied.rows = rows;
        }
    }

    /// What an apply left: what was there before, if it wrote nothing; else what is there once Uptime Kuma runs with
    /// it, as Uptime Kuma completes some rows at its start.
    pub(super) async fn rows_after_apply(&mut self, unwritten: Option<Export>) -> LocalRows {
        let export = match unwritten {
            Some(export) => Some(export),
            // What cannot be read now is taken as it is in the next cycle.
            None => self.host.export().await.ok(),
        };
        export.map_or(LocalRows::Unknown, |export| LocalRows::AsApplied { baseline: self.content(export) })
    }
}
