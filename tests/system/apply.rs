//! How an apply treats the service: stopped only when needed, started again always, left alone when the
//! administrator stopped it, wherever its data are and however it is started.

use std::thread;

use serde_json::json;

use crate::Test;
use crate::testbed::{Result, wait_for};
use crate::world::{
    Pair, SOON, Setup, digest, events, expect, fails, invocation, logged_in, says, sql, state, wait_for_event,
};

pub const TESTS: &[Test] = &[
    ("a_reboot_of_the_replica_applies_nothing_again", reboot),
    ("a_wrapper_that_dies_at_once_is_waited_for", wrapper),
    ("a_service_stopped_by_the_administrator_stays_stopped", stopped_stays_stopped),
    ("a_stop_while_the_agent_waits_for_an_answer_judges_nothing_and_is_not_undone", stopped_while_waiting),
    ("data_under_opt_home_and_dynamic_users_is_written", layouts),
    ("plan_status_snapshots_and_check_show_what_is_there", shows),
    ("import_writes_a_stopped_instance_and_refuses_a_running_one", import),
];

fn reboot() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        pair.replica.run(&["systemctl", "enable", "kuma-replicator.timer"])?;
        pair.replica.reboot()?;
        pair.replica.kuma()?;
        let before = invocation(&pair.replica)?;
        // The timer runs the first cycle of this boot.
        wait_for("a cycle after the reboot", SOON, || {
            let found = pair.replica.journal(&["-b", "-t", "kuma-replicator"])?;
            Ok(found.iter().any(|entry| entry["KUMA_EVENT"] == "up-to-date").then_some(()))
        })?;
        assert_eq!(before, invocation(&pair.replica)?, "Uptime Kuma was restarted");
        assert_eq!(events(&pair.replica)?.iter().filter(|event| *event == "applied").count(), 1);
        Ok(())
    })
}

/// Ends at once on SIGTERM while the server, in the same control group, goes on shutting down for seconds.
const WRAPPER: &str = "[Service]\nExecStart=\nExecStart=/bin/bash -c 'trap \"exit 143\" TERM; \
    /usr/bin/node server/server.js & while :; do wait; done'\nSuccessExitStatus=143\n";

fn wrapper() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(WRAPPER), ..Setup::default() }, |pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        kuma.call("changeMonitor", json!([monitor, { "name": "renamed" }]))?;
        pair.replicate()?;
        pair.assert_equal()?;
        let stops = pair.replica.journal(&["KUMA_EVENT=stopped"])?;
        assert_eq!(stops.len(), 2);
        for stop in stops {
            let took: u64 = stop["KUMA_MILLISECONDS"].as_str().ok_or("no time")?.parse()?;
            assert!(took > 2000, "the stop was done after {took} ms, while the server needs four seconds");
        }
        logged_in(&pair.replica).map(drop)
    })
}

fn stopped_stays_stopped() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        pair.replicate()?;
        let active = pair.replica.output(&["systemctl", "is-active", "uptime-kuma"])?;
        assert_eq!(String::from_utf8_lossy(&active.stdout).trim(), "inactive");
        assert!(!events(&pair.replica)?.iter().any(|event| event == "started"));
        let left = pair.replica.run(&["ls", "/var/lib/uptime-kuma"])?;
        assert!(!left.contains("-wal") && !left.contains("-shm"), "{left}");
        pair.assert_equal()?;
        pair.replica.run(&["systemctl", "start", "uptime-kuma"])?;
        assert_eq!(logged_in(&pair.replica)?.lists()?["monitorList"]["1"]["name"], "web");
        Ok(())
    })
}

/// Starts the server only when the test lets it: while `/run/gate` is there, it waits.
const SLOW_START: &str = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'while test -e /run/gate; do sleep 0.2; done; \
    exec /usr/bin/node server/server.js'\n";

fn stopped_while_waiting() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(SLOW_START), ..Setup::default() }, |pair| {
        pair.offer("web")?;
        pair.replica.run(&["touch", "/run/gate"])?;
        thread::scope(|scope| -> Result<()> {
            let cycle = scope.spawn(|| fails(&pair.replica, 75, "service-stopped", "stays stopped"));
            wait_for_event(&pair.replica, "started")?;
            pair.replica.run(&["systemctl", "stop", "uptime-kuma"])?;
            cycle.join().unwrap()
        })?;
        let left = state(&pair.replica)?;
        assert!(left["replica"].get("verdict").is_none() && left["intent"]["start"] == false, "{left}");
        assert!(!events(&pair.replica)?.iter().any(|event| event == "rolled-back"));
        pair.assert_equal()?;
        // The next cycle finds the rows in force, and leaves the service alone.
        expect(&pair.replica, 0, "up to date")?;
        assert_eq!(says(&pair.replica, &["systemctl", "show", "-P", "ActiveState", "uptime-kuma"])?, "inactive");
        assert_eq!(state(&pair.replica)?.get("intent"), None);
        Ok(())
    })
}

/// Installations seen in the wild: what to do on the host, and the drop-in for the unit.
const LAYOUTS: &[(&str, &str, &str)] = &[
    (
        "data in the working directory under /opt, as root",
        "mkdir -p /opt/kuma; cp -rs /opt/uptime-kuma/. /opt/kuma/; mv /var/lib/uptime-kuma /opt/kuma/data; \
         chown -R root: /opt/kuma/data",
        "[Service]\nUser=root\nWorkingDirectory=/opt/kuma\nEnvironment=\n\
         ExecStart=\nExecStart=/usr/bin/node --preserve-symlinks-main server/server.js --host=127.0.0.1\n",
    ),
    (
        "a home directory, named by an environment file",
        "mkdir -p /home/uptime; mv /var/lib/uptime-kuma /home/uptime/data; chown uptime-kuma /home/uptime; \
         echo 'DATA_DIR=\"/home/uptime/data/\"' > /home/uptime/environment",
        "[Service]\nEnvironment=\nEnvironmentFile=/home/uptime/environment\n",
    ),
    (
        "a link to another disk",
        "mkdir -p /srv/disk; mv /var/lib/uptime-kuma /srv/disk/kuma; ln -s /srv/disk/kuma /var/lib/uptime-kuma",
        "",
    ),
    (
        "the state directory of a dynamic user",
        "mkdir -p /var/lib/private; chmod 700 /var/lib/private; mv /var/lib/uptime-kuma /var/lib/private/dynamic; \
         ln -s private/dynamic /var/lib/dynamic; mkdir -p /etc/systemd/system/kuma-replicator.service.d; \
         printf '[Service]\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\n' \
         > /etc/systemd/system/kuma-replicator.service.d/search.conf",
        "[Service]\nUser=\nDynamicUser=yes\nStateDirectory=dynamic\nEnvironment=\nEnvironment=DATA_DIR=/var/lib/dynamic/\n",
    ),
];

fn layouts() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        pair.replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        pair.replica.run(&["cp", "-a", "/var/lib/uptime-kuma", "/root/data"])?;
        let drop_in = pair.replica.root().join("etc/systemd/system/uptime-kuma.service.d/layout.conf");
        std::fs::create_dir_all(drop_in.parent().ok_or("no directory")?)?;
        for (round, (what, move_data, unit)) in LAYOUTS.iter().enumerate() {
            pair.replica.run(&["systemctl", "stop", "uptime-kuma"])?;
            pair.replica.sh("rm -rf /var/lib/uptime-kuma; cp -a /root/data /var/lib/uptime-kuma")?;
            pair.replica.sh(move_data)?;
            std::fs::write(&drop_in, unit)?;
            pair.replica.sh("systemctl daemon-reload; systemctl start uptime-kuma")?;
            pair.replica.kuma().map_err(|error| format!("{what}: {error}"))?;
            kuma.call("changeMonitor", json!([monitor, { "name": format!("round {round}") }]))?;
            pair.replicate().map_err(|error| format!("{what}: {error}"))?;
            let lists = logged_in(&pair.replica).map_err(|error| format!("{what}: {error}"))?.lists()?;
            assert_eq!(lists["monitorList"]["1"]["name"], format!("round {round}"), "{what}");
            pair.assert_equal().map_err(|error| format!("{what}: {error}"))?;
        }
        Ok(())
    })
}

fn shows() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor_with(json!({ "name": "secret", "basic_auth_pass": "hunter2", "authMethod": "basic" }))?;
        let run = |command: &[&str]| -> Result<String> { pair.replica.run(command) };
        assert!(run(&["kuma-replicator", "plan"])?.contains("nothing has been published"));
        expect(&pair.main, 0, "published")?;
        let before = (digest(&pair.replica)?, invocation(&pair.replica)?);
        let plan = run(&["kuma-replicator", "plan"])?;
        assert!(plan.contains("+ monitor 1 name \"secret\"") && plan.contains("restarted once"), "{plan}");
        assert!(!plan.contains("hunter2") && !plan.contains("$2"), "{plan}");
        let json: serde_json::Value = serde_json::from_str(&run(&["kuma-replicator", "plan", "--json"])?)?;
        assert_eq!((json["version"].as_u64(), json["outcome"].as_str()), (Some(1), Some("applied")));
        assert_eq!(before, (digest(&pair.replica)?, invocation(&pair.replica)?), "plan changed something");
        expect(&pair.replica, 0, "applied")?;
        assert!(run(&["kuma-replicator", "plan"])?.starts_with("next cycle: up to date: "));
        let status = run(&["kuma-replicator", "status"])?;
        assert!(status.contains("applied") && status.contains("running"), "{status}");
        let snapshots: serde_json::Value = serde_json::from_str(&run(&["kuma-replicator", "snapshots", "--json"])?)?;
        assert_eq!(snapshots["snapshots"][0]["sequence"], 1);
        for machine in [&pair.main, &pair.replica] {
            let check = machine.run(&["kuma-replicator", "check"])?;
            // Cycles of a test begin by its own orders.
            let check = check.replace("warning  timer", "");
            assert!(!check.contains("failed") && !check.contains("warning"), "{check}");
        }
        Ok(())
    })
}

fn import() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        // By the folder that both hosts see; no repository is involved.
        pair.main.run(&["kuma-replicator", "export", "/srv/repository/kuma.dump"])?;
        let import = ["kuma-replicator", "import", "/srv/repository/kuma.dump"];
        let before = digest(&pair.replica)?;
        let refused = pair.replica.output(&import)?;
        assert_eq!(refused.status.code(), Some(75), "{}", String::from_utf8_lossy(&refused.stderr));
        assert_eq!(before, digest(&pair.replica)?);
        pair.replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        let shown = pair.replica.run(&[&import[..], &["--dry-run"]].concat())?;
        assert!(shown.contains("+ monitor 1 name \"web\""), "{shown}");
        assert_eq!(before, digest(&pair.replica)?);
        pair.replica.run(&import)?;
        pair.assert_equal()?;
        pair.replica.run(&["systemctl", "start", "uptime-kuma"])?;
        logged_in(&pair.replica)?;
        assert_eq!(sql(&pair.replica, "PRAGMA integrity_check")?.trim(), "ok");
        Ok(())
    })
}
