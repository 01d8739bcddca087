//! [`System`], which puts the rooms together as the [`Host`] of the cycles. Bus, unit layout and restic are only asked when they are needed: an unchanged cycle of a
//! main starts no process and no connection but the one to the system bus.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::{self, Alerts, Role, Settings};
use crate::cycle::{Activity, Event, Export, History, Host};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::database::{self, Claim};
use crate::host::kuma::health;
use crate::host::kuma::instance::Instance;
use crate::host::restic::Restic;
use crate::host::store::Store;
use crate::host::system::interrupt::Interrupt;
use crate::host::system::{files, notify};
use crate::logging;
use crate::model::configuration::Configuration;
use crate::model::digest::Digest;
use crate::model::limits::MAX_SETTINGS;
use crate::model::snapshot::{Listing, MainId, SnapshotId, Tags};
use crate::model::state::State;
use crate::plan::Plan;

/// How long a stopped Uptime Kuma may take to let go of its database: a wrapper as main process ends some
/// seconds before the server does.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a cycle stays to remove history.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);

/// What the service manager is asked for at each step, beyond the time the step is known to take.
const STEP_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest that a unit may take to stop or to start.
const STOP_TIMEOUT: Duration = Duration::from_secs(700);

/// The directories of this program. systemd names them by `StateDirectory=` and `CacheDirectory=`.
#[derive(Debug, Clone)]
pub struct Directories {
    /// State, lock and the way back.
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
    settings: Settings,
    configuration: PathBuf,
    directories: Directories,
    store: Store,
    interrupt: Interrupt,
    instance: Instance,
    restic: Option<Restic>,
    claim: Option<Claim>,
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
        Self { settings, configuration, directories, store, interrupt, instance, restic: None, claim: None }
    }

    /// The Uptime Kuma of this host.
    pub fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// Gives a key in the configuration file another value, if the file then is valid. Returns what it says.
    fn configure(&self, key: &[&str], value: &str) -> Result<Settings> {
        let path = &self.configuration;
        let text = files::read_small_text(path, MAX_SETTINGS)
            .map_err(|error| Error::io(format!("read configuration {}", path.display()), error))?;
        let text = config::with(&text, key, value, path)?;
        let settings = Settings::parse(&text, path)?;
        files::rewrite(path, text.as_bytes())?;
        Ok(settings)
    }

    fn restic(&mut self) -> Result<&Restic> {
        if self.restic.is_none() {
            self.restic = Some(repository(&self.settings, &self.directories, &self.interrupt)?);
        }
        self.restic.as_ref().ok_or_else(|| Error::new(Kind::Bug, "restic was set up and is not there"))
    }
}

/// The repository of `settings`.
///
/// # Errors
/// If password or environment file cannot be had.
pub fn repository(settings: &Settings, directories: &Directories, interrupt: &Interrupt) -> Result<Restic> {
    Restic::new(&settings.restic, &settings.repository, &directories.cache, interrupt.clone())
}

/// The name of this host.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Host for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn booted(&self) -> Timestamp {
        // sd_booted(3): systemd makes it at each boot, also in a container, where the kernel's own boot is another. It
        // is modified whenever somebody makes a unit until the next boot (systemctl mask --runtime).
        let directory = std::fs::metadata("/run/systemd/system");
        let made = directory.and_then(|directory| directory.created().or_else(|_| directory.modified()));
        made.ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::MIN)
    }

    fn name(&self) -> String {
        host_name()
    }

    /// Derived from the machine id, which must not be shown as it is (machine-id(5)).
    fn main_id(&self) -> Result<MainId> {
        let path = "/etc/machine-id";
        let id = std::fs::read_to_string(path).map_err(|error| Error::io(format!("read {path}"), error))?;
        let id = id.trim();
        if id.len() != 32 {
            let what = format!("{path} does not hold a machine id");
            return Err(Error::new(Kind::Config, what).with_hint("run systemd-machine-id-setup"));
        }
        let derived: String =
            Digest::of(format!("kuma-replicator main {id}").as_bytes()).hex().chars().take(32).collect();
        derived.parse().map_err(|error| Error::new(Kind::Bug, "derive the id of this main").because(error))
    }

    fn report(&mut self, event: &Event) {
        let text = event.to_string();
        notify::status(&text);
        notify::extend(STEP_TIMEOUT);
        logging::report(event);
    }

    fn save(&mut self, state: &State) -> Result<()> {
        self.store.save(state)
    }

    fn check_interrupted(&self) -> Result<()> {
        if self.interrupt.happened() {
            return Err(Error::new(Kind::Interrupted, "told to stop"));
        }
        Ok(())
    }

    async fn export(&mut self) -> Result<Export> {
        match &self.claim {
            Some(claim) => claim.export(),
            None => self.instance.database().await?.export(),
        }
    }

    async fn look(&mut self) -> Result<Listing> {
        // What is damaged in restic's cache is read a second time.
        notify::extend(self.settings.restic.timeout * 2 + STEP_TIMEOUT);
        self.restic()?.look().await
    }

    async fn fetch(&mut self, id: &SnapshotId) -> Result<Vec<u8>> {
        notify::extend(self.settings.restic.timeout * 2 + STEP_TIMEOUT);
        self.restic()?.fetch(id).await
    }

    async fn publish(&mut self, dump: &[u8], tags: &Tags) -> Result<SnapshotId> {
        notify::extend(self.settings.restic.timeout + STEP_TIMEOUT);
        let name = self.name();
        self.restic()?.publish(dump, tags, &name).await
    }

    async fn remove_left_locks(&mut self) -> Result<usize> {
        let within = self.settings.restic.timeout;
        notify::extend(within + STEP_TIMEOUT);
        let name = self.name();
        // One restic for each lock, but not more time than for one: this is no more than tidying up.
        tokio::time::timeout(within, self.restic()?.remove_left_locks(&name)).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::RepositoryUnreachable, "cannot see to the locks in the repository in time"))
        })
    }

    async fn rehearse(&mut self, changes: &Plan, here: &Configuration, wanted: &Configuration) -> Result<()> {
        database::rehearse(&self.instance.database().await?, changes, here, wanted)
    }

    async fn check_intact(&mut self) -> Result<()> {
        // Gigabytes of history take their time on a slow disk.
        notify::extend(STOP_TIMEOUT);
        self.instance.database().await?.check_intact()
    }

    async fn check_writable(&mut self, changes: &Plan) -> Result<()> {
        self.instance.database().await?.check_writable(changes)?;
        files::check_room(&self.directories.state, database::ROOM)
    }

    async fn activity(&mut self) -> Result<Activity> {
        // A unit that is being stopped is waited for.
        notify::extend(STOP_TIMEOUT);
        self.instance.activity().await
    }

    async fn check_stoppable(&mut self) -> Result<()> {
        let unit = self.instance.unit().clone();
        self.instance.systemd().await?.check_stoppable(&unit).await?;
        self.instance.check_rights().await?;
        let database = self.instance.database().await?;
        if let Some(reason) = database.migrating()? {
            return Err(Error::new(Kind::ServiceBusy, format!("{unit} is not stopped: {reason}")));
        }
        if let Some(uid) = self.instance.systemd().await?.uid(&unit).await? {
            database.check_usable_by(uid)?;
        }
        let url = self.instance.layout().await?.url;
        health::answer(&url).await.map_err(|reason| {
            let what = format!("{unit} is not stopped: it does not answer healthily on {url}");
            Error::new(Kind::ServiceBusy, what).because(reason)
        })
    }

    async fn stop(&mut self) -> Result<()> {
        let unit = self.instance.unit().clone();
        notify::extend(STOP_TIMEOUT);
        self.instance.systemd().await?.stop(&unit).await
    }

    async fn dependents(&mut self) -> Result<Vec<String>> {
        let unit = self.instance.unit().clone();
        self.instance.systemd().await?.dependents(&unit).await
    }

    async fn start(&mut self, dependents: &[String]) -> Result<()> {
        notify::extend(STOP_TIMEOUT);
        for text in self.instance.start(dependents).await? {
            self.report(&Event::Warning { text });
        }
        Ok(())
    }

    async fn check_healthy(&mut self) -> Result<()> {
        let within = self.settings.kuma.start_timeout;
        notify::extend(within + STEP_TIMEOUT);
        let unit = self.instance.unit().clone();
        let url = self.instance.layout().await?.url;
        let systemd = self.instance.systemd().await?;
        let answer = health::wait(&url, within, async || Ok(systemd.activity(&unit).await? == Activity::Running)).await;
        match answer {
            Err(error) if systemd.shutting_down().await.unwrap_or(false) => {
                Err(Error::new(Kind::Interrupted, "the system is shutting down").because(error))
            }
            answer => answer,
        }
    }

    async fn claim(&mut self) -> Result<()> {
        notify::extend(RELEASE_TIMEOUT + STEP_TIMEOUT);
        self.claim = Some(self.instance.database().await?.claim(RELEASE_TIMEOUT).await?);
        Ok(())
    }

    async fn write(&mut self, plan: &Plan, wanted: &Configuration, history: History) -> Result<Vec<String>> {
        match self.claim.take() {
            Some(claim) => claim.write(plan, wanted, history),
            None => Err(Error::new(Kind::Bug, "write to a database that is not claimed")),
        }
    }

    async fn write_live(&mut self, plan: &Plan, here: &Export, wanted: &Configuration) -> Result<Vec<String>> {
        self.instance.database().await?.write_live(plan, here, wanted)
    }

    async fn remove_leftovers(&mut self) -> Result<()> {
        notify::extend(CLEANUP_TIMEOUT + STEP_TIMEOUT);
        self.instance.database().await?.remove_leftovers(Instant::now() + CLEANUP_TIMEOUT)
    }

    fn release(&mut self) {
        self.claim = None;
    }

    fn keep_previous(&mut self, dump: &[u8]) -> Result<()> {
        self.store.keep_previous(dump)
    }

    fn previous(&mut self) -> Result<Option<Vec<u8>>> {
        self.store.previous()
    }

    fn keep_applied(&mut self, dump: &[u8]) -> Result<()> {
        self.store.keep_applied(dump)
    }

    fn applied(&mut self) -> Result<Option<Vec<u8>>> {
        self.store.applied()
    }

    fn set_role(&mut self, role: Role) -> Result<()> {
        self.configure(&["role"], &role.to_string()).map(drop)
    }

    fn set_alerts(&mut self, alerts: Alerts) -> Result<Settings> {
        self.configure(&["replica", "alerts"], &alerts.to_string())
    }
}
