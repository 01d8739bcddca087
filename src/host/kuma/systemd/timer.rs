//! The timer of this program: whether it works, and enabling it.

use std::time::Duration;

use super::bus::{Systemd, failure};
use super::job::JobEnd;
use crate::error::{Error, Kind, Result};

/// The timer of this program.
const TIMER: &str = "kuma-replicator.timer";

/// How long systemd may take to start a timer, which starts nothing else.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The states of a unit file in which the unit starts at each boot, or whatever starts it decides that (systemctl(1),
/// "is-enabled"). One that is enabled until the next boot is not among them.
const ENABLED: [&str; 5] = ["enabled", "static", "alias", "indirect", "generated"];

/// Whether the timer of this program works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerState {
    /// Whether it starts at the next boot.
    pub enabled: bool,
    /// Whether it runs now.
    pub active: bool,
}

impl Systemd {
    /// The state of the timer of this program; `None` if it is not installed.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn timer(&self) -> Result<Option<TimerState>> {
        let (_, mut all) = self.load(TIMER).await?;
        if all.take::<String>("LoadState")? == "not-found" {
            return Ok(None);
        }
        let enabled = ENABLED.contains(&all.take::<String>("UnitFileState")?.as_str());
        Ok(Some(TimerState { enabled, active: all.take::<String>("ActiveState")? == "active" }))
    }

    /// Enables the timer of this program and starts it.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`] if it is not installed; [`Kind::StartFailed`], as for a masked one; [`Kind::NotPermitted`].
    pub async fn enable_timer(&self) -> Result<()> {
        let Some(unit) = self.find(TIMER).await? else {
            let what = format!("systemd does not know {TIMER}");
            return Err(Error::new(Kind::ServiceMissing, what).with_hint("install the package"));
        };
        let failed = |error| {
            let hint = format!("see systemctl status {TIMER}");
            failure(Kind::StartFailed, format!("cannot enable {TIMER}"), error).with_hint(hint)
        };
        // The files, whether only until the next boot, and whether links of others are replaced. The answer is what it changed.
        self.manager().call_method("EnableUnitFiles", &(vec![TIMER], false, false)).await.map_err(failed)?;
        self.reload().await?;
        match self.job("StartUnit", &unit, START_LIMIT, Kind::StartFailed).await? {
            JobEnd::Result(result) if result == "done" => Ok(()),
            _ => Err(Error::new(Kind::StartFailed, format!("systemd cannot start {TIMER}"))
                .with_hint(format!("see systemctl status {TIMER}"))),
        }
    }

    /// Lets systemd read its unit files again.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`], [`Kind::BusUnavailable`].
    pub async fn reload(&self) -> Result<()> {
        self.call::<()>("Reload", &())
            .await
            .map_err(|error| failure(Kind::BusUnavailable, "let systemd read its unit files again", error))
    }
}
