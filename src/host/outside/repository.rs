//! The repository, through restic.

use jiff::Timestamp;

use crate::config::Settings;
use crate::cycle::{Event, Repository, Surroundings as _};
use crate::error::{Error, Kind, Result};
use crate::host::restic::{PRUNE_TIMEOUT, Published, Restic};
use crate::host::system::notify;
use crate::model::looked::{KeptListing, LookCost, Looked};
use crate::model::snapshot::{Listing, Snapshot, SnapshotId, Tags};
use crate::terminal::{self, Waiting};

use super::System;
use super::system::STEP_TIMEOUT;

impl System {
    /// Waits for an order that this process gives way to.
    fn order_that_goes_first(&self) -> impl Future<Output = ()> + use<> {
        let order = self.gives_way.then(|| self.store.until_an_order_waits());
        async {
            match order {
                Some(order) => order.await,
                None => std::future::pending().await,
            }
        }
    }

    /// Looks with restic, and keeps what it found.
    async fn look_with_restic(&mut self) -> Result<Listing> {
        let _waiting = wait_for_repository(&self.settings, "looking into");
        // What is damaged in restic's cache is read a second time.
        notify::extend(self.settings.restic.timeout * 2 + STEP_TIMEOUT);
        let order = self.order_that_goes_first();
        let looked = or_give_way(self.restic()?.look_at_all(), order).await?;
        Ok(self.keep(looked, self.now()))
    }

    /// What a look would find, and when restic listed it, if the repository still has the same snapshots by their names.
    async fn found_by_name(&mut self) -> Result<Option<(Looked, Timestamp)>> {
        let kept = self.store.listing().filter(|kept| kept.is_usable(self.settings.repository.digest(), self.now()));
        let Some(kept) = kept else { return Ok(None) };
        let _waiting = wait_for_repository(&self.settings, "asking for the names of the snapshots in");
        let order = self.order_that_goes_first();
        let restic = self.restic()?;
        let names = or_give_way(async { Ok(restic.names().await) }, order).await?;
        self.lacks_names = names.is_none();
        let at = kept.at;
        Ok(names.and_then(|names| kept.found_with(names)).map(|looked| (looked, at)))
    }

    /// Keeps what a look at this time found. That it cannot be kept only costs another restic.
    fn keep(&mut self, looked: Looked, at: Timestamp) -> Listing {
        let useful = !self.is_preview && self.restic().is_ok_and(|restic| restic.cost_of_names().is_some());
        if let Some(kept) = KeptListing::new(&looked, self.settings.repository.digest(), at).filter(|_| useful) {
            let _ = self.store.keep_listing(&kept);
        }
        self.looked.insert((looked, at)).0.listing.clone()
    }

    /// Keeps what a look would find after a publish, if the new snapshot is the only difference to the look before.
    /// Otherwise the next look is one with restic.
    async fn keep_published(&mut self, id: &SnapshotId, tags: &Tags) {
        let Some((Looked { mut listing, names: before }, at)) = self.looked.take() else { return };
        let Ok(restic) = self.restic() else { return };
        let Some(names) = restic.names().await else { return };
        let Some(new) = names.one_more_than(&before).filter(|new| new.same(id)) else { return };
        let (id, time, host) = (new.clone(), self.now(), self.name());
        listing.snapshots.push(Snapshot { id, time, host, tags: tags.clone() });
        self.keep(Looked { listing, names }, at);
    }

    /// Keeps what a look would find after these were forgotten, if nothing else has changed since the look before. Otherwise
    /// the next look is one with restic. Returns how many of them are still there, as far as that is known.
    async fn keep_forgotten(&mut self, ids: &[SnapshotId]) -> usize {
        let Some((looked, at)) = self.looked.take() else { return 0 };
        let Ok(restic) = self.restic() else { return 0 };
        let Some(names) = restic.names().await else { return 0 };
        let left = names.among(ids).len();
        if let Some(looked) = looked.without(ids, names) {
            self.keep(looked, at);
        }
        left
    }
}

/// Says to people at a terminal that the repository is waited for.
pub fn wait_for_repository(settings: &Settings, what: impl std::fmt::Display) -> Waiting {
    let (repository, limit) = (&settings.repository, settings.restic.timeout.as_secs());
    terminal::wait(format!("{what} repository {repository}, for at most {limit} s"))
}

/// How many snapshots one restic forgets: its arguments have a limit, and so has its time.
const MAX_FORGOTTEN: usize = 1000;

/// What restic reads, unless an order comes first. restic takes no lock for that and is killed.
async fn or_give_way<T>(reading: impl Future<Output = Result<T>>, order: impl Future<Output = ()>) -> Result<T> {
    tokio::select! {
        biased;
        result = reading => result,
        () = order => {
            let what = "the repository was not waited for any longer, because an order on this host goes first";
            Err(Error::new(Kind::Interrupted, what))
        }
    }
}

impl Repository for System {
    async fn look(&mut self) -> Result<Listing> {
        self.look_with_restic().await
    }

    async fn look_by_name(&mut self) -> Result<Listing> {
        match self.found_by_name().await? {
            Some(found) => Ok(self.looked.insert(found).0.listing.clone()),
            None => self.look_with_restic().await,
        }
    }

    fn cost_of_look(&mut self) -> LookCost {
        let cost = self.restic().ok().and_then(Restic::cost_of_names);
        cost.filter(|_| !self.lacks_names).unwrap_or(LookCost::Restic)
    }

    async fn fetch(&mut self, id: &SnapshotId) -> Result<Vec<u8>> {
        let _waiting = wait_for_repository(&self.settings, format_args!("fetching snapshot {} from", id.short()));
        notify::extend(self.settings.restic.timeout * 2 + STEP_TIMEOUT);
        let order = self.order_that_goes_first();
        or_give_way(self.restic()?.fetch(id), order).await
    }

    async fn publish(&mut self, dump: &[u8], tags: &Tags) -> Result<SnapshotId> {
        let _waiting = wait_for_repository(&self.settings, "publishing into");
        notify::extend(self.settings.restic.timeout + STEP_TIMEOUT);
        let name = self.name();
        let Published { id, lock_left } = self.restic()?.publish(dump, tags, &name).await?;
        if let Some(reason) = lock_left {
            let text = format!("published, but the lock stays in the repository, which refuses to remove it: {reason}");
            self.report(&Event::Warning { text });
        }
        self.keep_published(&id, tags).await;
        Ok(id)
    }

    async fn check_publishable(&mut self) -> Result<Option<String>> {
        let _waiting = wait_for_repository(&self.settings, "writing a lock into");
        notify::extend(self.settings.restic.timeout + STEP_TIMEOUT);
        self.restic()?.check_publishable().await
    }

    async fn forget(&mut self, ids: &[SnapshotId]) -> Result<()> {
        for ids in ids.chunks(MAX_FORGOTTEN) {
            notify::extend(self.settings.restic.timeout + STEP_TIMEOUT);
            let order = self.order_that_goes_first();
            let forgotten = self.restic()?.forget(ids, order).await;
            let left = self.keep_forgotten(ids).await;
            forgotten?;
            if left > 0 {
                let what = format!("cannot forget snapshots in repository {}", self.settings.repository);
                let cause = format!("restic reported success, but {left} of them are still there");
                return Err(Error::new(Kind::RepositoryDenied, what).because(cause));
            }
        }
        Ok(())
    }

    async fn prune(&mut self) -> Result<()> {
        notify::extend(PRUNE_TIMEOUT.max(self.settings.restic.timeout) + STEP_TIMEOUT);
        notify::status("pruning the repository");
        let order = self.order_that_goes_first();
        self.restic()?.prune(order).await
    }

    async fn remove_stale_locks(&mut self) -> Result<usize> {
        let _waiting = wait_for_repository(&self.settings, "looking for old locks in");
        let within = self.settings.restic.timeout;
        notify::extend(within + STEP_TIMEOUT);
        let name = self.name();
        // One restic for each lock, but not more time than for one: this only tidies up.
        tokio::time::timeout(within, self.restic()?.remove_stale_locks(&name)).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::RepositoryUnreachable, "cannot see to the locks in the repository in time"))
        })
    }
}
