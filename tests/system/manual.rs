//! The manual as a person follows it: each block of commands is typed on real hosts, and each sample of an output is
//! compared with what is really printed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{FolderRepository, Machine, Page, Result};
use crate::world::{Pair, Setup, customize, cycle, expect, says, wait_until};

pub const TESTS: &[Test] = &[
    ("every_page_with_commands_is_tried", every_page),
    ("what_the_manual_types_works_and_what_it_shows_is_what_is_printed", follow),
];

/// The pages that [`follow`] tries.
const FOLLOWED: &[&str] = &[
    "docs/backup.md",
    "docs/format.md",
    "docs/hold.md",
    "docs/monitoring.md",
    "docs/moving-the-main.md",
    "docs/restore.md",
];

/// Pages whose blocks other tests try.
const ELSEWHERE: &[(&str, &str)] = &[
    ("docs/home.md", "setup_at_home.rs"),
    ("docs/metrics.md", "metrics.rs"),
    ("docs/notifications.md", "receivers.rs"),
    ("docs/unprivileged.md", "rights.rs"),
    ("docs/upgrading.md", "upgrades.rs"),
];

/// Where the manual has its repository.
const REPOSITORY: &str = "/srv/kuma-repository";

const URL: &str = "http://127.0.0.1:3001/";

fn every_page() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = vec![root.join("README.md")];
    for entry in std::fs::read_dir(root.join("docs"))? {
        pages.push(entry?.path());
    }
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let name = page.strip_prefix(root)?.to_string_lossy().into_owned();
        let known = FOLLOWED.contains(&name.as_str()) || ELSEWHERE.iter().any(|(page, _)| *page == name);
        if Page::has_blocks(&std::fs::read_to_string(page)?) && !known {
            return Err(format!("no test tries {name}").into());
        }
    }
    Ok(())
}

/// A page of the manual that follows, with the repository of the test.
fn page(name: &'static str) -> Result<Page> {
    let mut page = Page::open(name)?;
    page.replace(REPOSITORY, FolderRepository::PATH);
    Ok(page)
}

fn follow() -> Result<()> {
    // As the package installs it, with nothing that makes a test quicker.
    Pair::test(&Setup { replica_config: "[replica]\n", ..Setup::default() }, |pair| {
        populate(pair)?;
        pair.replicate()?;
        monitoring(pair)?;
        customize(&pair.replica, "min-restart-interval = \"0s\"\nrestart = \"always\"\n")?;
        hold(pair)?;
        restore(pair)?;
        backup(pair)?;
        format(pair)?;
        moving(pair)
    })
}

/// What the samples of the manual are about.
fn populate(pair: &Pair) -> Result<()> {
    let mut kuma = pair.main_kuma()?;
    let web = kuma.add_monitor("web", URL)?;
    let tag = kuma.add_tag("site", "#2563EB")?;
    let basic = kuma.add_monitor("http basic", URL)?;
    for monitor in [web, basic] {
        kuma.tag_monitor(tag, monitor, "web")?;
        // The first save of its page fills columns that a new monitor leaves empty.
        kuma.call("changeMonitor", json!([monitor, {}]))?;
    }
    for number in 1..=6 {
        let name = format!("nightly backup {number}");
        kuma.add_monitor_with(json!({ "name": name, "type": "push", "pushToken": format!("token{number}") }))?;
    }
    kuma.add_notification("on call", URL).map(drop)
}

fn monitoring(pair: &Pair) -> Result<()> {
    let replica = &pair.replica;
    let mut page = page("docs/monitoring.md")?;
    page.shows(&says(replica, &["kuma-replicator", "status"])?)?;

    // What plan shows: a changed monitor, a row more, and one less.
    let mut kuma = pair.main_kuma()?;
    kuma.call("changeMonitor", json!([2, { "interval": 30, "url": "http://127.0.0.1:3001/dashboard" }]))?;
    kuma.call("changeMonitor", json!([1, { "notificationIDList": { "1": true } }]))?;
    kuma.call("deleteMonitorTag", json!([1, 1, "web"]))?;
    expect(&pair.main, 0, "published")?;
    page.shows(&says(replica, &["kuma-replicator", "plan"])?)?;

    replica.sh(
        "cd /etc/kuma-replicator; cp -p restic-password right; echo 'not this one' >restic-password; chmod o+r restic-password",
    )?;
    // A timer that runs, and starts nothing.
    replica.sh("mkdir -p /run/systemd/system/kuma-replicator.timer.d
         printf '[Timer]\\nOnBootSec=\\nOnBootSec=7d\\n' >/run/systemd/system/kuma-replicator.timer.d/idle.conf
         systemctl daemon-reload; systemctl enable --now kuma-replicator.timer")?;
    let check = replica.sh("kuma-replicator check 2>&1 || test $? = 78")?;
    replica.sh("systemctl disable --now kuma-replicator.timer
         rm -r /run/systemd/system/kuma-replicator.timer.d; systemctl daemon-reload")?;
    replica.sh("cd /etc/kuma-replicator; mv right restic-password")?;
    page.shows(&check)?;

    page.shows(&says(replica, &["kuma-replicator", "snapshots"])?)?;

    let followed = journalctl(&mut page, replica)?;
    assert!(followed.iter().any(|printed| printed.contains("applied snapshot")), "{followed:?}");

    page.edit_unit(replica)?;
    let level = says(replica, &["systemctl", "show", "-P", "LogLevelMax", "kuma-replicator"])?;
    assert!(["info", "6"].contains(&level.as_str()), "{level}");
    replica.sh("rm /etc/systemd/system/kuma-replicator.service.d/override.conf; systemctl daemon-reload")?;
    page.edit_unit(replica)?;
    let timer = says(replica, &["systemctl", "show", "-P", "TimersMonotonic", "kuma-replicator.timer"])?;
    assert!(timer.contains("OnBootUSec=1min") && timer.contains("OnUnitActiveUSec=1min"), "{timer}");
    page.end()
}

/// Types each line of a block of journalctl commands, and returns what each of them prints.
fn journalctl(page: &mut Page, machine: &Machine) -> Result<Vec<String>> {
    page.lines()?
        .iter()
        .map(|line| {
            // One that follows the journal never ends.
            let endless = line.split('#').next().unwrap_or_default().split_whitespace().any(|word| word == "-f");
            let begin = if endless { "timeout 2 " } else { "" };
            let end = if endless { " || test $? = 124" } else { "" };
            let (command, comment) = line.split_once("  #").unwrap_or((line, ""));
            machine.sh(&format!("{begin}{command}{end} #{comment}"))
        })
        .collect()
}

fn hold(pair: &Pair) -> Result<()> {
    let mut page = page("docs/hold.md")?;
    let lines = page.lines()?;
    let [hold, release] = &lines[..] else { return Err(format!("other commands than expected: {lines:?}").into()) };
    pair.replica.sh(hold)?;
    expect(&pair.replica, 0, "on hold")?;
    pair.replica.sh(release)?;
    expect(&pair.replica, 0, "applied")?;
    page.end()
}

fn restore(pair: &Pair) -> Result<()> {
    let replica = &pair.replica;
    let snapshots: Value = serde_json::from_str(&replica.run(&["kuma-replicator", "snapshots", "--json"])?)?;
    let oldest = snapshots["snapshots"].as_array().and_then(|all| all.last()).ok_or("no snapshot")?;
    let id = oldest["id"].as_str().ok_or("no id")?;
    let mut page = page("docs/restore.md")?;
    page.replace("47799f22", &id[..8]);
    page.run(replica)?;
    let status = says(replica, &["kuma-replicator", "status"])?;
    assert!(status.contains("\nrestored "), "{status}");
    expect(replica, 0, "on hold")?;
    replica.run(&["kuma-replicator", "release"])?;
    page.run(replica)?;
    page.run(&pair.main)?;
    page.end()
}

fn backup(pair: &Pair) -> Result<()> {
    let mut page = page("docs/backup.md")?;
    page.replace("2026-11-23", "$(date +%F)");
    page.run(&pair.main)?;
    page.end()
}

fn format(pair: &Pair) -> Result<()> {
    let dump = pair.main.run(&["kuma-replicator", "export"])?;
    let manifest: Value = serde_json::from_str(dump.lines().next().unwrap_or_default())?;
    let file = "/root/format.dump";
    pair.main.run(&["kuma-replicator", "export", file])?;
    let mut page = page("docs/format.md")?;
    page.replace("FILE", file);
    // The order of the lines, and an example of each.
    page.pass()?;
    page.pass()?;
    for sum in ["digest", "fingerprint"] {
        let printed = page.run(&pair.main)?;
        let digest = format!("sha256:{}", printed.split_whitespace().next().unwrap_or_default());
        assert_eq!(manifest[sum], digest, "{sum}");
    }
    // What the agent starts, and what a plan has.
    page.pass()?;
    let sample: Value = serde_json::from_str(&page.text()?)?;
    assert_eq!(sample["do"], "change");
    // An invite, and how it checks itself.
    let invite = page.text()?;
    let (payload, checksum) = invite.trim().rsplit_once(':').ok_or("no checksum")?;
    page.replace("PAYLOAD", payload.rsplit(':').next().unwrap_or_default());
    assert_eq!(page.run(&pair.main)?.trim(), checksum);
    page.end()
}

fn moving(pair: &Pair) -> Result<()> {
    let mut page = page("docs/moving-the-main.md")?;
    let Pair { main, replica, .. } = pair;
    // Planned: each line on the host that its comment names.
    let lines = page.lines()?;
    let [demote, promote] = &lines[..] else { return Err(format!("other commands than expected: {lines:?}").into()) };
    main.sh(demote)?;
    replica.sh(promote)?;
    follows(main)?;

    // Failover: back again, without asking the main of now, which finds out.
    page.run(main)?;
    assert_eq!(cycle(replica)?.0, 4, "fenced");
    page.run(replica)?;
    follows(replica)?;

    // Joining another fleet.
    page.run(replica)?;
    stop_timer(replica)?;
    follows(replica)?;

    // A new machine, and both lost.
    page.run(replica)?;
    stop_timer(replica)?;
    main.run(&["kuma-replicator", "demote", "--as-is"])?;
    main.sh(&format!("rm -rf {}/*", FolderRepository::PATH))?;
    page.run(main)?;
    page.end()
}

/// A cycle that ends with the configuration of the main.
fn follows(machine: &Machine) -> Result<()> {
    let (code, outcome) = cycle(machine)?;
    assert!(code == 0 && ["applied", "up to date"].contains(&outcome.as_str()), "{code} {outcome}");
    Ok(())
}

/// Ends the runs that the timer starts, so that the test starts the next one.
fn stop_timer(machine: &Machine) -> Result<()> {
    machine.run(&["systemctl", "stop", "kuma-replicator.timer"])?;
    wait_until(machine, "kuma-replicator.service", "inactive")
}
