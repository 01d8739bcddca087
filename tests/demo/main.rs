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

use testbed::{Machine, Result, wait_for};
use world::{Pair, SOON};

/// What an administrator writes, and that the second apply may come soon after the first.
const CONFIGURATIONS: [&str; 2] = [
    "role = \"main\"\nrepository = \"/srv/repository\"\n",
    "role = \"replica\"\nrepository = \"/srv/repository\"\n[replica]\nmin-restart-interval = \"0s\"\n",
];

/// A minute is long for a show. An empty assignment of one kind of timer removes those of all kinds.
const OFTEN: &str = "[Timer]\nOnBootSec=\nOnBootSec=1s\nOnUnitActiveSec=5s\n";

fn main() -> Result<()> {
    testbed::available()?;
    let begin = Instant::now();
    let say = |text: &str| println!("\n=== {:>3} s  {text}", begin.elapsed().as_secs());

    say("booting a main and a replica; apt install kuma-replicator on both; kuma-replicator init on the main");
    let pair = Pair::from_scratch()?;
    for (machine, configuration) in [&pair.main, &pair.replica].into_iter().zip(CONFIGURATIONS) {
        std::fs::write(machine.root().join("etc/kuma-replicator/config.toml"), configuration)?;
        let directory = machine.root().join("etc/systemd/system/kuma-replicator.timer.d");
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("demo.conf"), OFTEN)?;
        println!("\n{}:/etc/kuma-replicator/config.toml", machine.name());
        print!("{}", machine.run(&["cat", "/etc/kuma-replicator/config.toml"])?);
    }

    say("creating a monitor, a notification and a status page on the main, as its web page does");
    let mut kuma = pair.main_kuma()?;
    let monitor = kuma.add_monitor("Intranet", "http://127.0.0.1:3001/")?;
    kuma.add_notification("On call", "http://127.0.0.1:9/alerts")?;
    kuma.add_status_page("All systems", "public", "Services", &[monitor])?;

    say("systemctl enable --now kuma-replicator.timer, on both");
    for machine in [&pair.main, &pair.replica] {
        machine.sh("systemctl daemon-reload; systemctl enable --now kuma-replicator.timer")?;
    }
    world::wait_for_event(&pair.main, "published")?;
    say("the main has published; waiting for the replica");
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

fn show(machine: &Machine, what: &str) -> Result<()> {
    let lists = world::logged_in(machine)?.lists()?;
    let text = |path: &str| lists.pointer(path).and_then(serde_json::Value::as_str).unwrap_or("?").to_owned();
    println!("\n{what}:");
    println!("  monitor       {} at {}", text("/monitorList/1/name"), text("/monitorList/1/url"));
    println!("  notification  {}", text("/notificationList/0/name"));
    println!("  status page   {} at /status/{}", text("/statusPageList/1/title"), text("/statusPageList/1/slug"));
    Ok(())
}
