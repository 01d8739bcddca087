//! `snapshots`, `init` and `restic`: the repository itself.

use std::ffi::OsString;

use jiff::tz::TimeZone;

use crate::cli::Cli;
use crate::config::{Role, Settings};
use crate::error::{Error, Kind, Result};
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, repository};
use crate::report::{InitDocument, SnapshotsDocument, print, show};
use crate::terminal::{self, Waiting};

use super::settings::settings;

pub(super) async fn snapshots(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let interrupt = Interrupt::install()?;
    let restic = repository(&settings, &Directories::from_environment(), &interrupt)?;
    let waiting = wait(&settings, "looking into");
    let listing = restic.look().await?;
    drop(waiting);
    show(&SnapshotsDocument::new(listing, TimeZone::system()), json)
}

pub(super) async fn init(cli: &Cli) -> Result<()> {
    let settings = settings(cli)?;
    if settings.role == Role::Replica {
        let what = "only a main creates the repository; this host is a replica";
        return Err(Error::new(Kind::Usage, what).with_hint("run kuma-replicator init on the main"));
    }
    let interrupt = Interrupt::install()?;
    let restic = repository(&settings, &Directories::from_environment(), &interrupt)?;
    let waiting = wait(&settings, "creating");
    let created = restic.init().await?;
    drop(waiting);
    print(&InitDocument { repository: settings.repository.to_string(), created }, false)
}

/// Becomes restic.
pub(super) fn restic(cli: &Cli, arguments: &[OsString]) -> Result<()> {
    let settings = settings(cli)?;
    let restic = repository(&settings, &Directories::from_environment(), &Interrupt::never())?;
    match restic.become_restic(arguments)? {}
}

/// Says to people at a terminal that the repository is waited for.
fn wait(settings: &Settings, what: &str) -> Waiting {
    terminal::wait(format!(
        "{what} repository {}, for at most {} s",
        settings.repository,
        settings.restic.timeout.as_secs()
    ))
}
