//! The keys of the configuration file as written, and how they are checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration::{WrittenDuration, duration, duration_or_none};
use super::keep::{Keep, Prune, WrittenKeep};
use super::names::{Location, UnitName, is_address};
use super::options;
use super::receiver::{WrittenReceiver, receivers};
use super::replica::WrittenReplica;
use super::settings::{Kuma, Main, Restic, Role, Settings};

/// The keys as written. An unknown one is refused with line and column.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Written {
    role: Option<Role>,
    repository: Option<String>,
    overdue_after: Option<WrittenDuration>,
    metrics_file: Option<PathBuf>,
    #[serde(default)]
    restic: WrittenRestic,
    #[serde(default)]
    uptime_kuma: WrittenKuma,
    #[serde(default)]
    main: WrittenMain,
    #[serde(default)]
    replica: WrittenReplica,
    #[serde(default)]
    notify: BTreeMap<String, WrittenReceiver>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenRestic {
    program: Option<PathBuf>,
    password_file: Option<PathBuf>,
    environment_file: Option<PathBuf>,
    timeout: Option<WrittenDuration>,
    options: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenKuma {
    unit: Option<String>,
    data_directory: Option<PathBuf>,
    url: Option<String>,
    start_timeout: Option<WrittenDuration>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenMain {
    look_every: Option<WrittenDuration>,
    max_shrink: Option<f64>,
    settle: Option<WrittenDuration>,
    keep: Option<WrittenKeep>,
    prune: Option<Prune>,
}

impl Written {
    /// The checked settings.
    ///
    /// # Errors
    /// Which key is wrong and why, for people.
    pub(super) fn check(self) -> Result<Settings, String> {
        let role = self.role.ok_or("role is not set: write \"main\" or \"replica\"")?;
        let repository = self.repository.ok_or("repository is not set: write where restic stores the snapshots")?;
        if repository.trim().is_empty() || repository.contains(['\n', '\0']) {
            return Err("repository must be a restic repository, such as \"/srv/kuma\"".to_owned());
        }
        let repository = Location(repository);
        if let Some(problem) = repository.problem() {
            return Err(problem);
        }
        Ok(Settings {
            role,
            repository,
            overdue_after: duration("overdue-after", self.overdue_after, Duration::from_secs(1800))?,
            metrics_file: self.metrics_file.map(metrics_file).transpose()?,
            restic: self.restic.check()?,
            kuma: self.uptime_kuma.check()?,
            main: self.main.check()?,
            replica: self.replica.check()?,
            receivers: receivers(self.notify)?,
        })
    }
}

impl WrittenRestic {
    fn check(self) -> Result<Restic, String> {
        Ok(Restic {
            program: self.program.unwrap_or_else(|| "restic".into()),
            password_file: absolute("restic.password-file", self.password_file)?,
            environment_file: absolute("restic.environment-file", self.environment_file)?,
            timeout: duration("restic.timeout", self.timeout, Duration::from_secs(300))?,
            options: options::checked(self.options.unwrap_or_default())?,
        })
    }
}

impl WrittenKuma {
    fn check(self) -> Result<Kuma, String> {
        let default = Kuma::default();
        let unit = match self.unit.as_deref().map(UnitName::new) {
            None => default.unit,
            Some(unit) => unit.map_err(|reason| format!("uptime-kuma.unit: {reason}"))?,
        };
        let url = self.url.map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = url.as_deref().filter(|url| !is_address(url)) {
            return Err(format!("uptime-kuma.url is {url:?}; it must be an address such as http://127.0.0.1:3001"));
        }
        Ok(Kuma {
            unit,
            data_directory: absolute("uptime-kuma.data-directory", self.data_directory)?,
            url,
            start_timeout: duration("uptime-kuma.start-timeout", self.start_timeout, default.start_timeout)?,
        })
    }
}

impl WrittenMain {
    fn check(self) -> Result<Main, String> {
        let max_shrink = self.max_shrink.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&max_shrink) {
            return Err(format!("main.max-shrink is {max_shrink}; it must be between 0 and 1"));
        }
        let look_every = duration("main.look-every", self.look_every, Duration::from_secs(86_400))?;
        let settle = duration_or_none("main.settle", self.settle, Duration::from_secs(3))?;
        let keep = self.keep.map_or(Ok(Some(Keep::default())), WrittenKeep::check)?;
        Ok(Main { look_every, max_shrink, settle, keep, prune: self.prune.unwrap_or_default() })
    }
}

/// The collector reads only files whose names end so.
fn metrics_file(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_absolute() && path.extension().is_some_and(|end| end == "prom") {
        return Ok(path);
    }
    let example = "/var/lib/prometheus/node-exporter/kuma-replicator.prom";
    let path = path.display();
    Err(format!("metrics-file is '{path}'; it must be an absolute path that ends in .prom, such as {example}"))
}

pub(super) fn absolute(key: &str, path: Option<PathBuf>) -> Result<Option<PathBuf>, String> {
    match path {
        Some(path) if !path.is_absolute() => Err(format!("{key} is '{}'; it must be an absolute path", path.display())),
        path => Ok(path),
    }
}

/// The JSON schema of a configuration file, for editors. What it accepts may still be refused, as by the checks of a name.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Written).to_value()
}
