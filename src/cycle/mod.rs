//! The two sequences, publish and apply, readable top to bottom, and the one trait behind which
//! everything outside lies.
//!
//! A cycle has never heard of SQLite, restic or systemd: `host` implements [`Host`] for the real ones,
//! and a test implements it to fail or to be killed at every step in turn.

mod alerts;
mod apply;
mod drift;
mod event;
mod live;
mod obtain;
mod publish;
mod replace;
mod restore;
mod role;

use std::time::Duration;

use jiff::Timestamp;

use crate::config::{Alerts, Role, Settings};
use crate::decide;
use crate::error::Result;
use crate::model::configuration::Configuration;
use crate::model::origin::Origin;
use crate::model::schema::Schema;
use crate::model::snapshot::{Listing, MainId, Snapshot, SnapshotId, Tags};
use crate::model::state::{Hold, LastCycle, State};
use crate::plan::Plan;

pub use alerts::{Switched, alerts};
pub use apply::{Verified, in_force, verify};
pub use drift::Reapply;
pub(crate) use event::journal_fields;
pub use event::{Event, Fields, Level, MESSAGE_IDS};
pub use live::{MAX_LIVE_ROWS, needs_restart};
pub use obtain::kept;
pub use publish::{CanonicalExport, first_state, prepare};
pub use replace::recover;
pub use restore::{Restoration, Source, prepare_restore, restore};
pub use role::{Promotion, RoleChange, demote, promote};

/// What an export brings: rows and files, the schema they come from, and what could not be taken along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Export {
    /// The replicated rows and files.
    pub configuration: Configuration,
    /// The schema of the database.
    pub schema: Schema,
    /// What was left out and why, for people (a referenced file that is missing or too large).
    pub warnings: Vec<String>,
}

/// Whether Uptime Kuma runs, as its service manager sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or is about to: it is to run again after an apply.
    Running,
    /// It is stopped, failed or masked: it is left so.
    Stopped,
}

/// What becomes of the history of monitors that a write removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// It goes with them.
    Remove,
    /// It is set aside, where a way back finds it and nobody else.
    SetAside,
    /// It goes with them, and what was set aside of monitors that are added comes back.
    BringBack,
    /// Nothing: no monitors are removed.
    Untouched,
}

/// Everything outside. Each method does one thing, once, and says how it failed; what to do then is the
/// cycle's to decide. A failed call has changed nothing unless it says otherwise.
#[allow(async_fn_in_trait, reason = "only used with static dispatch on one thread")]
pub trait Host {
    /// The time, for records; never to order snapshots.
    fn now(&self) -> Timestamp;

    /// When this host was booted; long ago if it cannot be told.
    fn booted(&self) -> Timestamp;

    /// The name of this host, for people.
    fn name(&self) -> String;

    /// An identity that stays the same on this host even if the state is lost.
    fn main_id(&self) -> Result<MainId>;

    /// Tells whoever watches (journal, service manager).
    fn report(&mut self, event: &Event);

    /// Stores the state atomically; when it returns, it is on disk.
    fn save(&mut self, state: &State) -> Result<()>;

    /// Fails with `Interrupted` if this process was told to stop. Asked only where nothing is under way.
    fn check_interrupted(&self) -> Result<()>;

    /// Exports the configuration in one read transaction: of the claimed database if there is one, else
    /// of the live one. Leaves nothing behind and blocks nobody.
    async fn export(&mut self) -> Result<Export>;

    /// Lists the snapshots of this program, without taking a lock.
    async fn look(&mut self) -> Result<Listing>;

    /// Brings the dump in snapshot `id` here, without taking a lock.
    async fn fetch(&mut self, id: &SnapshotId) -> Result<Vec<u8>>;

    /// Stores `dump` under `tags`; when it returns, the repository has it.
    async fn publish(&mut self, dump: &[u8], tags: &Tags) -> Result<SnapshotId>;

    /// Removes the locks in the repository that killed publishes of this host left behind, and no others. Returns
    /// how many.
    async fn remove_left_locks(&mut self) -> Result<usize>;

    /// Tries `changes` on a copy of the tables in memory: what the database would refuse is known before
    /// anything is stopped.
    async fn rehearse(&mut self, changes: &Plan, here: &Configuration, wanted: &Configuration) -> Result<()>;

    /// Fails with `DatabaseCorrupt` if the live database is damaged, also where nothing was read yet.
    async fn check_intact(&mut self) -> Result<()>;

    /// Fails if the database and what `changes` need beside it cannot be written from here now: rights, locks
    /// and room.
    async fn check_writable(&mut self, changes: &Plan) -> Result<()>;

    /// Whether Uptime Kuma runs.
    async fn activity(&mut self) -> Result<Activity>;

    /// Fails with `ServiceBusy` if Uptime Kuma must not be stopped now: it is starting or migrating, or it
    /// runs and gives no healthy answer yet. Fails with `StopFailed` or `NotPermitted` if it could not be
    /// started again.
    async fn check_stoppable(&mut self) -> Result<()>;

    /// The other units that run now and that a stop of Uptime Kuma stops, too.
    async fn dependents(&mut self) -> Result<Vec<String>>;

    /// Stops Uptime Kuma and waits until the job is done. On failure its state is unknown.
    async fn stop(&mut self) -> Result<()>;

    /// Starts Uptime Kuma and waits until the job is done, and then `dependents`; of those only a warning is told
    /// if they do not start.
    async fn start(&mut self, dependents: &[String]) -> Result<()>;

    /// Waits until Uptime Kuma answers healthily, up to the configured time.
    async fn check_healthy(&mut self) -> Result<()>;

    /// Proves that nobody has the database open, and keeps everybody out until [`Host::release`].
    async fn claim(&mut self) -> Result<()>;

    /// Writes `plan` to the claimed database in one transaction that commits only if everything reads
    /// back as `wanted` and no reference dangles. On failure the database is as it was. Returns what did
    /// not work after the commit, for people.
    async fn write(&mut self, plan: &Plan, wanted: &Configuration, history: History) -> Result<Vec<String>>;

    /// Writes `plan`, which was made from the rows `here`, while Uptime Kuma runs: in one short transaction, that
    /// commits only if the rows it touches are still those, and read back as `wanted`. On failure the database is as
    /// it was; with `DatabaseBusy` another attempt may succeed. Returns what did not work after the commit, for
    /// people.
    async fn write_live(&mut self, plan: &Plan, here: &Export, wanted: &Configuration) -> Result<Vec<String>>;

    /// Removes the history that a write has set aside, and the files that one left unfinished that was killed. What
    /// is left of them, the next write removes.
    async fn remove_leftovers(&mut self) -> Result<()>;

    /// Gives the claimed database free again. Harmless if none is claimed.
    fn release(&mut self);

    /// Keeps `dump` as the way back, in place of the one before.
    fn keep_previous(&mut self, dump: &[u8]) -> Result<()>;

    /// The dump that was kept last, if any.
    fn previous(&mut self) -> Result<Option<Vec<u8>>>;

    /// Keeps `dump`, that of the snapshot in force, so that it can be applied again without the repository.
    fn keep_applied(&mut self, dump: &[u8]) -> Result<()>;

    /// The dump that was kept so last, if any.
    fn applied(&mut self) -> Result<Option<Vec<u8>>>;

    /// Makes `role` that of this host from now on, in its configuration file.
    fn set_role(&mut self, role: Role) -> Result<()>;

    /// Makes `alerts` those that this host sends from now on, in its configuration file. Returns what that then says.
    fn set_alerts(&mut self, alerts: Alerts) -> Result<Settings>;
}

/// How a cycle ended as designed. Other ends are errors; their kind says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Main: nothing changed since the last publish.
    Unchanged,
    /// Main: a new snapshot.
    Published(SnapshotId),
    /// Replica: the newest snapshot is the one applied last, or the rows equal it already.
    UpToDate,
    /// Replica: rows were written.
    Applied(SnapshotId),
    /// Replica: it waits, and says for what.
    Held(String),
}

impl Outcome {
    /// The word for it in logs, JSON and the state.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Published(_) => "published",
            Self::UpToDate => "up to date",
            Self::Applied(_) => "applied",
            Self::Held(_) => "held",
        }
    }
}

/// One cycle, from the state as it was loaded to the state as it is recorded.
///
/// # Errors
/// Whatever ended the cycle; it is recorded in the state before it is returned.
pub async fn run<H: Host>(host: &mut H, settings: &Settings, state: &mut State, options: &Options) -> Result<Outcome> {
    let result = once(host, settings, state, options).await;
    let at = host.now();
    let (outcome, message, error) = match &result {
        Ok(Outcome::Held(reason)) => ("held", reason.clone(), None),
        Ok(outcome) => (outcome.name(), String::new(), None),
        Err(error) => (error.kind().outcome(), error.chain(), Some(error.kind().name().to_owned())),
    };
    if !matches!(result, Err(_) | Ok(Outcome::Held(_))) {
        state.last_success = Some(at);
    }
    if let Some(refused) = state.replica.refused.as_mut().filter(|refused| refused.customization.is_none()) {
        refused.customization = Some(settings.replica.customization.digest());
    }
    state.last = Some(LastCycle { outcome: outcome.to_owned(), message, error, at });
    match (result, host.save(state)) {
        (Ok(_), Err(error)) => Err(error),
        (result, _) => result,
    }
}

async fn once<H: Host>(host: &mut H, settings: &Settings, state: &mut State, options: &Options) -> Result<Outcome> {
    replace::recover(host, settings, state).await?;
    if let Some(reason) = decide::on_hold(state.hold.as_ref(), host.now()) {
        return Ok(on_hold(host, state, reason));
    }
    if state.hold.take().is_some() {
        host.report(&Event::Released { by_hand: false });
    }
    host.check_interrupted()?;
    match settings.role {
        Role::Main => publish::run(host, settings, state, options).await,
        Role::Replica => apply::run(host, settings, state, options).await,
    }
}

fn held<H: Host>(host: &mut H, state: &State, reason: String) -> Outcome {
    let again = state.last.as_ref().is_some_and(|last| last.outcome == "held" && last.message == reason);
    let last_success_age = decide::last_success_age(state.last_success, host.now());
    host.report(&Event::Blocked { reason: reason.clone(), again, last_success_age });
    Outcome::Held(reason)
}

fn on_hold<H: Host>(host: &mut H, state: &State, message: String) -> Outcome {
    let again = state.last.as_ref().is_some_and(|last| last.outcome == "held" && last.message == message);
    let last_success_age = decide::last_success_age(state.last_success, host.now());
    if let Some(Hold { reason, until, .. }) = &state.hold {
        host.report(&Event::OnHold { reason: reason.clone(), until: *until, again, last_success_age });
    }
    Outcome::Held(message)
}

/// Why rows are written: for this snapshot, or because a person restores something.
pub fn origin(snapshot: Option<&SnapshotId>) -> Origin {
    match snapshot {
        Some(id) => Origin::Snapshot { id: id.clone() },
        None => Origin::Restore { name: "by hand".to_owned() },
    }
}

fn deferred<H: Host>(host: &mut H, state: &State, snapshot: &SnapshotId, until: Timestamp) -> Outcome {
    let event = |again| Event::Deferred { snapshot: snapshot.clone(), until, again };
    let reason = event(false).to_string();
    let again = state.last.as_ref().is_some_and(|last| last.message == reason);
    host.report(&event(again));
    Outcome::Held(reason)
}

/// Says once that a host which is not the main published; nobody takes it.
fn report_stray<H: Host>(host: &mut H, state: &mut State, stray: Option<&Snapshot>) {
    let Some(stray) = stray else { return };
    if state.replica.stray.as_ref() != Some(&stray.id) {
        host.report(&Event::Stray { snapshot: stray.id.clone(), host: stray.host.clone() });
        state.replica.stray = Some(stray.id.clone());
    }
}

/// What a person may order for one cycle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Publish although the export lost more rows than allowed; apply a first snapshot without monitors.
    pub confirm_shrink: bool,
    /// Apply although the cycle would wait before it stops Uptime Kuma again.
    pub at_once: bool,
    /// Take the newest snapshot as the main had it, without the customization of this replica, also if it is in force.
    pub as_main: bool,
    /// Apply although the cycle would wait, and also if the newest snapshot was refused.
    pub retry: bool,
}

/// Milliseconds for a field of an event.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
