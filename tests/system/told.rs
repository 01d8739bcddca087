//! A running Uptime Kuma takes up changed monitors and maintenances without a restart, and nothing else is disturbed.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::Test;
use crate::chance::{Chance, Rounds};
use crate::edits::Editor;
use crate::target::Target;
use crate::testbed::{Kuma, Machine, Result, signal, wait_for};
use crate::voices::{heard, listen};
use crate::world::{
    Pair, SOON, Setup, WHEN_NEEDED, beat_since, cycle, digest, events, expect, invocation, logged_in, sql,
};

pub const TESTS: &[Test] = &[
    ("changed_monitors_are_taken_up_and_no_other_is_disturbed", many),
    ("maintenances_are_taken_up_as_they_are_on_the_main", maintenances),
    ("what_a_server_cannot_be_told_restarts_it", traps),
    ("edits_at_random_are_live_or_restart_as_the_plan_foretold", foretold),
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
fn shown(kuma: &mut Kuma) -> Result<Value> {
    let mut lists = kuma.lists()?;
    lists.as_object_mut().ok_or("no lists")?.remove("heartbeats");
    for monitor in lists["monitorList"].as_object_mut().ok_or("no monitors")?.values_mut() {
        monitor.as_object_mut().ok_or("no monitor")?.remove("dns_last_result");
    }
    // A server that was given a maintenance without a duration shows another nothing than one that read it.
    for maintenance in lists["maintenanceList"].as_object_mut().ok_or("no maintenances")?.values_mut() {
        if ["manual", "single"].iter().any(|strategy| maintenance["strategy"] == *strategy) {
            let fields = maintenance.as_object_mut().ok_or("no maintenance")?;
            fields.retain(|key, _| !["cron", "duration", "durationMinutes"].contains(&key.as_str()));
        }
        // Until its next start, a server that paused one itself shows no time for it.
        if maintenance["active"] == false {
            maintenance["timeslotList"].take();
        }
    }
    Ok(lists)
}

/// Fails if two servers do not show the same.
fn assert_shown(main: &mut Kuma, replica: &mut Kuma) -> Result<()> {
    let (there, here) = (shown(main)?, shown(replica)?);
    let mut different = Vec::new();
    compare("", &there, &here, &mut different);
    if different.is_empty() {
        Ok(())
    } else {
        Err(format!("shown on the main and on the replica: {different:#?}").into())
    }
}

/// Collects where two documents differ.
fn compare(at: &str, there: &Value, here: &Value, different: &mut Vec<String>) {
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    match (keys(there), keys(here)) {
        (Some(keys), Some(others)) if keys == others => {
            for key in keys {
                compare(&format!("{at}/{key}"), &there[&key], &here[&key], different);
            }
        }
        _ if there == here => {}
        _ => different.push(format!("{at}: {there}, {here}")),
    }
}

/// The alerts that a host has sent, except for the first `skip`: monitors and their states.
fn alerts(machine: &Machine, skip: usize) -> Result<Vec<(i64, i64)>> {
    let heard = heard(machine)?;
    let mut alerts: Vec<(i64, i64)> = heard[skip..]
        .iter()
        .map(|(_, text)| {
            let alert: Value = serde_json::from_str(text)?;
            let number = |pointer| alert.pointer(pointer).and_then(Value::as_i64).ok_or_else(|| format!("{alert}"));
            Ok((number("/heartbeat/monitorID")?, number("/heartbeat/status")?))
        })
        .collect::<Result<_>>()?;
    alerts.sort_unstable();
    Ok(alerts)
}

/// The longest time between a check that came after this beat and the one before it of the same monitor, in seconds, for
/// all monitors `but` these.
fn longest_gap(machine: &Machine, beat: &str, but: &str) -> Result<f64> {
    let before = "lag(time) OVER (PARTITION BY monitor_id ORDER BY id)";
    let gaps = format!(
        "SELECT max(gap) FROM (SELECT id, monitor_id, (julianday(time) - julianday({before})) * 86400.0 AS gap FROM heartbeat) \
         WHERE id > {beat} AND monitor_id NOT IN ({but})"
    );
    Ok(sql(machine, &gaps)?.trim().parse()?)
}

/// The last beat of a host.
fn last_beat(machine: &Machine) -> Result<String> {
    Ok(sql(machine, "SELECT max(id) FROM heartbeat")?.trim().to_owned())
}

#[allow(clippy::print_stderr)]
fn many() -> Result<()> {
    pair(|pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let url = "http://127.0.0.1:3001/api/entry-page";
        listen(replica)?;
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor("1", url)?;
        let hook = kuma.add_notification("hook", "http://127.0.0.1:9080/webhook")?;
        pair.replicate()?;
        begun(replica)?;
        let running = invocation(replica)?;
        let columns =
            "active, user_id, interval, url, type, timeout, retry_interval, accepted_statuscodes_json, method";
        sql(
            main,
            &format!(
                "WITH RECURSIVE number(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM number WHERE n < {MANY}) \
                 INSERT INTO monitor (name, {columns}) SELECT n, {columns} FROM number, monitor WHERE id = 1; \
                 INSERT INTO monitor_notification (monitor_id, notification_id) SELECT id, {hook} FROM monitor"
            ),
        )?;
        pair.replicate()?;
        beat_again(replica)?;
        replica.run(&["systemd-run", "--unit=poller", "sh", "-c", POLLER])?;
        // How late checks are on this machine, without an apply.
        let quiet = last_beat(replica)?;
        beat_again(replica)?;
        let usual = longest_gap(replica, &quiet, "0")?;
        let (before, sent) = (last_beat(replica)?, heard(replica)?.len());

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
        assert_shown(&mut kuma, &mut logged_in(replica)?)?;
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
        // Those whose new address does not answer say so once, as they would after a restart. No other says anything.
        assert_eq!(alerts(replica, sent)?, [(7, 0), (8, 0)]);
        // A restart would begin 300 monitors anew, half a second apart.
        let gap = longest_gap(replica, &before, &format!("7, 8, 9, 10, {new}"))?;
        eprintln!("longest time without a check of an unchanged monitor: {gap:.1} s when told, {usual:.1} s before");
        assert!(
            gap < 2.0 * usual,
            "a monitor that did not change was not checked for {gap} s, and before for {usual} s"
        );
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
            let mut list = shown(&mut logged_in(machine)?)?["maintenanceList"].take();
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

/// How many random edits there are, of some seconds each. A soak makes more.
const EDITS: usize = 15;

#[allow(clippy::print_stderr)]
fn foretold() -> Result<()> {
    let config = format!("{WHEN_NEEDED}paused-types = []\n");
    Pair::test(&Setup { replica_config: &config, ..Setup::default() }, |pair| {
        let replica = &pair.replica;
        // Edits at random may remove most of a table.
        pair.main.sh("sed -i 's/^\\[main\\]$/&\\nmax-shrink = 1.0/' /etc/kuma-replicator/config.toml")?;
        let mut editor = Editor::new(&pair.main)?;
        let seed = editor.seed;
        for name in ["one", "two", "three", "four"] {
            editor.kuma.add_monitor(name, "http://127.0.0.1:3001/")?;
        }
        pair.replicate()?;
        let rounds = Rounds::new(EDITS)?;
        let (mut live, mut restarts, mut page) = (0, 0, None);
        while rounds.go_on(live + restarts) {
            let round = live + restarts + 1;
            let edit = editor.edit().map_err(|error| format!("seed {seed}, round {round}: {error}"))?;
            let context = |error| format!("seed {seed}, round {round}: {edit}: {error}");
            if replicate_edit(pair, &mut editor, &mut page).map_err(context)? {
                restarts += 1;
            } else {
                live += 1;
            }
        }
        eprintln!("seed {seed}: {live} edits live, {restarts} with a restart");
        assert!(live > 0, "seed {seed}: {live} live, {restarts} with a restart");
        assert_eq!(events(replica)?.iter().filter(|event| *event == "stopping").count(), restarts + 1, "seed {seed}");
        Ok(())
    })
}

/// Replicates an edit, with a page that stays open on the replica while its server runs. Returns whether that was restarted.
fn replicate_edit(pair: &Pair, editor: &mut Editor<'_>, page: &mut Option<Kuma>) -> Result<bool> {
    let replica = &pair.replica;
    expect(&pair.main, 0, "published")?;
    if page.is_none() {
        begun(replica)?;
    }
    let ((restart, told), running) = (plan(replica)?, invocation(replica)?);
    expect(replica, 0, "applied")?;
    let restarted = running != invocation(replica)?;
    if restart != restarted {
        return Err(format!("restarted: {restarted}, as planned: {restart}, told: {told}").into());
    }
    pair.assert_equal()?;
    if restarted {
        *page = None;
    }
    let kuma = match page {
        Some(kuma) => kuma,
        None => {
            let kuma = page.insert(replica.kuma()?);
            kuma.log_in(Kuma::USER, &editor.password)?;
            kuma
        }
    };
    assert_shown(&mut editor.kuma, kuma)?;
    Ok(restarted)
}

/// What the agent is waited for before it is killed, and the event that it is then on its way to.
const AIMS: [[&str; 2]; 4] = [["", "told"], ["planned", "written"], ["written", "told"], ["written", "told"]];

#[allow(clippy::print_stderr)]
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
        let mut target = Target::new(replica)?;
        // The times of a telling that nobody disturbs.
        kuma.call("changeMonitor", json!([monitor, { "name": "renamed" }]))?;
        expect(main, 0, "published")?;
        target.begin()?;
        target.look()?;
        let timing = target.events.clone();
        let time = |event: &str| timing.iter().find(|(name, _)| name == event).map_or(Duration::ZERO, |(_, at)| *at);
        let rounds = Rounds::new(12)?;
        let mut kills: BTreeMap<&str, usize> = BTreeMap::new();
        let mut round = 0;
        while rounds.go_on(round) {
            let [from, to] = AIMS[round % AIMS.len()];
            round += 1;
            let what = format!("seed {seed}, round {round}");
            kuma.call("changeMonitor", json!([monitor, { "url": address(round) }]))?;
            expect(main, 0, "published")?;
            let old = digest(replica)?;
            let orders = orders(replica)?;
            replica.output(&["systemctl", "reset-failed", "kuma-replicator.service"])?;
            target.begin()?;
            let agent = target.agent()?;
            if !from.is_empty() {
                target.until(from)?;
            }
            thread::sleep(chance.within(time(to).saturating_sub(time(from))));
            let hit = signal(agent, Signal::KILL);
            let struck = target.look()?;
            let found = digest(replica)?;
            let written = found == digest(main)?;
            assert!(found == old || written, "{what}: neither old nor new");
            let phase = match (hit && struck.ended.1 == "signal", written, target.has("told")) {
                (false, ..) => "it had ended",
                (_, false, _) => "before the commit",
                (_, _, true) => "after it was told",
                (_, true, false) if orders == self::orders(replica)? => "before an order arrived",
                (_, true, false) => "after an order arrived",
            };
            *kills.entry(phase).or_default() += 1;
            let (code, outcome) = cycle(replica)?;
            assert!(code == 0 && ["applied", "up to date"].contains(&outcome.as_str()), "{what}: {code} {outcome}");
            pair.assert_equal()?;
            let expected = (round + 1) % 2;
            wait_for(&format!("{what}: the new address is in force"), SOON, || {
                let sql = sql(replica, "SELECT status FROM heartbeat ORDER BY id DESC LIMIT 1")?;
                Ok((sql.trim() == expected.to_string()).then_some(()))
            })?;
            assert_eq!(running, invocation(replica)?, "{what}");
        }
        eprintln!("seed {seed}: killed {kills:?}");
        let hit = ["before an order arrived", "after an order arrived"].iter().any(|phase| kills.contains_key(phase));
        assert!(hit, "seed {seed}: no telling was hit: {kills:?}");
        Ok(())
    })
}

/// How many orders to take up a monitor the server of a host has got.
fn orders(machine: &Machine) -> Result<usize> {
    let said = machine.run(&["journalctl", "--unit=uptime-kuma", "--output=cat", "--no-pager"])?;
    Ok(said.lines().filter(|line| line.contains("Resume Monitor: ")).count())
}
