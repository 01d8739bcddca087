//! After a run that was interrupted: Uptime Kuma runs again before anything else is decided.

use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::model::dump;
use crate::model::origin::Origin;
use crate::model::state::{Intent, Telling};

use super::outside::{Activity, Host};
use super::rollback::is_fault_of_rows;
use super::{CanonicalExport, Event, Session};

impl<H: Host> Session<'_, H> {
    /// Finishes an apply that was interrupted: if Uptime Kuma ran before, it has to run again, and to answer. If it does
    /// not answer and the new rows were written, they are rolled back. Whether a healthy one has the new rows, the next
    /// plan finds out.
    ///
    /// # Errors
    /// If Uptime Kuma cannot be brought up; the intent stays, so the next cycle tries again.
    pub async fn recover(&mut self) -> Result<()> {
        let Some(intent) = self.state.intent.clone() else { return Ok(()) };
        let mut started = false;
        if intent.start
            && let Err(error) = self.bring_back(&intent, &mut started).await
        {
            if error.kind() == Kind::ServiceStopped {
                self.recover_history().await?;
                if let Some(intent) = &mut self.state.intent {
                    intent.start = false;
                }
                self.host.save(self.state)?;
            }
            if !is_fault_of_rows(&error) {
                return Err(error);
            }
            let Some(previous) = self.replaced(&intent).await? else { return Err(error) };
            return Err(self.roll_back(&intent.origin, &previous, error).await);
        }
        if intent.start {
            self.recover_history().await?;
        }
        if let (true, Origin::Snapshot { id }) = (intent.start, &intent.origin) {
            self.count_interrupted(id, intent.since);
        }
        self.report(&Event::Recovered { origin: intent.origin, started });
        self.state.intent = None;
        self.host.save(self.state)
    }

    async fn bring_back(&mut self, intent: &Intent, started: &mut bool) -> Result<()> {
        if self.host.activity().await? == Activity::Stopped {
            self.host.start(&intent.dependents).await?;
            *started = true;
        }
        self.host.check_healthy().await?;
        match &intent.telling {
            Some(telling) if !*started => self.tell_again(telling).await,
            _ => Ok(()),
        }
    }

    /// Tells the server again what it may not have been told. One that was started since has read it.
    async fn tell_again(&mut self, telling: &Telling) -> Result<()> {
        if self.host.server().await?.run == telling.run {
            self.tell(&telling.told).await?;
        }
        Ok(())
    }

    /// The configuration that the interrupted apply of `intent` replaced, if it got so far.
    async fn replaced(&mut self, intent: &Intent) -> Result<Option<Configuration>> {
        let Some(digest) = intent.previous else { return Ok(None) };
        let Some(bytes) = self.host.previous()? else { return Ok(None) };
        // Not `verify`: the previous configuration may well have no user yet.
        let dump = dump::parse(&bytes).map_err(|fault| {
            Error::new(Kind::SnapshotDamaged, "the kept previous configuration cannot be used").because(fault)
        })?;
        let here = CanonicalExport::new(self.host.export().await?);
        Ok((dump.manifest.digest == digest && here.digest != digest).then_some(dump.configuration))
    }
}
