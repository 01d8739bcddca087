//! The Uptime Kuma of this host: its unit, its data directory, its URL. It connects to the bus and reads the unit only
//! when they are needed, and once.

use std::path::Path;

use super::database::Database;
use super::discovery::{self, Layout};
use super::systemd::Systemd;
use crate::config::{Kuma, UnitName};
use crate::cycle::Activity;
use crate::error::{Error, Kind, Result};
use crate::host::system::files;
use crate::model::limits::MAX_SETTINGS;

/// The Uptime Kuma of this host, with a connection to the system bus once it is needed.
#[derive(Debug)]
pub struct Instance {
    settings: Kuma,
    systemd: Option<Systemd>,
    layout: Option<Layout>,
}

impl Instance {
    /// The instance that `settings` describe.
    pub fn new(settings: Kuma) -> Self {
        Self { settings, systemd: None, layout: None }
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

    /// Starts it, and then `dependents`. Returns the failures of the dependents, for people.
    ///
    /// # Errors
    /// As for [`Systemd::start`].
    pub async fn start(&mut self, dependents: &[String]) -> Result<Vec<String>> {
        let unit = self.settings.unit.clone();
        let systemd = self.systemd().await?;
        systemd.start(&unit).await?;
        let mut failures = Vec::new();
        for dependent in dependents {
            failures.extend(systemd.begin_start(dependent).await.err().map(|error| error.chain()));
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
                    Some(Layout { data_directory: directory.clone(), url: url.clone(), application: None })
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
        let application = self.layout().await.ok()?.application?;
        let text = files::read_small(&application.join("package.json"), MAX_SETTINGS).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(json.get("version")?.as_str()?.to_owned())
    }

    async fn discover(&mut self) -> Result<Layout> {
        let unit = self.settings.unit.clone();
        let properties = self.systemd().await?.properties(&unit).await?;
        discovery::layout(&properties, &discovery::read_files(&properties)?, &self.settings)
    }

    /// Its database.
    ///
    /// # Errors
    /// [`Kind::SchemaUnknown`] if it does not keep its data in SQLite.
    pub async fn database(&mut self) -> Result<Database> {
        let directory = self.layout().await?.data_directory;
        refuse_other_databases(&directory.join("db-config.json"))?;
        Ok(Database::new(directory.join("kuma.db")))
    }
}

/// Fails if `db-config.json` names MariaDB: Uptime Kuma 2 leaves an outdated `kuma.db` behind when it changes to it.
fn refuse_other_databases(path: &Path) -> Result<()> {
    let Ok(text) = files::read_small(path, MAX_SETTINGS) else { return Ok(()) };
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    match json.get("type").and_then(serde_json::Value::as_str) {
        None | Some("sqlite") => Ok(()),
        Some(other) => {
            let what = format!("this Uptime Kuma keeps its data in {other}, according to {}", path.display());
            Err(Error::new(Kind::SchemaUnknown, what).with_hint("only SQLite is supported"))
        }
    }
}
