//! Row changes that are planned, and how they are put in force: while Uptime Kuma runs, or with a restart.

use crate::error::Result;
use crate::localise::Desired;
use crate::model::catalog::Grade;
use crate::model::configuration::Configuration;
use crate::model::origin::Origin;
use crate::model::schema::Schema;
use crate::plan::{Plan, Size, plan};

use super::outside::{Activity, Host};
use super::way::Way;
use super::{Export, Session};

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
    /// How they come into force.
    pub way: Way,
    /// The grade that they are limited to, if others of the same origin wait.
    pub limit: Option<Grade>,
}

impl Change {
    /// The changes that turn the rows `here`, in a database of this schema, into those that are `wanted`. With a restart
    /// they come into force in any case.
    pub fn new(origin: Origin, here: &Configuration, schema: &Schema, wanted: Configuration) -> Self {
        let plan = plan(here, &wanted);
        Self { origin, wanted, plan, schema: schema.clone(), way: Way::Restart(Vec::new()), limit: None }
    }
}

/// Everything is as it has to be before this host is changed.
#[derive(Debug)]
pub struct Clearance {
    /// Whether Uptime Kuma runs.
    pub activity: Activity,
    /// The units that systemd stops together with it.
    pub dependents: Vec<String>,
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
    pub(super) async fn clear(&mut self, plans: &[&Plan]) -> Result<Clearance> {
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
        Ok(Clearance { activity, dependents })
    }

    /// Puts a change in force. When this returns an error, the previous configuration is in force.
    pub(super) async fn put_in_force(&mut self, cleared: Cleared<'_>) -> Result<Written> {
        match &cleared.change.way {
            Way::Live(told) if cleared.clearance.activity == Activity::Running => {
                let told = told.clone();
                self.write_live(cleared, told).await
            }
            _ => self.replace(cleared).await,
        }
    }
}
