//! Everything outside, cut along the outside things: the repository, the Uptime Kuma of this host, this program's own
//! store, and its surroundings. `host` implements these traits for the real things; a test implements them to fail or
//! to be killed at every call in turn.
//!
//! Each method does one thing, once, and says how it failed; the cycle decides what to do then. A failed call has
//! changed nothing unless it says otherwise. Errors are named where the cycle depends on their kind; any method may
//! also fail with a kind that only ends the cycle.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::config::{Alerts, Role, Settings};
use crate::error::Result;
use crate::model::configuration::Configuration;
use crate::model::content::Content;
use crate::model::looked::LookCost;
use crate::model::schema::Schema;
use crate::model::server::Server;
use crate::model::snapshot::{Listing, MainId, SnapshotId, Tags};
use crate::model::state::State;
use crate::model::told::Told;
use crate::model::zone::Zone;
use crate::plan::Plan;

use super::Event;

/// Everything outside, in one.
pub trait Host: Repository + Kuma + Store + Surroundings {}

impl<T: Repository + Kuma + Store + Surroundings> Host for T {}

/// The repository that main and replicas share.
#[allow(async_fn_in_trait, reason = "only used with static dispatch on one thread")]
pub trait Repository {
    /// Lists the snapshots of this program, without taking a lock.
    async fn look(&mut self) -> Result<Listing>;

    /// The same, from what was kept of another look if the repository still has the same snapshots by their names.
    async fn look_by_name(&mut self) -> Result<Listing>;

    /// What the next look costs, as far as the last one has shown.
    fn cost_of_look(&mut self) -> LookCost;

    /// Returns the dump in snapshot `id`, without taking a lock.
    ///
    /// # Errors
    /// [`Kind::SnapshotGone`](crate::error::Kind::SnapshotGone) or
    /// [`Kind::SnapshotDamaged`](crate::error::Kind::SnapshotDamaged) if a prune may have removed it or its data.
    async fn fetch(&mut self, id: &SnapshotId) -> Result<Vec<u8>>;

    /// Stores `dump` under `tags`; when it returns, the repository has it. After an error the repository may have it,
    /// too.
    async fn publish(&mut self, dump: &[u8], tags: &Tags) -> Result<SnapshotId>;

    /// Proves that this host may publish, and leaves nothing in the repository. If only what it made there for the proof
    /// could not be removed again, returns why.
    async fn check_publishable(&mut self) -> Result<Option<String>>;

    /// Removes these snapshots, and not their data, under an exclusive lock. One that is gone already does no harm.
    ///
    /// # Errors
    /// [`Kind::RepositoryDenied`](crate::error::Kind::RepositoryDenied) if the storage refuses to remove them. After an
    /// error some may be removed.
    async fn forget(&mut self, ids: &[SnapshotId]) -> Result<()>;

    /// Removes the data that no snapshot needs, under an exclusive lock.
    async fn prune(&mut self) -> Result<()>;

    /// Removes the locks that killed restics of this host left in the repository, and no others. Returns their
    /// number.
    async fn remove_stale_locks(&mut self) -> Result<usize>;
}

/// What an export returns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Export {
    /// The replicated rows and files.
    pub configuration: Configuration,
    /// The schema of the database.
    pub schema: Schema,
    /// What was left out and why, for people: a referenced file that is missing or too large.
    pub warnings: Vec<String>,
    /// What [`Kuma::content`] gives until something of this changes; none for rows that were not read from the live database.
    pub source: Option<Content>,
}

/// Whether Uptime Kuma runs, as its service manager sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It runs or is starting: it has to run again after an apply.
    Running,
    /// It is stopped, failed or masked: it is left so.
    Stopped,
}

/// What a write does with the history under an id that another monitor takes over. That of other removed monitors stays
/// until [`Kuma::tidy_history`] removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// It removes it.
    Remove,
    /// It sets it aside, where only a rollback finds it.
    SetAside,
}

/// The Uptime Kuma of this host: its service and its data.
#[allow(async_fn_in_trait, reason = "only used with static dispatch on one thread")]
pub trait Kuma {
    /// The stopped database, which nobody else can open until this is dropped.
    type Claim: Claim;

    /// Exports the configuration of the live database in one read transaction. Leaves nothing behind and blocks
    /// nobody.
    ///
    /// # Errors
    /// A kind that ends with [`Exit::TryAgain`](crate::error::Exit::TryAgain) if the database cannot be read at the
    /// moment, as during a migration.
    async fn export(&mut self) -> Result<Export>;

    /// What identifies all that [`Kuma::export`] would read, at a part of its cost.
    ///
    /// # Errors
    /// As for [`Kuma::export`].
    async fn content(&mut self) -> Result<Content>;

    /// The time zone that Uptime Kuma runs in when it starts, where its own setting is `setting`. `None` if it cannot be
    /// known.
    async fn server_zone(&mut self, setting: Option<&str>) -> Result<Option<Zone>>;

    /// Tries the changes from the rows `here` to those that are `wanted` on a copy of the tables in memory, before
    /// anything is stopped.
    ///
    /// # Errors
    /// [`Kind::Unwritable`](crate::error::Kind::Unwritable) if the database would refuse a row.
    async fn rehearse(&mut self, here: &Configuration, wanted: &Configuration) -> Result<()>;

    /// Reads the whole live database and fails if any of it is damaged.
    async fn check_intact(&mut self) -> Result<()>;

    /// Fails if the database, and what `plan` needs beside it, cannot be written now: rights, locks and free space.
    async fn check_writable(&mut self, plan: &Plan) -> Result<()>;

    /// Fails if Uptime Kuma runs and does not have this very database open: then nothing that is read here is its
    /// configuration, and nothing that is written here has an effect.
    async fn check_in_use(&mut self) -> Result<()>;

    /// Whether Uptime Kuma runs.
    async fn activity(&mut self) -> Result<Activity>;

    /// Fails if Uptime Kuma must not be stopped now, because it is starting or migrating or does not answer, or because
    /// it could not be started again.
    async fn check_stoppable(&mut self) -> Result<()>;

    /// The other units that run now and that systemd would stop together with Uptime Kuma.
    async fn dependents(&mut self) -> Result<Vec<String>>;

    /// Stops Uptime Kuma and waits until the job is done. After an error its state is unknown.
    async fn stop(&mut self) -> Result<()>;

    /// Starts Uptime Kuma and waits until the job is done, then starts `dependents`. A dependent that does not start is
    /// only a warning. After an error its state is unknown.
    ///
    /// # Errors
    /// [`Kind::StartFailed`](crate::error::Kind::StartFailed) if the new rows may be the reason,
    /// [`Kind::ServiceStopped`](crate::error::Kind::ServiceStopped) if a person stopped it meanwhile.
    async fn start(&mut self, dependents: &[String]) -> Result<()>;

    /// Waits until Uptime Kuma answers, at most for the configured time.
    ///
    /// # Errors
    /// [`Kind::Unhealthy`](crate::error::Kind::Unhealthy) if the new rows may be the reason,
    /// [`Kind::ServiceStopped`](crate::error::Kind::ServiceStopped) if a person stopped it meanwhile.
    async fn check_healthy(&mut self) -> Result<()>;

    /// Proves that nobody has the database open, and keeps everybody out.
    async fn claim(&mut self) -> Result<Self::Claim>;

    /// Writes the changes from the rows `here` to those that are `wanted` while Uptime Kuma runs, in one short
    /// transaction. It commits only if the tables that it touches are still those of `here`, and read back as `wanted`.
    /// Returns what failed after the commit, for people.
    ///
    /// # Errors
    /// [`Kind::DatabaseBusy`](crate::error::Kind::DatabaseBusy) if another attempt may succeed.
    async fn write_live(&mut self, here: &Export, wanted: &Configuration) -> Result<Vec<String>>;

    /// What is known of the server that runs.
    async fn server(&mut self) -> Result<Server>;

    /// Proves that the server would take orders of this program, with an order that changes nothing. Returns why it would
    /// not.
    async fn probe(&mut self) -> Result<Option<String>>;

    /// Tells the server to take up the rows `told`, which are in its database as in `rows`, and waits until it has
    /// acknowledged all of them. It may be told again. After an error it may have taken up some.
    ///
    /// # Errors
    /// [`Kind::ServiceBusy`](crate::error::Kind::ServiceBusy) if it did not, or not in time.
    async fn tell(&mut self, told: &Told, rows: &Configuration) -> Result<()>;

    /// Which of these monitors began a check after `since` and have its result.
    async fn beats(&mut self, monitors: &BTreeSet<i64>, since: Timestamp) -> Result<BTreeSet<i64>>;

    /// Sets the history of these monitors aside for a while, in small transactions beside a running Uptime Kuma, so that a
    /// write has little left to do. Returns how many rows are left.
    async fn set_history_aside(&mut self, monitors: &[i64]) -> Result<u64>;

    /// Removes the history that no monitor has for a while, in small transactions beside a running Uptime Kuma, and the
    /// files that a killed write left unfinished. With `bring_back`, history that was set aside goes back to its monitors
    /// instead. Returns how many rows are left.
    async fn tidy_history(&mut self, bring_back: bool) -> Result<u64>;
}

/// A claimed database.
#[allow(async_fn_in_trait, reason = "only used with static dispatch on one thread")]
pub trait Claim {
    /// Exports its configuration.
    async fn export(&mut self) -> Result<Export>;

    /// Writes the rows that are `wanted` in one transaction, which commits only if everything reads back so and every
    /// reference finds its row. Releases the database. Returns what failed after the commit, for people.
    ///
    /// # Errors
    /// [`Kind::WriteFailed`](crate::error::Kind::WriteFailed) or
    /// [`Kind::Unwritable`](crate::error::Kind::Unwritable) if the rows are the reason. The database is as it was.
    async fn write(self, wanted: &Configuration, history: History) -> Result<Vec<String>>;
}

/// What this program keeps on this host: its state, two dumps, a few settings, and its configuration file.
pub trait Store {
    /// Stores the state atomically; when it returns, it is on disk.
    fn save(&mut self, state: &State) -> Result<()>;

    /// Keeps `dump` as the configuration that a rollback or `restore previous` puts back.
    fn keep_previous(&mut self, dump: &[u8]) -> Result<()>;

    /// The dump that [`Store::keep_previous`] kept last, if any.
    fn previous(&mut self) -> Result<Option<Vec<u8>>>;

    /// Keeps `dump`, that of the snapshot in force, so that it can be applied again without the repository.
    fn keep_applied(&mut self, dump: &[u8]) -> Result<()>;

    /// The dump that [`Store::keep_applied`] kept last, if any.
    fn applied(&mut self) -> Result<Option<Vec<u8>>>;

    /// Keeps the settings that this host publishes as the main without having them, as the body of a dump.
    fn keep_inherited(&mut self, settings: &[u8]) -> Result<()>;

    /// What [`Store::keep_inherited`] kept last, if anything.
    fn inherited(&mut self) -> Result<Option<Vec<u8>>>;

    /// Writes `role` into the configuration file.
    fn set_role(&mut self, role: Role) -> Result<()>;

    /// Writes `alerts` into the configuration file, and returns the settings in it.
    fn set_alerts(&mut self, alerts: Alerts) -> Result<Settings>;
}

/// The surroundings of this process.
#[allow(async_fn_in_trait, reason = "only used with static dispatch on one thread")]
pub trait Surroundings {
    /// The time, for records; never to order snapshots.
    fn now(&self) -> Timestamp;

    /// The time zone of this host, for people.
    fn zone(&self) -> TimeZone;

    /// When this host was booted; long ago if that is unknown.
    fn booted(&self) -> Timestamp;

    /// Whether a timer started this process, as timers did on other hosts at about the same time.
    async fn is_started_by_timer(&self) -> bool;

    /// The name of this host, for people.
    fn name(&self) -> String;

    /// An identity that stays the same on this host even if the state is lost.
    fn main_id(&self) -> Result<MainId>;

    /// Reports an event to the journal and the service manager, and keeps it for the receivers that are to be told of it.
    fn report(&mut self, event: &Event);

    /// Waits this long.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted).
    async fn pause(&mut self, duration: Duration) -> Result<()>;

    /// Fails if this process received a signal to stop. Only called where nothing is under way.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted).
    fn check_interrupted(&self) -> Result<()>;
}
