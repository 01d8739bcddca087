//! What an operator puts in force by hand: an earlier snapshot, or what the last apply replaced. Cycles are on hold from
//! then on, so that none undoes it.

use crate::config::{Role, Settings};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::localise::Desired;
use crate::model::configuration::Configuration;
use crate::model::digest::Digest;
use crate::model::origin::Origin;
use crate::model::snapshot::SnapshotId;
use crate::model::state::{Hold, LocalRows};
use crate::plan::Size;

use super::change::Cleared;
use super::outside::Host;
use super::{Change, Event, Export, Session, Verified, verify};

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A snapshot in the repository.
    Snapshot(SnapshotId),
    /// What the last apply or restore replaced on this host.
    Previous,
}

/// A restore that is ready to be carried out.
#[derive(Debug)]
pub struct Restoration {
    /// What is restored, for people.
    pub name: String,
    /// The row changes.
    pub change: Change,
    digest: Digest,
    dump: Configuration,
    source: Source,
    here: Export,
    /// The previous configuration as it is kept now: the restore overwrites it.
    previous: Option<Vec<u8>>,
}

impl<H: Host> Session<'_, H> {
    /// Fetches, verifies and plans. Changes nothing except that it recovers from an interrupted apply.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there is no such snapshot, [`Kind::SchemaDiffers`] if Uptime Kuma was upgraded since, those of
    /// [`verify`] and of everything that is outside.
    pub async fn prepare_restore(&mut self, source: Source) -> Result<Restoration> {
        self.recover().await?;
        let previous = self.host.previous()?;
        let (name, Verified(dump)) = match &source {
            Source::Snapshot(id) => self.fetch_to_restore(id).await?,
            Source::Previous => ("the previous configuration".to_owned(), verify_previous(previous.as_deref())?),
        };
        let here = self.host.export().await?;
        if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, self.settings.replica.schema) {
            let what = format!("{name} was made by another version of Uptime Kuma");
            return Err(Error::new(Kind::SchemaDiffers, what).because(reason));
        }
        let (digest, main, dump) = (dump.manifest.digest, dump.manifest.schema, dump.configuration);
        let wanted = desired(self.settings, &source, &dump).on(&here.configuration)?.configuration;
        let origin = Origin::Restore { name: name.clone() };
        let change = Change::new(origin, &here.configuration, &here.schema, wanted);
        self.rehearse(&change, &here.configuration, &main).await?;
        Ok(Restoration { name, change, digest, dump, source, here, previous })
    }

    async fn fetch_to_restore(&mut self, id: &SnapshotId) -> Result<(String, Verified)> {
        let listing = self.listing().await?;
        let Some(snapshot) = listing.snapshots.iter().find(|snapshot| snapshot.id.same(id)) else {
            let what = format!("there is no snapshot {id} of kuma-replicator in the repository");
            return Err(Error::new(Kind::Usage, what).with_hint("kuma-replicator snapshots lists them"));
        };
        let bytes = self.host.fetch(&snapshot.id).await?;
        Ok((format!("snapshot {}", snapshot.id.short()), verify(&bytes, Some(snapshot))?))
    }

    /// Carries it out, and puts the cycles of this host on hold.
    ///
    /// # Errors
    /// Those of an apply. The configuration that was in force then is so again, and the hold and the kept previous
    /// configuration are as they were.
    pub async fn restore(&mut self, restoration: Restoration) -> Result<()> {
        let Restoration { name, change, digest, dump, source, here, previous } = restoration;
        let size = change.plan.size();
        // Saved before the restore: if this process is killed, no cycle undoes what it has done.
        let hold = Hold { reason: format!("restore of {name}"), since: self.host.now(), until: None };
        let (held, rows) = (self.state.hold.replace(hold), self.set_restored(digest));
        self.host.save(self.state)?;
        if !change.plan.is_empty()
            && let Err(error) = self.put_restored(change, &here, &source, &dump).await
        {
            // With an intent left, the rows may be in force.
            if self.state.intent.is_none() {
                self.state.hold = held;
                if let (Some(applied), Some(rows)) = (&mut self.state.replica.applied, rows) {
                    applied.rows = rows;
                }
                // What could not be restored now may exist nowhere else.
                if let Some(Err(second)) = previous.map(|dump| self.host.keep_previous(&dump)) {
                    self.warn(&second);
                }
            }
            // If it cannot be saved, the host stays on hold; the failure itself matters more.
            self.save_or_warn();
            return Err(error);
        }
        self.finish_restore(source, name, digest, size)
    }

    async fn put_restored(
        &mut self,
        change: Change,
        here: &Export,
        source: &Source,
        dump: &Configuration,
    ) -> Result<()> {
        let clearance = self.clear(&[&change.plan]).await?;
        let desired = desired(self.settings, source, dump);
        self.put_in_force(Cleared { change, here, desired, clearance: &clearance }).await.map(drop)
    }

    fn finish_restore(&mut self, source: Source, name: String, digest: Digest, size: Size) -> Result<()> {
        self.state.intent = None;
        if let Source::Snapshot(id) = source {
            // Uptime Kuma runs with it.
            self.state.replica.verdict.take_if(|verdict| verdict.snapshot.same(&id));
        }
        self.state.obeyed("restore", self.host.now());
        self.host.save(self.state)?;
        self.report(&Event::Restored { name, digest, size });
        Ok(())
    }

    /// Remembers that other rows are in force than those of the snapshot applied last. Returns what they were.
    fn set_restored(&mut self, digest: Digest) -> Option<LocalRows> {
        let applied = self.state.replica.applied.as_mut()?;
        Some(std::mem::replace(&mut applied.rows, LocalRows::Restored { digest }))
    }
}

/// What a source is on this host. The previous configuration has the customization in it that this host had then. The
/// settings of Uptime Kuma stay as they are.
fn desired<'a>(settings: &'a Settings, source: &Source, dump: &'a Configuration) -> Desired<'a> {
    match (settings.role, source) {
        (Role::Replica, Source::Snapshot(_)) => Desired::customized(dump, &settings.replica.customization),
        (role, _) => {
            let customization = (role == Role::Replica).then_some(&settings.replica.customization);
            Desired::Restored { configuration: dump, customization }
        }
    }
}

fn verify_previous(previous: Option<&[u8]>) -> Result<Verified> {
    let Some(bytes) = previous else {
        let what = "no apply has replaced anything on this host yet";
        return Err(Error::new(Kind::Usage, what).with_hint("restore a snapshot: kuma-replicator snapshots"));
    };
    verify(bytes, None).map_err(|error| match error.kind() {
        Kind::NoUser => error.with_hint("restore a snapshot instead: kuma-replicator snapshots"),
        _ => error,
    })
}
