//! The Uptime Kuma of this host, through systemd, SQLite and HTTP.

use std::time::{Duration, Instant};

use crate::cycle::{self, Activity, Event, Export, History, Kuma, Surroundings as _};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::database::{self, Claim};
use crate::host::kuma::health;
use crate::host::system::{files, notify};
use crate::model::configuration::Configuration;
use crate::plan::Plan;

use super::System;
use super::system::STEP_TIMEOUT;

/// How long a stopped Uptime Kuma may keep its database open: a wrapper as main process ends some seconds before the
/// server does.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one cycle removes history.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a unit may take to stop or to start.
const STOP_TIMEOUT: Duration = Duration::from_secs(700);

impl Kuma for System {
    type Claim = Claim;

    async fn export(&mut self) -> Result<Export> {
        self.instance.database().await?.export()
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

    async fn dependents(&mut self) -> Result<Vec<String>> {
        let unit = self.instance.unit().clone();
        self.instance.systemd().await?.dependents(&unit).await
    }

    async fn stop(&mut self) -> Result<()> {
        let unit = self.instance.unit().clone();
        notify::extend(STOP_TIMEOUT);
        self.instance.systemd().await?.stop(&unit).await
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

    async fn claim(&mut self) -> Result<Self::Claim> {
        notify::extend(RELEASE_TIMEOUT + STEP_TIMEOUT);
        self.instance.database().await?.claim(RELEASE_TIMEOUT).await
    }

    async fn write_live(&mut self, plan: &Plan, here: &Export, wanted: &Configuration) -> Result<Vec<String>> {
        self.instance.database().await?.write_live(plan, here, wanted)
    }

    async fn remove_leftovers(&mut self) -> Result<()> {
        notify::extend(CLEANUP_TIMEOUT + STEP_TIMEOUT);
        self.instance.database().await?.remove_leftovers(Instant::now() + CLEANUP_TIMEOUT)
    }
}

impl cycle::Claim for Claim {
    async fn export(&mut self) -> Result<Export> {
        Claim::export(self)
    }

    async fn write(self, plan: &Plan, wanted: &Configuration, history: History) -> Result<Vec<String>> {
        Claim::write(self, plan, wanted, history)
    }
}
