//! Jobs of systemd: queueing one, waiting for its end, and what its result means.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;
use zbus::OwnedObjectPath;

use super::bus::{Systemd, Unit, failure};
use crate::error::{Error, Kind, Result};

/// The longest time limit of a unit that counts, also for a unit without one (`infinity`).
const MAX_LIMIT: Duration = Duration::from_secs(600);

/// The time on top of the unit's own limit, in which systemd kills the unit and sends the result.
const GRACE: Duration = Duration::from_secs(30);

impl Systemd {
    /// Queues a job and waits for its end. It subscribes to the signal first: the job may have ended, and its object may
    /// be removed, before the answer with its path arrives.
    pub(super) async fn job(&self, method: &str, unit: &Unit, limit: Duration, kind: Kind) -> Result<JobEnd> {
        let what = || format!("{method} of {} over D-Bus", unit.id);
        let failed = |error| failure(kind, what(), error);
        self.subscribe().await.map_err(failed)?;
        // The bus filters by unit, so that a busy boot cannot fill the queue while nothing reads it.
        let mut removed =
            self.manager().receive_signal_with_args("JobRemoved", &[(2, &unit.id)]).await.map_err(failed)?;
        let job: OwnedObjectPath = self.call(method, &(unit.id.as_str(), "replace")).await.map_err(failed)?;
        let ours = async {
            while let Some(message) = removed.next().await {
                let (_, path, _, result): (u32, OwnedObjectPath, String, String) = message.body().deserialize()?;
                if path == job {
                    return Ok(JobEnd::Result(result));
                }
            }
            Ok(JobEnd::Unknown)
        };
        match timeout(limit, ours).await {
            Ok(ended) => ended.map_err(failed),
            Err(_) => Ok(JobEnd::Late(limit)),
        }
    }

    pub(super) async fn job_failure(&self, kind: Kind, verb: &str, ended: &JobEnd, unit: &Unit) -> Error {
        let how = match ended {
            JobEnd::Result(result) if result == "done" => "is done, but without effect".to_owned(),
            JobEnd::Result(result) => format!("ended with '{result}'"),
            JobEnd::Late(limit) => format!("is not done after {} s", limit.as_secs()),
            JobEnd::Unknown => "has an unknown result, because the bus closed the connection".to_owned(),
        };
        let last = self.last_result(unit).await;
        let Unit { id, active, sub, .. } = unit;
        let what = format!("the {verb} job of {id} {how}; the unit is {active} ({sub}), its last result '{last}'");
        Error::new(kind, what).with_hint(format!("see systemctl status {id} and journalctl -u {id}"))
    }

    /// The time limit for a job: that of the unit, at most [`MAX_LIMIT`], and [`GRACE`].
    pub(super) async fn limit(&self, unit: &Unit, property: &str) -> Result<Duration> {
        let micros: u64 = self.service(unit).await?.take(property)?;
        Ok(Duration::from_micros(micros).min(MAX_LIMIT) + GRACE)
    }

    /// The `Result` of the service's last run, for messages; `unknown` if it cannot be read.
    pub(super) async fn last_result(&self, unit: &Unit) -> String {
        match self.service(unit).await.and_then(|mut service| service.take("Result")) {
            Ok(result) => result,
            Err(_) => "unknown".to_owned(),
        }
    }
}

/// How the wait for a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    /// The `job_result` of systemd: done, canceled, timeout, failed, dependency, skipped and a few more; only `done` is
    /// success.
    Result(String),
    /// The job did not end within this time.
    Late(Duration),
    /// The bus closed the connection.
    Unknown,
}
