//! After a live write: the server is told what it has in memory, and is seen to have taken it up.
//!
//! Telling is idempotent: the server reads its database. What it does not take up in two attempts, it takes up with a
//! restart; the rows are in the database already.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::{Configuration, Row};
use crate::model::told::Told;
use crate::model::value::Value;

use super::outside::Host;
use super::session::millis;
use super::{Event, Export, Session};

/// How often the server is told before it is restarted.
const ATTEMPTS: usize = 2;

/// How often monitors that were told are looked at, and the time between two looks. A check may take as long as its
/// time-out; a monitor that has not beaten by then counts as in force because the server said so.
const LOOKS: usize = 10;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Types of monitors that beat only when they are called, or never.
const SILENT: [&str; 2] = ["push", "manual"];

impl<H: Host> Session<'_, H> {
    /// Tells the server to take up `told`, and restarts it if it does not. Returns whether it was restarted.
    ///
    /// # Errors
    /// If it does not answer any more; if it cannot be restarted; a signal to stop.
    pub(super) async fn tell(&mut self, told: &Told) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let Err(error) = self.tell_once(told).await else {
                self.host.check_healthy().await?;
                return Ok(false);
            };
            if error.kind() == Kind::Interrupted {
                return Err(error);
            }
            self.warn(&error);
            // A server that died is no case for a restart.
            self.host.check_healthy().await?;
            if !told.has_rows() {
                return Ok(false);
            }
        }
        self.restart_to_take_up().await.map(|()| true)
    }

    async fn tell_once(&mut self, told: &Told) -> Result<()> {
        let since = Instant::now();
        let before = self.host.export().await?;
        let begun = self.host.now();
        self.state.replica.told = Some(begun);
        self.host.tell(told, &before.configuration).await?;
        let waiting = self.see(told, &before.configuration, begun).await?;
        if !told.maintenances.is_empty() {
            self.mend(told, before).await?;
        }
        self.report(&Event::Told { told: told.clone(), waiting, millis: millis(since.elapsed()) });
        Ok(())
    }

    /// Waits until the monitors that were told have beaten, for a while, and fails if one still beats that is paused.
    /// Returns how many have not beaten yet.
    async fn see(&mut self, told: &Told, rows: &Configuration, begun: Timestamp) -> Result<usize> {
        let acknowledged = self.host.now();
        let (mut active, mut paused) = (BTreeSet::new(), BTreeSet::new());
        if let Some(monitors) = rows.table(catalog::MONITOR) {
            for row in monitors.rows_with(&told.monitors) {
                let Some(id) = monitors.value(row, catalog::ID).as_integer() else { continue };
                let kind = monitors.value(row, catalog::TYPE).as_text().unwrap_or_default();
                if *monitors.value(row, catalog::ACTIVE) != Value::Integer(1) {
                    paused.insert(id);
                } else if !SILENT.contains(&kind) {
                    active.insert(id);
                }
            }
        }
        for look in 0..LOOKS {
            if active.is_empty() {
                break;
            }
            if look > 0 {
                self.host.pause(LOOK_INTERVAL).await?;
            }
            let seen = self.host.beats(&active, begun).await?;
            active.retain(|id| !seen.contains(id));
        }
        if paused.is_empty() {
            return Ok(active.len());
        }
        match self.host.beats(&paused, acknowledged).await?.first() {
            None => Ok(active.len()),
            Some(id) => Err(Error::new(Kind::ServiceBusy, format!("monitor {id} was paused, and still beats"))),
        }
    }

    /// Writes the maintenances as they were `before` the server was told: it completes some columns when it takes one up.
    async fn mend(&mut self, told: &Told, before: Export) -> Result<()> {
        let after = self.host.export().await?;
        let mut wanted = after.configuration.clone();
        let tables = (before.configuration.table(catalog::MAINTENANCE), wanted.table_mut(catalog::MAINTENANCE));
        if let (Some(before), Some(table)) = tables {
            let id = table.identity();
            let is_told = |row: &Row| {
                id.and_then(|at| row.get(at)?.as_integer()).is_some_and(|id| told.maintenances.contains(&id))
            };
            table.rows.retain(|row| !is_told(row));
            table.rows.extend(before.rows_with(&told.maintenances).cloned());
            table.sort();
        }
        if wanted != after.configuration {
            for text in self.host.write_live(&after, &wanted).await? {
                self.report(&Event::Warning { text });
            }
        }
        Ok(())
    }

    /// Stops and starts Uptime Kuma, whose database has the new rows already.
    async fn restart_to_take_up(&mut self) -> Result<()> {
        let unit = self.settings.kuma.unit.to_string();
        self.state.replica.stopped = Some(self.host.now());
        self.host.save(self.state)?;
        self.report(&Event::Stopping { unit: unit.clone() });
        let since = Instant::now();
        self.host.stop().await?;
        self.report(&Event::Stopped { unit, millis: millis(since.elapsed()) });
        self.bring_up().await
    }
}
