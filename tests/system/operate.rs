//! What a person orders on a host: another configuration, another try, a hold. The cycles that follow keep to the
//! orders, and the journal records them.

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{
    POISON, Pair, SOON, Setup, begin_order, cycle, digest, expect, invocation, logged_in, says, sql, state, typed,
    wait_until,
};

pub const TESTS: &[Test] = &[
    ("what_is_restored_by_hand_stays_until_released_on_either_role", restore),
    ("a_hold_keeps_cycles_away_from_an_upgrade_and_ends_by_itself", hold),
];

/// The newest entry that an event left in a host's journal, as `journalctl -u` shows it.
fn traced(machine: &Machine, event: &str) -> Result<Value> {
    let found = machine.journal(&["-u", "kuma-replicator"])?;
    let last = found.into_iter().rfind(|entry| entry["KUMA_EVENT"] == event);
    last.ok_or_else(|| format!("{}: the journal of the unit has no {event}", machine.name()).into())
}

/// Configuration, process and memory of a host: what an order that changes nothing leaves alone.
fn all_of(machine: &Machine) -> Result<(String, String, Value)> {
    Ok((digest(machine)?, invocation(machine)?, state(machine)?))
}

fn newest(machine: &Machine) -> Result<String> {
    let document: Value = serde_json::from_str(&machine.run(&["kuma-replicator", "snapshots", "--json"])?)?;
    Ok(document["snapshots"][0]["id"].as_str().ok_or("no snapshot")?.to_owned())
}

fn restore() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(POISON), ..Setup::default() }, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("one", "http://127.0.0.1:3001/")?;
        let mut rename = |name: &str| kuma.call("changeMonitor", json!([monitor, { "name": name }])).map(drop);
        pair.replicate()?;
        let (first, one) = (newest(main)?, digest(main)?);
        rename("two")?;
        pair.replicate()?;
        let (second, two) = (newest(main)?, digest(main)?);

        // Looking changes nothing.
        let before = all_of(replica)?;
        let shown = typed(replica, 0, &["restore", "--dry-run", &first])?;
        assert!(shown.contains("two") && shown.contains("one"), "{shown}");
        assert_eq!(before, all_of(replica)?);

        // Killed in the middle: the next cycle starts Uptime Kuma, and undoes nothing.
        begin_order(replica, &["restore", &first])?;
        replica.run(&["systemctl", "kill", "--signal=KILL", "order"])?;
        wait_until(replica, "order", "failed")?;
        expect(replica, 0, "on hold")?;
        logged_in(replica)?;
        let rows = digest(replica)?;
        assert!(rows == one || rows == two, "{rows}");
        typed(replica, 0, &["release"])?;
        assert_eq!(cycle(replica)?.0, 0);
        pair.assert_equal()?;

        // On a replica: in force, kept by the next cycles, also when there is something newer.
        let said = typed(replica, 0, &["restore", &first])?;
        assert!(said.contains("on hold"), "{said}");
        let entry = traced(replica, "restored")?;
        assert_eq!((entry["KUMA_USER"].as_str(), entry["_SYSTEMD_UNIT"].as_str()), (Some("oncall"), None), "{entry}");
        assert_eq!(entry["KUMA_UPDATES"], "1", "{entry}");
        logged_in(replica)?;
        rename("three")?;
        expect(main, 0, "published")?;
        let running = invocation(replica)?;
        for _ in 0..2 {
            expect(replica, 0, "on hold")?;
        }
        assert_eq!((digest(replica)?, invocation(replica)?), (one.clone(), running));
        let status = says(replica, &["kuma-replicator", "status"])?;
        assert!(status.contains("on hold") && status.contains("restored"), "{status}");
        typed(replica, 0, &["release"])?;
        assert_eq!(traced(replica, "released")?["KUMA_USER"], "oncall");
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;

        // What was replaced last, and a service that is stopped: it stays so.
        typed(replica, 0, &["restore", "previous"])?;
        assert_eq!(digest(replica)?, one);
        replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        typed(replica, 0, &["restore", &second])?;
        assert_eq!(says(replica, &["systemctl", "is-active", "uptime-kuma"])?, "inactive");
        replica.run(&["systemctl", "start", "uptime-kuma"])?;
        logged_in(replica)?;
        assert_eq!(digest(replica)?, two);
        typed(replica, 0, &["release"])?;
        expect(replica, 0, "applied")?;

        // Uptime Kuma does not come up with it: rolled back, nothing held, and the same previous configuration.
        rename("poison")?;
        expect(main, 0, "published")?;
        let poison = newest(main)?;
        let (rows, previous) = (digest(replica)?, replica.run(&["cat", "/var/lib/kuma-replicator/previous.dump"])?);
        typed(replica, 3, &["restore", &poison])?;
        assert_eq!(traced(replica, "rolled-back")?["KUMA_USER"], "oncall");
        logged_in(replica)?;
        assert_eq!((digest(replica)?, state(replica)?.get("hold")), (rows.clone(), None));
        assert_eq!(replica.run(&["cat", "/var/lib/kuma-replicator/previous.dump"])?, previous);

        // Another try, when what was to blame on this host is gone.
        expect(replica, 3, "rolled back")?;
        expect(replica, 65, "rejected")?;
        typed(replica, 3, &["run", "--retry"])?;
        expect(replica, 65, "rejected")?;
        assert_eq!(digest(replica)?, rows);
        replica.sh("rm /etc/systemd/system/uptime-kuma.service.d/test.conf; systemctl daemon-reload")?;
        expect(replica, 65, "rejected")?;
        let said = typed(replica, 0, &["run", "--retry"])?;
        assert!(said.contains("again as ordered"), "{said}");
        assert_eq!(traced(replica, "retried")?["KUMA_SNAPSHOT"], json!(poison));
        assert_eq!(traced(replica, "applied")?["KUMA_USER"], "oncall");
        pair.assert_equal()?;
        expect(replica, 0, "up to date")?;
        let refused = typed(main, 2, &["run", "--retry"])?;
        assert!(refused.contains("only a replica"), "{refused}");

        // On the main: kept likewise; what was restored is published when it is released.
        typed(main, 0, &["restore", &first])?;
        logged_in(main)?;
        expect(main, 0, "on hold")?;
        assert_eq!((digest(main)?, newest(main)?), (one.clone(), poison));
        typed(main, 0, &["release"])?;
        pair.replicate()?;
        assert_eq!(digest(replica)?, one);
        logged_in(replica).map(drop)
    })
}

fn hold() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;

        // An upgrade of Uptime Kuma on both hosts: it is off, and its database is worked on.
        for machine in [main, replica] {
            typed(machine, 0, &["hold", "--for", "2h", "--reason", "upgrade to 2.1"])?;
            let entry = traced(machine, "on-hold")?;
            assert_eq!(entry["KUMA_USER"], "oncall");
            assert!(entry["MESSAGE"].as_str().is_some_and(|text| text.contains("upgrade to 2.1")), "{entry}");
            machine.run(&["systemctl", "stop", "uptime-kuma"])?;
            sql(machine, "ALTER TABLE monitor ADD COLUMN from_the_future TEXT")?;
        }
        sql(main, "UPDATE monitor SET name = 'half-way'")?;
        for machine in [main, replica] {
            let (rows, before) = (digest(machine)?, state(machine)?);
            expect(machine, 0, "on hold")?;
            assert_eq!(says(machine, &["systemctl", "is-active", "uptime-kuma"])?, "inactive");
            let mut after = state(machine)?;
            after["last_cycle"] = before["last_cycle"].clone();
            assert_eq!((rows, before), (digest(machine)?, after), "{}", machine.name());
            let status = says(machine, &["kuma-replicator", "status"])?;
            assert!(status.contains("upgrade to 2.1"), "{status}");
            let plan = says(machine, &["kuma-replicator", "plan"])?;
            assert!(plan.starts_with("next cycle: on hold: ") && plan.contains("upgrade to 2.1"), "{plan}");
        }
        sql(main, "UPDATE monitor SET name = 'upgraded'")?;
        for machine in [main, replica] {
            machine.run(&["systemctl", "start", "uptime-kuma"])?;
            machine.kuma()?;
            typed(machine, 0, &["release"])?;
        }
        pair.replicate()?;
        pair.assert_equal()?;

        // A hold for a time ends by itself.
        logged_in(main)?.add_monitor("second", "http://127.0.0.1:3001/")?;
        expect(main, 0, "published")?;
        typed(replica, 0, &["hold", "--for", "20s"])?;
        expect(replica, 0, "on hold")?;
        wait_for("the hold ends", SOON, || Ok((cycle(replica)?.1 != "on hold").then_some(())))?;
        assert_eq!(traced(replica, "released")?.get("KUMA_USER"), None, "nobody released it");
        pair.assert_equal()?;
        assert_eq!(state(replica)?.get("hold"), None);

        // A cycle was killed in the middle: the hold recovers what it left, so that no cycle does so later.
        logged_in(main)?.add_monitor("third", "http://127.0.0.1:3001/")?;
        pair.begin_apply()?;
        replica.run(&["systemctl", "kill", "--signal=KILL", "--kill-who=main", "kuma-replicator.service"])?;
        wait_until(replica, "kuma-replicator", "failed")?;
        assert!(state(replica)?.get("intent").is_some());
        typed(replica, 0, &["hold"])?;
        assert_eq!(state(replica)?.get("intent"), None);
        replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        expect(replica, 0, "on hold")?;
        assert_eq!(says(replica, &["systemctl", "is-active", "uptime-kuma"])?, "inactive");
        replica.run(&["systemctl", "start", "uptime-kuma"])?;
        replica.kuma()?;
        typed(replica, 0, &["release"])?;
        assert_eq!(cycle(replica)?.0, 0);
        pair.assert_equal()
    })
}
