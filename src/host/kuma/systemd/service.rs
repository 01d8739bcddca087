//! Uptime Kuma's unit: whether it runs, stopping and starting it, and its properties.
//!
//! The cycle decides what happens when a job fails. Nothing here opens the database or waits for Uptime Kuma to answer.
//! The interface is described in org.freedesktop.systemd1(5); a comment describes what is missing there.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep};
use zbus::OwnedObjectPath;

use super::bus::{Systemd, failure};
use super::job::JobEnd;
use super::stops::stopped_by_hand;
use crate::config::UnitName;
use crate::cycle::Activity;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::discovery::ServiceProperties;

/// How often the state of a unit is read while it changes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

impl Systemd {
    /// Whether `name` runs or is starting. A masked unit can be either.
    ///
    /// A unit that waits for its automatic restart is `activating` and counts as running. A unit that is
    /// `deactivating` may be in a stop, a `systemctl restart` or a crash: its final state counts, which it must reach
    /// within the time for a stop.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`] if the unit has no file, [`Kind::ServiceBusy`] if it reaches no final state,
    /// [`Kind::BusUnavailable`].
    pub async fn activity(&self, name: &UnitName) -> Result<Activity> {
        let unit = self.unit(name).await?;
        let deadline = Instant::now() + self.limit(&unit, "TimeoutStopUSec").await?;
        loop {
            let unit = self.unit(name).await?;
            let job = self.pending_job(&unit).await?;
            match settled(&unit.active, job.as_deref()) {
                Some(activity) => return Ok(activity),
                None if Instant::now() < deadline => sleep(POLL_INTERVAL).await,
                None => {
                    let what = format!("{name} is still {} ({})", unit.active, unit.sub);
                    return Err(Error::new(Kind::ServiceBusy, what));
                }
            }
        }
    }

    /// Proves that `name` can be stopped now: that it can be started again (not masked, no broken unit file, no
    /// `RefuseManualStart=`), and that it is not starting. One that hangs in its start would also hang in ours.
    ///
    /// # Errors
    /// [`Kind::StopFailed`], [`Kind::ServiceBusy`].
    pub async fn check_stoppable(&self, name: &UnitName) -> Result<()> {
        let unit = self.unit(name).await?;
        unit.check_can_start()?;
        if unit.active == "activating" {
            let what = format!("{name} is not stopped: it is starting ({}, {})", unit.active, unit.sub);
            return Err(Error::new(Kind::ServiceBusy, what).with_hint(format!("see systemctl status {name}")));
        }
        Ok(())
    }

    /// The id of the user that the processes of `name` run as; `None` if it does not run, or has no `User=`.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn uid(&self, name: &UnitName) -> Result<Option<u32>> {
        let unit = self.unit(name).await?;
        let uid: u32 = self.service(&unit).await?.take("UID")?;
        Ok((uid != u32::MAX).then_some(uid))
    }

    /// The ids of the processes in the control group of `name`; none if it is stopped.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn processes(&self, name: &UnitName) -> Result<Vec<u32>> {
        let unit = self.unit(name).await?;
        if unit.is_stopped() {
            return Ok(Vec::new());
        }
        let found: zbus::Result<Vec<(String, u32, String)>> = self.call("GetUnitProcesses", &(unit.id.as_str(),)).await;
        let failed = |error| failure(Kind::BusUnavailable, format!("read the processes of {name} from systemd"), error);
        Ok(found.map_err(failed)?.into_iter().map(|(_, id, _)| id).collect())
    }

    /// How long ago the main process of `name` was started, if that is the server or ends with it. A service manager of its
    /// own, such as PM2, starts the server again by itself.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn age(&self, name: &UnitName) -> Result<Option<Duration>> {
        let unit = self.unit(name).await?;
        let mut service = self.service(&unit).await?;
        let kind: String = service.take("Type")?;
        let since: u64 = service.take("ExecMainStartTimestampMonotonic")?;
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
        Ok((kind != "forking" && since > 0).then(|| now.saturating_sub(Duration::from_micros(since))))
    }

    /// Stops `name` and waits until the job is done and the unit is inactive or failed.
    ///
    /// A unit that could not be started again is not stopped. A job that misses its deadline stays queued, and
    /// [`Systemd::start`] replaces it.
    ///
    /// # Errors
    /// [`Kind::StopFailed`] with the result of the job and the state of the unit; [`Kind::NotPermitted`].
    pub async fn stop(&self, name: &UnitName) -> Result<()> {
        let unit = self.unit(name).await?;
        unit.check_can_start()?;
        let limit = self.limit(&unit, "TimeoutStopUSec").await?;
        let result = self.job("StopUnit", &unit, limit, Kind::StopFailed).await?;
        let unit = self.unit(name).await?;
        if result == JobEnd::Result("done".to_owned()) && unit.is_stopped() {
            return Ok(());
        }
        Err(self.job_failure(Kind::StopFailed, "stop", &result, &unit).await)
    }

    /// Starts `name` and waits until the job is done and the unit runs. If systemd refuses because the unit was started
    /// too often (`StartLimitBurst=`), its failures are reset and it is started a second time.
    ///
    /// # Errors
    /// [`Kind::StartFailed`] with the result of the job and the state of the unit; [`Kind::ServiceStopped`] if a stop took
    /// the place of the job; [`Kind::NotPermitted`]; [`Kind::Interrupted`] if the system is shutting down, in which case the unit is not at fault.
    pub async fn start(&self, name: &UnitName) -> Result<()> {
        match self.start_or_fail(name).await {
            // The stop jobs of a shutdown cannot be replaced: systemd answers TransactionIsDestructive.
            Err(error)
                if matches!(error.kind(), Kind::StartFailed | Kind::ServiceStopped)
                    && self.shutting_down().await.unwrap_or(false) =>
            {
                let what = format!("{name} is not started, because the system is shutting down");
                let hint = "the next cycle after the boot starts it";
                Err(Error::new(Kind::Interrupted, what).with_hint(hint).because(error))
            }
            result => result,
        }
    }

    async fn start_or_fail(&self, name: &UnitName) -> Result<()> {
        let mut was_reset = false;
        loop {
            let unit = self.unit(name).await?;
            if let Some(reason) = unit.cannot_start() {
                let what = format!("{name} cannot be started: it {reason}");
                return Err(Error::new(Kind::StartFailed, what));
            }
            let limit = self.limit(&unit, "TimeoutStartUSec").await?;
            let result = self.job("StartUnit", &unit, limit, Kind::StartFailed).await?;
            let unit = self.unit(name).await?;
            // If a Condition…= of the unit is not met, the result is "done" and the unit does not run.
            if result == JobEnd::Result("done".to_owned()) && unit.runs() {
                return Ok(());
            }
            // Another job took the place of ours, and the unit does not run: that was a stop.
            if result == JobEnd::Result("canceled".to_owned()) {
                let error = self.job_failure(Kind::StartFailed, "start", &result, &unit).await;
                return Err(stopped_by_hand(name).because(error));
            }
            if was_reset || self.last_result(&unit).await != "start-limit-hit" {
                return Err(self.job_failure(Kind::StartFailed, "start", &result, &unit).await);
            }
            was_reset = true;
            self.call::<()>("ResetFailedUnit", &(unit.id.as_str(),))
                .await
                .map_err(|error| failure(Kind::StartFailed, format!("reset the failures of {name}"), error))?;
        }
    }

    /// Proves that this user may stop `name` and start it again, and changes nothing.
    ///
    /// There is no call for that: polkit decides about a job on one unit only when the job is requested. So each job is
    /// requested in a mode that is invalid for it. systemd checks the rights first, and then refuses the mode
    /// (`manager_add_job` in its core/manager.c).
    ///
    /// # Errors
    /// [`Kind::NotPermitted`], [`Kind::BusUnavailable`].
    pub async fn check_rights(&self, name: &UnitName) -> Result<()> {
        let unit = self.unit(name).await?;
        for (verb, method, mode) in [("start", "StartUnit", "triggering"), ("stop", "StopUnit", "isolate")] {
            let answer: zbus::Result<OwnedObjectPath> = self.call(method, &(unit.id.as_str(), mode)).await;
            let Err(error) = answer else { continue };
            let error = failure(Kind::StopFailed, format!("check the right to {verb} {name}"), error);
            if matches!(error.kind(), Kind::NotPermitted | Kind::BusUnavailable) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The properties of `name` that the layout of Uptime Kuma depends on.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::Config`] for a masked one, [`Kind::BusUnavailable`].
    pub async fn properties(&self, name: &UnitName) -> Result<ServiceProperties> {
        /// `a(sasbttttuii)`: program, arguments, and when and how it last ran.
        type Command = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);
        let unit = self.unit(name).await?;
        if unit.load == "masked" {
            let what = format!("{name} is masked, so systemd does not know its data directory");
            let hint = "set data-directory and url in [uptime-kuma], or unmask it";
            return Err(Error::new(Kind::Config, what).with_hint(hint));
        }
        let mut service = self.service(&unit).await?;
        let commands: Vec<Command> = service.take("ExecStart")?;
        // The unit inherits the environment of the manager (DefaultEnvironment=, systemctl set-environment).
        let manager: Vec<String> = self.manager_property("Environment").await?;
        Ok(ServiceProperties {
            working_directory: service.take("WorkingDirectory")?,
            environment: manager.into_iter().chain(service.take::<Vec<String>>("Environment")?).collect(),
            environment_files: service.take("EnvironmentFiles")?,
            unset_environment: service.take("UnsetEnvironment")?,
            arguments: commands.into_iter().next().map(|command| command.1).unwrap_or_default(),
            user: service.take("User")?,
            state_directories: service.take("StateDirectory")?,
        })
    }

    /// Whether the whole system is shutting down: then nothing can be started.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn shutting_down(&self) -> Result<bool> {
        Ok(self.manager_property::<String>("SystemState").await? == "stopping")
    }
}

/// Whether a unit with this `ActiveState` and the pending `job` of this type runs; `None` while that changes.
///
/// Between the two halves of a restart the unit is `inactive` and has a pending start job.
fn settled(active: &str, job: Option<&str>) -> Option<Activity> {
    match (active, job) {
        ("active" | "activating" | "reloading" | "refreshing", Some("stop")) => None,
        ("active" | "activating" | "reloading" | "refreshing", _) => Some(Activity::Running),
        ("inactive" | "failed" | "maintenance", Some("start" | "restart" | "reload-or-start")) => {
            Some(Activity::Running)
        }
        ("inactive" | "failed" | "maintenance", _) => Some(Activity::Stopped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_counts_together_with_its_job() {
        for (active, job, expected) in [
            ("active", None, Some(Activity::Running)),
            ("active", Some("reload"), Some(Activity::Running)),
            ("active", Some("stop"), None),
            ("activating", None, Some(Activity::Running)),
            ("activating", Some("start"), Some(Activity::Running)),
            ("refreshing", None, Some(Activity::Running)),
            ("deactivating", None, None),
            ("deactivating", Some("stop"), None),
            ("deactivating", Some("restart"), None),
            ("inactive", None, Some(Activity::Stopped)),
            ("inactive", Some("start"), Some(Activity::Running)),
            ("inactive", Some("stop"), Some(Activity::Stopped)),
            ("failed", None, Some(Activity::Stopped)),
            ("failed", Some("restart"), Some(Activity::Running)),
            ("a state of the future", None, None),
        ] {
            assert_eq!(settled(active, job), expected, "{active} with job {job:?}");
        }
    }
}
