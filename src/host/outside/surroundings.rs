//! The surroundings of this process.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{Occasion, Settings};
use crate::cycle::{Event, Surroundings};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::systemd::Systemd;
use crate::host::notify::occasion;
use crate::host::store;
use crate::host::system::notify;
use crate::logging;
use crate::model::digest::Digest;
use crate::model::snapshot::MainId;
use crate::terminal;

use super::system::STEP_TIMEOUT;
use super::{Directories, System, host_name};

/// When this host was booted.
pub fn booted() -> Timestamp {
    // sd_booted(3): systemd makes it at each boot, also in a container, where the kernel's own boot is another. It
    // is modified when a unit is masked until the next boot (systemctl mask --runtime), for example.
    let directory = std::fs::metadata("/run/systemd/system");
    let made = directory.and_then(|directory| directory.created().or_else(|_| directory.modified()));
    made.ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::MIN)
}

/// Whether a timer started the unit of this process. A person did, if that cannot be found out.
pub async fn is_started_by_timer() -> bool {
    match Systemd::connect().await {
        Ok(systemd) => systemd.is_started_by_timer().await.unwrap_or(false),
        Err(_) => false,
    }
}

/// Keeps that this happened for the receivers that have to be told of it, which a run of the service does.
pub fn keep_for_receivers(event: &Event, settings: &Settings, directories: &Directories) {
    let wanted = |event: &str| {
        let occasion = Occasion::named(event);
        let receivers = settings.receivers.iter().filter(|receiver| !receiver.kind.is_pinged());
        receivers.flat_map(|receiver| &receiver.events).any(|wanted| Some(*wanted) == occasion)
    };
    if !wanted(event.name()) {
        return;
    }
    let Some(notice) = occasion(event, Timestamp::now(), &TimeZone::system()) else { return };
    if let Err(error) = store::keep_notice(&directories.state, &notice) {
        logging::report(&Event::Warning { text: format!("receivers will not be told of this: {}", error.chain()) });
    }
}

impl Surroundings for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn zone(&self) -> TimeZone {
        TimeZone::system()
    }

    fn booted(&self) -> Timestamp {
        booted()
    }

    async fn is_started_by_timer(&self) -> bool {
        is_started_by_timer().await
    }

    fn name(&self) -> String {
        host_name()
    }

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
        if self.is_preview {
            return;
        }
        notify::status(&event.message(&self.zone()));
        notify::extend(STEP_TIMEOUT);
        logging::report(event);
        store::count(&self.directories.state, event);
        keep_for_receivers(event, &self.settings, &self.directories);
    }

    async fn pause(&mut self, duration: Duration) -> Result<()> {
        let _waiting = terminal::wait(format!("waiting for {} s", duration.as_secs()));
        notify::extend(duration + STEP_TIMEOUT);
        tokio::select! {
            () = self.interrupt.wait() => self.check_interrupted(),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    fn check_interrupted(&self) -> Result<()> {
        if self.interrupt.happened() {
            return Err(Error::new(Kind::Interrupted, "received a signal to stop"));
        }
        Ok(())
    }
}
