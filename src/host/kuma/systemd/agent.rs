//! The unit of this program itself, and starting another one like it.

use std::path::PathBuf;
use std::time::Duration;

use super::bus::{Systemd, Unit, failure};
use super::job::JobEnd;
use crate::config::UnitName;
use crate::error::{Error, Kind, Result};

/// How long systemd may take to set up the sandbox of a unit and to begin its program.
const BEGIN_LIMIT: Duration = Duration::from_secs(90);

/// What systemd exits with for the program of a unit if it could not begin it (systemd.exec(5), "Process Exit Codes").
const EXIT_CODES: [(i32, &str); 12] = [
    (200, "CHDIR"),
    (203, "EXEC"),
    (209, "STDOUT"),
    (216, "GROUP"),
    (217, "USER"),
    (218, "CAPABILITIES"),
    (226, "NAMESPACE"),
    (228, "SECCOMP"),
    (238, "STATE_DIRECTORY"),
    (239, "CACHE_DIRECTORY"),
    (241, "MEMORY_ACCESS"),
    (243, "CREDENTIALS"),
];

/// The exit code with which systemd says that it could not set up the file system that a unit is to see.
const NAMESPACE: i32 = 226;

/// Where systemd reads the settings of a unit.
#[derive(Debug, Clone)]
pub struct UnitFiles {
    /// The unit file and its drop-ins, in the order in which they count.
    pub paths: Vec<PathBuf>,
    /// Whether systemd has read an earlier version of them.
    pub needs_reload: bool,
    /// The name of the user that systemd makes up for it (`DynamicUser=`), if it does.
    pub dynamic_user: Option<String>,
}

impl Systemd {
    /// The files of the service `name`; `None` if there is none.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] for a masked one, which systemd never starts; [`Kind::BusUnavailable`].
    pub async fn unit_files(&self, name: &UnitName) -> Result<Option<UnitFiles>> {
        let (path, mut all) = self.load(name.as_ref()).await?;
        match all.take::<String>("LoadState")?.as_str() {
            "loaded" => {}
            "not-found" => return Ok(None),
            state => {
                let hint = format!("systemctl unmask {name}, or see systemctl status {name}");
                let what = format!("systemd does not start {name}: it is {state}");
                return Err(Error::new(Kind::NotPermitted, what).with_hint(hint));
            }
        }
        let mut service = self.service_at(&path).await?;
        let is_dynamic: bool = service.take("DynamicUser")?;
        let named = Some(service.take::<String>("User")?).filter(|user| !user.is_empty());
        let unit_name = name.as_ref().trim_end_matches(".service").to_owned();
        let drop_ins: Vec<String> = all.take("DropInPaths")?;
        let paths = std::iter::once(all.take::<String>("FragmentPath")?).chain(drop_ins);
        Ok(Some(UnitFiles {
            paths: paths.map(PathBuf::from).collect(),
            needs_reload: all.take("NeedDaemonReload")?,
            dynamic_user: is_dynamic.then(|| named.unwrap_or(unit_name)),
        }))
    }

    /// Starts the service `name`, which must have `Type=exec`, and returns when its program runs.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] if systemd cannot begin it, with the exit code that says why.
    pub async fn begin(&self, name: &UnitName) -> Result<()> {
        let unit = self.unit(name).await?;
        let ended = self.job("StartUnit", &unit, BEGIN_LIMIT, Kind::NotPermitted).await?;
        if ended == JobEnd::Result("done".to_owned()) {
            return Ok(());
        }
        let (status, reason) = match self.begin_failure(&unit).await? {
            Some((status, reason)) => (status, reason),
            None => (0, format!("its last result is '{}'", self.last_result(&unit).await)),
        };
        let hint = if status == NAMESPACE {
            format!(
                "a path in a drop-in may not exist (write - before it), or this is a container that may not mount \
                 (allow it nesting): journalctl -u {name}"
            )
        } else {
            format!("journalctl -u {name}")
        };
        Err(Error::new(Kind::NotPermitted, reason).with_hint(hint))
    }

    /// Why systemd could not begin the last run of the service `name`; `None` if it did, or never had to.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn not_started(&self, name: &UnitName) -> Result<Option<String>> {
        let unit = self.unit(name).await?;
        if unit.active != "failed" {
            return Ok(None);
        }
        Ok(self.begin_failure(&unit).await?.map(|(_, reason)| reason))
    }

    /// The exit code with which systemd said that it could not begin the program of `unit`, alone and for people.
    async fn begin_failure(&self, unit: &Unit) -> Result<Option<(i32, String)>> {
        let status: i32 = self.service(unit).await?.take("ExecMainStatus")?;
        let known = EXIT_CODES.iter().find(|(code, _)| *code == status);
        Ok(known.map(|(code, reason)| (*code, format!("status={code}/{reason}"))))
    }

    /// Stops the service `name` if it runs, without waiting, and forgets how it ended.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn discard(&self, name: &UnitName) -> Result<()> {
        let unit = self.unit(name).await?;
        let (method, arguments) = if unit.runs() { ("StopUnit", Some("replace")) } else { ("ResetFailedUnit", None) };
        let failed = |error| failure(Kind::BusUnavailable, format!("{method} of {name}"), error);
        match arguments {
            Some(mode) => {
                let job: zbus::Result<zbus::OwnedObjectPath> = self.call(method, &(unit.id.as_str(), mode)).await;
                job.map(drop).map_err(failed)
            }
            None => self.call::<()>(method, &(unit.id.as_str(),)).await.map_err(failed),
        }
    }

    /// How the service `name` ended last, for people.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn ended(&self, name: &UnitName) -> Result<String> {
        let unit = self.unit(name).await?;
        Ok(self.last_result(&unit).await)
    }
}
