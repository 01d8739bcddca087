//! The Uptime Kuma of this host: its unit, its data directory, its URL, and the workers that open its files. It connects
//! to the bus, reads the unit and starts a worker only when they are needed, and once.

use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::database::Progress;
use super::discovery::{self, Files, Layout, ServiceProperties};
use super::health;
use super::socket;
use super::systemd::Systemd;
use super::worker::{Claimed, Worker, Workers};
use crate::config::{Kuma, UnitName};
use crate::cycle::Activity;
use crate::error::{Error, Kind, Result};
use crate::host::system::{users, zone};
use crate::model::configuration::Configuration;
use crate::model::server::{Family, Server};
use crate::model::told::Told;
use crate::model::zone::Zone;
use crate::text;

/// The Uptime Kuma of this host, with a connection to the system bus once it is needed.
#[derive(Debug)]
pub struct Instance {
    settings: Kuma,
    systemd: Option<Systemd>,
    layout: Option<Layout>,
    /// What its unit says.
    service: Option<(ServiceProperties, Files)>,
    workers: Workers,
}

impl Instance {
    /// The instance that `settings` describe.
    pub fn new(settings: Kuma) -> Self {
        Self { settings, systemd: None, layout: None, service: None, workers: Workers::default() }
    }

    /// The name of its unit.
    pub fn unit(&self) -> &UnitName {
        &self.settings.unit
    }

    /// The service manager.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn systemd(&mut self) -> Result<&Systemd> {
        if self.systemd.is_none() {
            self.systemd = Some(Systemd::connect().await?);
        }
        self.systemd.as_ref().ok_or_else(|| Error::new(Kind::Bug, "the bus was connected and is missing"))
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// As for [`Systemd::activity`].
    pub async fn activity(&mut self) -> Result<Activity> {
        let unit = self.settings.unit.clone();
        self.systemd().await?.activity(&unit).await
    }

    /// Starts it, and then `dependents`, as far as systemd still says that they stop with it: the names may come from a
    /// file of another user. Returns the failures of the dependents, for people.
    ///
    /// # Errors
    /// As for [`Systemd::start`].
    pub async fn start(&mut self, dependents: &[String]) -> Result<Vec<String>> {
        let unit = self.settings.unit.clone();
        let systemd = self.systemd().await?;
        systemd.start(&unit).await?;
        let mut failures = Vec::new();
        for dependent in dependents {
            let started = match systemd.stops_with(dependent, &unit).await {
                Ok(true) => systemd.begin_start(dependent).await,
                Ok(false) => {
                    failures.push(format!("{dependent} is not started again: systemd does not stop it with {unit}"));
                    continue;
                }
                Err(error) => Err(error),
            };
            failures.extend(started.err().map(|error| error.chain()));
        }
        Ok(failures)
    }

    /// Proves that this user may stop and start it.
    ///
    /// # Errors
    /// As for [`Systemd::check_rights`].
    pub async fn check_rights(&mut self) -> Result<()> {
        let unit = self.settings.unit.clone();
        self.systemd().await?.check_rights(&unit).await
    }

    /// Its data directory and URL: as configured, else from the unit.
    ///
    /// # Errors
    /// If the unit is needed and cannot be read.
    pub async fn layout(&mut self) -> Result<Layout> {
        if self.layout.is_none() {
            let configured = match (&self.settings.data_directory, &self.settings.url) {
                (Some(directory), Some(url)) => {
                    let (data_directory, url) = (directory.clone(), url.clone());
                    Some(Layout { data_directory, url, application: None, guessed: false })
                }
                _ => None,
            };
            self.layout = Some(match configured {
                Some(layout) => layout,
                None => self.discover().await?,
            });
        }
        self.layout.clone().ok_or_else(|| Error::new(Kind::Bug, "the layout was found and is missing"))
    }

    /// The version of Uptime Kuma, if its `package.json` can be found.
    pub async fn version(&mut self) -> Option<String> {
        let application = match self.layout().await.ok()?.application {
            Some(application) => application,
            // Both settings that the unit says otherwise are in the configuration file.
            None => self.discover().await.ok()?.application?,
        };
        let text = self.workers.read(&application.join("package.json")).await.ok()??;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(json.get("version")?.as_str()?.to_owned())
    }

    async fn discover(&mut self) -> Result<Layout> {
        let (properties, files) = self.service().await?;
        discovery::layout(&properties, &files, &self.settings)
    }

    async fn service(&mut self) -> Result<(ServiceProperties, Files)> {
        if let Some(service) = &self.service {
            return Ok(service.clone());
        }
        let unit = self.settings.unit.clone();
        let properties = self.systemd().await?.properties(&unit).await?;
        let files = discovery::read_files(&properties, &mut self.workers).await?;
        Ok(self.service.insert((properties, files)).clone())
    }

    /// The time zone that it runs in when it starts, where its own setting is `setting`; `None` if it cannot be known.
    ///
    /// # Errors
    /// If the unit cannot be read. One that is missing or masked says nothing.
    pub async fn zone(&mut self, setting: Option<&str>) -> Result<Option<Zone>> {
        let (properties, files) = match self.service().await {
            Err(error) if matches!(error.kind(), Kind::ServiceMissing | Kind::Config) => Default::default(),
            service => service?,
        };
        Ok(discovery::zone(&properties, &files, setting, zone::of_host(), zone::exists))
    }

    /// A worker that means its database.
    ///
    /// # Errors
    /// [`Kind::SchemaUnknown`] if it does not keep its data in SQLite; as for [`Workers::open`].
    pub async fn database(&mut self) -> Result<&mut Worker> {
        let layout = self.layout().await?;
        let path = layout.database();
        let Layout { data_directory: directory, url, .. } = layout;
        if !self.workers.has_open(&path) {
            // Uptime Kuma 2 writes it when a database is chosen.
            let configured = directory.join("db-config.json");
            let choice = self.workers.read(&configured).await.ok().flatten();
            if let Some(text) = &choice {
                refuse_other_databases(text, &configured)?;
            }
            self.workers.open(&path).await.map_err(|error| match error.kind() {
                Kind::DatabaseMissing if choice.is_none() => error.with_hint(format!(
                    "start Uptime Kuma; 2.x asks for one on its set-up page: open {url} and choose SQLite. If its data lie \
                     elsewhere, set data-directory in [uptime-kuma]"
                )),
                _ => error,
            })?;
        }
        self.workers.open(&path).await
    }

    /// Proves that a process of its unit has this very database open, whatever paths, links and mounts lead to it.
    /// Nothing can be proved of a unit that is missing or does not run.
    ///
    /// # Errors
    /// [`Kind::DatabaseNotInUse`], naming the database that the unit has open, as far as that can be seen;
    /// [`Kind::DatabaseMissing`] if there is none at all;
    /// [`Kind::ServiceBusy`] if it has none open yet.
    pub async fn check_in_use(&mut self) -> Result<()> {
        let unit = self.settings.unit.clone();
        let systemd = self.systemd().await?;
        let processes = match systemd.processes(&unit).await {
            Ok(processes) if !processes.is_empty() => processes,
            Err(error) if error.kind() != Kind::ServiceMissing => return Err(error),
            _ => return Ok(()),
        };
        let uid = systemd.uid(&unit).await?;
        let path = self.layout().await?.database().display().to_string();
        let holders = match self.database().await {
            Ok(worker) => worker.holders().await,
            Err(error) => Err(error),
        };
        let missing = match holders {
            Ok(holders) if holders.iter().any(|holder| processes.contains(holder)) => return Ok(()),
            Ok(_) => None,
            Err(error) if error.kind() == Kind::DatabaseMissing => Some(error),
            Err(error) => return Err(error),
        };
        let open = self.open_in(uid, processes).await?;
        if let Some(missing) = missing.filter(|_| open.is_empty()) {
            return Err(missing);
        }
        let url = self.layout().await?.url;
        if open.is_empty() && health::answer(&url).await.is_err() {
            let what = format!("{unit} does not have {path} open yet, and does not answer on {url}");
            return Err(Error::new(Kind::ServiceBusy, what));
        }
        let what = format!("{unit} does not have {path} open");
        Err(match open.first() {
            Some(other) => {
                let directory = Path::new(other).parent().unwrap_or(Path::new("/")).display();
                let hint = format!("set data-directory = \"{directory}\" in [uptime-kuma]");
                Error::new(Kind::DatabaseNotInUse, format!("{what}, but {}", open.join(", "))).with_hint(hint)
            }
            None => Error::new(Kind::DatabaseNotInUse, what),
        })
    }

    /// What is known of the server that runs.
    ///
    /// # Errors
    /// As for [`Systemd::processes`] and [`Worker::server`].
    pub async fn server(&mut self) -> Result<Server> {
        let unit = self.settings.unit.clone();
        let systemd = self.systemd().await?;
        let (processes, age) = (systemd.processes(&unit).await?, systemd.age(&unit).await?);
        let found = self.database().await?.server(processes, age).await?;
        let Some((run, Progress { beginning, takes, last_monitor, users })) = found else {
            // Without its start nothing else helps.
            return Ok(Server::unknown());
        };
        let version = self.version().await;
        Ok(Server { run, version, beginning, takes, last_monitor, users })
    }

    /// Proves that the server would take orders. Returns why it would not.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn probe(&mut self, family: Family) -> Result<Option<String>> {
        let tokens = match self.database().await?.tokens().await {
            Err(error) if error.kind() == Kind::SchemaUnknown => return Ok(Some(error.chain())),
            tokens => tokens?,
        };
        let url = self.layout().await?.url;
        let probed = spawn_blocking(move || socket::probe(&url, family, &tokens)).await;
        Ok(probed.unwrap_or_else(|error| Err(error.to_string())).err())
    }

    /// Tells the server to take up the rows `told`, which are in its database as in `rows`.
    ///
    /// # Errors
    /// [`Kind::ServiceBusy`] if it did not acknowledge all; those of the database.
    pub async fn tell(&mut self, family: Family, told: Told, rows: Configuration) -> Result<()> {
        let tokens = self.database().await?.tokens().await?;
        let url = self.layout().await?.url;
        let told = spawn_blocking(move || socket::tell(&url, family, &tokens, &told, &rows)).await;
        told.unwrap_or_else(|error| Err(error.to_string())).map_err(|reason| {
            Error::new(Kind::ServiceBusy, "Uptime Kuma does not take up what it is told").because(text::limit(reason))
        })
    }

    /// The databases that these processes have open, as far as their own user can see them.
    async fn open_in(&mut self, uid: Option<u32>, processes: Vec<u32>) -> Result<Vec<String>> {
        let identity = match uid {
            Some(uid) if uid != 0 && rustix::process::geteuid().is_root() => Some(users::identity(uid, uid)),
            _ => None,
        };
        self.workers.of(identity).await?.open_in(processes).await
    }

    /// Claims its database, within this time.
    ///
    /// # Errors
    /// As for [`Instance::database`] and [`Worker::claim`].
    pub async fn claim(&mut self, within: Duration) -> Result<Claimed> {
        self.database().await?.another().await?.claim(within).await
    }
}

/// Fails if `text`, that of `db-config.json`, names MariaDB: Uptime Kuma 2 leaves an outdated `kuma.db` behind when it
/// changes to it.
fn refuse_other_databases(text: &str, path: &Path) -> Result<()> {
    let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    match json.get("type").and_then(serde_json::Value::as_str) {
        None | Some("sqlite") => Ok(()),
        Some(other) => {
            let what = format!("this Uptime Kuma keeps its data in {other}, according to {}", path.display());
            Err(Error::new(Kind::SchemaUnknown, what).with_hint("only SQLite is supported"))
        }
    }
}
