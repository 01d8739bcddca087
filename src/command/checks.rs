//! The checks: everything a cycle depends on, looked at one after another, each with what to do about it.

use std::path::Path;

use jiff::tz::TimeZone;

use crate::cli::Cli;
use crate::config::{Customization, Receiver, Restart, Role, Settings};
use crate::cycle::{self, Activity, Export, Verified, verify};
use crate::decide;
use crate::error::{Error, Kind};
use crate::host::kuma::health;
use crate::host::kuma::instance::Instance;
use crate::host::kuma::worker::Worker;
use crate::host::system::interrupt::Interrupt;
use crate::host::system::{permissions, textfile};
use crate::host::{Directories, notify, store};
use crate::localise::{self, Desired};
use crate::model::catalog;
use crate::model::configuration::Configuration;
use crate::model::notify::Trouble;
use crate::model::server::Server;
use crate::model::value::Value;
use crate::model::zone;
use crate::text;

use super::findings::Findings;
use super::repository_checks;
use super::settings::settings;

/// All checks, with the rights and in the environment of this process.
pub(super) async fn everything(cli: &Cli, findings: &mut Findings, interrupt: &Interrupt) {
    let settings = findings.add("configuration", settings(cli), |settings| {
        format!("{}: {} with repository {}", cli.config.display(), settings.role, settings.repository)
    });
    let Some(settings) = settings else { return };
    let directories = Directories::from_environment();
    secrets(findings, cli, &settings, &directories);
    findings.add("state", store::read_state(&directories.state), |state| match state {
        Some(_) => format!("{} can be read", directories.state.display()),
        None => "none yet".to_owned(),
    });
    metrics(findings, &settings, &directories);
    if settings.role == Role::Main {
        inherited(findings, &directories);
    }
    receivers(findings, &settings, &directories);
    instance(findings, &settings, &directories).await;
    repository_checks::everything(findings, &settings, &directories, interrupt).await;
}

/// The files that contain secrets, and those that decide what this program does.
fn secrets(findings: &mut Findings, cli: &Cli, settings: &Settings, directories: &Directories) {
    let of_receivers = settings.receivers.iter().flat_map(|receiver| [&receiver.url_file, &receiver.token_file]);
    let configured =
        [&settings.restic.password_file, &settings.restic.environment_file].into_iter().chain(of_receivers);
    let written = store::written(&directories.state);
    let paths = configured.flatten().map(|path| path.as_path()).chain([
        cli.config.as_path(),
        Path::new("/etc/kuma-replicator/restic-password"),
        Path::new("/etc/kuma-replicator/environment"),
        &directories.state,
        &directories.cache,
    ]);
    let exposures = permissions::exposures(&directories.state, paths.chain(written.iter().map(|path| path.as_path())));
    if exposures.is_empty() {
        findings.ok("secrets", "no file with secrets can be read or written by others");
    }
    for exposure in exposures {
        findings.warn("secrets", exposure.what, exposure.hint);
    }
}

/// What cycles write for Prometheus. No cycle fails for want of it.
fn metrics(findings: &mut Findings, settings: &Settings, directories: &Directories) {
    if let Err(error) = store::read_counters(&directories.state) {
        findings.warn("metrics", error.chain(), "remove it; the counters then start again at zero");
    }
    let Some(path) = &settings.metrics_file else { return };
    match textfile::check(path, &directories.state) {
        Ok(()) => findings.ok("metrics", format!("{} can be written", path.display())),
        Err(error) => findings.warn("metrics", error.chain(), error.hint()),
    }
}

/// Whether receivers can be told, as far as that is known without telling them.
fn receivers(findings: &mut Findings, settings: &Settings, directories: &Directories) {
    let memory = store::read_memory(&directories.state);
    for receiver in &settings.receivers {
        let Receiver { name, kind, .. } = receiver;
        let known = memory.as_ref().and_then(|memory| memory.receivers.get(name));
        let hint = format!("correct [notify.{name}], then: kuma-replicator notify test {name}");
        match notify::find(receiver) {
            Err(problem) => findings.warn("notify", format!("{name} cannot be told: {problem}"), hint),
            Ok(None) => {
                let what = format!("{name} has its address from a credential, which only the service has");
                findings.ok("notify", what);
            }
            Ok(Some(place)) => {
                match known.and_then(|known| Some((known.trouble.as_ref()?, known.waiting.len() as u64))) {
                    Some((Trouble { since, reason, .. }, waiting)) => {
                        let (since, waiting) =
                            (text::time(*since, &TimeZone::system()), text::count(waiting, "message"));
                        findings.warn(
                            "notify",
                            format!("{name} takes nothing since {since}, {waiting} to send: {reason}"),
                            hint,
                        );
                    }
                    None => findings.ok("notify", format!("{name}: {kind} at {}", place.address.host())),
                }
            }
        }
    }
}

/// The settings that this main publishes although it has none of them.
fn inherited(findings: &mut Findings, directories: &Directories) {
    let kept = store::read_inherited(&directories.state);
    let kept = kept.and_then(|bytes| bytes.map(|bytes| cycle::inherited(&bytes)).transpose());
    let settings = kept.map(|kept| kept.unwrap_or_default().table(catalog::SETTING).cloned());
    match settings {
        Ok(Some(table)) if !table.rows.is_empty() => {
            let keys: Vec<&str> = table.ids().filter_map(Value::as_text).collect();
            let what = "published for the fleet as the former main had them, unless they are set on this host";
            findings.ok("inherited", format!("{}: {what}", keys.join(", ")));
        }
        Ok(_) => {}
        Err(error) => {
            findings.add::<()>("inherited", Err(error), |()| String::new());
        }
    }
}

/// Whether changed monitors can be taken up without a restart, and how often it is restarted otherwise.
async fn told(findings: &mut Findings, settings: &Settings, instance: &mut Instance) {
    if settings.replica.restart == Restart::Always {
        return findings.ok("told", "every change restarts Uptime Kuma: restart = \"always\"");
    }
    let Some(server) = findings.add::<Server>("told", instance.server().await, |server| {
        let between = decide::between_restarts(settings.replica.min_restart_interval, Some(server.takes));
        let (takes, between) = (server.takes.as_secs(), between.as_secs());
        format!("after a restart its monitors have begun within {takes} s; the next one waits for {between} s")
    }) else {
        return;
    };
    let refused = match server.family() {
        None => Ok(Some("its version was not tried, or its start is not known".to_owned())),
        Some(family) => instance.probe(family).await,
    };
    match refused {
        Ok(None) => findings.ok("told", "it takes up changed monitors and maintenances without a restart"),
        Ok(Some(reason)) => {
            let hint = "nothing, if that is acceptable; see /usr/share/doc/kuma-replicator/restarts.md";
            findings.warn("told", format!("changed monitors and maintenances restart it: {reason}"), hint);
        }
        Err(error) => drop(findings.add::<()>("told", Err(error), |()| String::new())),
    }
}

async fn instance(findings: &mut Findings, settings: &Settings, directories: &Directories) {
    let mut instance = Instance::new(settings.kuma.clone());
    let unit = instance.unit().clone();
    findings.begin(format!("asking systemd about {unit}"));
    let version = instance.version().await.map(|version| format!(", Uptime Kuma {version}")).unwrap_or_default();
    let activity = findings.add("service", instance.activity().await, |activity| match activity {
        Activity::Running => format!("{unit} runs{version}"),
        Activity::Stopped => format!("{unit} is stopped{version}"),
    });
    if activity.is_some() {
        findings.add("rights", instance.check_rights().await, |()| format!("{unit} may be stopped and started"));
    }
    let Some(layout) = findings.add("layout", instance.layout().await, ToString::to_string) else { return };
    if activity == Some(Activity::Running) {
        findings.begin(format!("waiting for an answer on {}", layout.url));
        let answer = health::answer(&layout.url).await;
        let answer = answer.map_err(|reason| {
            let hint = health::advice(&reason, &layout.url);
            let error = Error::new(Kind::Unhealthy, format!("no healthy answer on {}", layout.url)).because(reason);
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        });
        findings.add("health", answer, |()| "it answers".to_owned());
    }
    let Some(database) =
        findings.add("database", instance.database().await, |worker| worker.database().display().to_string())
    else {
        return;
    };
    let path = database.database().display().to_string();
    if activity == Some(Activity::Running) {
        findings.add("in-use", instance.check_in_use().await, |()| format!("{unit} has {path} open"));
        if settings.role == Role::Replica {
            told(findings, settings, &mut instance).await;
        }
    }
    let Ok(database) = instance.database().await else { return };
    findings.begin(format!("reading {path}"));
    let export = findings.add("export", database.export().await, |export| {
        let rows: u64 = export.configuration.counts().values().sum();
        format!("{}, schema {}", text::count(rows, "row"), export.schema.fingerprint().short())
    });
    let Some(export) = export else { return };
    time_zone(findings, settings, &mut instance, &export.configuration).await;
    let Ok(database) = instance.database().await else { return };
    if settings.role == Role::Replica {
        findings.add("database", database.check_writable(0, false).await, |()| "can be written".to_owned());
    }
    exported(findings, settings, database, export, directories).await;
}

/// The time zone in which Uptime Kuma runs, and with it the maintenances that follow it.
async fn time_zone(findings: &mut Findings, settings: &Settings, instance: &mut Instance, here: &Configuration) {
    let zone = match instance.zone(here.setting(zone::SETTING).as_deref()).await {
        Ok(zone) => zone,
        Err(error) => {
            findings.add::<()>("time-zone", Err(error), |()| String::new());
            return;
        }
    };
    let followers = zone::followers(here) as u64;
    let rows = text::count(followers, "maintenance");
    match zone {
        Some(zone) if settings.role == Role::Main && followers > 0 => {
            findings.ok("time-zone", format!("Uptime Kuma runs in {zone}, and with it {rows}"));
        }
        Some(zone) => findings.ok("time-zone", format!("Uptime Kuma runs in {zone}")),
        None if followers > 0 => {
            let message = format!("that of Uptime Kuma cannot be found, and {rows} follow it");
            let hint = "set the server's time zone on the settings page of Uptime Kuma, or TZ in its unit";
            findings.warn("time-zone", message, hint);
        }
        None => {}
    }
}

/// What an export says beside the rows: users, customization, uploaded files and tables.
async fn exported(
    findings: &mut Findings,
    settings: &Settings,
    database: &mut Worker,
    export: Export,
    directories: &Directories,
) {
    if !export.configuration.has_user() {
        users(findings, settings, directories);
    }
    if let Some(lost) = localise::lost_entry_page(&export.configuration, &export.configuration) {
        findings.warn("entry-page", lost, "choose the entry page on the settings page of Uptime Kuma");
    }
    if settings.role == Role::Replica {
        let here = &export.configuration;
        let customization = match localise::overridden(here, &settings.replica.customization) {
            Ok(wanted) => database.rehearse(here, &wanted).await.map_err(|error| {
                Error::new(Kind::Config, "replica.overrides: the database refuses them").because(error)
            }),
            Err(error) => Err(error),
        };
        let fits = findings.add("customization", customization, |()| "fits the database of this replica".to_owned());
        if fits.is_some() {
            self::customization(findings, &settings.replica.customization, here, directories);
        }
    }
    for warning in export.warnings {
        findings.warn("upload", warning, "upload the file again in Uptime Kuma");
    }
    findings.begin("looking for history of monitors that do not exist");
    match database.orphaned_history().await {
        Ok(0) => {}
        Ok(rows) => {
            let message = format!(
                "{} of monitors that do not exist: an upgrade from 1.23 to 2.x would fail",
                text::count(rows, "row")
            );
            findings.warn("history", message, "kuma-replicator hold removes what an apply has left, before an upgrade");
        }
        Err(error) => drop(findings.add::<()>("history", Err(error), |()| String::new())),
    }
    match database.unknown_tables().await {
        Ok(unknown) if unknown.is_empty() => {}
        Ok(unknown) => {
            let message = format!("not replicated, as this version does not know them: {}", unknown.join(", "));
            findings.warn("tables", message, "look for a newer kuma-replicator");
        }
        Err(error) => drop(findings.add::<()>("tables", Err(error), |()| String::new())),
    }
}

/// There is no user here: a replica that has applied nothing yet gets those of the main.
fn users(findings: &mut Findings, settings: &Settings, directories: &Directories) {
    let applied =
        store::read_state(&directories.state).map(|state| state.is_some_and(|state| state.replica.applied.is_some()));
    if settings.role == Role::Replica && matches!(applied, Ok(false)) {
        findings.ok("users", "none yet; those of the main come with the first apply");
    } else {
        findings.warn("users", "there is no user who could log in", "finish the set-up of Uptime Kuma");
    }
}

/// What the customization changes in the snapshot in force, if that is kept here. A name that matches nothing may be
/// mistyped.
fn customization(
    findings: &mut Findings,
    customization: &Customization,
    here: &Configuration,
    directories: &Directories,
) {
    let kept =
        store::read_applied(&directories.state).and_then(|bytes| bytes.map(|bytes| verify(&bytes, None)).transpose());
    let Verified(dump) = match kept {
        Ok(Some(verified)) => verified,
        Ok(None) => return,
        Err(error) => {
            let message = format!("the kept copy of the snapshot in force cannot be used: {}", error.chain());
            return findings.warn("applied", message, "remove applied.dump; the next apply writes it again");
        }
    };
    let localised = Desired::customized(&dump.configuration, customization).on(here);
    let localised = findings.add("customization", localised, |_| "fits the snapshot in force".to_owned());
    for note in localised.into_iter().flat_map(|localised| localised.notes) {
        if note.is_idle() {
            findings.warn("customization", note.to_string(), "look for a mistyped name in config.toml");
        } else {
            findings.ok("customization", note.to_string());
        }
    }
}
