//! The manual as a person follows it: each block of commands is typed on real hosts, and each sample of an output is
//! compared with what is really printed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Test;
use crate::setup::Typist;
use crate::testbed::{FolderRepository, Machine, Options, Page, Result};
use crate::world::{Pair, Setup, customize, cycle, expect, logged_in, package, says, sql, wait_for_event, wait_until};

pub const TESTS: &[Test] = &[
    ("every_page_with_commands_is_tried", every_page),
    ("what_the_manual_types_works_and_what_it_shows_is_what_is_printed", follow),
    ("what_the_readme_and_the_pages_about_setting_up_type_works", begin),
];

/// The pages that these tests try.
const FOLLOWED: &[&str] = &[
    "README.md",
    "docs/backup.md",
    "docs/customization.md",
    "docs/format.md",
    "docs/hold.md",
    "docs/installing.md",
    "docs/main.md",
    "docs/monitoring.md",
    "docs/moving-the-main.md",
    "docs/replica.md",
    "docs/repositories.md",
    "docs/restore.md",
    "docs/retention.md",
];

/// Pages whose blocks other tests try.
const ELSEWHERE: &[(&str, &str)] = &[
    ("docs/home.md", "setup_at_home.rs"),
    ("docs/metrics.md", "metrics.rs"),
    ("docs/notifications.md", "receivers.rs"),
    // Only of the configuration file, which tests/it/samples.rs reads.
    ("docs/replicated.md", "samples.rs"),
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

/// From the package to hosts that replicate: first by hand, then, after a purge, with the lines of the README.
fn begin() -> Result<()> {
    let repository = FolderRepository::new()?;
    let host = |name: &str| -> Result<Machine> {
        let machine = Machine::boot(name, &Options { binds: vec![repository.bind()], ..Options::default() })?;
        std::fs::copy(package()?, machine.root().join("root/kuma-replicator_0.1.0_amd64.deb"))?;
        // What apt asks is answered with yes, and its package is where it is typed.
        machine.sh("echo 'APT::Get::Assume-Yes \"true\";' >/etc/apt/apt.conf.d/yes")?;
        Ok(machine)
    };
    let (main, replica) = (host("main")?, host("replica")?);
    main.kuma()?.set_up()?;
    let mut kuma = logged_in(&main)?;
    let web = kuma.add_monitor("web", URL)?;
    kuma.add_status_page("Public", "public", "Services", &[web])?;
    sql(&main, "UPDATE status_page SET icon='/upload/logo.png'")?;
    main.sh("printf logo > /var/lib/uptime-kuma/upload/logo.png")?;
    replica.kuma()?;

    by_hand(&main, &replica)?;
    with_the_readme(&main, &replica)?;
    repositories(&main)?;
    retention(&main)
}

/// The lines of a page that are typed where the package lies.
fn typed_in_root(page: &mut Page, machine: &Machine) -> Result<String> {
    let script = page.text()?;
    machine.sh(&format!("cd /root\n{script}"))
}

fn by_hand(main: &Machine, replica: &Machine) -> Result<()> {
    let mut installing = page("docs/installing.md")?;
    for machine in [main, replica] {
        machine.sh("cd /root; apt install ./kuma-replicator_0.1.0_amd64.deb")?;
    }
    typed_in_root(&mut installing, main)?;

    let mut page_of_main = page("docs/main.md")?;
    // The short way comes with the README, and that with credentials for S3 in setup.rs.
    page_of_main.pass()?;
    page_of_main.pass()?;
    page_of_main.run(main)?;
    wait_for_event(main, "published")?;
    let line = says(main, &["journalctl", "--no-pager", "KUMA_EVENT=published"])?;
    page_of_main.replace("Nov 23", line.get(..6).unwrap_or_default());
    page_of_main.shows(&line)?;
    page_of_main.end()?;

    let mut page_of_replica = page("docs/replica.md")?;
    page_of_replica.replace("/opt/uptime-kuma/data", "/var/lib/uptime-kuma");
    page_of_replica.replace("sftp:kuma@backup.example.org:", "");
    page_of_replica.run(replica)?;
    replica.kuma()?;
    // The short way comes with the README.
    page_of_replica.pass()?;
    page_of_replica.pass()?;
    // Another password, which restic asks for.
    let another = "(umask 077; head -c 32 /dev/urandom | base64 >/root/another)";
    main.sh(&format!("{another}\ncat /root/another | ({})", page_of_replica.text()?.trim()))?;
    main.sh("mv /root/another /etc/kuma-replicator/restic-password")?;
    // Pasted, as the page says.
    let password = page_of_replica.text()?;
    std::fs::write(replica.root().join("root/password"), main.run(&["cat", "/etc/kuma-replicator/restic-password"])?)?;
    replica.sh(&password.replace("cat >", "cat /root/password >"))?;
    page_of_replica.run(replica)?;
    page_of_replica.run(replica)?;
    let lines = page_of_replica.lines()?;
    let [enable, follow] = &lines[..] else { return Err(format!("other commands than expected: {lines:?}").into()) };
    replica.sh(enable)?;
    wait_for_event(replica, "applied")?;
    replica.sh(&format!("timeout 2 {follow} || test $? = 124"))?;
    let told = replica.journal(&["-t", "kuma-replicator"])?;
    let told: Vec<&str> = told.iter().filter_map(|entry| entry["MESSAGE"].as_str()).collect();
    let begin = told.iter().position(|line| line.starts_with("fetched")).ok_or("nothing was fetched")?;
    let end = told.iter().position(|line| line.starts_with("applied")).ok_or("nothing was applied")?;
    page_of_replica.shows(&told[begin..=end].join("\n"))?;
    page_of_replica.end()?;

    // What setup prints comes with the README; what it writes for a new Uptime Kuma is typed in setup.rs.
    (0..4).try_for_each(|_| installing.pass())?;
    let remove = installing.text()?;
    for machine in [main, replica] {
        machine.sh(&remove)?;
    }
    main.sh(&format!("test ! -e /etc/kuma-replicator; rm -rf {}/*", FolderRepository::PATH))?;
    installing.end()
}

fn with_the_readme(main: &Machine, replica: &Machine) -> Result<()> {
    let mut readme = page("README.md")?;
    readme.replace("sftp:kuma@backup.example.org:/srv/kuma", FolderRepository::PATH);
    let said = typed_in_root(&mut readme, main)?;
    let invite = said.lines().last().ok_or("no invite")?.to_owned();

    let mut installing = page("docs/installing.md")?;
    installing.pass()?;
    let lines: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("ok       unit")).collect();
    let check = lines.iter().position(|line| line.contains(" sandbox ")).ok_or_else(|| said.clone())?;
    installing.shows(&lines[..check].join("\n"))?;
    let plan = lines.iter().position(|line| line.starts_with("next cycle: ")).ok_or_else(|| said.clone())?;
    let mut after = vec![lines[plan]];
    after.extend(lines[plan..].iter().filter(|line| line.contains(" timer ") || line.starts_with("next: ")));
    installing.shows(&after.join("\n"))?;

    let lines = readme.lines()?;
    let [apt, setup] = &lines[..] else { return Err(format!("other commands than expected: {lines:?}").into()) };
    replica.sh(&format!("cd /root; {apt}"))?;
    let command = setup.split('#').next().unwrap_or_default().trim();
    let typist = Typist::begin(replica, command)?;
    typist.answer("Paste the line", &invite)?;
    // It has the monitors that it got by hand.
    typist.answer("Go on? [y/n]", "y")?;
    let said = typist.ends_with(0)?;
    assert!(said.contains("kuma-replicator.timer is enabled and runs"), "{said}");
    wait_for_event(replica, "up-to-date")?;

    // The same lines again change nothing.
    let mut page_of_main = page("docs/main.md")?;
    let said = typed_in_root(&mut page_of_main, main)?;
    assert_eq!(said.lines().last(), Some(invite.as_str()), "{said}");

    let mut customization = page("docs/customization.md")?;
    customization.pass()?;
    // What an alert looks like is in voices.rs.
    customization.pass()?;
    replica.run(&["kuma-replicator", "alerts", "off"])?;
    customization.run(replica)?;
    customization.end()?;

    // Samples of plan and status, which are those of docs/monitoring.md, and how this project is built.
    (0..3).try_for_each(|_| readme.pass())?;
    readme.end()
}

fn repositories(main: &Machine) -> Result<()> {
    let override_ = "/etc/systemd/system/kuma-replicator.service.d/override.conf";
    let undo = format!("rm {override_}; systemctl daemon-reload");
    let mut page = page("docs/repositories.md")?;
    page.pass()?;
    page.replace("/somewhere/else", "/opt");
    page.edit_unit(main)?;
    main.run(&["kuma-replicator", "check", "--as-service"])?;
    main.sh(&undo)?;
    // Addresses and credentials of S3, REST and SFTP servers, and how ssh is prepared: remote.rs and setup_at_home.rs.
    (0..6).try_for_each(|_| page.pass())?;
    main.sh("mkdir -p /root/.config/rclone; touch /root/.config/rclone/rclone.conf")?;
    page.run(main)?;
    main.sh("rm /etc/kuma-replicator/environment /var/lib/kuma-replicator/rclone.conf")?;
    // The server of ssh.
    page.pass()?;
    main.sh("useradd kuma; useradd kuma-ro")?;
    page.run(main)?;
    main.sh("mkdir /etc/credstore; mv /etc/kuma-replicator/restic-password /etc/credstore/kuma-restic")?;
    page.edit_unit(main)?;
    main.run(&["kuma-replicator", "check", "--as-service"])?;
    let listed = page.run(main)?;
    assert!(listed.starts_with("id "), "{listed}");
    main.sh(&format!("mv /etc/credstore/kuma-restic /etc/kuma-replicator/restic-password; {undo}"))?;
    page.pass()?;
    page.run(main)?;
    page.end()
}

fn retention(main: &Machine) -> Result<()> {
    let mut page = page("docs/retention.md")?;
    page.pass()?;
    page.run(main)?;
    // The sample needs weeks: tests/it/samples.rs compares it.
    page.pass()?;
    page.end()
}
