//! Stops of a unit that this program did not order, such as systemctl stop: they say nothing about the rows.

use futures_util::{FutureExt, StreamExt};
use tokio::sync::Mutex;
use zbus::OwnedObjectPath;
use zbus::proxy::SignalStream;

use super::bus::{Systemd, failure};
use crate::config::UnitName;
use crate::error::{Error, Kind, Result};

/// The jobs of a unit since the watch began.
pub struct StopWatch {
    name: UnitName,
    jobs: Mutex<SignalStream<'static>>,
}

impl Systemd {
    /// Watches the jobs of `name` from now on.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn watch_stops(&self, name: &UnitName) -> Result<StopWatch> {
        let unit = self.unit(name).await?;
        let failed = |error| failure(Kind::BusUnavailable, format!("watch the jobs of {name} in systemd"), error);
        self.subscribe().await.map_err(failed)?;
        let jobs = self.manager().receive_signal_with_args("JobNew", &[(2, &unit.id)]).await.map_err(failed)?;
        Ok(StopWatch { name: name.clone(), jobs: Mutex::new(jobs) })
    }
}

impl StopWatch {
    /// Fails if a stop was ordered since the watch began. Meant for a unit that does not run any more: an order that is
    /// carried out already has left nothing but a job that is gone and a unit that ended well.
    ///
    /// # Errors
    /// [`Kind::ServiceStopped`], [`Kind::BusUnavailable`].
    pub async fn check(&self, systemd: &Systemd) -> Result<()> {
        let mut jobs = self.jobs.lock().await;
        let unit = systemd.unit(&self.name).await?;
        while let Some(Some(message)) = jobs.next().now_or_never() {
            let Ok((id, path, _)) = message.body().deserialize::<(u32, OwnedObjectPath, String)>() else { continue };
            match systemd.job_type(&self.name, id, &path).await?.as_deref() {
                Some("stop") => return Err(stopped_by_hand(&self.name)),
                None if unit.active == "inactive" && systemd.last_result(&unit).await == "success" => {
                    return Err(stopped_by_hand(&self.name));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The failure of what a stop has ended.
pub(super) fn stopped_by_hand(name: &UnitName) -> Error {
    let what = format!("{name} was stopped while kuma-replicator waited for its answer, and stays stopped");
    Error::new(Kind::ServiceStopped, what)
}
