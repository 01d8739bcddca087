//! A running Uptime Kuma takes up changed monitors and maintenances without a restart, and nothing else is disturbed.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Test;
use crate::chance::{Chance, Rounds};
use crate::replication::EDITS;
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{
    Pair, SOON, Setup, WHEN_NEEDED, beat_since, cycle, digest, events, expect, invocation, logged_in, sql,
};

pub const TESTS: &[Test] = &[
    ("changed_monitors_are_taken_up_and_no_other_is_disturbed", many),
    ("maintenances_are_taken_up_as_they_are_on_the_main", maintenances),
    ("what_a_server_cannot_be_told_restarts_it", traps),
    ("every_edit_is_live_or_restarts_as_the_plan_foretold", foretold),
    ("a_telling_killed_at_random_points_is_made_up_for", killed),
];

/// How many monitors the replica has in the largest test.
const MANY: usize = 300;

/// Asks the server all the time, and writes down what each answer was.
const POLLER: &str = "while :; do curl -s -o /dev/null -m 10 -w '%{http_code}\\n' http://127.0.0.1:3001/api/entry-page \
    >> /run/polled; sleep 0.1; done";

fn pair(test: impl FnOnce(&Pair) -> Result<()>) -> Result<()> {
    Pair::test(&Setup { replica_config: WHEN_NEEDED, ..Setup::default() }, test)
}

/// Waits until every active monitor beats once more.
fn beat_again(machine: &Machine) -> Result<()> {
    beat_since(machine, &sql(machine, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")?)
}

/// Waits until the server has begun all its monitors: from then on it is told of changes.
fn begun(machine: &Machine) -> Result<()> {
    let start = "date -u -d \"$(systemctl show -P ExecMainStartTimestamp uptime-kuma)\" '+%F %T'";
    beat_since(machine, &machine.sh(start)?)
}

/// What `plan` says of the next cycle: whether it restarts, and which monitors and maintenances are told.
fn plan(machine: &Machine) -> Result<(bool, Value)> {
    let mut plan: Value = serde_json::from_str(&machine.run(&["kuma-replicator", "plan", "--json"])?)?;
    Ok((plan["restart"].as_bool().unwrap_or_default(), plan["told"].take()))
}

/// The lists that a server shows to a person, without what differs between hosts.
fn shown(machine: &Machine) -> Result<Value> {
    let mut lists = logged_in(machine)?.lists()?;
    lists.as_object_mut().ok_or("no lists")?.remove("heartbeats");
    Ok(lists)
}

fn many() -> Result<()> {
    pair(|pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let url = "http://127.0.0.1:3001/api/entry-page";
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor("1", url)?;
        pair.replicate()?;
        begun(replica)?;
        let running = invocation(replica)?;
        let columns =
            "active, user_id, interval, url, type, timeout, retry_interval, accepted_statuscodes_json, method";
        sql(
            main,
            &format!(
                "WITH RECURSIVE number(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM number WHERE n < {MANY}) \
             INSERT INTO monitor (name, {columns}) SELECT n, {columns} FROM number, monitor WHERE id = 1"
            ),
        )?;
        pair.replicate()?;
        beat_again(replica)?;
        replica.run(&["systemd-run", "--unit=poller", "sh", "-c", POLLER])?;
        let before = sql(replica, "SELECT max(id) FROM heartbeat")?;

        // As a person edits them: two addresses, a pause, a removal, a new one.
        for id in [7, 8] {
            sql(main, &format!("UPDATE monitor SET url = 'http://127.0.0.1:3001/upload/none' WHERE id = {id}"))?;
        }
        kuma.call("pauseMonitor", json!([9]))?;
        kuma.call("deleteMonitor", json!([10]))?;
        let new = kuma.add_monitor("new", url)?;
        expect(main, 0, "published")?;
        assert_eq!(plan(replica)?, (false, json!({ "monitors": [7, 8, 9, 10, new] })));
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        let told = replica.journal(&["KUMA_EVENT=told"])?;
        assert!(
            told.last()
                .is_some_and(|entry| entry["MESSAGE"].as_str().is_some_and(|text| text.ends_with(": 5 monitors"))),
            "{told:?}"
        );
        let last = |id: i64| {
            sql(replica, &format!("SELECT status FROM heartbeat WHERE monitor_id = {id} ORDER BY id DESC LIMIT 1"))
        };
        for (id, status) in [(7, "0\n"), (8, "0\n"), (new, "1\n"), (10, "")] {
            assert_eq!(last(id)?, status, "monitor {id}");
        }
        let paused = sql(replica, "SELECT max(id) FROM heartbeat WHERE monitor_id = 9")?;
        for _ in 0..2 {
            beat_again(replica)?;
        }
        assert_eq!(sql(replica, "SELECT max(id) FROM heartbeat WHERE monitor_id = 9")?, paused, "it still beats");

        assert_eq!(running, invocation(replica)?);
        let last = events(replica)?.into_iter().rev().find(|event| event == "stopping" || event == "told");
        assert_eq!(last.as_deref(), Some("told"), "nothing but the first apply has stopped it");
        replica.run(&["systemctl", "stop", "poller"])?;
        let answers = replica.run(&["cat", "/run/polled"])?;
        assert!(answers.lines().count() > 100 && answers.lines().all(|answer| answer == "200"), "{answers}");
        // A restart would begin 300 monitors anew, half a second apart.
        let gap: f64 = sql(replica, &format!(
            "SELECT max(gap) FROM (SELECT (julianday(time) - julianday(lag(time) OVER (PARTITION BY monitor_id ORDER BY id))) * 86400.0 \
             AS gap FROM heartbeat WHERE id > {} AND monitor_id NOT IN (7, 8, 9, 10, {new}))", before.trim()
        ))?.trim().parse()?;
        assert!(gap < 60.0, "a monitor that did not change was not checked for {gap} s");
        Ok(())
    })
}

fn maintenances() -> Result<()> {
    pair(|pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        kuma.call("newMaintenance", json!([{ "title": "manual" }]))?;
        pair.replicate()?;
        begun(replica)?;
        let running = invocation(replica)?;
        let weekly = json!({ "title": "weekly", "strategy": "recurring-weekday", "weekdays": [1, 3] });
        let cron = json!({ "title": "cron", "strategy": "cron", "cron": "0 5 * * *", "durationMinutes": 90 });
        let once =
            json!({ "title": "once", "strategy": "single", "dateRange": ["2038-01-01 00:00", "2038-01-02 00:00"] });
        let every_minute = json!({ "title": "now", "strategy": "cron", "cron": "* * * * *", "durationMinutes": 60 });
        let edits: &[(&str, Value)] = &[
            ("newMaintenance", json!([weekly])),
            ("newMaintenance", json!([cron])),
            ("newMaintenance", json!([once])),
            ("changeMaintenance", json!([1, { "title": "renamed" }])),
            ("newMaintenance", json!([every_minute])),
            ("addMonitorMaintenance", json!([5, [{ "id": 1 }]])),
            ("deleteMaintenance", json!([2])),
        ];
        for (call, arguments) in edits {
            kuma.call(call, arguments.clone())?;
            expect(main, 0, "published")?;
            assert!(!plan(replica)?.0, "{call}");
            expect(replica, 0, "applied")?;
            pair.assert_equal().map_err(|error| format!("{call} {arguments}: {error}"))?;
        }
        // The main completes what it shows of a row when it starts.
        let listed = |machine: &Machine| -> Result<Vec<[Value; 4]>> {
            let mut list = shown(machine)?["maintenanceList"].take();
            let maintenances = list.as_object_mut().ok_or("no list")?.values_mut();
            Ok(maintenances.map(|row| ["id", "title", "cron", "status"].map(|key| row[key].take())).collect())
        };
        assert_eq!(listed(replica)?, listed(main)?);
        // The window of the last one has begun on the replica, too: its monitor is under maintenance.
        wait_for("the monitor is under maintenance", SOON, || {
            let status = sql(replica, "SELECT status FROM heartbeat WHERE monitor_id = 1 ORDER BY id DESC LIMIT 1")?;
            Ok((status.trim() == "3").then_some(()))
        })?;
        assert_eq!(running, invocation(replica)?);
        Ok(())
    })
}

fn traps() -> Result<()> {
    let config = format!("{WHEN_NEEDED}paused-types = []\n");
    Pair::test(&Setup { replica_config: &config, ..Setup::default() }, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        let web = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        let push = kuma.add_monitor_with(json!({ "name": "push", "type": "push", "pushToken": "x".repeat(20) }))?;
        pair.replicate()?;
        let restarts_for = |reason: &str| -> Result<()> {
            expect(main, 0, "published")?;
            let plan = replica.run(&["kuma-replicator", "plan"])?;
            assert!(plan.contains("restarted once, for ") && plan.contains(reason), "{reason}: {plan}");
            let running = invocation(replica)?;
            expect(replica, 0, "applied")?;
            assert_ne!(running, invocation(replica)?, "{reason}");
            pair.assert_equal()
        };
        kuma.call("changeMonitor", json!([push, { "name": "renamed" }]))?;
        restarts_for(&format!("monitor {push} is a push monitor"))?;
        // A server that has just been started begins its monitors; another one has a secret that is not the one in its
        // database. Either is a reason.
        replica.run(&["systemctl", "restart", "uptime-kuma"])?;
        replica.kuma()?;
        kuma.call("changeMonitor", json!([web, { "name": "renamed" }]))?;
        sql(replica, "UPDATE setting SET value = 'another' WHERE key = 'jwtSecret'")?;
        restarts_for("")?;
        sql(main, &format!("UPDATE monitor SET user_id = NULL, name = 'nobody' WHERE id = {web}"))?;
        restarts_for(&format!("monitor {web} belongs to no user who may log in"))
    })
}

fn foretold() -> Result<()> {
    pair(|pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        let (mut live, mut restarts) = (0, 0);
        for (what, edit) in EDITS {
            edit(&mut kuma).map_err(|error| format!("{what}: {error}"))?;
            expect(main, 0, "published").map_err(|error| format!("{what}: {error}"))?;
            begun(replica)?;
            let ((restart, _), running) = (plan(replica)?, invocation(replica)?);
            expect(replica, 0, "applied").map_err(|error| format!("{what}: {error}"))?;
            assert_eq!(restart, running != invocation(replica)?, "{what}");
            pair.assert_equal().map_err(|error| format!("{what}: {error}"))?;
            *if restart { &mut restarts } else { &mut live } += 1;
        }
        // The first user, and another password.
        assert!(live > 15 && (1..5).contains(&restarts), "{live} live, {restarts} with a restart");
        Ok(())
    })
}

fn killed() -> Result<()> {
    pair(|pair| {
        let mut chance = Chance::new()?;
        let seed = chance.seed;
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        // Which of the two addresses is checked is seen in the result.
        let address =
            |round: usize| ["http://127.0.0.1:3001/api/entry-page", "http://127.0.0.1:3001/upload/none"][round % 2];
        let monitor = kuma.add_monitor("web", address(0))?;
        pair.replicate()?;
        begun(replica)?;
        let running = invocation(replica)?;
        let mut longest = Duration::from_secs(4);
        let rounds = Rounds::new(12)?;
        let mut round = 0;
        while rounds.go_on(round) {
            round += 1;
            kuma.call("changeMonitor", json!([monitor, { "url": address(round) }]))?;
            expect(main, 0, "published")?;
            let old = digest(replica)?;
            replica.output(&["systemctl", "reset-failed", "kuma-replicator.service"])?;
            replica.run(&["systemctl", "start", "--no-block", "kuma-replicator.service"])?;
            let since = Instant::now();
            thread::sleep(chance.within(longest));
            replica.output(&["systemctl", "kill", "--signal=KILL", "--kill-who=main", "kuma-replicator.service"])?;
            wait_for("the unit is at rest", SOON, || {
                let state = replica.output(&["systemctl", "is-active", "kuma-replicator.service"])?.stdout;
                Ok(["failed", "inactive"].contains(&String::from_utf8_lossy(&state).trim()).then_some(()))
            })?;
            let found = digest(replica)?;
            assert!(found == old || found == digest(main)?, "seed {seed}, round {round}: neither old nor new");
            let (code, outcome) = cycle(replica)?;
            let ended = code == 0 && ["applied", "up to date"].contains(&outcome.as_str());
            assert!(ended, "seed {seed}, round {round}: {code} {outcome}");
            pair.assert_equal()?;
            let expected = (round + 1) % 2;
            wait_for(&format!("seed {seed}, round {round}: the new address is in force"), SOON, || {
                let sql = sql(replica, "SELECT status FROM heartbeat ORDER BY id DESC LIMIT 1")?;
                Ok((sql.trim() == expected.to_string()).then_some(()))
            })?;
            assert_eq!(running, invocation(replica)?, "seed {seed}, round {round}");
            longest = longest.max(since.elapsed().min(Duration::from_secs(8)));
        }
        Ok(())
    })
}
