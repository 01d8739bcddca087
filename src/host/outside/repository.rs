//! The repository, through restic.

use crate::cycle::{Event, Repository, Surroundings as _};
use crate::error::{Error, Kind, Result};
use crate::host::restic::Published;
use crate::host::system::notify;
use crate::model::snapshot::{Listing, SnapshotId, Tags};

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
}

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
        // What is damaged in restic's cache is read a second time.
        notify::extend(self.settings.restic.timeout * 2 + STEP_TIMEOUT);
        let order = self.order_that_goes_first();
        or_give_way(self.restic()?.look(), order).await
    }

    async fn fetch(&mut self, id: &SnapshotId) -> Result<Vec<u8>> {
        notify::extend(self.settings.restic.timeout * 2 + STEP_TIMEOUT);
        let order = self.order_that_goes_first();
        or_give_way(self.restic()?.fetch(id), order).await
    }

    async fn publish(&mut self, dump: &[u8], tags: &Tags) -> Result<SnapshotId> {
        notify::extend(self.settings.restic.timeout + STEP_TIMEOUT);
        let name = self.name();
        let Published { id, lock_left } = self.restic()?.publish(dump, tags, &name).await?;
        if let Some(reason) = lock_left {
            let text = format!("published, but the lock stays in the repository, which refuses to remove it: {reason}");
            self.report(&Event::Warning { text });
        }
        Ok(id)
    }

    async fn check_publishable(&mut self) -> Result<Option<String>> {
        notify::extend(self.settings.restic.timeout + STEP_TIMEOUT);
        self.restic()?.check_publishable().await
    }

    async fn remove_stale_locks(&mut self) -> Result<usize> {
        let within = self.settings.restic.timeout;
        notify::extend(within + STEP_TIMEOUT);
        let name = self.name();
        // One restic for each lock, but not more time than for one: this only tidies up.
        tokio::time::timeout(within, self.restic()?.remove_stale_locks(&name)).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::RepositoryUnreachable, "cannot see to the locks in the repository in time"))
        })
    }
}
