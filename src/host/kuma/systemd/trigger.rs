//! What started the unit of this process.

use super::bus::Systemd;
use crate::error::{Kind, Result};
use crate::host::system::unit;

impl Systemd {
    /// Whether a timer started the unit that this is the main process of, and not a person or another program.
    ///
    /// `TRIGGER_UNIT` does not tell: systemd keeps it for later starts by hand.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn is_started_by_timer(&self) -> Result<bool> {
        if !unit::is_its_main_process() {
            return Ok(false);
        }
        let mut own = self.own_unit().await?;
        let (ended, started): (u64, u64) =
            (own.take("InactiveEnterTimestampMonotonic")?, own.take("InactiveExitTimestampMonotonic")?);
        for name in own.take::<Vec<String>>("TriggeredBy")? {
            let (path, _) = self.load(&name).await?;
            match self.timer_at(&path).await?.take::<u64>("LastTriggerUSecMonotonic") {
                // Since the last run has ended, it asked for a start.
                Ok(asked) if ended < asked && asked <= started => return Ok(true),
                // Something else that triggers units.
                Err(error) if error.kind() != Kind::ServiceMissing => return Err(error),
                _ => {}
            }
        }
        Ok(false)
    }
}
