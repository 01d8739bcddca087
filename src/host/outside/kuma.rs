//! The Uptime Kuma of this host, through systemd, SQLite and HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::cycle::{self, Activity, Event, Export, History, Kuma, Surroundings as _};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::worker::Claimed;
use crate::host::kuma::{database, health, socket};
use crate::host::store;
use crate::host::system::{files, notify};
use crate::model::configuration::Configuration;
use crate::model::content::Content;
use crate::model::server::{Family, Server};
use crate::model::told::Told;
use crate::model::zone::Zone;
use crate::plan::Plan;
use crate::terminal;

use super::System;
use super::system::STEP_TIMEOUT;

/// How long a stopped Uptime Kuma may keep its database open: a wrapper as main process ends some seconds before the
/// server does.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long history is moved or removed at a time.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a unit may take to stop or to start.
const STOP_TIMEOUT: Duration = Duration::from_secs(700);

impl Kuma for System {
    type Claim = Claimed;

    async fn export(&mut self) -> Result<Export> {
        let _waiting = terminal::wait("reading the configuration of Uptime Kuma");
        let export = match self.instance.database().await {
            Ok(worker) => worker.export().await,
            Err(error) => Err(error),
        };
        self.proved(export).await
    }

    async fn content(&mut self) -> Result<Content> {
        let _waiting = terminal::wait("reading the configuration of Uptime Kuma");
        let content = match self.instance.database().await {
            Ok(worker) => worker.content().await,
            Err(error) => Err(error),
        };
        self.proved(content).await
    }

    async fn server_zone(&mut self, setting: Option<&str>) -> Result<Option<Zone>> {
        self.instance.zone(setting).await
    }

    async fn rehearse(&mut self, here: &Configuration, wanted: &Configuration) -> Result<()> {
        let _waiting = terminal::wait("trying the changes on a copy in memory");
        self.instance.database().await?.rehearse(here, wanted).await
    }

    async fn check_intact(&mut self) -> Result<()> {
        let _waiting = terminal::wait("checking that the database of Uptime Kuma is intact");
        // Gigabytes of history take their time on a slow disk.
        notify::extend(STOP_TIMEOUT);
        self.instance.database().await?.check_intact().await
    }

    async fn check_writable(&mut self, changes: &Plan) -> Result<()> {
        let room = changes.room();
        self.instance.database().await?.check_writable(room, !changes.files.is_empty()).await?;
        // Both dumps are written anew beside the old ones.
        let dumps = store::kept_bytes(&self.directories.state).saturating_add(room.saturating_mul(2));
        files::check_room(&self.directories.state, database::ROOM.saturating_add(dumps))
    }

    async fn check_in_use(&mut self) -> Result<()> {
        self.instance.check_in_use().await
    }

    async fn activity(&mut self) -> Result<Activity> {
        let _waiting = terminal::wait(format!("asking systemd about {}", self.instance.unit()));
        // A unit that is being stopped is waited for.
        notify::extend(STOP_TIMEOUT);
        self.instance.activity().await
    }

    async fn check_stoppable(&mut self) -> Result<()> {
        let unit = self.instance.unit().clone();
        self.instance.systemd().await?.check_stoppable(&unit).await?;
        self.instance.check_rights().await?;
        if let Some(reason) = self.instance.database().await?.migrating().await? {
            return Err(Error::new(Kind::ServiceBusy, format!("{unit} is not stopped: {reason}")));
        }
        if let Some(uid) = self.instance.systemd().await?.uid(&unit).await? {
            self.instance.database().await?.check_usable_by(uid).await?;
        }
        let url = self.instance.layout().await?.url;
        let _waiting = terminal::wait(format!("waiting for an answer on {url}"));
        health::answer(&url).await.map_err(|reason| {
            let hint = health::advice(&reason, &url);
            let what = format!("{unit} is not stopped: it gives no healthy answer on {url}");
            let error = Error::new(Kind::ServiceBusy, what).because(reason);
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    }

    async fn dependents(&mut self) -> Result<Vec<String>> {
        let unit = self.instance.unit().clone();
        self.instance.systemd().await?.dependents(&unit).await
    }

    async fn stop(&mut self) -> Result<()> {
        let unit = self.instance.unit().clone();
        let _waiting = terminal::wait(format!("stopping {unit}"));
        notify::extend(STOP_TIMEOUT);
        self.instance.systemd().await?.stop(&unit).await
    }

    async fn start(&mut self, dependents: &[String]) -> Result<()> {
        let _waiting = terminal::wait(format!("starting {}", self.instance.unit()));
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
        let _waiting = terminal::wait(format!("waiting for an answer on {url}, for at most {} s", within.as_secs()));
        let systemd = self.instance.systemd().await?;
        let stops = systemd.watch_stops(&unit).await?;
        let still_running = async || match systemd.activity(&unit).await? {
            Activity::Running => Ok(true),
            Activity::Stopped => stops.check(systemd).await.map(|()| false),
        };
        let answer = health::wait(&url, within, still_running).await;
        match answer {
            Err(error) if systemd.shutting_down().await.unwrap_or(false) => {
                Err(Error::new(Kind::Interrupted, "the system is shutting down").because(error))
            }
            answer => answer,
        }
    }

    async fn claim(&mut self) -> Result<Self::Claim> {
        let _waiting = terminal::wait("waiting until nobody has the database of Uptime Kuma open");
        notify::extend(RELEASE_TIMEOUT + STEP_TIMEOUT);
        self.instance.claim(RELEASE_TIMEOUT).await
    }

    async fn write_live(&mut self, here: &Export, wanted: &Configuration) -> Result<Vec<String>> {
        let _waiting = terminal::wait("writing the changes");
        self.instance.database().await?.write_live(here, wanted).await
    }

    async fn server(&mut self) -> Result<Server> {
        self.instance.server().await
    }

    async fn probe(&mut self) -> Result<Option<String>> {
        match self.family().await {
            Some(family) => self.instance.probe(family).await,
            None => Ok(Some("the version of Uptime Kuma is not known".to_owned())),
        }
    }

    async fn tell(&mut self, told: &Told, rows: &Configuration) -> Result<()> {
        let Some(family) = self.family().await else {
            return Err(Error::new(Kind::ServiceBusy, "the version of Uptime Kuma is not known"));
        };
        let _waiting = terminal::wait("telling Uptime Kuma what changed");
        notify::extend(socket::limit(told, rows) + STEP_TIMEOUT);
        self.instance.tell(family, told.clone(), rows.clone()).await
    }

    async fn beats(&mut self, monitors: &BTreeSet<i64>, since: Timestamp) -> Result<BTreeSet<i64>> {
        self.instance.database().await?.beats(monitors, since).await
    }

    async fn set_history_aside(&mut self, monitors: &[i64]) -> Result<u64> {
        let _waiting = terminal::wait("setting the history of replaced monitors aside");
        notify::extend(HISTORY_TIMEOUT + STEP_TIMEOUT);
        self.instance.database().await?.set_history_aside(monitors, HISTORY_TIMEOUT).await
    }

    async fn tidy_history(&mut self, bring_back: bool) -> Result<u64> {
        let _waiting = terminal::wait("removing the history of removed monitors");
        notify::extend(HISTORY_TIMEOUT + STEP_TIMEOUT);
        self.instance.database().await?.tidy_history(bring_back, HISTORY_TIMEOUT).await
    }
}

impl System {
    /// What was `read` from the database, or a failure that says which one the server has open if this one is missing.
    async fn proved<T>(&mut self, read: Result<T>) -> Result<T> {
        if matches!(&read, Err(error) if error.kind() == Kind::DatabaseMissing) {
            self.instance.check_in_use().await?;
        }
        read
    }

    async fn family(&mut self) -> Option<Family> {
        Family::of(&self.instance.version().await?)
    }
}

impl cycle::Claim for Claimed {
    async fn export(&mut self) -> Result<Export> {
        Claimed::export(self).await
    }

    async fn write(self, wanted: &Configuration, history: History) -> Result<Vec<String>> {
        let _waiting = terminal::wait("writing the changes");
        Claimed::write(self, wanted, history).await
    }
}
