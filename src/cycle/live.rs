//! Changes that are written while Uptime Kuma runs: those that it picks up by itself, and those that it is told.

use std::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::model::state::{Intent, Telling};
use crate::model::told::Told;

use super::change::{Cleared, Written};
use super::outside::Host;
use super::rollback::is_fault_of_rows;
use super::session::millis;
use super::{Event, Session};

impl<H: Host> Session<'_, H> {
    /// Writes while Uptime Kuma runs, and tells it what it has in memory. When this returns an error, the previous
    /// configuration is in force, or the intent stays.
    pub(super) async fn write_live(&mut self, cleared: Cleared<'_>, told: Told) -> Result<Written> {
        let Cleared { change, here, clearance, .. } = cleared;
        self.host.check_interrupted()?;
        let previous = self.host.export().await?;
        // Fetching and rehearsing took their time. The next cycle finds an edit in any table, and plans anew.
        if previous != *here {
            let what = "the configuration was edited while the changes were planned";
            return Err(Error::new(Kind::DatabaseBusy, what).with_hint("the next cycle plans again"));
        }
        let (previous, digest) = self.keep_previous(&change.origin, previous)?;
        // This does not say that Uptime Kuma is stopped: if this process is killed after the commit, the next cycle
        // has to check that it answers.
        let (origin, since, dependents) = (change.origin.clone(), self.host.now(), clearance.dependents.clone());
        let telling = self.telling(&told).await?;
        self.state.intent =
            Some(Intent { origin, start: true, dependents, since, previous: digest, telling, written: false });
        self.host.save(self.state)?;

        let since = Instant::now();
        let written = self.host.write_live(here, &change.wanted).await;
        let warnings = match written {
            Ok(warnings) => warnings,
            Err(error) => {
                self.state.intent = None;
                // Uptime Kuma had the lock, or a person edited: the next cycle plans again at once.
                if !matches!(error.kind(), Kind::DatabaseBusy | Kind::ServiceBusy | Kind::SchemaDiffers) {
                    self.judge(&change.origin, &error);
                }
                return Err(error);
            }
        };
        for text in warnings {
            self.report(&Event::Warning { text });
        }
        let size = change.plan.size();
        self.report(&Event::Written { origin: change.origin.clone(), size, millis: millis(since.elapsed()) });
        let taken_up = match self.host.check_healthy().await {
            Ok(()) if told.is_empty() => Ok(false),
            Ok(()) => self.tell(&told).await,
            Err(error) => Err(error),
        };
        match taken_up {
            Ok(restarted) => {
                if change.plan.removes_monitors() || self.state.replica.history.is_some() {
                    let _ = self.tidy_history(false).await;
                }
                Ok(Written { size, restarted })
            }
            Err(error) if is_fault_of_rows(&error) => Err(self.roll_back(&change.origin, &previous, error).await),
            Err(error) => Err(error),
        }
    }

    /// What has to be told, to the server that runs now: one that is started later reads it by itself.
    async fn telling(&mut self, told: &Told) -> Result<Option<Telling>> {
        if !told.has_rows() {
            return Ok(None);
        }
        let run = self.host.server().await?.run;
        Ok(Some(Telling { run, told: told.clone() }))
    }
}
