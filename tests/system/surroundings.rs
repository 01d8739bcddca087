//! What is around the agent: bus and journal that are gone, a damaged state, wrong clocks, and the timer.

use std::time::Duration;

use kuma_replicator::decide::turn;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::snapshot::MainId;
use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{
    Pair, SLOW_STOP, SOON, Setup, customize, cycle, digest, digest_in, drop_in, end_wait, events, expect, fails,
    footing, invocation, logged_in, restic, says, set_state, sql, state,
};

pub const TESTS: &[Test] = &[
    ("a_bus_or_a_journal_that_goes_away_costs_neither_data_nor_the_service", no_bus_no_journal),
    ("a_lost_state_restarts_nothing_and_a_damaged_one_is_kept", damaged_state),
    ("clocks_that_are_years_off_change_no_order_and_let_nobody_wait", wrong_clocks),
    ("a_run_of_the_timer_does_what_is_due_and_takes_its_turn_to_restart", timer_runs),
];

/// Does something on the replica while Uptime Kuma is being stopped for an apply, and returns when the agent has ended.
fn during_a_stop(pair: &Pair, what: &str) -> Result<()> {
    let replica = &pair.replica;
    replica.run(&["mkfifo", "/run/gate"])?;
    pair.begin_apply()?;
    replica.sh(what)?;
    replica.sh("echo > /run/gate; rm /run/gate")?;
    wait_for("the agent ends", SOON, || {
        let active = says(replica, &["systemctl", "is-active", "kuma-replicator"])?;
        Ok(matches!(active.as_str(), "inactive" | "failed").then_some(()))
    })
}

fn no_bus_no_journal() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        drop_in(replica, "uptime-kuma.service", "stop", SLOW_STOP)?;
        let status = || says(replica, &["systemctl", "show", "-P", "ExecMainStatus", "kuma-replicator"]);
        let (no_bus, bus) = ("systemctl stop dbus.socket dbus.service", "systemctl start dbus.socket");
        pair.offer("before")?;
        let before = footing(replica)?;
        replica.sh(no_bus)?;
        fails(replica, 75, "bus-unavailable", "the system bus")?;
        replica.sh(bus)?;
        assert_eq!(footing(replica)?, before);
        assert!(!events(replica)?.iter().any(|event| event == "stopping"));

        // Nobody can start it without the bus; the first cycle that has one does.
        during_a_stop(pair, no_bus)?;
        assert_eq!((status()?.as_str(), &digest_of_stopped(replica)?), ("75", &before.0));
        fails(replica, 75, "bus-unavailable", "the system bus")?;
        replica.sh(bus)?;
        cycle(replica)?;
        assert!(events(replica)?.iter().any(|event| event == "recovered"));
        replica.kuma()?;
        assert_eq!(digest(replica)?, before.0);
        end_wait(replica)?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        logged_in(replica)?;

        // Without a journal there is standard error, or nothing at all.
        let sockets = "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket";
        // systemd does this after the stop of Uptime Kuma, and before its start.
        during_a_stop(pair, &format!("systemctl stop --no-block {sockets} systemd-journald.service"))?;
        assert_eq!(says(replica, &["systemctl", "is-active", "systemd-journald"])?, "inactive");
        assert_eq!((status()?.as_str(), state(replica)?["last_cycle"]["outcome"].as_str()), ("0", Some("applied")));
        expect(replica, 0, "up to date")?;
        sql(&pair.main, "UPDATE monitor SET name = 'renamed'")?;
        expect(&pair.main, 0, "published")?;
        expect(replica, 0, "applied")?;
        let typed = replica.output(&["kuma-replicator", "run"])?;
        let said = String::from_utf8_lossy(&typed.stderr).into_owned();
        assert!(typed.status.success() && said.starts_with("up to date"), "{said}");
        replica.sh(&format!("systemctl start {sockets} systemd-journald.service"))?;
        pair.assert_equal()?;
        logged_in(replica).map(drop)
    })
}

/// The digest of a host's configuration, without asking systemd where the database is.
fn digest_of_stopped(machine: &Machine) -> Result<String> {
    digest_in(&machine.run(&["kuma-replicator", "export", "--database", "/var/lib/uptime-kuma/kuma.db"])?)
}

fn damaged_state() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let path = |machine: &Machine| machine.root().join("var/lib/kuma-replicator/state.json");
        let active = || says(replica, &["systemctl", "is-active", "uptime-kuma"]);
        pair.offer("web")?;
        expect(replica, 0, "applied")?;
        let before = footing(replica)?;
        std::fs::remove_file(path(replica))?;
        expect(replica, 0, "up to date")?;
        assert_eq!(footing(replica)?, before);

        let good = std::fs::read(path(replica))?;
        let newer = json!({ "version": 3, "intent": { "start": true, "since": "2026-01-01T00:00:00Z" } });
        let newer = serde_json::to_vec(&newer)?;
        sql(main, "UPDATE monitor SET name = 'renamed'")?;
        expect(main, 0, "published")?;
        for (bad, said) in [
            (&good[..good.len() / 2], "it is damaged"),
            (b"", "it is damaged"),
            (b"\0\0\0\0", "it is damaged"),
            (&newer, "it has version 3"),
        ] {
            std::fs::write(path(replica), bad)?;
            fails(replica, 4, "state-damaged", said)?;
            assert_eq!((std::fs::read(path(replica))?.as_slice(), footing(replica)?), (bad, before.clone()));
        }
        // No cycle works with it, but a stop that it records is undone, and the file is kept.
        replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        fails(replica, 4, "state-damaged", "it has version 3")?;
        assert_eq!((active()?.as_str(), std::fs::read(path(replica))?), ("active", newer));
        replica.kuma()?;
        // If it records no stop, a person may have stopped Uptime Kuma.
        std::fs::write(path(replica), "garbage")?;
        replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        fails(replica, 4, "state-damaged", "it is damaged")?;
        assert_eq!(active()?, "inactive");
        let said = replica.journal(&["KUMA_ERROR=state-damaged"])?;
        let last = said.last().ok_or("nothing was said")?["KUMA_HINT"].to_string();
        assert!(last.contains("systemctl start uptime-kuma.service"), "{last}");
        replica.run(&["systemctl", "start", "uptime-kuma"])?;
        replica.kuma()?;
        std::fs::remove_file(path(replica))?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;

        // A main publishes nothing with a damaged one, and without any no other rows than those of the newest snapshot
        // until a person says that its are the right ones.
        sql(main, "UPDATE monitor SET name = 'again'")?;
        std::fs::write(path(main), "garbage")?;
        fails(main, 4, "state-damaged", "it is damaged")?;
        std::fs::remove_file(path(main))?;
        fails(main, 4, "fenced", "remembers nothing")?;
        main.run(&["kuma-replicator", "promote", "--as-is"])?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        let snapshots: Value = serde_json::from_str(&main.run(&["kuma-replicator", "snapshots", "--json"])?)?;
        assert_eq!(snapshots["snapshots"][0]["sequence"], 3);
        logged_in(replica).map(drop)
    })
}

/// Stores each snapshot anew as a host would whose clock shows one of `times`, oldest first.
fn retime(machine: &Machine, times: &[&str]) -> Result<()> {
    let restic = restic();
    let snapshots: Vec<Value> = serde_json::from_str(&machine.sh(&format!("{restic} snapshots --json"))?)?;
    assert_eq!(snapshots.len(), times.len());
    for (snapshot, time) in snapshots.iter().zip(times) {
        let tags: Vec<String> = serde_json::from_value(snapshot["tags"].clone())?;
        let (id, tags) = (snapshot["id"].as_str().ok_or("no id")?, tags.join(","));
        machine.sh(&format!(
            "{restic} dump {id} kuma-replicator.jsonl > /root/dump; {restic} backup --stdin --time '{time}' \
             --stdin-filename kuma-replicator.jsonl --tag '{tags}' < /root/dump; {restic} forget {id}"
        ))?;
    }
    Ok(())
}

/// Replaces every time in a document.
fn set_times(value: &mut Value, time: &str) {
    match value {
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => *text = time.to_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| set_times(value, time)),
        Value::Object(fields) => fields.values_mut().for_each(|value| set_times(value, time)),
        _ => {}
    }
}

fn wrong_clocks() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        pair.offer("old")?;
        sql(main, "UPDATE monitor SET name = 'new'")?;
        expect(main, 0, "published")?;
        retime(main, &["2099-01-01 00:00:00", "2000-01-01 00:00:00"])?;
        expect(replica, 0, "applied")?;
        assert_eq!(logged_in(replica)?.lists()?["monitorList"]["1"]["name"], "new");
        pair.assert_equal()?;

        for time in ["2099-01-01T00:00:00Z", "2000-01-01T00:00:00Z"] {
            for machine in [main, replica] {
                let mut remembered = state(machine)?;
                set_times(&mut remembered, time);
                set_state(machine, &remembered)?;
            }
            let running = invocation(replica)?;
            expect(main, 0, "unchanged")?;
            assert_ne!(state(main)?["main"]["looked"], time, "it did not look for {time}");
            expect(replica, 0, "up to date")?;
            assert_eq!(invocation(replica)?, running);
            sql(main, &format!("UPDATE monitor SET name = '{time}'"))?;
            pair.replicate()?;
            pair.assert_equal()?;
        }
        Ok(())
    })
}

/// Has a timer of its own start the service once, and waits until it has ended.
fn by_timer(machine: &Machine) -> Result<()> {
    const SERVICE: &str = "kuma-replicator.service";
    let property = |unit: &str, name: &str| says(machine, &["systemctl", "show", "-P", name, unit]);
    machine.output(&["systemctl", "reset-failed", SERVICE])?;
    let timer = format!("[Timer]\nOnActiveSec=0\nAccuracySec=1ms\nUnit={SERVICE}\n");
    std::fs::write(machine.root().join("root/once.timer"), timer)?;
    machine.sh("cp /root/once.timer /run/systemd/system; systemctl daemon-reload")?;
    let before = property("once.timer", "LastTriggerUSecMonotonic")?;
    machine.run(&["systemctl", "restart", "once.timer"])?;
    // Of a run that ended well, systemd remembers nothing. Its job is there from the trigger to the end.
    wait_for("the timer has run the service", SOON, || {
        let triggered = property("once.timer", "LastTriggerUSecMonotonic")? != before;
        Ok((triggered && ["", "0"].contains(&property(SERVICE, "Job")?.as_str())).then_some(()))
    })
}

/// How long this host waits for its turn.
fn turn_of(machine: &Machine) -> Result<Duration> {
    let id = says(machine, &["cat", "/etc/machine-id"])?;
    let digest = Digest::of(format!("kuma-replicator main {id}").as_bytes()).hex();
    Ok(turn(&digest[..32].parse::<MainId>().map_err(|_| "not an id")?))
}

fn timer_runs() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let looked = || Ok::<_, Box<dyn std::error::Error + Send + Sync>>(state(replica)?["replica"]["looked"].clone());
        pair.offer("old")?;
        expect(replica, 0, "applied")?;
        assert_eq!(looked()?["cost"], "little");
        // A folder costs nothing: each run looks.
        let before = looked()?;
        by_timer(replica)?;
        assert_ne!(looked()?, before);

        // With a time between two looks only a person comes sooner, or a boot.
        customize(replica, "look-every = \"10h\"\n")?;
        sql(&pair.main, "UPDATE monitor SET name = 'new'")?;
        expect(&pair.main, 0, "published")?;
        let (before, remembered) = (looked()?, state(replica)?);
        by_timer(replica)?;
        assert_eq!((looked()?, state(replica)?), (before.clone(), remembered));
        expect(replica, 0, "applied")?;
        assert_ne!(looked()?, before);
        let before = looked()?;
        by_timer(replica)?;
        assert_eq!(looked()?, before);
        replica.reboot()?;
        replica.kuma()?;
        by_timer(replica)?;
        assert_ne!(looked()?, before);

        // A failure is told once a minute.
        let failures =
            || Ok::<_, Box<dyn std::error::Error + Send + Sync>>(replica.journal(&["KUMA_EVENT=failed"])?.len());
        replica.sh("mv /etc/kuma-replicator/restic-password /root")?;
        fails(replica, 78, "password-missing", "")?;
        let before = failures()?;
        replica.sh("touch /var/lib/kuma-replicator/failed")?;
        by_timer(replica)?;
        assert_eq!(
            (failures()?, says(replica, &["systemctl", "is-active", "kuma-replicator"])?),
            (before, "inactive".to_owned())
        );
        replica.sh("touch -d '2 minutes ago' /var/lib/kuma-replicator/failed")?;
        customize(replica, "")?;
        by_timer(replica)?;
        assert_eq!(
            (failures()?, says(replica, &["systemctl", "is-active", "kuma-replicator"])?),
            (before + 1, "failed".to_owned())
        );
        replica.sh("mv /root/restic-password /etc/kuma-replicator")?;
        takes_its_turn(pair)
    })
}

/// Replicas that find the same snapshot do not restart together.
fn takes_its_turn(pair: &Pair) -> Result<()> {
    let (main, replica) = (&pair.main, &pair.replica);
    // Here each change restarts, and no restart waits for the one before.
    expect(replica, 0, "up to date")?;
    sql(main, "UPDATE monitor SET name = 'third'")?;
    expect(main, 0, "published")?;
    by_timer(replica)?;
    pair.assert_equal()?;
    let time = |event: &str, which: fn(&[Value]) -> Option<&Value>| -> Result<u64> {
        let entries = replica.journal(&["-b", &format!("KUMA_EVENT={event}")])?;
        Ok(which(&entries).and_then(|entry| entry["__MONOTONIC_TIMESTAMP"].as_str()).ok_or("no time")?.parse()?)
    };
    let waited = time("stopping", |entries| entries.last())? - time("fetched", |entries| entries.last())?;
    let turn = turn_of(replica)?;
    assert!(u128::from(waited) >= turn.as_micros(), "it stopped after {waited} µs, and its turn comes after {turn:?}");
    assert_ne!(turn, turn_of(main)?);
    Ok(())
}
