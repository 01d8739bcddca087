//! systemd over the system bus: whether Uptime Kuma's unit runs, stopping and starting it, and what its
//! unit file says.
//!
//! What must happen when a job fails is the cycle's to decide; nothing here touches the database, and
//! nothing here waits for Uptime Kuma to answer. The interface is described in
//! org.freedesktop.systemd1(5); where systemd behaves in a way that page does not tell, the comment does.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};
use zbus::zvariant::OwnedObjectPath;

use crate::config::UnitName;
use crate::cycle::Activity;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::discovery::ServiceProperties;

use super::bus::{Systemd, Unit, failure};

/// What a unit without a time limit of its own gets; also the most a unit gets.
const LONGEST: Duration = Duration::from_secs(600);
/// On top of the unit's own limit: after that limit systemd still has to kill and to tell us.
const GRACE: Duration = Duration::from_secs(30);
/// How often a unit on its way to another state is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

impl Systemd {
    /// Whether `name` runs or is about to; `masked` says nothing about that, so a masked unit can be either.
    ///
    /// A unit waiting for its automatic restart is `activating` and counts as running. One that is
    /// `deactivating` is neither: it may be in the hands of an administrator, of `systemctl restart` or
    /// of a crash. It is waited for, as long as stopping it may take, and judged by where it ends up.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`] for a unit systemd has no file of, [`Kind::ServiceBusy`] for one that does
    /// not come to rest, [`Kind::BusUnavailable`].
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
                    let what = format!("{name} does not come to rest: it is {} ({})", unit.active, unit.sub);
                    return Err(Error::new(Kind::ServiceBusy, what));
                }
            }
        }
    }

    /// Proves that `name` may be stopped: that it could be started again (not masked, no broken unit file, no
    /// `RefuseManualStart=`), and that it is not starting, as our own start of it would take as long.
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

    /// The user as which the processes of `name` run; none if it does not run, or runs as root.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn uid(&self, name: &UnitName) -> Result<Option<u32>> {
        let unit = self.unit(name).await?;
        let uid: u32 = self.service(&unit).await?.take("UID")?;
        Ok((uid != u32::MAX).then_some(uid))
    }

    /// Stops `name` and waits until the job is done and the unit is at rest, stopped or failed.
    ///
    /// A unit that could not be started again is not stopped at all. A job that outlives its deadline stays queued: [`Systemd::start`] replaces it.
    ///
    /// # Errors
    /// [`Kind::StopFailed`] with the result of the job and the state of the unit; [`Kind::NotPermitted`].
    pub async fn stop(&self, name: &UnitName) -> Result<()> {
        let unit = self.unit(name).await?;
        unit.check_can_start()?;
        let limit = self.limit(&unit, "TimeoutStopUSec").await?;
        let result = self.job("StopUnit", &unit, limit, Kind::StopFailed).await?;
        let unit = self.unit(name).await?;
        if result == Ended::Result("done".to_owned()) && unit.at_rest() {
            return Ok(());
        }
        Err(self.job_failure(Kind::StopFailed, "stop", &result, &unit).await)
    }

    /// Starts `name` and waits until the job is done and the unit runs. A unit that systemd refuses
    /// because it was started too often (`StartLimitBurst=`) is given one more chance, once.
    ///
    /// # Errors
    /// [`Kind::StartFailed`] with the result of the job and the state of the unit; [`Kind::NotPermitted`];
    /// [`Kind::Interrupted`] if the system is going down, which says nothing against the unit.
    pub async fn start(&self, name: &UnitName) -> Result<()> {
        match self.start_or_fail(name).await {
            // systemd calls it TransactionIsDestructive: the stop jobs of a shutdown cannot be replaced.
            Err(error) if error.kind() == Kind::StartFailed && self.shutting_down().await.unwrap_or(false) => {
                let what = format!("{name} is not started, because the system is going down");
                let hint = "the next cycle after the boot sees to it";
                Err(Error::new(Kind::Interrupted, what).with_hint(hint).because(error))
            }
            result => result,
        }
    }

    async fn start_or_fail(&self, name: &UnitName) -> Result<()> {
        let mut forgiven = false;
        loop {
            let unit = self.unit(name).await?;
            if let Some(reason) = unit.cannot_start() {
                let what = format!("{name} cannot be started: it {reason}");
                return Err(Error::new(Kind::StartFailed, what));
            }
            let limit = self.limit(&unit, "TimeoutStartUSec").await?;
            let result = self.job("StartUnit", &unit, limit, Kind::StartFailed).await?;
            let unit = self.unit(name).await?;
            // A unit whose Condition…= is not met gets the result "done" and does not run.
            if result == Ended::Result("done".to_owned()) && unit.runs() {
                return Ok(());
            }
            if forgiven || self.last_result(&unit).await != "start-limit-hit" {
                return Err(self.job_failure(Kind::StartFailed, "start", &result, &unit).await);
            }
            forgiven = true;
            self.call::<()>("ResetFailedUnit", &(unit.id.as_str(),))
                .await
                .map_err(|error| failure(Kind::StartFailed, format!("resetting the failures of {name}"), error))?;
        }
    }

    /// Proves that this user may stop `name` and start it again, and changes nothing.
    ///
    /// There is no question for it: polkit answers about a job on one unit only when the job is asked for. So
    /// each is asked for in a mode that only the other may have. systemd looks at the rights first, and then
    /// refuses it as invalid (`manager_add_job` in its core/manager.c).
    ///
    /// # Errors
    /// [`Kind::NotPermitted`], [`Kind::BusUnavailable`].
    pub async fn check_rights(&self, name: &UnitName) -> Result<()> {
        let unit = self.unit(name).await?;
        for (verb, method, mode) in [("start", "StartUnit", "triggering"), ("stop", "StopUnit", "isolate")] {
            let asked: zbus::Result<OwnedObjectPath> = self.call(method, &(unit.id.as_str(), mode)).await;
            let Err(error) = asked else { continue };
            let error = failure(Kind::StopFailed, format!("asking systemd whether it lets us {verb} {name}"), error);
            if matches!(error.kind(), Kind::NotPermitted | Kind::BusUnavailable) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// What the unit file of `name` says about where Uptime Kuma lives and listens.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::Config`] for a masked one, [`Kind::BusUnavailable`].
    pub async fn properties(&self, name: &UnitName) -> Result<ServiceProperties> {
        /// `a(sasbttttuii)`: program, arguments, and when and how it last ran.
        type Command = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);
        let unit = self.unit(name).await?;
        if unit.load == "masked" {
            let what = format!("{name} is masked, so systemd does not say where its data lies");
            let hint = "set data-directory and url in [uptime-kuma], or unmask it";
            return Err(Error::new(Kind::Config, what).with_hint(hint));
        }
        let mut service = self.service(&unit).await?;
        let commands: Vec<Command> = service.take("ExecStart")?;
        // The unit inherits what the manager has (DefaultEnvironment=, systemctl set-environment).
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

    /// Whether the whole system is going down, in which case nothing should be started.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn shutting_down(&self) -> Result<bool> {
        Ok(self.manager_property::<String>("SystemState").await? == "stopping")
    }

    /// Queues a job and waits for its end. The signal is subscribed to before the job is queued, as a job
    /// may be over, and its object gone, before the answer with its path arrives here.
    async fn job(&self, method: &str, unit: &Unit, limit: Duration, kind: Kind) -> Result<Ended> {
        let what = || format!("{method} of {} over D-Bus", unit.id);
        let failed = |error| failure(kind, what(), error);
        self.subscribe().await.map_err(failed)?;
        // Filtered by unit at the bus, so that a busy boot cannot fill the queue while we are not reading.
        let mut removed =
            self.manager().receive_signal_with_args("JobRemoved", &[(2, &unit.id)]).await.map_err(failed)?;
        let job: OwnedObjectPath = self.call(method, &(unit.id.as_str(), "replace")).await.map_err(failed)?;
        let ours = async {
            while let Some(message) = removed.next().await {
                let (_, path, _, result): (u32, OwnedObjectPath, String, String) = message.body().deserialize()?;
                if path == job {
                    return Ok(Ended::Result(result));
                }
            }
            Ok(Ended::Unheard)
        };
        match timeout(limit, ours).await {
            Ok(ended) => ended.map_err(failed),
            Err(_) => Ok(Ended::Late(limit)),
        }
    }

    async fn job_failure(&self, kind: Kind, verb: &str, ended: &Ended, unit: &Unit) -> Error {
        let how = match ended {
            Ended::Result(result) if result == "done" => "was done, yet did not help".to_owned(),
            Ended::Result(result) => format!("ended with '{result}'"),
            Ended::Late(limit) => format!("was not done after {} s", limit.as_secs()),
            Ended::Unheard => "was lost from sight as the bus closed the connection".to_owned(),
        };
        let last = self.last_result(unit).await;
        let Unit { id, active, sub, .. } = unit;
        let what = format!("the {verb} job of {id} {how}; the unit is {active} ({sub}), its last result '{last}'");
        Error::new(kind, what).with_hint(format!("read systemctl status {id} and journalctl -u {id}"))
    }

    /// The unit's own time limit for a job, with grace; `infinity` and more than [`LONGEST`] are cut.
    async fn limit(&self, unit: &Unit, property: &str) -> Result<Duration> {
        let micros: u64 = self.service(unit).await?.take(property)?;
        Ok(Duration::from_micros(micros).min(LONGEST) + GRACE)
    }

    /// The `Result` of the service's last run; for messages, so a failure to read it is only shown.
    async fn last_result(&self, unit: &Unit) -> String {
        match self.service(unit).await.and_then(|mut service| service.take("Result")) {
            Ok(result) => result,
            Err(_) => "unknown".to_owned(),
        }
    }
}

/// How the wait for a job ended. The results are `job_result` of systemd: done, canceled, timeout, failed,
/// dependency, skipped and a few more; only `done` is success.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Result(String),
    Late(Duration),
    Unheard,
}

/// What a unit's `ActiveState`, with the type of its pending job, says; `None` while it changes sides.
///
/// Between the two halves of a restart the unit is `inactive` with a start job still pending.
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
    fn states_are_judged_with_their_jobs() {
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
