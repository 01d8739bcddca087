//! One cycle from beginning to end: recover, prepare, carry out, record.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::{Role, Settings};
use crate::decide;
use crate::error::{Error, Result};
use crate::model::outcome::Outcome;
use crate::model::snapshot::{Listing, Snapshot, SnapshotId};
use crate::model::state::{Hold, LastCycle, State};

use super::outside::{Activity, Host};
use super::{Event, Level, Ready};

/// What an operator may order for one cycle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Publish although the export lost more rows than allowed; apply a first snapshot without monitors.
    pub confirm_shrink: bool,
    /// On a main, look into the repository although nothing changed.
    pub look: bool,
    /// Apply although the snapshot is in backoff, or Uptime Kuma was restarted or told of changes a moment ago.
    pub at_once: bool,
    /// Apply the newest snapshot as the main has it, without the customization of this replica, and even if it is in
    /// force.
    pub as_main: bool,
    /// On a main, forget and prune nothing, which a person would have to wait for.
    pub briefly: bool,
    /// As [`Options::at_once`], and even if the newest snapshot was rejected.
    pub retry: bool,
}

impl Options {
    /// Whether an apply waits for the end of a backoff, or until Uptime Kuma may be restarted.
    pub(super) fn is_patient(self) -> bool {
        !self.retry && !self.at_once
    }
}

/// How a cycle ended, if it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// Main: nothing changed since the last publish.
    Unchanged,
    /// Main: there is a new snapshot.
    Published(SnapshotId),
    /// Replica: the newest snapshot is in force already.
    UpToDate,
    /// Replica: rows of this snapshot were written.
    Applied(SnapshotId),
    /// An operator's hold, with its reason.
    OnHold(String),
    /// Replica: nothing is written, for this reason.
    Blocked(String),
    /// Replica: the snapshot waits, for this reason.
    Deferred(String),
}

impl Conclusion {
    /// The outcome.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Unchanged => Outcome::Unchanged,
            Self::Published(_) => Outcome::Published,
            Self::UpToDate => Outcome::UpToDate,
            Self::Applied(_) => Outcome::Applied,
            Self::OnHold(_) => Outcome::OnHold,
            Self::Blocked(_) => Outcome::Blocked,
            Self::Deferred(_) => Outcome::Deferred,
        }
    }

    /// Why nothing was done, if that needs a reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::OnHold(reason) | Self::Blocked(reason) | Self::Deferred(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Everything that a cycle works with. The state is as it was loaded at the beginning, and as it is recorded at the end.
#[derive(Debug)]
pub struct Session<'a, H> {
    /// Everything outside.
    pub host: &'a mut H,
    /// The configuration file.
    pub settings: &'a Settings,
    /// What this host remembers.
    pub state: &'a mut State,
    /// What an operator ordered.
    pub options: Options,
    /// Whether something was reported that the journal keeps: then it keeps the end of the cycle, too.
    pub has_news: bool,
    /// The end of the cycle, which is reported last.
    pub(super) ending: Option<Event>,
    /// What the preparation before the wait for a turn said, and the next one does not say again.
    said: Vec<String>,
    /// What this preparation says.
    saying: Vec<String>,
}

impl<'a, H: Host> Session<'a, H> {
    /// A session that does nothing yet.
    pub fn new(host: &'a mut H, settings: &'a Settings, state: &'a mut State, options: Options) -> Self {
        Self { host, settings, state, options, has_news: false, ending: None, said: Vec::new(), saying: Vec::new() }
    }

    /// Runs one cycle.
    ///
    /// # Errors
    /// What ended the cycle; it is recorded in the state before it is returned.
    pub async fn run(&mut self) -> Result<Conclusion> {
        let result = self.cycle().await;
        self.record(result)
    }

    async fn cycle(&mut self) -> Result<Conclusion> {
        self.recover().await?;
        let before = self.state.replica.history;
        let result = self.prepare_and_carry_out().await;
        // Also after a failure: a snapshot may be rejected for long. What this cycle has left, the next one goes on with.
        let is_held = matches!(result, Ok(Conclusion::OnHold(_)));
        if !is_held && self.state.replica.history == before && self.host.check_interrupted().is_ok() {
            self.continue_history().await;
        }
        if let Some(event) = self.ending.take().filter(|_| result.is_ok()) {
            self.report(&if self.has_news { event.as_news() } else { event });
        }
        result
    }

    /// Looks into the repository of the fleet.
    ///
    /// # Errors
    /// Those of a look; [`Kind::OtherFleet`](crate::error::Kind::OtherFleet).
    pub(super) async fn listing(&mut self) -> Result<Listing> {
        decide::of_fleet(self.host.look().await?, self.state)
    }

    /// The same by the names of the snapshots, if they are those of another look.
    ///
    /// # Errors
    /// As for [`Session::listing`].
    pub(super) async fn listing_by_name(&mut self) -> Result<Listing> {
        decide::of_fleet(self.host.look_by_name().await?, self.state)
    }

    async fn prepare_and_carry_out(&mut self) -> Result<Conclusion> {
        let ready = self.prepare().await?;
        let ready = if self.waits_its_turn(&ready).await? {
            drop(ready);
            self.said = std::mem::take(&mut self.saying);
            self.host.pause(decide::turn(&self.host.main_id()?)).await?;
            // What was found before may be out of date.
            self.prepare().await?
        } else {
            ready
        };
        self.carry_out(ready).await
    }

    /// Whether other replicas would restart their Uptime Kuma at this moment, too.
    async fn waits_its_turn(&mut self, ready: &Ready) -> Result<bool> {
        let restarts = matches!(ready, Ready::Apply(application) if application.restarts());
        Ok(restarts && self.host.is_started_by_timer().await && self.host.activity().await? == Activity::Running)
    }

    /// Finds out what a cycle would do now. Changes nothing outside. The state remembers what was found, and is not
    /// saved.
    ///
    /// # Errors
    /// What would end the cycle before it changes anything outside.
    pub async fn prepare(&mut self) -> Result<Ready> {
        if let Some(hold) = decide::on_hold(self.state.hold.as_ref(), self.host.now()) {
            return Ok(Ready::OnHold(hold.clone()));
        }
        if self.state.hold.take().is_some() {
            self.report(&Event::Released { by_hand: false });
        }
        self.host.check_interrupted()?;
        match self.settings.role {
            Role::Main => self.prepare_publish().await,
            Role::Replica => self.prepare_apply().await,
        }
    }

    async fn carry_out(&mut self, ready: Ready) -> Result<Conclusion> {
        match ready {
            Ready::OnHold(hold) => Ok(self.on_hold(hold)),
            Ready::Unchanged { digest, found, tidying } => self.unchanged(digest, found.is_some(), &tidying).await,
            Ready::Publish(publication) => self.publish(publication).await,
            Ready::UpToDate { snapshot, .. } => Ok(self.up_to_date(snapshot.id)),
            Ready::Blocked { reason, .. } => Ok(self.blocked(reason)),
            Ready::Deferred { snapshot, until } => Ok(self.deferred(&snapshot.id, until)),
            Ready::Apply(application) => self.apply(application).await,
        }
    }

    /// Records how the cycle ended.
    fn record(&mut self, result: Result<Conclusion>) -> Result<Conclusion> {
        let at = self.host.now();
        let (outcome, message, error) = match &result {
            Ok(end) => (end.outcome(), end.reason().unwrap_or_default().to_owned(), None),
            Err(error) => (Outcome::from(error.kind()), error.chain(), Some(error.kind())),
        };
        if outcome.is_success() {
            self.state.last_success = Some(at);
        }
        self.state.last_cycle = Some(LastCycle { outcome, message, error, at });
        match (result, self.host.save(self.state)) {
            (Ok(_), Err(error)) => Err(error),
            (result, _) => result,
        }
    }

    fn on_hold(&mut self, Hold { reason, since, until }: Hold) -> Conclusion {
        // Another order for the same reason is news.
        let ordered_before = self.state.last_cycle.as_ref().is_some_and(|last| last.at >= since);
        let again = ordered_before && self.ended_before_as(Outcome::OnHold, &reason);
        let last_success_age = self.last_success_age();
        self.ending = Some(Event::OnHold { reason: reason.clone(), until, again, last_success_age });
        Conclusion::OnHold(reason)
    }

    fn blocked(&mut self, reason: String) -> Conclusion {
        let again = self.ended_before_as(Outcome::Blocked, &reason);
        let last_success_age = self.last_success_age();
        self.ending = Some(Event::Blocked { reason: reason.clone(), again, last_success_age });
        Conclusion::Blocked(reason)
    }

    pub(super) fn deferred(&mut self, snapshot: &SnapshotId, until: Timestamp) -> Conclusion {
        let event = |again| Event::Deferred { snapshot: snapshot.clone(), until, again };
        let reason = event(false).message(&self.host.zone());
        let again = self.ended_before_as(Outcome::Deferred, &reason);
        self.ending = Some(event(again));
        Conclusion::Deferred(reason)
    }

    pub(super) fn up_to_date(&mut self, snapshot: SnapshotId) -> Conclusion {
        let again = self.ended_before_as(Outcome::UpToDate, "");
        self.ending = Some(Event::UpToDate { snapshot, again });
        Conclusion::UpToDate
    }

    /// Whether the cycle before ended in the same way: then the event is no news.
    pub(super) fn ended_before_as(&self, outcome: Outcome, message: &str) -> bool {
        self.state.last_cycle.as_ref().is_some_and(|last| last.outcome == outcome && last.message == message)
    }

    fn last_success_age(&self) -> Option<u64> {
        decide::last_success_age(self.state.last_success, self.host.now())
    }

    /// Reports an event of this cycle.
    pub(super) fn report(&mut self, event: &Event) {
        self.has_news |= event.level() != Level::Info;
        self.host.report(event);
    }

    /// Reports an event of the preparation, unless it said the same before it waited for its turn.
    pub(super) fn report_once(&mut self, event: &Event) {
        let text = event.to_string();
        if let Some(at) = self.said.iter().position(|said| *said == text) {
            self.said.swap_remove(at);
            return;
        }
        self.saying.push(text);
        self.report(event);
    }

    /// Reports a snapshot of a host that is not the main, once. No replica applies it.
    pub(super) fn report_stray(&mut self, stray: Option<&Snapshot>) {
        let Some(stray) = stray else { return };
        if self.state.replica.stray.as_ref() != Some(&stray.id) {
            self.report(&Event::Stray { snapshot: stray.id.clone(), host: stray.host.clone() });
            self.state.replica.stray = Some(stray.id.clone());
        }
    }

    /// Saves the state where the failure that ends the session matters more.
    pub(super) fn save_or_warn(&mut self) {
        if let Err(error) = self.host.save(self.state) {
            self.warn(&error);
        }
    }

    /// Reports a failure that ends nothing.
    pub(super) fn warn(&mut self, error: &Error) {
        self.report(&Event::Warning { text: error.chain() });
    }
}

/// Milliseconds for a field of an event.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
