//! The checks of the repository: whether it can be reached, what is in it, how a cycle looks into it, and whether this host
//! may publish there.

use std::time::Duration;

use crate::config::{LookEvery, Role, Settings};
use crate::decide;
use crate::host::restic::Restic;
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, repository, store};
use crate::model::looked::LookCost;
use crate::text;

use super::findings::Findings;

/// All of them.
pub(super) async fn everything(
    findings: &mut Findings,
    settings: &Settings,
    directories: &Directories,
    interrupt: &Interrupt,
) {
    let restic = findings.add("password", repository(settings, directories, interrupt), |_| "found".to_owned());
    findings.begin("starting restic");
    if let Some(restic) = restic
        && findings.add("restic", restic.version().await, |version| with_options(version, settings)).is_some()
    {
        look(findings, settings, directories, &restic).await;
        if let Some(line) = restic.unsaved_token() {
            let hint = "copy rclone.conf to /var/lib/kuma-replicator, and write RCLONE_CONFIG=/var/lib/kuma-replicator/rclone.conf \
                into the environment file";
            findings.warn("token", format!("rclone cannot keep the token that it renewed: {line}"), hint);
        }
    }
}

fn with_options(version: &str, settings: &Settings) -> String {
    match settings.restic.options.as_slice() {
        [] => version.to_owned(),
        options => format!("{version}, with {}", options.join(", ")),
    }
}

/// The repository: what is in it, and whether this host may publish there.
async fn look(findings: &mut Findings, settings: &Settings, directories: &Directories, restic: &Restic) {
    let limit = settings.restic.timeout.as_secs();
    findings.begin(format!("looking into repository {}, for at most {limit} s", settings.repository));
    let state = store::read_state(&directories.state).ok().flatten().unwrap_or_default();
    let listing = restic.look().await.and_then(|listing| decide::of_fleet(listing, &state));
    let listing = findings.add("repository", listing, |listing| {
        format!("{} of kuma-replicator", text::count(listing.snapshots.len() as u64, "snapshot"))
    });
    let Some(listing) = listing else { return };
    for (id, reason) in listing.unreadable {
        findings.warn("snapshot", format!("{} has unreadable tags: {reason}", id.short()), "restic forget it");
    }
    looks(findings, settings, restic).await;
    findings.begin(format!("writing a lock into repository {}, for at most {limit} s", settings.repository));
    match restic.check_publishable().await {
        Ok(None) => findings.ok("writable", "this host may publish into the repository"),
        Ok(Some(reason)) => {
            let message = format!("this host may publish into the repository, and not remove its locks: {reason}");
            findings.warn("writable", message, "let it delete in locks/, or remove old locks with restic unlock");
        }
        Err(error) if settings.role == Role::Replica => {
            let message = format!("this replica could not become the main: {}", error.chain());
            let hint = format!("nothing, as long as it stays a replica; otherwise: {}", error.hint());
            findings.warn("writable", message, hint);
        }
        Err(error) => drop(findings.add::<()>("writable", Err(error), |()| String::new())),
    }
}

/// How a cycle looks into the repository, and how often a replica does.
async fn looks(findings: &mut Findings, settings: &Settings, restic: &Restic) {
    findings.begin("asking for the names of the snapshots");
    let names = restic.names().await;
    let cost = restic.cost_of_names().filter(|_| names.is_some()).unwrap_or(LookCost::Restic);
    let how = match cost {
        LookCost::Restic => "each look starts restic",
        LookCost::Little | LookCost::Request => {
            "a look asks for the names of the snapshots, and starts restic if there are others"
        }
    };
    let often = match decide::between_looks(settings.replica.look_every, cost) {
        _ if settings.role == Role::Main => String::new(),
        Duration::ZERO => "; one in each cycle".to_owned(),
        every if cost == LookCost::Request && settings.replica.look_every == LookEvery::Auto => {
            let minutes = decide::AFTER_NEWS.as_secs() / 60;
            format!("; one every {} s, and in each cycle for {minutes} minutes after an apply", every.as_secs())
        }
        every => format!("; one every {} s", every.as_secs()),
    };
    if names.is_none() && restic.cost_of_names().is_some() {
        let hint = "see Looks in /usr/share/doc/kuma-replicator/repositories.md; restic works, and costs more";
        findings.warn("looks", format!("the names of the snapshots cannot be had without restic: {how}{often}"), hint);
    } else {
        findings.ok("looks", format!("{how}{often}"));
    }
}
