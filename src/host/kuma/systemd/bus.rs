//! The connection to systemd's manager: calls, properties of its objects, and what its errors mean.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use zbus::fdo::PropertiesProxy;
use zbus::names::{ErrorName, InterfaceName};
use zbus::proxy::CacheProperties;
use zbus::{Connection, DBusError as _, DynamicType, OwnedObjectPath, OwnedVariant, Proxy, Type};

use crate::config::UnitName;
use crate::error::{Error, Kind, Result};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const TIMER: &str = "org.freedesktop.systemd1.Timer";
const JOB: &str = "org.freedesktop.systemd1.Job";

/// The hint if systemd refuses access, which it never does to root.
const POLKIT_HINT: &str = "a polkit rule has to let this user start and stop the unit: 50-kuma-replicator.rules, see \
    /usr/share/doc/kuma-replicator/unprivileged.md";

/// How long the bus may take for one answer. systemd answers at once unless the system hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the systemd of this host.
#[derive(Debug)]
pub struct Systemd {
    connection: Connection,
    manager: Proxy<'static>,
}

/// The directory that is there where systemd runs (sd_booted(3)). It holds the units that exist until the next boot.
pub const BOOTED: &str = "/run/systemd/system";

/// The system bus cannot be reached. Where systemd does not run, that is why.
fn unavailable(booted: &Path) -> Error {
    if booted.exists() {
        return Error::new(Kind::BusUnavailable, "connect to the system bus");
    }
    let hint = "kuma-replicator needs a host on which systemd runs Uptime Kuma as a service; containers and chroots of other \
                kinds have none";
    Error::new(Kind::BusUnavailable, "systemd does not run on this host: cannot connect to the system bus")
        .with_hint(hint)
}

impl Systemd {
    /// Connects to the system bus (`DBUS_SYSTEM_BUS_ADDRESS`, else its well-known socket).
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn connect() -> Result<Self> {
        let unavailable = |error: zbus::Error| unavailable(Path::new(BOOTED)).because(error);
        // Without the outer limit, a bus that accepts the connection and never answers would block us for ever.
        let connecting = async { zbus::connection::Builder::system().method_timeout(ANSWER_TIMEOUT).build().await };
        let connection = match timeout(ANSWER_TIMEOUT, connecting).await {
            Ok(connection) => connection.map_err(unavailable)?,
            Err(late) => {
                return Err(self::unavailable(Path::new(BOOTED)).because(late));
            }
        };
        let manager = proxy(&connection, MANAGER_PATH, MANAGER).await.map_err(unavailable)?;
        Ok(Self { connection, manager })
    }

    pub(super) fn manager(&self) -> &Proxy<'static> {
        &self.manager
    }

    /// Calls `method` of the manager.
    pub(super) async fn call<R>(&self, method: &str, arguments: &(impl Serialize + DynamicType)) -> zbus::Result<R>
    where
        R: DeserializeOwned + Type,
    {
        self.manager.call_method(method, arguments).await?.body().deserialize()
    }

    /// Subscribes to signals: systemd sends none while it has no subscriber.
    pub(super) async fn subscribe(&self) -> zbus::Result<()> {
        match self.call("Subscribe", &()).await {
            Err(error) if error_name(&error).as_deref() == Some("org.freedesktop.systemd1.AlreadySubscribed") => Ok(()),
            result => result,
        }
    }

    pub(super) async fn manager_property<T>(&self, property: &str) -> Result<T>
    where
        T: DeserializeOwned + Type,
    {
        self.manager
            .get_property(property)
            .await
            .map_err(|error| failure(Kind::BusUnavailable, format!("read {property} of systemd"), error))
    }

    /// Loads the unit and reads its state.
    pub(super) async fn unit(&self, name: &UnitName) -> Result<Unit> {
        match self.find(name.as_ref()).await? {
            Some(unit) => Ok(unit),
            None => Err(self.no_unit(name).await),
        }
    }

    /// Loads a unit of any type; `None` if there is none. systemd also loads a unit that has no file, as `not-found`.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Unit>> {
        let (path, mut all) = self.load(name).await?;
        let load: String = all.take("LoadState")?;
        if load == "not-found" {
            return Ok(None);
        }
        Ok(Some(Unit {
            path,
            load,
            id: all.take("Id")?,
            active: all.take("ActiveState")?,
            sub: all.take("SubState")?,
            can_start: all.take("CanStart")?,
            job: all.take("Job")?,
        }))
    }

    /// The failure of a unit that does not exist, with those that may be meant: PM2 gives Uptime Kuma no unit of its own.
    async fn no_unit(&self, name: &UnitName) -> Error {
        /// `ssssssouso`: the name, and what is known about it.
        type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);
        let error = Error::new(Kind::ServiceMissing, format!("there is no unit {name}"));
        let patterns: (Vec<&str>, Vec<&str>) = (Vec::new(), vec!["*kuma*.service", "pm2-*.service"]);
        let found: Vec<Listed> = self.call("ListUnitsByPatterns", &patterns).await.unwrap_or_default();
        let mut names = found.into_iter().map(|unit| unit.0).filter(|name| !name.starts_with("kuma-replicator"));
        match names.next() {
            Some(unit) if unit.starts_with("pm2-") => error.with_hint(format!(
                "if PM2 runs Uptime Kuma, set unit = \"{unit}\" in [uptime-kuma]; stopping it stops everything that PM2 runs"
            )),
            Some(unit) => error.with_hint(format!("set unit in [uptime-kuma]: systemd has {unit}")),
            None => error,
        }
    }

    /// Loads a unit of any type and reads the properties that all units have.
    pub(super) async fn load(&self, name: &str) -> Result<(OwnedObjectPath, Properties)> {
        let failed = |error| failure(Kind::BusUnavailable, format!("read the state of {name} from systemd"), error);
        let path: OwnedObjectPath = self.call("LoadUnit", &(name,)).await.map_err(failed)?;
        let all = self.properties_of(&path, UNIT).await?;
        Ok((path, all))
    }

    pub(super) async fn service(&self, unit: &Unit) -> Result<Properties> {
        self.service_at(&unit.path).await
    }

    pub(super) async fn service_at(&self, path: &OwnedObjectPath) -> Result<Properties> {
        self.properties_of(path, SERVICE).await
    }

    /// The properties of a timer; none of a unit that is no timer.
    pub(super) async fn timer_at(&self, path: &OwnedObjectPath) -> Result<Properties> {
        self.properties_of(path, TIMER).await
    }

    /// The properties of the unit that this process belongs to.
    pub(super) async fn own_unit(&self) -> Result<Properties> {
        let failed = |error| failure(Kind::BusUnavailable, "find the unit of this process", error);
        let path: OwnedObjectPath = self.call("GetUnitByPID", &(std::process::id(),)).await.map_err(failed)?;
        self.properties_of(&path, UNIT).await
    }

    /// The type of the job that is queued or running for `unit`, if any.
    pub(super) async fn pending_job(&self, unit: &Unit) -> Result<Option<String>> {
        let (id, path) = &unit.job;
        self.job_type(&unit.id, *id, path).await
    }

    /// The type of a job of the unit `name`; `None` for a job that has ended, and for number 0, which is none.
    pub(super) async fn job_type(
        &self,
        name: impl std::fmt::Display,
        number: u32,
        path: &OwnedObjectPath,
    ) -> Result<Option<String>> {
        if number == 0 {
            return Ok(None);
        }
        let what = || format!("read the job of {name} from systemd");
        let failed = |error| failure(Kind::BusUnavailable, what(), error);
        let job = proxy(&self.connection, path.as_str(), JOB).await.map_err(failed)?;
        match job.get_property("JobType").await {
            Ok(kind) => Ok(Some(kind)),
            // The job has ended in the meantime.
            Err(error) if error_name(&error).as_deref() == Some("org.freedesktop.DBus.Error.UnknownObject") => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn properties_of(&self, path: &OwnedObjectPath, interface: &'static str) -> Result<Properties> {
        let all = async {
            let name = InterfaceName::from_static_str(interface)?;
            let proxy = PropertiesProxy::builder(&self.connection)
                .destination(SYSTEMD)
                .path(path.as_str())
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            Ok(proxy.get_all(name).await?)
        };
        let what = || format!("read the properties of {path} from systemd");
        all.await.map(Properties).map_err(|error| failure(Kind::BusUnavailable, what(), error))
    }
}

/// A proxy without a cache: a cached state would be outdated.
async fn proxy(connection: &Connection, path: &str, interface: &'static str) -> zbus::Result<Proxy<'static>> {
    zbus::proxy::Builder::new(connection)
        .destination(SYSTEMD)
        .path(path.to_owned())
        .interface(interface)
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

/// The properties of one object at one moment.
pub(super) struct Properties(HashMap<String, OwnedVariant>);

impl Properties {
    /// Removes and returns the property `name`.
    pub(super) fn take<T>(&mut self, name: &str) -> Result<T>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: std::fmt::Display,
    {
        let unusable = || format!("systemd has no usable property {name} for this unit; is it a service?");
        let value = self.0.remove(name).ok_or_else(|| Error::new(Kind::ServiceMissing, unusable()))?;
        T::try_from(value).map_err(|error| Error::new(Kind::ServiceMissing, unusable()).because(error.to_string()))
    }
}

/// A unit and its state at one moment.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) path: OwnedObjectPath,
    /// The name in systemd's signals. It differs from the configured name if that is an alias.
    pub(super) id: String,
    pub(super) load: String,
    pub(super) active: String,
    pub(super) sub: String,
    pub(super) can_start: bool,
    pub(super) job: (u32, OwnedObjectPath),
}

impl Unit {
    /// The reason why systemd would refuse a start, if it would.
    pub(super) fn cannot_start(&self) -> Option<&'static str> {
        match self.load.as_str() {
            "loaded" if self.can_start => None,
            "loaded" => Some("does not allow a manual start (RefuseManualStart=)"),
            "masked" => Some("is masked (unmask it first: systemctl unmask)"),
            _ => Some("has a unit file that systemd cannot load"),
        }
    }

    /// Fails with [`Kind::StopFailed`] if it could not be started again after a stop.
    pub(super) fn check_can_start(&self) -> Result<()> {
        let Some(reason) = self.cannot_start() else { return Ok(()) };
        let what = format!("{} is not stopped, because it could not be started again: it {reason}", self.id);
        Err(Error::new(Kind::StopFailed, what).with_hint(format!("see systemctl status {}", self.id)))
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    pub(super) fn runs(&self) -> bool {
        runs(&self.active)
    }
}

/// Whether a unit with this `ActiveState` runs or is starting.
pub(super) fn runs(active: &str) -> bool {
    matches!(active, "active" | "activating" | "reloading" | "refreshing")
}

/// The D-Bus name of an error that is an answer.
fn error_name(error: &zbus::Error) -> Option<ErrorName<'_>> {
    match error {
        zbus::Error::MethodError(name, _, _) => Some(name.as_ref()),
        zbus::Error::FDO(error) => match error.as_ref() {
            zbus::fdo::Error::ZBus(error) => error_name(error),
            error => Some(error.name()),
        },
        _ => None,
    }
}

/// `error` as a failure of `what`, of `kind` unless access was refused or the connection broke.
pub(super) fn failure(kind: Kind, what: impl Into<String>, error: zbus::Error) -> Error {
    let kind = match (error_name(&error).as_deref(), &error) {
        (
            Some(
                "org.freedesktop.DBus.Error.AccessDenied"
                | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
                | "org.freedesktop.PolicyKit1.Error.NotAuthorized",
            ),
            _,
        ) => Kind::NotPermitted,
        (
            Some(
                "org.freedesktop.DBus.Error.NoReply"
                | "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.Disconnected",
            ),
            _,
        ) => Kind::BusUnavailable,
        (None, zbus::Error::InputOutput(_) | zbus::Error::Handshake(_)) => Kind::BusUnavailable,
        _ => kind,
    };
    let error = Error::new(kind, what).because(error);
    match kind {
        Kind::NotPermitted => error.with_hint(POLKIT_HINT),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_systemd_is_told_from_one_without_a_bus() {
        let directory = tempfile::tempdir().expect("a directory");
        let (with, without) = (unavailable(directory.path()), unavailable(&directory.path().join("missing")));
        assert_eq!((with.kind(), without.kind()), (Kind::BusUnavailable, Kind::BusUnavailable));
        assert_eq!(with.hint(), Kind::BusUnavailable.hint());
        assert!(without.chain().contains("systemd does not run on this host"), "{without:?}");
        assert!(without.hint().contains("needs a host on which systemd runs"), "{without:?}");
    }
}
