//! The part of an apply in which Uptime Kuma is stopped: intent, stop, write, start, check.
//!
//! Whatever happens after Uptime Kuma was stopped, the last thing done is to start it again.

use std::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::localise::Desired;
use crate::model::configuration::Configuration;
use crate::model::digest::Digest;
use crate::model::origin::Origin;
use crate::model::state::{Intent, PendingHistory};
use crate::plan::{Plan, without};

use super::change::{Change, Cleared, Written};
use super::outside::{Activity, Claim as _, Host};
use super::rollback::is_fault_of_rows;
use super::session::millis;
use super::{CanonicalExport, Event, Export, History, Session};

impl<H: Host> Session<'_, H> {
    /// Stops, writes, starts and checks. When this returns an error, the previous configuration is in force.
    pub(super) async fn replace(&mut self, cleared: Cleared<'_>) -> Result<Written> {
        let (origin, start) = (cleared.change.origin.clone(), cleared.clearance.activity == Activity::Running);
        self.set_history_aside(&cleared.change.plan).await?;
        self.host.check_interrupted()?;
        let (since, dependents) = (self.host.now(), cleared.clearance.dependents.clone());
        self.state.intent = Some(Intent {
            origin: origin.clone(),
            start,
            dependents,
            since,
            previous: None,
            telling: None,
            written: false,
        });
        if start {
            self.state.replica.stopped = Some(since);
        }
        self.host.save(self.state)?;

        if start {
            self.stop(&origin).await?;
        }
        let since = Instant::now();
        let (previous, written) = match self.write(cleared).await {
            Ok(written) => written,
            Err(error) => return Err(self.resume(&origin, start, error).await),
        };
        let size = written.size();
        self.report(&Event::Written { origin: origin.clone(), size, millis: millis(since.elapsed()) });
        if start && let Err(error) = self.bring_up().await {
            return Err(self.not_up(&origin, &previous, &written, error).await);
        }
        if written.removes_monitors() || self.state.replica.history.is_some() {
            let _ = self.tidy_history(false).await;
        }
        Ok(Written { size, restarted: start })
    }

    async fn stop(&mut self, origin: &Origin) -> Result<()> {
        let unit = self.settings.kuma.unit.to_string();
        self.report(&Event::Stopping { unit: unit.clone() });
        let since = Instant::now();
        if let Err(error) = self.host.stop().await {
            return Err(self.resume(origin, true, error).await);
        }
        self.report(&Event::Stopped { unit, millis: millis(since.elapsed()) });
        Ok(())
    }

    /// What follows if Uptime Kuma does not come up with the rows that were `written`. Returns the error to report.
    async fn not_up(&mut self, origin: &Origin, previous: &Configuration, written: &Plan, error: Error) -> Error {
        if is_fault_of_rows(&error) {
            return self.roll_back(origin, previous, error).await;
        }
        // The system is shutting down, say, or the bus is gone: nothing is known against the rows. The intent stays,
        // and the next cycle checks that Uptime Kuma answers, finds the rows written, and records them.
        if error.kind() == Kind::ServiceStopped {
            if written.removes_monitors() || self.state.replica.history.is_some() {
                self.state.replica.history = Some(PendingHistory { rows: 0, bring_back: false });
            }
            if let Some(intent) = &mut self.state.intent {
                // A person stopped it: nothing of this apply starts it again.
                (intent.start, intent.written) = (false, true);
            }
        }
        error
    }

    /// Writes into the stopped database. Returns the configuration that was there, and the changes.
    async fn write(&mut self, cleared: Cleared<'_>) -> Result<(Configuration, Plan)> {
        let Cleared { change, here, desired, .. } = cleared;
        let mut claim = self.host.claim().await?;
        let previous = claim.export().await?;
        if previous.schema != change.schema {
            let what = "the database was exchanged or upgraded while Uptime Kuma was being stopped";
            let hint = "the next cycle looks at the database again";
            return Err(Error::new(Kind::SchemaDiffers, what).with_hint(hint));
        }
        let unchanged = here.configuration == previous.configuration;
        let change = if unchanged { change } else { self.planned_again(change, &previous, &desired)? };
        let (previous, digest) = self.keep_previous(&change.origin, previous)?;
        if let Some(intent) = &mut self.state.intent {
            intent.previous = digest;
        }
        self.host.save(self.state)?;
        for text in claim.write(&change.wanted, History::SetAside).await? {
            self.report(&Event::Warning { text });
        }
        Ok((previous, change.plan))
    }

    /// The change from the rows `here`, which are others than those it was planned for.
    pub(super) fn planned_again(&self, change: Change, here: &Export, desired: &Desired<'_>) -> Result<Change> {
        let wanted = desired.on(&here.configuration)?.configuration;
        let wanted = match change.limit {
            Some(grade) => without(grade, &here.configuration, &wanted).unwrap_or_else(|| here.configuration.clone()),
            None => wanted,
        };
        let limit = change.limit;
        Ok(Change { limit, ..Change::new(change.origin, &here.configuration, &here.schema, wanted) })
    }

    /// Keeps the configuration that one of this `origin` replaces, so that a rollback finds it on disk. Returns it, with
    /// its digest if it is kept. The alerts setting is no configuration of its own: what it replaces is not kept.
    pub(super) fn keep_previous(
        &mut self,
        origin: &Origin,
        previous: Export,
    ) -> Result<(Configuration, Option<Digest>)> {
        if matches!(origin, Origin::Alerts { .. }) {
            return Ok((previous.configuration, None));
        }
        let configuration = previous.configuration.clone();
        let previous = CanonicalExport::new(previous);
        let digest = previous.digest;
        let dump = previous.dump(&self.host.name(), self.host.now(), None)?;
        self.host.keep_previous(&dump)?;
        Ok((configuration, Some(digest)))
    }

    /// The units that are started with Uptime Kuma, by the intent.
    pub(super) fn dependents(&self) -> Vec<String> {
        self.state.intent.as_ref().map(|intent| intent.dependents.clone()).unwrap_or_default()
    }

    pub(super) async fn bring_up(&mut self) -> Result<()> {
        let (unit, since) = (self.settings.kuma.unit.to_string(), Instant::now());
        let dependents = self.dependents();
        self.host.start(&dependents).await?;
        self.report(&Event::Started { unit: unit.clone() });
        self.host.check_healthy().await?;
        self.report(&Event::Healthy { unit, millis: millis(since.elapsed()) });
        Ok(())
    }

    /// What follows for a snapshot that could not be written.
    pub(super) fn judge(&mut self, origin: &Origin, error: &Error) {
        let Origin::Snapshot { id } = origin else { return };
        match error.kind() {
            Kind::WriteFailed | Kind::Unwritable => self.reject(id, error),
            _ => self.back_off(id, self.attempts(id), error),
        }
    }

    /// After a failure before the commit: starts Uptime Kuma with the rows it had. It is not stopped for this snapshot
    /// again, or not at once. Returns the error to report.
    async fn resume(&mut self, origin: &Origin, start: bool, error: Error) -> Error {
        self.judge(origin, &error);
        let dependents = self.dependents();
        if start {
            match self.host.start(&dependents).await {
                Ok(()) => self.report(&Event::Started { unit: self.settings.kuma.unit.to_string() }),
                Err(second) if second.kind() == Kind::ServiceStopped => self.warn(&second),
                Err(second) => {
                    // The intent stays on disk: the next run starts Uptime Kuma first.
                    let text = format!("Uptime Kuma could not be started again: {}", second.chain());
                    self.report(&Event::Warning { text });
                    return error;
                }
            }
        }
        self.state.intent = None;
        error
    }
}
