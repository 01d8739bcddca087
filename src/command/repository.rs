//! `snapshots`, `init` and `restic`: the repository itself.

use std::ffi::OsString;

use jiff::tz::TimeZone;

use crate::cli::Cli;
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, repository, wait_for_repository};
use crate::report::{InitDocument, SnapshotsDocument, print, show};

use super::settings::settings;

pub(super) async fn snapshots(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let interrupt = Interrupt::install()?;
    let restic = repository(&settings, &Directories::from_environment(), &interrupt)?;
    let waiting = wait_for_repository(&settings, "looking into");
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
    let waiting = wait_for_repository(&settings, "creating");
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
