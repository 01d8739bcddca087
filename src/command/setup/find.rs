//! The Uptime Kuma of this host: its unit under whatever name, where it keeps its data, and where it answers.

use std::path::{Path, PathBuf};

use crate::config::{Kuma, UnitName};
use crate::cycle::Activity;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::instance::Instance;
use crate::host::kuma::systemd::Systemd;
use crate::host::kuma::{health, running};
use crate::text;

use super::person::{Person, done};
use crate::host::system::prompt::Echo;

/// What was found.
pub(super) struct Found {
    /// What is configured, with the unit that was found, and with data directory and address if that unit says others, or none.
    pub(super) settings: Kuma,
    /// Where it answers.
    pub(super) answers_on: String,
    /// Whether it is an Uptime Kuma 2.x that waits on its set-up page until a database is chosen.
    pub(super) waits_for_a_database: bool,
}

/// Finds it. `configured` is what the configuration file and flags say; with `is_ordered`, its data directory stands.
pub(super) async fn find(configured: &Kuma, is_ordered: bool, person: &Person) -> Result<Found> {
    let systemd = Systemd::connect().await?;
    let configured = Kuma { unit: unit(&systemd, &configured.unit, person).await?, ..configured.clone() };
    let mut instance = Instance::new(configured.clone());
    let activity = instance.activity().await?;
    let processes = match activity {
        Activity::Running => systemd.processes(&configured.unit).await?,
        Activity::Stopped => Vec::new(),
    };
    let version = instance.version().await.map(|version| format!(", Uptime Kuma {version}")).unwrap_or_default();
    let state = if activity == Activity::Running { "runs" } else { "is stopped" };
    done("unit", format!("{} {state}{version}", configured.unit))?;
    let layout = instance.layout().await?;
    let data_directory = if is_ordered { None } else { data_directory(&layout.database(), &processes)? };
    if layout.guessed && data_directory.is_none() && !layout.database().exists() {
        let what = format!("{} does not say where it keeps its data, and has no database open", configured.unit);
        let hint = "start Uptime Kuma, or name the directory of kuma.db: --data-directory DIRECTORY";
        return Err(Error::new(Kind::DatabaseMissing, what).with_hint(hint));
    }
    let (url, reason) = address(&layout.url, &processes).await;
    let answers_on = url.clone().unwrap_or_else(|| layout.url.clone());
    let waits_for_a_database = reason.as_deref().is_some_and(health::waits_for_a_database);
    if let Some(reason) = reason.filter(|_| activity == Activity::Running && !waits_for_a_database) {
        let hint = health::advice(&reason, &answers_on)
            .unwrap_or_else(|| "wait until it answers, and type the line again".to_owned());
        return Err(Error::new(Kind::ServiceBusy, format!("no healthy answer on {answers_on}"))
            .because(reason)
            .with_hint(hint));
    }
    let data = data_directory.as_ref().unwrap_or(&layout.data_directory).display().to_string();
    done("layout", format!("data in {data}, answers on {answers_on}"))?;
    let settings = Kuma {
        data_directory: data_directory.or(configured.data_directory),
        url: url.or(configured.url),
        ..configured
    };
    Ok(Found { settings, answers_on, waits_for_a_database })
}

/// The unit: the one that is configured or given, else one that seems to run Uptime Kuma.
async fn unit(systemd: &Systemd, configured: &UnitName, person: &Person) -> Result<UnitName> {
    if systemd.has(configured).await? {
        return Ok(configured.clone());
    }
    if *configured != Kuma::default().unit {
        let what = format!("there is no unit {configured}");
        return Err(Error::new(Kind::ServiceMissing, what).with_hint("systemctl list-units --type=service lists all"));
    }
    let candidates = systemd.candidates().await?;
    // PM2 may run anything.
    let mut running = Vec::new();
    for unit in &candidates {
        let processes = systemd.processes(unit).await.unwrap_or_default();
        if !running::databases(&processes).is_empty() {
            running.push(unit.clone());
        }
    }
    let found = if running.is_empty() { candidates } else { running };
    let names = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [] => {
            let what = "no service on this host seems to run Uptime Kuma";
            let hint = "Uptime Kuma has to run as a systemd service, not in Docker; under PM2, pm2 startup and pm2 save make one. If \
                        there is one: --unit UNIT";
            Err(Error::new(Kind::ServiceMissing, what).with_hint(hint))
        }
        [unit] => Ok(unit.clone()),
        _ => {
            let question = format!("Which of these units runs Uptime Kuma: {names}?");
            let answer = person.ask(&question, Echo::On).await?.and_then(|answer| UnitName::new(&answer).ok());
            answer.filter(|unit| found.contains(unit)).ok_or_else(|| {
                let what = format!("several units may run Uptime Kuma: {names}");
                Error::new(Kind::ServiceMissing, what).with_hint("say which one does: --unit UNIT")
            })
        }
    }
}

/// The data directory that these processes use, if it is another one than that of `database`.
fn data_directory(database: &Path, processes: &[u32]) -> Result<Option<PathBuf>> {
    let open = running::databases(processes);
    let here = database.canonicalize().ok();
    if open.iter().any(|open| Some(open) == here.as_ref()) {
        return Ok(None);
    }
    match open.as_slice() {
        [] => Ok(None),
        [open] => Ok(open.parent().map(Path::to_owned)),
        several => {
            let shown = several.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            let what = format!("several databases of Uptime Kuma are open: {}", text::short(&shown));
            Err(Error::new(Kind::DatabaseNotInUse, what).with_hint("say which one counts: --data-directory DIRECTORY"))
        }
    }
}

/// Where these processes answer, if that is not `url`, and why the answer there is not a healthy one.
async fn address(url: &str, processes: &[u32]) -> (Option<String>, Option<String>) {
    let reason = match health::answer(url).await {
        Ok(()) => return (None, None),
        Err(reason) if health::waits_for_a_database(&reason) => return (None, Some(reason)),
        Err(reason) => reason,
    };
    for port in running::ports(processes) {
        for scheme in ["http", "https"] {
            let other = format!("{scheme}://127.0.0.1:{port}");
            match health::answer(&other).await {
                Ok(()) => return (Some(other), None),
                Err(reason) if health::waits_for_a_database(&reason) => return (Some(other), Some(reason)),
                Err(_) => {}
            }
        }
    }
    (None, Some(reason))
}
