//! What a running Uptime Kuma picks up by itself reaches it while it runs.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Test;
use crate::chance::{Chance, Rounds};
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{Pair, SOON, Setup, WHEN_NEEDED, cycle, digest, events, expect, invocation, logged_in, sql};

pub const TESTS: &[Test] = &[
    ("what_a_running_server_picks_up_arrives_without_a_restart_or_a_failed_request", without_a_restart),
    ("a_live_write_killed_at_random_points_leaves_old_or_new_and_restarts_nothing", killed),
];

/// Asks a server for these paths all the time, and writes down what each answer was.
const POLLER: &str = "while :; do for path in api/entry-page status/one api/status-page/heartbeat/one; do \
    curl -s -o /dev/null -m 10 -w '%{http_code}\\n' http://127.0.0.1:3001/$path >> /run/polled; done; sleep 0.1; done";

fn without_a_restart() -> Result<()> {
    Pair::test(&Setup { replica_config: WHEN_NEEDED, ..Setup::default() }, |pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        let tag = kuma.add_tag("prod", "#ff0000")?;
        for value in ["z", "a"] {
            kuma.tag_monitor(tag, monitor, value)?;
        }
        let hook = kuma.add_notification("hook", "http://127.0.0.1:9/")?;
        kuma.add_status_page("One", "one", "Services", &[monitor])?;
        pair.replicate()?;
        let (running, mut there) = (invocation(&pair.replica)?, logged_in(&pair.replica)?);
        pair.replica.run(&["systemd-run", "--unit=poller", "sh", "-c", POLLER])?;

        let notification = json!({ "name": "renamed", "type": "webhook", "webhookURL": "http://127.0.0.1:9/2",
            "webhookContentType": "json", "isDefault": false, "applyExisting": false });
        let group = json!([{ "id": 1, "name": "Renamed", "monitorList": [{ "id": monitor }] }]);
        let edits: [(&str, Value, &str, &str); 4] = [
            ("changeStatusPage", json!(["one", { "title": "Renamed" }, group]), "status_page", "title"),
            (
                "postIncident",
                json!(["one", { "title": "fire", "content": "it burns", "style": "danger" }]),
                "incident",
                "title",
            ),
            ("editTag", json!([{ "id": tag, "name": "production", "color": "#0000ff" }]), "tag", "name"),
            ("addNotification", json!([notification, hook]), "notification", "name"),
        ];
        for (call, arguments, table, column) in &edits {
            kuma.call(call, arguments.clone())?;
            expect(&pair.main, 0, "published")?;
            let plan: Value = serde_json::from_str(&pair.replica.run(&["kuma-replicator", "plan", "--json"])?)?;
            assert_eq!((plan["restart"].as_bool(), &plan["restart_for"]), (Some(false), &json!([])), "{call}");
            expect(&pair.replica, 0, "applied")?;
            let read = format!("SELECT {column} FROM {table} ORDER BY id");
            assert_eq!(sql(&pair.replica, &read)?, sql(&pair.main, &read)?, "{call}");
            pair.assert_equal()?;
        }
        // The server that has run all the time has them. People who are logged in see them after they reload the page.
        let mut again = logged_in(&pair.replica)?;
        let lists = again.lists()?;
        assert_eq!(lists["notificationList"][0]["name"], "renamed");
        let tags = &lists["monitorList"][monitor.to_string()]["tags"];
        assert_eq!(tags[0]["name"], "production");
        assert_eq!([&tags[0]["value"], &tags[1]["value"]], ["z", "a"], "in the order of the main");
        assert_eq!(there.call("getStatusPage", json!(["one"]))?["config"]["title"], "Renamed");
        assert_eq!(running, invocation(&pair.replica)?);
        let said = pair.replica.journal(&["KUMA_EVENT=applied"])?;
        assert!(
            said[1..]
                .iter()
                .all(|entry| { entry["MESSAGE"].as_str().is_some_and(|text| text.contains(" without a restart: ")) })
        );
        let answers = polled(&pair.replica)?;
        assert!(answers.len() > 100 && answers.iter().all(|answer| answer == "200"), "{answers:?}");

        // A user restarts it once; with "always" so does everything.
        let stops =
            |machine| -> Result<usize> { Ok(events(machine)?.iter().filter(|event| *event == "stopping").count()) };
        let before = stops(&pair.replica)?;
        sql(&pair.main, "UPDATE user SET timezone = 'UTC'")?;
        expect(&pair.main, 0, "published")?;
        let plan = pair.replica.run(&["kuma-replicator", "plan"])?;
        let status: Value = serde_json::from_str(&pair.replica.run(&["kuma-replicator", "status", "--json"])?)?;
        let restarts = &status["replica"]["restarts"];
        let within = restarts["begin_within"].as_u64().ok_or_else(|| format!("{status}"))?;
        assert!(plan.contains("restarted once, for user"), "{plan}");
        assert!(plan.contains(&format!("all monitors have begun within {within} s of it")), "{within}: {plan}");
        let check = pair.replica.output(&["kuma-replicator", "check"])?.stdout;
        let next = restarts["next_after"].as_u64().ok_or_else(|| format!("{status}"))?;
        let expected = format!("its monitors have begun within {within} s; the next one waits for {next} s");
        assert!(String::from_utf8_lossy(&check).contains(&expected), "{expected}");
        expect(&pair.replica, 0, "applied")?;
        assert_eq!(stops(&pair.replica)?, before + 1);
        pair.replica.sh("echo 'restart = \"always\"' >> /etc/kuma-replicator/config.toml")?;
        kuma.call("editTag", json!([{ "id": tag, "name": "third", "color": "#0000ff" }]))?;
        pair.replicate()?;
        assert_eq!(stops(&pair.replica)?, before + 2);
        pair.assert_equal()
    })
}

/// The answers to the poller, which is stopped.
fn polled(machine: &Machine) -> Result<Vec<String>> {
    machine.run(&["systemctl", "stop", "poller"])?;
    Ok(machine.run(&["cat", "/run/polled"])?.lines().map(str::to_owned).collect())
}

fn killed() -> Result<()> {
    Pair::test(&Setup { replica_config: WHEN_NEEDED, ..Setup::default() }, |pair| {
        let mut chance = Chance::new()?;
        let seed = chance.seed;
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        let tag = kuma.add_tag("tag 0", "#ff0000")?;
        kuma.tag_monitor(tag, monitor, "")?;
        pair.replicate()?;
        let running = invocation(&pair.replica)?;
        // How long an undisturbed one takes.
        let mut longest = Duration::from_secs(2);
        let rounds = Rounds::new(12)?;
        let mut round = 0;
        while rounds.go_on(round) {
            round += 1;
            kuma.call("editTag", json!([{ "id": tag, "name": format!("tag {round}"), "color": "#0000ff" }]))?;
            expect(&pair.main, 0, "published")?;
            let old = digest(&pair.replica)?;
            pair.replica.output(&["systemctl", "reset-failed", "kuma-replicator.service"])?;
            pair.replica.run(&["systemctl", "start", "--no-block", "kuma-replicator.service"])?;
            let since = Instant::now();
            thread::sleep(chance.within(longest));
            pair.replica.output(&[
                "systemctl",
                "kill",
                "--signal=KILL",
                "--kill-who=main",
                "kuma-replicator.service",
            ])?;
            // Its ExecStopPost= comes to an end first: a start that is asked for meanwhile may start nothing.
            wait_for("the unit is at rest", SOON, || {
                let state = pair.replica.output(&["systemctl", "is-active", "kuma-replicator.service"])?.stdout;
                Ok(["failed", "inactive"].contains(&String::from_utf8_lossy(&state).trim()).then_some(()))
            })?;
            let found = digest(&pair.replica)?;
            assert!(found == old || found == digest(&pair.main)?, "seed {seed}, round {round}: neither old nor new");
            let (code, outcome) = cycle(&pair.replica)?;
            assert!(
                code == 0 && ["applied", "up to date"].contains(&outcome.as_str()),
                "seed {seed}, round {round}: {outcome}"
            );
            pair.assert_equal()?;
            assert_eq!(running, invocation(&pair.replica)?, "seed {seed}, round {round}");
            longest = longest.max(since.elapsed().min(Duration::from_secs(4)));
        }
        assert_eq!(sql(&pair.replica, "SELECT count(*) FROM heartbeat WHERE monitor_id < 0")?.trim(), "0");
        Ok(())
    })
}
