//! The choice of SQLite for an Uptime Kuma 2.x that waits on its set-up page: a variable in its unit chooses as well, and needs
//! no page.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::UnitName;
use crate::cycle::Activity;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::health;
use crate::host::kuma::systemd::Systemd;
use crate::host::system::files;
use crate::terminal;

use super::person::{Person, done};

/// How long Uptime Kuma may take to make its database.
const START_LIMIT: Duration = Duration::from_secs(180);

/// The variable, and why it is there.
const DROP_IN: &str = "# Written by kuma-replicator setup: Uptime Kuma 2.x keeps its data in SQLite, and asks nobody for it.\n\
                       [Service]\nEnvironment=UPTIME_KUMA_DB_TYPE=sqlite\n";

/// Asks whether SQLite is to be chosen.
///
/// # Errors
/// [`Kind::DatabaseMissing`] if the unit cannot have the variable, or nobody wants it.
pub(super) async fn confirm(unit: &UnitName, url: &str, person: &Person) -> Result<()> {
    let by_hand = format!("open {url}, choose SQLite on its set-up page, and type the same line again");
    let what = "this Uptime Kuma has no database yet: it waits until one is chosen on its set-up page";
    if unit.as_ref().starts_with("pm2-") {
        return Err(Error::new(Kind::DatabaseMissing, what).with_hint(by_hand));
    }
    let question = format!("{what}. Let {unit} choose SQLite (UPTIME_KUMA_DB_TYPE=sqlite), and restart it?");
    person.confirm(&question).await.map_err(|error| match error.kind() {
        Kind::NotConfirmed => error.with_hint(format!("add --yes; or {by_hand}")),
        _ => error,
    })
}

/// Lets the unit choose SQLite, and returns when Uptime Kuma answers with its database.
///
/// # Errors
/// If the drop-in cannot be written; if Uptime Kuma cannot be restarted, or does not answer.
pub(super) async fn choose(unit: &UnitName, url: &str) -> Result<()> {
    let directory = PathBuf::from(format!("/etc/systemd/system/{unit}.d"));
    let path = directory.join("kuma-replicator-sqlite.conf");
    std::fs::create_dir_all(&directory).map_err(|error| Error::io(format!("make {}", directory.display()), error))?;
    files::replace_public(&path, DROP_IN.as_bytes())?;
    let systemd = Systemd::connect().await?;
    systemd.reload().await?;
    let waiting = terminal::wait(format!("restarting {unit}"));
    systemd.stop(unit).await?;
    systemd.start(unit).await?;
    health::wait(url, START_LIMIT, async || Ok(systemd.activity(unit).await? == Activity::Running)).await?;
    drop(waiting);
    done("database", format!("{unit} has chosen SQLite, by {}", path.display()))
}
