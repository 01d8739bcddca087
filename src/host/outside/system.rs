//! [`System`], which combines the modules of `host` for the cycles. It opens the bus, reads the layout of the unit and
//! runs restic only when they are needed: an unchanged cycle of a main starts no process and opens no connection except
//! the one to the system bus.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::{self, Settings};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::instance::Instance;
use crate::host::restic::Restic;
use crate::host::store::Store;
use crate::host::system::files;
use crate::host::system::interrupt::Interrupt;
use crate::model::limits::MAX_SETTINGS;
use crate::model::looked::Looked;

/// What the service manager is asked for at each step, beyond the time the step is known to take.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(120);

/// The directories of this program. systemd names them by `StateDirectory=` and `CacheDirectory=`.
#[derive(Debug, Clone)]
pub struct Directories {
    /// The state, the lock and the kept dumps.
    pub state: PathBuf,
    /// restic's cache.
    pub cache: PathBuf,
}

impl Directories {
    /// From `STATE_DIRECTORY` and `CACHE_DIRECTORY` (systemd.exec(5)), else the same places as the unit's.
    pub fn from_environment() -> Self {
        let directory =
            |variable: &str, default: &str| std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from);
        Self {
            state: directory("STATE_DIRECTORY", "/var/lib/kuma-replicator"),
            cache: directory("CACHE_DIRECTORY", "/var/cache/kuma-replicator"),
        }
    }
}

/// The real host.
#[derive(Debug)]
pub struct System {
    pub(super) settings: Settings,
    configuration: PathBuf,
    pub(super) directories: Directories,
    pub(super) store: Store,
    pub(super) interrupt: Interrupt,
    pub(super) instance: Instance,
    restic: Option<Restic>,
    /// What the last look of this process found, and when restic listed it.
    pub(super) looked: Option<(Looked, Timestamp)>,
    /// Whether the names of the snapshots could not be had when they were asked for last.
    pub(super) lacks_names: bool,
    /// Whether it only shows what a cycle would do: then it reports no events.
    pub(super) is_preview: bool,
    /// Whether an order that needs no repository ends the wait for it.
    pub(super) gives_way: bool,
}

impl System {
    /// The host of a cycle; holds the lock of the state directory as long as it lives. `configuration` is the
    /// file that `settings` come from.
    pub fn new(
        settings: Settings,
        configuration: PathBuf,
        directories: Directories,
        store: Store,
        interrupt: Interrupt,
    ) -> Self {
        let instance = Instance::new(settings.kuma.clone());
        Self {
            settings,
            configuration,
            directories,
            store,
            interrupt,
            instance,
            restic: None,
            looked: None,
            lacks_names: false,
            is_preview: false,
            gives_way: false,
        }
    }

    /// The same host, where an order that needs no repository ends the wait for it.
    #[must_use]
    pub fn that_gives_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    /// The same host, to find out what a cycle would do: it reports no events.
    #[must_use]
    pub fn for_preview(self) -> Self {
        Self { is_preview: true, ..self }
    }

    /// The Uptime Kuma of this host.
    pub fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// Gives a key in the configuration file another value, if the file then is valid. Returns what it says.
    pub(super) fn configure(&self, key: &[&str], value: &str) -> Result<Settings> {
        let path = &self.configuration;
        let text = files::read_small_text(path, MAX_SETTINGS)
            .map_err(|error| Error::io(format!("read configuration {}", path.display()), error))?;
        let text = config::with(&text, key, value, path)?;
        let settings = Settings::parse(&text, path)?;
        files::rewrite(path, text.as_bytes())?;
        Ok(settings)
    }

    pub(super) fn restic(&mut self) -> Result<&Restic> {
        if self.restic.is_none() {
            self.restic = Some(repository(&self.settings, &self.directories, &self.interrupt)?);
        }
        self.restic.as_ref().ok_or_else(|| Error::new(Kind::Bug, "restic was set up and is not there"))
    }
}

/// The repository of `settings`.
///
/// # Errors
/// If the password is missing, or the environment file cannot be used.
pub fn repository(settings: &Settings, directories: &Directories, interrupt: &Interrupt) -> Result<Restic> {
    Restic::new(&settings.restic, &settings.repository, &directories.cache, interrupt.clone())
}

/// The name of this host.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
