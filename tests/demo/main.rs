//! The show: a main and a replica boot as real systemd hosts with real Uptime Kuma and the real package, a
//! monitor, a notification and a status page are created on the main, and the timers do the rest. `tests/demo/record`
//! makes a picture of it.

#![allow(clippy::print_stdout, reason = "a show")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "shares the code of the tests")]
#![allow(dead_code, unreachable_pub, reason = "uses a part of the code of the system tests")]

#[path = "../testbed/mod.rs"]
mod testbed;
#[path = "../system/world.rs"]
mod world;

use std::time::Instant;

use testbed::{FolderRepository, Machine, Options, Result, wait_for};
use world::{Pair, SOON, package};

/// Where the package lies on a host.
const PACKAGE: &str = "/root/kuma-replicator_0.1.0_amd64.deb";

/// Ten seconds are long for a show. An empty assignment of one kind of timer removes those of all kinds.
const OFTEN: &str = "[Timer]\nOnBootSec=\nOnBootSec=1s\nOnUnitActiveSec=5s\n";

fn main() -> Result<()> {
    testbed::available()?;
    let begin = Instant::now();
    let say = |text: &str| println!("\n=== {:>3} s  {text}", begin.elapsed().as_secs());

    say("booting a main and a replica, each with a new Uptime Kuma");
    let pair = boot()?;
    say("creating a user, a monitor, a notification and a status page on the main, as its web page does");
    let mut kuma = pair.main.kuma()?;
    kuma.set_up()?;
    let monitor = kuma.add_monitor("Intranet", "http://127.0.0.1:3001/")?;
    kuma.add_notification("On call", "http://127.0.0.1:9/alerts")?;
    kuma.add_status_page("All systems", "public", "Services", &[monitor])?;

    say("main: apt install ./kuma-replicator_0.1.0_amd64.deb");
    install(&pair.main)?;
    say("main: kuma-replicator setup main --repository /srv/repository");
    print!("{}", pair.main.sh("kuma-replicator setup main --repository /srv/repository 2>&1")?);
    say("main: kuma-replicator invite");
    let invite = pair.main.run(&["kuma-replicator", "invite"])?;
    println!("{}…", invite.get(..60).unwrap_or_default());

    world::wait_for_event(&pair.main, "published")?;
    say("the main has published; now the replica: apt install ./kuma-replicator_0.1.0_amd64.deb");
    pair.replica.kuma()?;
    install(&pair.replica)?;
    say("replica: kuma-replicator setup replica, and the line is pasted");
    std::fs::write(pair.replica.root().join("root/invite"), invite)?;
    print!("{}", pair.replica.sh("kuma-replicator setup replica --invite-file - </root/invite 2>&1")?);
    say("waiting for the replica's first apply");
    world::wait_for_event(&pair.replica, "applied")?;
    show(&pair.replica, "what the replica shows through its own API")?;

    // Without its timer the replica leaves the next snapshot to be looked at.
    pair.replica.run(&["systemctl", "stop", "kuma-replicator.timer"])?;
    world::wait_until(&pair.replica, "kuma-replicator", "inactive")?;
    say("editing the monitor on the main: another name, another interval, a tag");
    let tag = kuma.add_tag("prod", "#059669")?;
    kuma.tag_monitor(tag, monitor, "")?;
    kuma.call("changeMonitor", serde_json::json!([monitor, { "name": "Intranet (new rack)", "interval": 30 }]))?;
    wait_for("the edit is published", SOON, || {
        let events = world::events(&pair.main)?;
        let published = events.iter().filter(|event| *event == "published").count();
        Ok((published > 1 && events.last().is_some_and(|event| event == "unchanged")).then_some(()))
    })?;
    say("replica: kuma-replicator plan");
    print!("{}", pair.replica.run(&["kuma-replicator", "plan"])?);

    say("starting the replica's timer again; nobody edits the replica");
    pair.replica.run(&["systemctl", "start", "kuma-replicator.timer"])?;
    wait_for("the change arrives", SOON, || {
        let name = world::sql(&pair.replica, "SELECT name FROM monitor")?;
        Ok(name.contains("new rack").then_some(()))
    })?;
    world::wait_until(&pair.replica, "kuma-replicator", "inactive")?;
    pair.replica.kuma()?;
    show(&pair.replica, "what the replica shows now")?;

    for machine in [&pair.main, &pair.replica] {
        say(&format!("{}: kuma-replicator status", machine.name()));
        print!("{}", machine.run(&["kuma-replicator", "status"])?);
        say(&format!("{}: journalctl -u kuma-replicator", machine.name()));
        print!("{}", machine.run(&["journalctl", "--no-pager", "--quiet", "-u", "kuma-replicator"])?);
    }
    say("done; the hosts and their disks are gone with this program");
    Ok(())
}

/// Two hosts that have no package yet, and a folder that both see.
fn boot() -> Result<Pair> {
    let repository = FolderRepository::new()?;
    let host = |name: &str| Machine::boot(name, &Options { binds: vec![repository.bind()], ..Options::default() });
    Ok(Pair { main: host("main")?, replica: host("replica")?, repository })
}

/// Installs the package, and lets its timer run more often.
fn install(machine: &Machine) -> Result<()> {
    std::fs::copy(package()?, machine.root().join(PACKAGE.trim_start_matches('/')))?;
    let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", "install", PACKAGE];
    machine.run(&apt)?;
    let directory = machine.root().join("etc/systemd/system/kuma-replicator.timer.d");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("demo.conf"), OFTEN)?;
    machine.run(&["systemctl", "daemon-reload"]).map(drop)
}

fn show(machine: &Machine, what: &str) -> Result<()> {
    let lists = world::logged_in(machine)?.lists()?;
    let text = |path: &str| lists.pointer(path).and_then(serde_json::Value::as_str).unwrap_or("?").to_owned();
    println!("\n{what}:");
    println!("  monitor       {} at {}", text("/monitorList/1/name"), text("/monitorList/1/url"));
    println!("  notification  {}", text("/notificationList/0/name"));
    println!("  status page   {} at /status/{}", text("/statusPageList/1/title"), text("/statusPageList/1/slug"));
    Ok(())
}
