//! `snapshots` and `init`: the repository itself.

use crate::cli::Cli;
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, repository};
use crate::report::{InitDocument, SnapshotsDocument, print};

use super::settings::settings;

pub(super) async fn snapshots(cli: &Cli, json: bool) -> Result<()> {
    let settings = settings(cli)?;
    let interrupt = Interrupt::install()?;
    let listing = repository(&settings, &Directories::from_environment(), &interrupt)?.look().await?;
    print(&SnapshotsDocument::new(listing), json)
}

pub(super) async fn init(cli: &Cli) -> Result<()> {
    let settings = settings(cli)?;
    if settings.role == Role::Replica {
        let what = "only a main creates the repository; this host is a replica";
        return Err(Error::new(Kind::Usage, what).with_hint("run kuma-replicator init on the main"));
    }
    let interrupt = Interrupt::install()?;
    let created = repository(&settings, &Directories::from_environment(), &interrupt)?.init().await?;
    print(&InitDocument { repository: settings.repository.to_string(), created }, false)
}
