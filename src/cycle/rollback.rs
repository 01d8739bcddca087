//! After a commit with which Uptime Kuma does not come up: the previous configuration is put back.

use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::model::origin::Origin;

use super::outside::{Claim as _, Host};
use super::{Event, History, Session};

/// Whether the rows may be the reason why Uptime Kuma does not come up, and not something between this program and
/// Uptime Kuma.
pub(super) fn is_fault_of_rows(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unhealthy | Kind::StartFailed)
}

fn rolled_back(origin: &Origin, error: Error) -> Error {
    Error::new(Kind::RolledBack, format!("Uptime Kuma did not come up with {origin}")).because(error)
}

impl<H: Host> Session<'_, H> {
    /// Writes the `previous` configuration back, starts Uptime Kuma with it, and rejects the snapshot. Returns the error
    /// to report.
    pub(super) async fn roll_back(&mut self, origin: &Origin, previous: &Configuration, error: Error) -> Error {
        let mut attempts = 0;
        if let Origin::Snapshot { id } = origin {
            attempts = self.attempts(id);
            self.reject(id, &error);
        }
        // Saved at once: if this is interrupted too, the next cycle goes on with it.
        self.save_or_warn();
        self.report(&Event::RollingBack { origin: origin.clone(), reason: error.chain() });
        // It may hang half-way up. The claim proves whether it is down.
        if let Err(second) = self.host.stop().await {
            self.warn(&second);
        }
        let restored = match self.write_back(previous).await {
            Ok(()) => self.bring_up().await,
            Err(second) => {
                let dependents = self.dependents();
                match self.host.start(&dependents).await {
                    Ok(()) => Err(second),
                    Err(third) => return self.rollback_failed(origin, &error, second.because(third)),
                }
            }
        };
        match restored {
            Err(stopped) if stopped.kind() == Kind::ServiceStopped => {
                self.state.intent = None;
                self.warn(&stopped);
                rolled_back(origin, error)
            }
            Ok(()) => {
                self.state.intent = None;
                self.continue_history().await;
                rolled_back(origin, error)
            }
            Err(second) => {
                // What fails with either configuration is not the fault of the new one.
                if let Origin::Snapshot { id } = origin
                    && is_fault_of_rows(&second)
                {
                    self.back_off(id, attempts, &error);
                }
                self.rollback_failed(origin, &error, second)
            }
        }
    }

    async fn write_back(&mut self, previous: &Configuration) -> Result<()> {
        for text in self.host.claim().await?.write(previous, History::Remove).await? {
            self.report(&Event::Warning { text });
        }
        Ok(())
    }

    fn rollback_failed(&self, origin: &Origin, error: &Error, second: Error) -> Error {
        if second.kind() == Kind::Interrupted {
            return second;
        }
        let what = format!(
            "Uptime Kuma came up neither with {origin} ({}) nor with the previous configuration",
            error.chain()
        );
        Error::new(Kind::RollbackFailed, what).because(second)
    }
}
