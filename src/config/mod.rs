//! The configuration file: TOML text, then the keys as written, then checked settings.
//!
//! The keys are a contract; the shipped `config.toml` documents each of them with its default. Reading
//! the file is the caller's; nothing here does I/O.

mod customization;
mod names;
mod overrides;
mod replica;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::model::catalog;

pub use customization::{Alerts, Customization, Exclude, LocalEntities, Strategy, Values};
pub use names::{Location, UnitName, without_credentials};
pub use overrides::{Override, Scalar};
use replica::WrittenReplica;
pub use replica::{OnDrift, Replica, Restart, SchemaPolicy};

/// Where the configuration is read from unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/kuma-replicator/config.toml";

/// Which of the two a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Its configuration is the truth.
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

/// Everything the configuration file says, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Main or replica.
    pub role: Role,
    /// The restic repository.
    pub repository: Location,
    /// How long no cycle may have ended well before `status` says so.
    pub overdue_after: Duration,
    /// How restic is run.
    pub restic: Restic,
    /// The Uptime Kuma of this host.
    pub kuma: Kuma,
    /// What only a main heeds.
    pub main: Main,
    /// What only a replica heeds.
    pub replica: Replica,
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
}

/// The Uptime Kuma of this host; what is `None` is discovered from its unit.
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
        Self {
            unit: UnitName("uptime-kuma.service".to_owned()),
            data_directory: None,
            url: None,
            start_timeout: Duration::from_secs(120),
        }
    }
}

/// What only a main heeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Main {
    /// How often an unchanged main looks into the repository all the same.
    pub look_every: Duration,
    /// The share of rows, 0 to 1, that may vanish between two publishes.
    pub max_shrink: f64,
}

/// The keys as written. Unknown ones are refused with line and column.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    role: Option<Role>,
    repository: Option<String>,
    overdue_after: Option<SignedDuration>,
    #[serde(default)]
    restic: WrittenRestic,
    #[serde(default)]
    uptime_kuma: WrittenKuma,
    #[serde(default)]
    main: WrittenMain,
    #[serde(default)]
    replica: WrittenReplica,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenRestic {
    program: Option<PathBuf>,
    password_file: Option<PathBuf>,
    environment_file: Option<PathBuf>,
    timeout: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenKuma {
    unit: Option<String>,
    data_directory: Option<PathBuf>,
    url: Option<String>,
    start_timeout: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenMain {
    look_every: Option<SignedDuration>,
    max_shrink: Option<f64>,
}

impl Settings {
    /// Reads and checks the text of a configuration file. `path` is only for messages.
    ///
    /// # Errors
    /// [`Kind::Config`], naming the key, and line and column where TOML has them.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let written: Written = toml::from_str(text).map_err(|error| {
            Error::new(Kind::Config, format!("configuration {} is not valid", path.display()))
                .because(located(text, &error))
        })?;
        written.check().map_err(|reason| {
            Error::new(Kind::Config, format!("configuration {} is not valid", path.display())).because(reason)
        })
    }
}

/// The text of a configuration file with another text as the value of `key`, and everything else as it was written.
/// The tables that `key` names are made where they are missing.
///
/// # Errors
/// [`Kind::Config`] if it is no TOML, or not of that form.
pub fn with(text: &str, key: &[&str], value: &str, path: &Path) -> Result<String> {
    let unfit = || Error::new(Kind::Config, format!("configuration {} is not valid", path.display()));
    let mut document: toml_edit::DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| unfit().because(error))?;
    let Some((last, tables)) = key.split_last() else { return Ok(text.to_owned()) };
    let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
    for name in tables {
        let entry = table.entry(name).or_insert_with(toml_edit::table);
        table = entry.as_table_like_mut().ok_or_else(|| unfit().because(format!("{name} is no table")))?;
    }
    let mut value = toml_edit::Value::from(value);
    match table.get_mut(last).and_then(toml_edit::Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(last, toml_edit::Item::Value(value));
        }
    }
    Ok(document.to_string())
}

/// One line with the place of a TOML error, which by itself prints a drawing over several lines.
fn located(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return message };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {message}")
}

impl Written {
    fn check(self) -> Result<Settings, String> {
        let role = self.role.ok_or("role is not set: is this host the \"main\" or a \"replica\"?")?;
        let repository = self.repository.ok_or("repository is not set: where are the snapshots?")?;
        if repository.trim().is_empty() || repository.contains(['\n', '\0']) {
            return Err("repository must name a restic repository".to_owned());
        }
        let kuma = Kuma::default();
        let unit = match self.uptime_kuma.unit.as_deref().map(UnitName::new) {
            None => kuma.unit,
            Some(unit) => unit.map_err(|reason| format!("uptime-kuma.unit: {reason}"))?,
        };
        let max_shrink = self.main.max_shrink.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&max_shrink) {
            return Err(format!("main.max-shrink is {max_shrink}; it must be between 0 and 1"));
        }
        let url = self.uptime_kuma.url.map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = url.as_deref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(format!("uptime-kuma.url is '{url}'; it must start with http:// or https://"));
        }
        Ok(Settings {
            role,
            repository: Location(repository),
            overdue_after: duration("overdue-after", self.overdue_after, Duration::from_secs(1800))?,
            restic: Restic {
                program: self.restic.program.unwrap_or_else(|| "restic".into()),
                password_file: absolute("restic.password-file", self.restic.password_file)?,
                environment_file: absolute("restic.environment-file", self.restic.environment_file)?,
                timeout: duration("restic.timeout", self.restic.timeout, Duration::from_secs(300))?,
            },
            kuma: Kuma {
                unit,
                data_directory: absolute("uptime-kuma.data-directory", self.uptime_kuma.data_directory)?,
                url,
                start_timeout: duration(
                    "uptime-kuma.start-timeout",
                    self.uptime_kuma.start_timeout,
                    kuma.start_timeout,
                )?,
            },
            main: Main {
                look_every: duration("main.look-every", self.main.look_every, Duration::from_secs(86_400))?,
                max_shrink,
            },
            replica: self.replica.check()?,
        })
    }
}

fn absolute(key: &str, path: Option<PathBuf>) -> Result<Option<PathBuf>, String> {
    match path {
        Some(path) if !path.is_absolute() => Err(format!("{key} is '{}'; it must be an absolute path", path.display())),
        path => Ok(path),
    }
}

fn duration(key: &str, written: Option<SignedDuration>, default: Duration) -> Result<Duration, String> {
    let Some(written) = written else { return Ok(default) };
    match Duration::try_from(written) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err(format!("{key} must be a duration of at least one second, such as \"2m\"")),
    }
}

/// The tables that a key can name, for messages.
fn tables() -> String {
    let names: Vec<&str> =
        catalog::TABLES.iter().map(|spec| spec.name).filter(|name| *name != catalog::SETTING).collect();
    format!("there are {}", names.join(", "))
}
