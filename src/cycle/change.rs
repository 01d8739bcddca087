//! Row changes that are planned, and how they are put in force: while Uptime Kuma runs, or with a restart.

use crate::config::Restart;
use crate::error::Result;
use crate::localise::Desired;
use crate::model::configuration::Configuration;
use crate::model::origin::Origin;
use crate::model::schema::Schema;
use crate::plan::{Plan, Size, plan};

use super::outside::{Activity, Host};
use super::{Export, Session};

/// How many rows are changed while Uptime Kuma waits: 10,000 take a fifth of a second on two busy cores, and versions
/// before 2.3.1 wait for one second.
pub const MAX_LIVE_ROWS: usize = 10_000;

/// Whether Uptime Kuma has to be restarted for `plan`.
pub fn needs_restart(plan: &Plan, restart: Restart) -> bool {
    match restart {
        Restart::WhenNeeded => plan.cached_table().is_some() || plan.size().rows() > MAX_LIVE_ROWS,
        Restart::Always => !plan.is_empty(),
    }
}

/// Row changes that are planned.
#[derive(Debug)]
pub struct Change {
    /// Where the rows come from.
    pub origin: Origin,
    /// The rows afterwards.
    pub wanted: Configuration,
    /// The row changes.
    pub plan: Plan,
    /// The schema of the database that they were planned for.
    pub schema: Schema,
}

impl Change {
    /// The changes that turn the rows `here`, in a database of this schema, into those that are `wanted`.
    pub fn new(origin: Origin, here: &Configuration, schema: &Schema, wanted: Configuration) -> Self {
        let plan = plan(here, &wanted);
        Self { origin, wanted, plan, schema: schema.clone() }
    }
}

/// Everything is as it has to be before this host is changed.
#[derive(Debug)]
pub struct Clearance {
    /// Whether Uptime Kuma runs.
    pub activity: Activity,
    /// The units that systemd stops together with it.
    pub dependents: Vec<String>,
    /// For which changes it may be restarted.
    pub restart: Restart,
}

/// A change that may be put in force, with everything that this takes.
pub(super) struct Cleared<'a> {
    /// The change.
    pub(super) change: Change,
    /// The rows that it was planned for.
    pub(super) here: &'a Export,
    /// What it was planned from. If a stopped database has other rows by then, the change is planned anew.
    pub(super) desired: Desired<'a>,
    /// That it may be put in force.
    pub(super) clearance: &'a Clearance,
}

/// What was put in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) size: Size,
    pub(super) restarted: bool,
}

impl Written {
    pub(super) fn is_empty(&self) -> bool {
        self.size == Size::default()
    }
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.size += other.size;
        self.restarted |= other.restarted;
    }
}

impl<H: Host> Session<'_, H> {
    /// Checks everything that could prevent these changes, before anything is changed.
    ///
    /// # Errors
    /// What prevents them.
    pub(super) async fn clear(&mut self, plans: &[&Plan], restart: Restart) -> Result<Clearance> {
        let activity = self.host.activity().await?;
        self.host.check_intact().await?;
        for plan in plans {
            self.host.check_writable(plan).await?;
        }
        let mut dependents = Vec::new();
        if activity == Activity::Running {
            self.host.check_in_use().await?;
            // This holds for a live write, too: a rollback would stop Uptime Kuma, and one that does not answer before
            // the write proves nothing afterwards.
            self.host.check_stoppable().await?;
            dependents = self.host.dependents().await?;
        }
        Ok(Clearance { activity, dependents, restart })
    }

    /// Puts a change in force. When this returns an error, the previous configuration is in force.
    pub(super) async fn put_in_force(&mut self, cleared: Cleared<'_>) -> Result<Written> {
        let running = cleared.clearance.activity == Activity::Running;
        if running && !needs_restart(&cleared.change.plan, cleared.clearance.restart) {
            self.write_live(cleared).await
        } else {
            self.replace(cleared).await
        }
    }
}
