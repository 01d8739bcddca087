//! Forgetting old snapshots and pruning the repository: what a main does once a look has confirmed that it is the main. The
//! snapshot of this cycle, or of the one before, is in the repository by then, so no publish waits for it.

use std::time::{Duration, Instant};

use crate::config::Role;
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::model::retention::Retained;
use crate::model::snapshot::{Listing, SnapshotId};
use crate::model::state::{Attempted, Failure, Retention};

use super::outside::Host;
use super::session::millis;
use super::{Event, Session};

/// How many snapshots a cycle forgets; the next ones are left to the next day.
const MAX_FORGOTTEN: usize = 1000;

/// What a main tidies up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tidying {
    /// The snapshots that are forgotten.
    pub forget: Vec<SnapshotId>,
    /// How many of this program's stay.
    pub kept: usize,
    /// Whether the repository is pruned.
    pub prune: bool,
}

/// Something that is tidied up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Forget,
    Prune,
}

impl Tidying {
    /// What is forgotten of these snapshots.
    pub fn of(retained: &Retained, prune: bool) -> Self {
        let forget = retained.forgotten();
        let kept = retained.kept.len() - forget.len() + retained.unreadable.len();
        Self { forget, kept, prune }
    }
}

impl<H: Host> Session<'_, H> {
    /// What is to be tidied up now, if this `listing` confirms that this host is the main.
    ///
    /// # Errors
    /// Those of the state of a new main.
    pub(super) fn prepare_tidying(&mut self, listing: &Listing) -> Result<Tidying> {
        let main = self.main_state()?.clone();
        let now = self.host.now();
        if self.options.briefly || decide::confirmed(listing, &main).is_err() {
            return Ok(Tidying::default());
        }
        let mut remembered = main.retention;
        let retained = self.retained(listing);
        let mut tidying = Tidying::of(&retained, false);
        if decide::forget_is_due(&remembered, now) {
            // The oldest come last.
            let later = tidying.forget.len().saturating_sub(MAX_FORGOTTEN);
            tidying.forget.drain(..later);
            tidying.kept += later;
        } else {
            tidying.forget.clear();
        }
        remembered.unpruned += tidying.forget.len() as u64;
        tidying.prune = decide::prune_is_due(&remembered, self.settings.main.prune, &retained, now);
        Ok(tidying)
    }

    fn retained(&self, listing: &Listing) -> Retained {
        let keep = self.settings.main.keep.as_ref();
        let kept = match &self.state.fleet {
            Some(fleet) => decide::retention(listing, keep, fleet, &self.host.zone()),
            None => Vec::new(),
        };
        Retained { kept, unreadable: listing.unreadable.clone(), others: listing.others }
    }

    /// Forgets and prunes. A failure ends no cycle: it is reported once, and remembered.
    ///
    /// # Errors
    /// If the state is missing.
    pub(super) async fn tidy(&mut self, tidying: &Tidying) -> Result<()> {
        let mut is_fit = true;
        if !tidying.forget.is_empty() {
            is_fit = self.begin_step(Step::Forget)?;
            if is_fit {
                let result = self.forget(tidying).await;
                is_fit = self.end_step(Step::Forget, result)?;
            }
        }
        if tidying.prune && is_fit && self.host.check_interrupted().is_ok() && self.begin_step(Step::Prune)? {
            let result = self.prune().await;
            self.end_step(Step::Prune, result)?;
        }
        Ok(())
    }

    /// Remembers that a step begins: one that is killed is not repeated in each cycle. `false` if that cannot be stored.
    fn begin_step(&mut self, step: Step) -> Result<bool> {
        let at = self.host.now();
        let retention = &mut self.main_state()?.retention;
        if step == Step::Forget {
            // The first week begins.
            retention.prune.get_or_insert(Attempted { at, failure: None });
        }
        let last = step.of(retention);
        let failure = last.take().and_then(|last| last.failure);
        let message = "it was not finished".to_owned();
        let failure = failure.unwrap_or(Failure { kind: Kind::Interrupted, message, since: at });
        *last = Some(Attempted { at, failure: Some(failure) });
        match self.host.save(self.state) {
            Ok(()) => Ok(true),
            Err(error) => {
                self.warn(&error);
                Ok(false)
            }
        }
    }

    /// Remembers how a step ended, and reports a failure that is new. Whether it succeeded.
    fn end_step(&mut self, step: Step, result: Result<()>) -> Result<bool> {
        let now = self.host.now();
        let Some(last) = step.of(&mut self.main_state()?.retention) else { return Ok(false) };
        let Err(error) = result else {
            last.failure = None;
            return Ok(true);
        };
        if error.kind() == Kind::Interrupted {
            return Ok(false);
        }
        let before = last.failure.take().filter(|before| before.kind == error.kind());
        let is_new = before.is_none();
        let since = before.map_or(now, |before| before.since);
        last.failure = Some(Failure { kind: error.kind(), message: error.chain(), since });
        if is_new {
            let text = format!("{} — {}", error.chain(), error.hint());
            self.report(&Event::Warning { text });
        }
        Ok(false)
    }

    async fn forget(&mut self, Tidying { forget, kept, .. }: &Tidying) -> Result<()> {
        // An exclusive lock that cannot be removed again would keep all hosts from publishing. Another one does not.
        if let Some(reason) = self.host.check_publishable().await? {
            let what = "no snapshot is forgotten: the storage refuses to remove even a lock of this host";
            return Err(Error::new(Kind::RepositoryDenied, what).because(reason).with_hint(
                "write keep = \"all\" in [main], and forget from a host that may remove; \
                 /usr/share/doc/kuma-replicator/retention.md says how",
            ));
        }
        self.host.forget(forget).await?;
        self.main_state()?.retention.unpruned += forget.len() as u64;
        self.report(&Event::Forgotten { snapshots: forget.len(), kept: *kept });
        Ok(())
    }

    async fn prune(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.host.prune().await?;
        self.main_state()?.retention.unpruned = 0;
        let took: Duration = begun.elapsed();
        self.report(&Event::Pruned { millis: millis(took) });
        Ok(())
    }

    /// What an order to forget would find. Changes nothing.
    ///
    /// # Errors
    /// [`Kind::Usage`] on a replica, and on a main that has published nothing yet; [`Kind::Fenced`]; those of a look.
    pub async fn prepare_forget(&mut self) -> Result<Retained> {
        if self.settings.role == Role::Replica {
            let what = "only the main forgets snapshots; this host is a replica";
            return Err(Error::new(Kind::Usage, what).with_hint("run kuma-replicator forget on the main"));
        }
        if let Some(fenced) = self.state.main.as_ref().and_then(|main| main.fenced.as_ref()) {
            return Err(decide::fenced_since(fenced, &self.host.zone()));
        }
        let listing = self.listing().await?;
        self.fence(&listing)?;
        let main = self.main_state()?.clone();
        decide::confirmed(&listing, &main)?;
        Ok(self.retained(&listing))
    }

    /// Forgets and prunes by a person's order, and remembers it.
    ///
    /// # Errors
    /// [`Kind::OnHold`]; those of restic.
    pub async fn forget_as_ordered(&mut self, tidying: &Tidying) -> Result<()> {
        self.begin_order().await?;
        let result = self.carry_out_order(tidying).await;
        let saved = self.host.save(self.state);
        result.and(saved)
    }

    async fn carry_out_order(&mut self, tidying: &Tidying) -> Result<()> {
        let done = |at| Some(Attempted { at, failure: None });
        let at = self.host.now();
        if !tidying.forget.is_empty() {
            self.forget(tidying).await?;
            let retention = &mut self.main_state()?.retention;
            retention.forget = done(at);
            retention.prune.get_or_insert(Attempted { at, failure: None });
        }
        if tidying.prune {
            self.host.check_interrupted()?;
            self.prune().await?;
            self.main_state()?.retention.prune = done(at);
        }
        Ok(())
    }
}

impl Step {
    fn of(self, retention: &mut Retention) -> &mut Option<Attempted> {
        match self {
            Self::Forget => &mut retention.forget,
            Self::Prune => &mut retention.prune,
        }
    }
}
