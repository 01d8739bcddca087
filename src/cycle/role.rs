//! Which host is the main: promote and demote. Each step leaves a host that the next cycle, or the same command, can go
//! on from.

use crate::config::{Alerts, Role, Settings};
use crate::decide::{self, Newest};
use crate::error::{Error, Kind, Result};
use crate::model::snapshot::Listing;
use crate::model::state::MainState;

use super::outside::Host;
use super::publish::{first_state, require_user};
use super::{Event, Options, Session};

/// How often a promotion applies what the main publishes in the meantime.
const MAX_ROUNDS: usize = 3;

/// What an order did to the role of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleChange {
    /// It had the role already.
    Unchanged,
    /// It has the role now.
    Changed,
}

/// What an operator may order for a promotion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promotion {
    /// Publish what this host has, without applying the newest snapshot first.
    pub as_is: bool,
    /// Even if more rows of the newest snapshot are missing here than allowed.
    pub confirm_shrink: bool,
}

/// How certain it is that a host is the main.
enum Standing {
    /// It is the main, and no other host claims to be.
    Confirmed,
    /// It was promoted, and its first snapshot is not published yet.
    Promoted,
    /// Another host, or a copy of this one, published in its place.
    Contested,
}

impl<H: Host> Session<'_, H> {
    /// Makes this host the main: applies the newest snapshot unless ordered otherwise, raises the epoch, publishes. If
    /// the former main comes back, the epoch fences it.
    ///
    /// # Errors
    /// [`Kind::OnHold`], [`Kind::NoUser`], [`Kind::Usage`] for a silent standby as it is; those of an apply, with
    /// nothing promoted; those of a publish, with this host as the main: its next cycle publishes.
    pub async fn promote(&mut self, promotion: Promotion) -> Result<RoleChange> {
        self.begin_order().await?;
        let Promotion { as_is, confirm_shrink } = promotion;
        self.options = Options { at_once: true, as_main: true, briefly: true, confirm_shrink, ..Options::default() };
        if self.settings.role == Role::Main {
            match self.standing().await? {
                Standing::Confirmed => return Ok(RoleChange::Unchanged),
                // It has the role, and so all edits made on it since: no snapshot is applied.
                Standing::Promoted => {
                    self.run().await?;
                    return Ok(RoleChange::Changed);
                }
                Standing::Contested => {}
            }
        }
        self.check_publishable().await?;
        let listing = if as_is {
            self.require_alerts()?;
            let listing = self.listing().await?;
            self.guard_against(listing.newest().first().copied()).await?;
            listing
        } else {
            self.apply_newest().await.map_err(or_as_is)?
        };
        // A host that could publish nothing is not made the main.
        let here = self.host.export().await?;
        require_user(&here)?;
        let epoch = decide::next_epoch(&listing, self.state)?;
        // A main as it is goes on with what it publishes.
        if self.settings.role == Role::Replica || !as_is {
            self.keep_inherited(&here.configuration)?;
        }
        self.state.main = Some(MainState { epoch, ..first_state(self.host)? });
        self.host.save(self.state)?;
        self.host.set_role(Role::Main)?;
        self.report(&Event::Promoted { epoch });
        self.run_as(Role::Main).await?;
        Ok(RoleChange::Changed)
    }

    /// Makes this host a replica: publishes what changed here unless `as_is` or fenced, and follows the main from the
    /// next cycle on.
    ///
    /// # Errors
    /// [`Kind::OnHold`]; those of a publish, with nothing demoted.
    pub async fn demote(&mut self, as_is: bool) -> Result<RoleChange> {
        self.begin_order().await?;
        if self.settings.role == Role::Replica {
            return Ok(RoleChange::Unchanged);
        }
        if !as_is {
            self.options.briefly = true;
            match self.run().await {
                Err(error) if error.kind() != Kind::Fenced => return Err(or_as_is(error)),
                _ => {}
            }
        }
        self.host.set_role(Role::Replica)?;
        self.state.obeyed("demote", self.host.now());
        // The role is that in the configuration file; what is lost here is only how the last cycle counts.
        self.save_or_warn();
        self.report(&Event::Demoted);
        Ok(RoleChange::Changed)
    }

    /// What every order begins with: an interrupted apply is finished, and a hold ends the order.
    pub(super) async fn begin_order(&mut self) -> Result<()> {
        self.recover().await?;
        match decide::on_hold(self.state.hold.as_ref(), self.host.now()) {
            None => Ok(()),
            Some(hold) => {
                Err(Error::new(Kind::OnHold, "this host is on hold and changes nothing").because(hold.reason.clone()))
            }
        }
    }

    /// Proves that this host may publish, before anything is changed for a promotion.
    async fn check_publishable(&mut self) -> Result<()> {
        if let Some(reason) = self.host.check_publishable().await? {
            let text = format!("a lock stays in the repository, as this host may not remove it: {reason}");
            self.report(&Event::Warning { text });
        }
        Ok(())
    }

    async fn run_as(&mut self, role: Role) -> Result<super::Conclusion> {
        let settings = Settings { role, ..self.settings.clone() };
        Session::new(self.host, &settings, self.state, self.options).run().await
    }

    /// No monitor of a silent standby alerts anybody. Published as it is, it would silence all other hosts.
    fn require_alerts(&self) -> Result<()> {
        if self.settings.role == Role::Replica && self.settings.replica.customization.alerts == Alerts::Off {
            let what = "this host is a silent standby: published as it is, it would silence all other hosts";
            return Err(Error::new(Kind::Usage, what).with_hint("run kuma-replicator alerts on first"));
        }
        Ok(())
    }

    /// Applies the newest snapshot as a replica does, and looks again: the former main may publish meanwhile. Returns
    /// what the last look found.
    async fn apply_newest(&mut self) -> Result<Listing> {
        let mut listing = self.listing().await?;
        for _ in 0..MAX_ROUNDS {
            if listing.snapshots.is_empty() && self.state.replica.applied.is_none() {
                return Ok(listing);
            }
            let conclusion = self.run_as(Role::Replica).await?;
            if let Some(reason) = conclusion.reason() {
                let what = "the newest snapshot cannot be applied";
                return Err(Error::new(Kind::OnHold, what).because(reason));
            }
            listing = self.listing().await?;
            if let Newest::Applied(_) = decide::newest(&listing, &self.state.replica)? {
                return Ok(listing);
            }
        }
        let what = "the main publishes faster than this host applies";
        Err(Error::new(Kind::OutOfOrder, what).with_hint("run kuma-replicator demote on the main first"))
    }

    async fn standing(&mut self) -> Result<Standing> {
        let mut main = match &self.state.main {
            Some(main) => main.clone(),
            None => first_state(self.host)?,
        };
        let listing = self.listing().await?;
        main.epoch = decide::epoch(&listing, &main);
        let inherited = self.inherited()?;
        let content = self.export_as_main(&inherited).await?.content();
        let contested = main.fenced.is_some() || decide::publish(&listing, &main, content).is_err();
        let newest = listing.newest().first().map(|newest| newest.tags.place.epoch);
        Ok(match newest {
            _ if contested => Standing::Contested,
            Some(epoch) if epoch < main.epoch => Standing::Promoted,
            _ => Standing::Confirmed,
        })
    }
}

/// Names the way around what is wrong with the repository or its newest snapshot, if there is one.
fn or_as_is(error: Error) -> Error {
    let stays = matches!(
        error.kind(),
        Kind::BusUnavailable
            | Kind::DatabaseBusy
            | Kind::DatabaseCorrupt
            | Kind::DatabaseMissing
            | Kind::DatabaseNotInUse
            | Kind::DiskFull
            | Kind::Interrupted
            | Kind::NotPermitted
            | Kind::OtherFleet
            | Kind::ServiceBusy
            | Kind::ServiceMissing
            | Kind::WorkerFailed
    );
    if stays {
        return error;
    }
    let hint = format!("{}; or give --as-is to do without", error.hint());
    error.with_hint(hint)
}
