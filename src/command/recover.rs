//! `recover`: what systemd runs after every cycle, even a killed one.

use crate::cli::Cli;
use crate::cycle::{Activity, Event};
use crate::error::{Exit, Kind, Result};
use crate::host::Directories;
use crate::host::kuma::instance::Instance;
use crate::host::store::Store;
use crate::logging;
use crate::model::origin::Origin;
use crate::model::state::{Intent, State};

use super::run::PATIENCE;
use super::settings::settings;

/// Starts what a cycle left stopped, and nothing else. Whether Uptime Kuma is healthy, and what became of the rows, the
/// next cycle finds out.
pub(super) async fn recover(cli: &Cli) -> Exit {
    match try_recover(cli).await {
        Ok(()) => Exit::Success,
        // A cycle that a person runs at this moment starts Uptime Kuma itself.
        Err(error) if error.kind() == Kind::AlreadyRunning => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            logging::report(&Event::Failed { error, snapshot: None, last_success_age: None, again: false });
            exit
        }
    }
}

/// What the state file says about an interrupted apply.
struct Interrupted {
    /// Where its rows come from, if the file can be read.
    origin: Option<Origin>,
    dependents: Vec<String>,
}

async fn try_recover(cli: &Cli) -> Result<()> {
    let directories = Directories::from_environment();
    let store = Store::wait(&directories.state, PATIENCE).await?;
    let loaded = store.load();
    let interrupted = match &loaded {
        Ok(State { intent: Some(Intent { start: true, origin, dependents, .. }), .. }) => {
            Some(Interrupted { origin: Some(origin.clone()), dependents: dependents.clone() })
        }
        Ok(_) => return Ok(()),
        // The cycle has reported what is wrong with the file. The file may still say who stopped Uptime Kuma.
        Err(_) if store.requires_start()? => Some(Interrupted { origin: None, dependents: Vec::new() }),
        Err(_) => None,
    };
    let mut instance = Instance::new(settings(cli)?.kuma);
    let unit = instance.unit().clone();
    let activity = instance.activity().await;
    let Some(Interrupted { origin, dependents }) = interrupted else {
        // An administrator may have stopped it on purpose: that is not undone on a guess.
        let hint = format!("the file was kept; if nobody stopped {unit} on purpose: systemctl start {unit}");
        return match (activity, loaded) {
            (Ok(Activity::Running), _) | (_, Ok(_)) => Ok(()),
            (_, Err(error)) => Err(error.with_hint(hint)),
        };
    };
    if activity? == Activity::Running || instance.systemd().await?.shutting_down().await? {
        return Ok(());
    }
    for text in instance.start(&dependents).await? {
        logging::report(&Event::Warning { text });
    }
    match origin {
        Some(origin) => logging::report(&Event::Recovered { origin, started: true }),
        None => {
            let text = format!("started {unit}: the state file cannot be read, but says that an apply stopped it");
            logging::report(&Event::Warning { text });
        }
    }
    Ok(())
}
