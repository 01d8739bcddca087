//! Checked settings.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keep::{Keep, Prune};
use super::names::{Location, UnitName};
use super::place::located;
use super::receiver::Receiver;
use super::replica::Replica;
use super::written::Written;
use crate::error::{Error, Kind, Result};

/// Where the configuration is read from without `--config`.
pub const DEFAULT_PATH: &str = "/etc/kuma-replicator/config.toml";

/// The role of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Its configuration is the one that all hosts have.
    Main,
    /// It takes the main's configuration.
    Replica,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main",
            Self::Replica => "replica",
        })
    }
}

/// The checked content of a configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whether this host is the main or a replica.
    pub role: Role,
    /// The restic repository.
    pub repository: Location,
    /// How long after the last successful cycle `status` reports this host as overdue.
    pub overdue_after: Duration,
    /// The file for node_exporter's textfile collector.
    pub metrics_file: Option<PathBuf>,
    /// How restic is run.
    pub restic: Restic,
    /// The Uptime Kuma of this host.
    pub kuma: Kuma,
    /// Settings of a main.
    pub main: Main,
    /// Settings of a replica.
    pub replica: Replica,
    /// Who is told of failures and of other events.
    pub receivers: Vec<Receiver>,
}

/// How restic is run.
#[derive(Debug, Clone, PartialEq)]
pub struct Restic {
    /// The program: a path, or a name looked up in PATH.
    pub program: PathBuf,
    /// A file with the repository's password.
    pub password_file: Option<PathBuf>,
    /// A file with `NAME=value` lines for restic, such as S3 credentials.
    pub environment_file: Option<PathBuf>,
    /// How long one restic command may take.
    pub timeout: Duration,
    /// What each restic gets with `-o`: `NAME=value`, no secrets.
    pub options: Vec<String>,
}

/// The Uptime Kuma of this host; a `None` is discovered from its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Kuma {
    /// Its systemd unit.
    pub unit: UnitName,
    /// The directory of `kuma.db`.
    pub data_directory: Option<PathBuf>,
    /// The base URL it answers on, such as `http://127.0.0.1:3001`.
    pub url: Option<String>,
    /// How long it may take to answer after a start.
    pub start_timeout: Duration,
}

impl Default for Kuma {
    fn default() -> Self {
        Self { unit: UnitName::uptime_kuma(), data_directory: None, url: None, start_timeout: Duration::from_secs(120) }
    }
}

/// Settings of a main.
#[derive(Debug, Clone, PartialEq)]
pub struct Main {
    /// How often a main looks into the repository although its configuration has not changed.
    pub look_every: Duration,
    /// The share of rows, 0 to 1, that may disappear between two publishes.
    pub max_shrink: f64,
    /// How long a changed configuration must stay the same before it is published.
    pub settle: Duration,
    /// Which snapshots it keeps; all of them without it.
    pub keep: Option<Keep>,
    /// Whether it prunes the repository.
    pub prune: Prune,
}

impl Settings {
    /// Reads and checks the text of a configuration file. `path` is only for messages.
    ///
    /// # Errors
    /// [`Kind::Config`], naming the key, and line and column where TOML has them.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let invalid = |reason: String| {
            Error::new(Kind::Config, format!("configuration {} is not valid", path.display())).because(reason)
        };
        let written: Written = toml::from_str(text).map_err(|error| invalid(located(text, &error)))?;
        written.check().map_err(invalid)
    }
}
