//! Faults that cost nothing: nothing is stopped for a snapshot that cannot be applied, and Uptime Kuma
//! runs again whatever happens after it was stopped.

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Result, wait_for};
use crate::world::{
    POISON, Pair, SOON, Setup, cycle, digest, end_wait, events, expect, invocation, logged_in, open_database, restic,
    says, sql, state, wait_for_event,
};

pub const TESTS: &[Test] = &[
    ("another_schema_is_held_without_a_stop", other_schema),
    ("broken_snapshots_are_refused_without_a_stop", broken_snapshot),
    ("a_snapshot_that_uptime_kuma_does_not_start_with_is_rolled_back", roll_back),
    ("a_killed_apply_leaves_uptime_kuma_running", killed),
    ("a_stop_of_the_agent_while_uptime_kuma_starts_lets_the_apply_finish", stopped_while_waiting),
    ("a_shutdown_during_an_apply_loses_nothing_and_refuses_nothing", shut_down),
    ("a_power_cut_during_an_apply_is_recovered_from", power_cut),
    ("a_migrating_uptime_kuma_is_not_stopped", migrating),
    ("data_that_the_sandbox_cannot_write_is_refused_without_a_stop", read_only),
    ("another_program_in_the_database_costs_one_restart_and_not_one_a_minute", stranger),
    ("wrong_passwords_missing_repositories_and_missing_restic_are_distinguished", repository_errors),
    ("a_second_main_is_fenced", second_main),
];

fn other_schema() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        expect(&pair.main, 0, "published")?;
        sql(&pair.replica, "ALTER TABLE monitor ADD COLUMN from_the_future TEXT")?;
        let before = (digest(&pair.replica)?, invocation(&pair.replica)?);
        for _ in 0..2 {
            expect(&pair.replica, 0, "blocked")?;
        }
        assert_eq!(before, (digest(&pair.replica)?, invocation(&pair.replica)?));
        let status = says(&pair.replica, &["kuma-replicator", "status"])?;
        assert!(status.contains("upgrade Uptime Kuma on the main") && status.contains("from_the_future"), "{status}");
        // A replica that may write into more than the main has, leaves that more alone.
        sql(&pair.replica, "UPDATE monitor SET from_the_future = 'kept'")?;
        let config = "/etc/kuma-replicator/config.toml";
        pair.replica.sh(&format!("cp {config} /root; echo 'schema = \"superset\"' >> {config}"))?;
        expect(&pair.replica, 0, "applied")?;
        assert_eq!(sql(&pair.replica, "SELECT name, from_the_future FROM monitor")?.trim(), "web|");
        pair.replica.run(&["mv", "/root/config.toml", config])?;
        // The other way round, the replica is to be upgraded.
        sql(&pair.main, "ALTER TABLE monitor ADD COLUMN from_the_future TEXT")?;
        sql(&pair.main, "ALTER TABLE monitor ADD COLUMN from_far_away TEXT")?;
        expect(&pair.main, 0, "published")?;
        expect(&pair.replica, 0, "blocked")?;
        let status = says(&pair.replica, &["kuma-replicator", "status"])?;
        assert!(status.contains("upgrade Uptime Kuma on this replica"), "{status}");
        sql(&pair.replica, "ALTER TABLE monitor ADD COLUMN from_far_away TEXT")?;
        expect(&pair.replica, 0, "up to date")
    })
}

/// Publishes the newest dump again after `edit`, under its tags with another sequence.
fn forge(pair: &Pair, edit: &str, sequence: usize) -> Result<()> {
    let restic = restic();
    let snapshots: Vec<Value> = serde_json::from_str(&pair.main.sh(&format!("{restic} snapshots --json"))?)?;
    let first = snapshots.first().ok_or("no snapshot")?;
    let tags: Vec<String> = serde_json::from_value(first["tags"].clone())?;
    let tags: Vec<String> = tags.iter().map(|tag| tag.replace("sequence=1", &format!("sequence={sequence}"))).collect();
    let script = format!(
        "{restic} dump {} kuma-replicator.jsonl | {edit} | {restic} backup --stdin --stdin-filename kuma-replicator.jsonl --tag '{}'",
        first["id"].as_str().ok_or("no id")?,
        tags.join(",")
    );
    pair.main.sh(&script).map(drop)
}

fn broken_snapshot() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let before = (digest(&pair.replica)?, invocation(&pair.replica)?);
        let renumbered = |sequence: usize| format!("sed '1s/\"sequence\":1/\"sequence\":{sequence}/'");
        let broken = [
            ("cut", "head -c 3000".to_owned()),
            ("one byte", "head -c 1".to_owned()),
            ("a changed row", format!("{} | sed 's/\"name\":\"web\"/\"name\":\"bew\"/'", renumbered(3))),
            ("another manifest than its tags", "cat".to_owned()),
            ("no dump at all", "gzip".to_owned()),
        ];
        for (at, (what, edit)) in broken.iter().enumerate() {
            forge(pair, edit, at + 2).map_err(|error| format!("{what}: {error}"))?;
            let ended = cycle(&pair.replica)?;
            assert_eq!(ended, (65, "rejected".to_owned()), "{what}");
            // It is not even fetched again.
            assert_eq!(cycle(&pair.replica)?, ended, "{what}, again");
        }
        assert_eq!(before, (digest(&pair.replica)?, invocation(&pair.replica)?));
        assert!(
            !events(&pair.replica)?.iter().skip_while(|event| *event != "applied").any(|event| event == "stopping")
        );
        Ok(())
    })
}

fn roll_back() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(POISON), ..Setup::default() }, |pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        kuma.add_monitor("to be removed", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let before = digest(&pair.replica)?;
        let beats = || sql(&pair.replica, "SELECT count(*) FROM heartbeat WHERE monitor_id = 2");
        wait_for("heartbeats", SOON, || Ok((beats()?.trim() != "0").then_some(())))?;
        let had: u64 = beats()?.trim().parse()?;
        kuma.call("changeMonitor", json!([monitor, { "name": "poison" }]))?;
        kuma.call("deleteMonitor", json!([2]))?;
        expect(&pair.main, 0, "published")?;
        expect(&pair.replica, 3, "rolled back")?;
        assert_eq!(before, digest(&pair.replica)?);
        assert!(beats()?.trim().parse::<u64>()? >= had, "the monitor is back, and so is its history");
        logged_in(&pair.replica)?;
        // It is refused from then on, without another restart, until something newer comes.
        let running = invocation(&pair.replica)?;
        expect(&pair.replica, 65, "rejected")?;
        assert_eq!(running, invocation(&pair.replica)?);
        kuma.call("changeMonitor", json!([monitor, { "name": "cured" }]))?;
        pair.replicate()?;
        assert_eq!(sql(&pair.replica, "SELECT count(*) FROM heartbeat WHERE abs(monitor_id) = 2")?.trim(), "0");
        pair.assert_equal()
    })
}

fn killed() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.kill_apply()?;
        expect(&pair.replica, 0, "applied")?;
        assert!(events(&pair.replica)?.iter().any(|event| event == "recovered"));
        pair.assert_equal()
    })
}

/// Lets Uptime Kuma start, but not answer, until the test writes into a pipe, if there is one.
const GATE: &str = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'test -p /run/gate && read go < /run/gate; \
    exec /usr/bin/node server/server.js'\n";

fn stopped_while_waiting() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(GATE), ..Setup::default() }, |pair| {
        let agent = || says(&pair.replica, &["systemctl", "is-active", "kuma-replicator"]);
        pair.replica.run(&["mkfifo", "/run/gate"])?;
        pair.begin_apply()?;
        wait_for_event(&pair.replica, "started")?;
        pair.replica.run(&["systemctl", "stop", "--no-block", "kuma-replicator.service"])?;
        wait_for("the agent is being stopped", SOON, || Ok((agent()? == "deactivating").then_some(())))?;
        assert!(!events(&pair.replica)?.iter().any(|event| event == "healthy"), "Uptime Kuma answered too early");
        pair.replica.sh("echo > /run/gate; rm /run/gate")?;
        wait_for("the agent ends", SOON, || Ok((agent()? != "deactivating").then_some(())))?;
        assert_eq!(agent()?, "inactive");
        assert_eq!(events(&pair.replica)?.iter().filter(|event| *event == "applied").count(), 1);
        pair.assert_equal()?;
        let before = invocation(&pair.replica)?;
        assert_eq!(logged_in(&pair.replica)?.lists()?["monitorList"]["1"]["name"], "web");
        expect(&pair.replica, 0, "up to date")?;
        assert_eq!(before, invocation(&pair.replica)?);
        Ok(())
    })
}

fn shut_down() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.begin_apply()?;
        pair.replica.reboot()?;
        pair.replica.kuma()?;
        let (code, outcome) = cycle(&pair.replica)?;
        assert_eq!(code, 0, "{outcome}");
        pair.assert_equal()?;
        expect(&pair.replica, 0, "up to date")
    })
}

fn power_cut() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.begin_apply()?;
        pair.replica.power_cut()?;
        pair.replica.kuma()?;
        expect(&pair.replica, 0, "applied")?;
        pair.assert_equal()
    })
}

fn migrating() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        expect(&pair.main, 0, "published")?;
        let before = (digest(&pair.replica)?, invocation(&pair.replica)?);
        sql(&pair.replica, "INSERT INTO setting (key, value) VALUES ('migrateAggregateTableState', '\"migrating\"')")?;
        expect(&pair.replica, 75, "failed")?;
        // Half a migration is not exported either, so what is there is only asked for when it is over.
        sql(&pair.replica, "DELETE FROM setting WHERE key = 'migrateAggregateTableState'")?;
        assert_eq!(before, (digest(&pair.replica)?, invocation(&pair.replica)?));
        expect(&pair.replica, 0, "applied")
    })
}

fn read_only() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        expect(&pair.main, 0, "published")?;
        // The unit of the agent reads /root, but does not write there.
        pair.replica.sh(
            "systemctl stop uptime-kuma; mv /var/lib/uptime-kuma /root/data; chown -R root: /root/data; \
             cd /etc/systemd/system; mkdir uptime-kuma.service.d kuma-replicator.service.d; \
             printf '[Service]\\nUser=root\\nEnvironment=DATA_DIR=/root/data/\\n' > uptime-kuma.service.d/data.conf; \
             systemctl daemon-reload; systemctl start uptime-kuma",
        )?;
        pair.replica.kuma()?;
        let before = (digest(&pair.replica)?, invocation(&pair.replica)?);
        for _ in 0..2 {
            expect(&pair.replica, 77, "failed")?;
        }
        assert_eq!(before, (digest(&pair.replica)?, invocation(&pair.replica)?));
        assert!(!events(&pair.replica)?.iter().any(|event| event == "stopping"));
        let status = pair.replica.output(&["kuma-replicator", "status"])?;
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(status.contains("/root/data"), "{status}");
        // What the error advises helps.
        pair.replica.sh(
            "printf '[Service]\\nReadWritePaths=/root/data\\n' > /etc/systemd/system/kuma-replicator.service.d/data.conf; \
             systemctl daemon-reload",
        )?;
        expect(&pair.replica, 0, "applied")?;
        pair.assert_equal()
    })
}

fn stranger() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        expect(&pair.main, 0, "published")?;
        let replica = &pair.replica;
        open_database(replica, &["BEGIN;", "SELECT count(*) FROM monitor;"])?;
        let stops =
            || Ok::<_, Box<dyn std::error::Error + Send + Sync>>(replica.journal(&["KUMA_EVENT=stopping"])?.len());
        let (before, running) = (digest(replica)?, invocation(replica)?);
        expect(replica, 75, "failed")?;
        // It had to be stopped to find out; it runs again, with what it had.
        let again = invocation(replica)?;
        assert_ne!(running, again);
        assert_eq!(stops()?, 1);
        assert_eq!(says(replica, &["systemctl", "is-active", "uptime-kuma"])?, "active");
        // A cycle right after that waits.
        expect(replica, 75, "failed")?;
        assert_eq!(replica.journal(&["KUMA_ERROR=backoff"])?.len(), 1);
        assert_eq!((invocation(replica)?, stops()?), (again, 1));
        replica.kuma()?;
        assert_eq!(before, digest(replica)?);

        // The other program ends, and so does the time to wait.
        replica.run(&["systemctl", "stop", "stranger"])?;
        assert_eq!(state(replica)?["replica"]["verdict"]["decision"]["attempts"], 1);
        end_wait(replica)?;
        expect(replica, 0, "applied")?;
        assert_eq!(state(replica)?["replica"].get("verdict"), None);
        pair.assert_equal()
    })
}

fn repository_errors() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let kind = |script: &str| -> Result<(Option<i32>, String)> {
            let output = pair.replica.output(&["sh", "-c", script])?;
            Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
        };
        let cases = [
            ("echo wrong > /etc/kuma-replicator/restic-password; kuma-replicator snapshots", 78, "password"),
            ("rm /etc/kuma-replicator/restic-password; kuma-replicator snapshots", 78, "restic-password"),
            (
                "echo x > /etc/kuma-replicator/restic-password; sed -i s,/srv/repository,/srv/nowhere, /etc/kuma-replicator/config.toml; kuma-replicator snapshots",
                78,
                "kuma-replicator init",
            ),
            ("kuma-replicator init", 2, "on the main"),
            ("mv /usr/bin/restic /root; kuma-replicator snapshots", 78, "apt install restic"),
        ];
        for (script, code, words) in cases {
            let (found, text) = kind(script)?;
            assert_eq!(found, Some(code), "{script}: {text}");
            assert!(text.contains(words), "{script}: {text}");
        }
        Ok(())
    })
}

fn second_main() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        pair.replica.run(&["sed", "-i", "s/^role = .*/role = \"main\"/", "/etc/kuma-replicator/config.toml"])?;
        expect(&pair.replica, 4, "failed")?;
        logged_in(&pair.replica)?.add_monitor("other", "http://127.0.0.1:9/")?;
        expect(&pair.replica, 4, "failed")?;
        let snapshots: Value = serde_json::from_str(&pair.main.run(&["kuma-replicator", "snapshots", "--json"])?)?;
        assert_eq!(snapshots["snapshots"].as_array().map(Vec::len), Some(1));
        Ok(())
    })
}
