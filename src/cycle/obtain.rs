//! What a replica does before it has a dump: look, decide whether to go on, fetch, verify.

use crate::decide::{self, Newest};
use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::model::looked::LastLook;
use crate::model::snapshot::{Snapshot, SnapshotId};
use crate::model::state::{Decision, Verdict};

use super::outside::Host;
use super::verify::verify_beside;
use super::{Cause, Event, Export, Ready, Session, Verified};

/// What a look and what follows from it return.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Obtained {
    /// A snapshot to be applied.
    Snapshot(Found),
    /// There is nothing to apply.
    Nothing(Ready),
}

/// A snapshot to be applied, and the database that it is to be applied to.
pub(super) struct Found {
    pub(super) snapshot: Snapshot,
    pub(super) cause: Cause,
    pub(super) here: Export,
    pub(super) dump: Verified,
    /// The bytes of the dump, unless they are kept on this host already.
    pub(super) fetched: Option<Vec<u8>>,
}

/// The newest snapshot, and why it is applied; or what happens instead.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Looked {
    Apply(Snapshot, Cause),
    Nothing(Ready),
}

impl<H: Host> Session<'_, H> {
    /// Looks, decides, and fetches what is to be applied.
    ///
    /// A prune may remove the snapshot, or first its data, between the look and the end of the fetch. So a dump that
    /// cannot be fetched is worth one more look, and one more fetch if another snapshot is the newest by then.
    pub(super) async fn obtain(&mut self) -> Result<Obtained> {
        let mut lost: Option<(SnapshotId, Error)> = None;
        loop {
            let (snapshot, cause) = match self.look(lost.is_none()).await? {
                Looked::Apply(snapshot, cause) => (snapshot, cause),
                Looked::Nothing(ready) => return Ok(Obtained::Nothing(ready)),
            };
            if let Some((_, error)) = lost.take_if(|(id, _)| id.same(&snapshot.id)) {
                return Err(error);
            }
            let here = self.host.export().await?;
            let (verdict, policy) = (self.state.replica.verdict.as_ref(), self.settings.replica.schema);
            if let Some(reason) = decide::still_blocked(verdict, &snapshot, &here.schema, policy) {
                let (reason, snapshot) = (reason.to_owned(), Some(snapshot));
                return Ok(Obtained::Nothing(Ready::Blocked { reason, snapshot }));
            }
            self.host.check_interrupted()?;
            if let Some(dump) = self.kept_of(&snapshot, &here.configuration) {
                return Ok(Obtained::Snapshot(Found { snapshot, cause, here, dump, fetched: None }));
            }
            match self.host.fetch(&snapshot.id).await {
                Ok(bytes) => {
                    let dump = self.verify_fetched(&bytes, &snapshot, &here.configuration)?;
                    return Ok(Obtained::Snapshot(Found { snapshot, cause, here, dump, fetched: Some(bytes) }));
                }
                Err(error) if lost.is_none() && matches!(error.kind(), Kind::SnapshotGone | Kind::SnapshotDamaged) => {
                    lost = Some((snapshot.id, error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The newest snapshot, if it is to be applied now.
    async fn look(&mut self, by_name: bool) -> Result<Looked> {
        let at = self.host.now();
        let listing = if by_name { self.listing_by_name().await? } else { self.listing().await? };
        self.state.replica.looked = Some(LastLook { at, cost: self.host.cost_of_look() });
        self.report_stray(decide::stray(&listing));
        let (snapshot, cause) = match decide::newest(&listing, &self.state.replica)? {
            Newest::None => {
                let reason = "nothing has been published to the repository yet".to_owned();
                return Ok(Looked::Nothing(Ready::Blocked { reason, snapshot: None }));
            }
            Newest::Applied(snapshot) => match self.cause(snapshot).await? {
                Some(cause) => (snapshot, cause),
                None => {
                    let (snapshot, drifted) = (snapshot.clone(), self.state.replica.is_drifted());
                    return Ok(Looked::Nothing(Ready::UpToDate { snapshot, drifted }));
                }
            },
            Newest::New(snapshot) => (snapshot, Cause::New),
        };
        let customization = self.settings.replica.customization.digest();
        if !self.options.retry {
            decide::rejected(&self.state.replica, snapshot, customization, &self.host.zone())?;
        }
        if !snapshot.tags.readable() {
            let format = snapshot.tags.format;
            let reason = format!("the main writes dump format {format}; upgrade kuma-replicator on this replica");
            return Ok(Looked::Nothing(Ready::Blocked { reason, snapshot: Some(snapshot.clone()) }));
        }
        if self.options.retry {
            self.report_retry(snapshot);
        }
        if self.options.is_patient() {
            decide::backoff(&self.state.replica, snapshot, self.host.now())?;
            // The cycle before planned it already; planning it again would find nothing else.
            if let Some(until) = decide::still_deferred(&self.state.replica, snapshot, customization, self.host.now()) {
                return Ok(Looked::Nothing(Ready::Deferred { snapshot: snapshot.clone(), until }));
            }
        }
        Ok(Looked::Apply(snapshot.clone(), cause))
    }

    /// The dump of `snapshot`, if it is in force and kept on this host.
    fn kept_of(&mut self, snapshot: &Snapshot, here: &Configuration) -> Option<Verified> {
        let tags = &snapshot.tags;
        let applied = self.state.replica.applied.as_ref()?;
        if applied.digest != tags.digest || applied.place != tags.place {
            return None;
        }
        self.kept(here).filter(|Verified(dump)| dump.manifest.fingerprint == tags.schema)
    }

    /// restic has proved that these are the bytes that were stored: a dump that cannot be used stays so.
    fn verify_fetched(&mut self, bytes: &[u8], snapshot: &Snapshot, here: &Configuration) -> Result<Verified> {
        let verified =
            verify_beside(bytes, Some(snapshot), here).inspect_err(|error| self.reject(&snapshot.id, error))?;
        self.report_once(&Event::Fetched { snapshot: snapshot.id.clone(), bytes: bytes.len() });
        Ok(verified)
    }

    /// Reports that an operator has a snapshot tried again, and what had prevented that.
    fn report_retry(&mut self, snapshot: &Snapshot) {
        let Some(Verdict { reason, decision, .. }) = self.state.replica.verdict_on(&snapshot.id) else { return };
        let rejected = match decision {
            Decision::Rejected { .. } => true,
            Decision::Backoff { .. } => false,
            Decision::Blocked { .. } | Decision::Deferred { .. } => return,
        };
        self.report(&Event::Retried { snapshot: snapshot.id.clone(), rejected, reason: reason.clone() });
    }
}
