//! `check`: who makes the checks, this process or one that runs as the service.

use std::path::Path;

use crate::cli::{Checking, Cli, Printing};
use crate::config::DEFAULT_PATH;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::systemd::{Systemd, TimerState};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::unit;
use crate::host::{AsService, SERVICE};

use super::checks::everything;
use super::findings::{Findings, Form};

/// The most steps that are taken from the process that runs as the service.
const MAX_STEPS: usize = 10_000;

pub(super) async fn check(cli: &Cli, checking: Checking) -> Result<()> {
    let Checking { as_service, steps, printing: Printing { json } } = checking;
    let form = match (steps, json) {
        (true, _) => Form::Steps,
        (false, true) => Form::Json,
        (false, false) => Form::Text,
    };
    let mut findings = Findings::new(form);
    let interrupt = Interrupt::install()?;
    examine(cli, as_service, steps, &mut findings, &interrupt).await?;
    if !steps {
        timer(cli, &mut findings).await;
    }
    findings.end()
}

/// All checks of what a cycle needs: as the service where that is possible, and else in this process.
pub(super) async fn examine(
    cli: &Cli,
    as_service: bool,
    is_step: bool,
    findings: &mut Findings,
    interrupt: &Interrupt,
) -> Result<()> {
    let order = Order { arguments: &["check", "--steps"], must: as_service, is_step };
    if !through_the_service(cli, order, findings, interrupt).await? {
        everything(cli, findings, interrupt).await;
    }
    Ok(())
}

/// Whether cycles begin by themselves. What keeps systemd from answering is another check's to say.
async fn timer(cli: &Cli, findings: &mut Findings) {
    if cli.config != Path::new(DEFAULT_PATH) {
        return;
    }
    let Ok(systemd) = Systemd::connect().await else { return };
    let Ok(Some(TimerState { enabled, active })) = systemd.timer().await else { return };
    let (what, hint) = match (enabled, active) {
        (true, true) => return findings.ok("timer", "kuma-replicator.timer is enabled and runs"),
        (true, false) => (
            "kuma-replicator.timer is enabled and does not run: before the next boot, no cycle begins by itself",
            "systemctl start kuma-replicator.timer",
        ),
        (false, true) => (
            "kuma-replicator.timer runs and is not enabled: after the next boot, no cycle begins by itself",
            "systemctl enable kuma-replicator.timer",
        ),
        (false, false) => (
            "kuma-replicator.timer is not enabled and does not run: no cycle begins by itself",
            "systemctl enable --now kuma-replicator.timer",
        ),
    };
    findings.warn("timer", what, hint);
}

/// What this program does as its service would.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    /// The verb, with what makes it print steps.
    pub(super) arguments: &'a [&'a str],
    /// Whether it fails if that is not possible.
    pub(super) must: bool,
    /// Whether this process is that service.
    pub(super) is_step: bool,
}

/// Lets this program do it as its service, and takes over what it finds. `false` if it is to be done here.
///
/// # Errors
/// If it must be, and cannot be; if what it finds cannot be received.
pub(super) async fn through_the_service(
    cli: &Cli,
    order: Order<'_>,
    findings: &mut Findings,
    interrupt: &Interrupt,
) -> Result<bool> {
    if order.is_step {
        return Ok(false);
    }
    match as_its_service(cli, order, findings, interrupt).await? {
        Some(service) => follow(service, findings).await.map(|()| true),
        None => Ok(false),
    }
}

/// This program, started as its service to make the checks; `None` if they are to be made here.
async fn as_its_service(
    cli: &Cli,
    Order { arguments, must, .. }: Order<'_>,
    findings: &mut Findings,
    interrupt: &Interrupt,
) -> Result<Option<AsService>> {
    let possible = AsService::is_possible() && rustix::process::geteuid().is_root();
    if must && !possible {
        let what = "only root can run the checks as the service, and only where systemd runs";
        return Err(Error::new(Kind::NotPermitted, what).with_hint("run kuma-replicator check without --as-service"));
    }
    let usual = cli.config == Path::new(DEFAULT_PATH) && !unit::is_its_main_process();
    if !possible || !(must || usual) {
        return Ok(None);
    }
    let path =
        std::path::absolute(&cli.config).map_err(|error| Error::io(format!("find {}", cli.config.display()), error))?;
    findings.begin(format!("starting the checks as {SERVICE}"));
    let config = format!("--config={}", path.display());
    let arguments: Vec<&str> = arguments.iter().copied().chain([config.as_str()]).collect();
    let started = AsService::start(&arguments, interrupt).await;
    match started {
        Ok(None) if must => {
            let what = format!("systemd does not know {SERVICE}");
            Err(Error::new(Kind::ServiceMissing, what).with_hint("install the package"))
        }
        // The checks themselves report it.
        Err(error) if !must && error.kind() == Kind::BusUnavailable => Ok(None),
        Err(error) => {
            findings.add::<()>("sandbox", Err(error), |()| String::new());
            Ok(None)
        }
        Ok(service) => Ok(service),
    }
}

/// Takes over what the checks of this program, which runs as its service, find.
async fn follow(mut service: AsService, findings: &mut Findings) -> Result<()> {
    if service.needs_reload {
        let message = format!("systemd does not know the newest settings of {SERVICE}, with which this is checked");
        findings.warn("sandbox", message, "systemctl daemon-reload");
    } else {
        findings.ok("sandbox", format!("all of this is what {SERVICE} can do"));
    }
    for _ in 0..MAX_STEPS {
        let step = match service.line().await {
            Ok(Some(line)) => serde_json::from_str(&line)
                .map_err(|error| Error::new(Kind::Files, "the checks wrote what cannot be understood").because(error)),
            Ok(None) => break,
            Err(error) => Err(error),
        };
        match step {
            Ok(step) => {
                if findings.take(step) {
                    service.end().await;
                    return Ok(());
                }
            }
            Err(error) => {
                service.end().await;
                return Err(error);
            }
        }
    }
    let how = service.end().await;
    let what = format!("the checks as {SERVICE} ended early: {how}");
    let error = Error::new(Kind::NotPermitted, what).with_hint("journalctl -t kuma-replicator shows more");
    findings.add::<()>("sandbox", Err(error), |()| String::new());
    Ok(())
}
