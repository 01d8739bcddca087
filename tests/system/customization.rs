//! What a replica customizes, with real Uptime Kumas.

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::Result;
use crate::world::{Pair, Setup, digest, events, expect, invocation, logged_in, set_state, sql, state};

pub const TESTS: &[Test] = &[
    ("push_monitors_are_paused_on_a_replica_until_it_is_promoted", paused),
    ("edits_on_a_replica_are_reported_or_overwritten", edits),
    ("a_main_edited_every_minute_restarts_a_replica_every_five", busy_main),
];

fn paused() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        kuma.add_monitor_with(
            json!({ "name": "pushed", "type": "push", "pushToken": "0123456789abcdef0123456789abcdef" }),
        )?;
        pair.replicate()?;
        let active = |machine| -> Result<Vec<bool>> {
            let lists = logged_in(machine)?.lists()?;
            let of = |id: &str| {
                lists["monitorList"][id]["active"] == json!(true) || lists["monitorList"][id]["active"] == json!(1)
            };
            Ok(vec![of("1"), of("2")])
        };
        assert_eq!((active(&pair.main)?, active(&pair.replica)?), (vec![true, true], vec![true, false]));
        // It is neither an edit nor a reason to restart.
        let before = invocation(&pair.replica)?;
        expect(&pair.replica, 0, "up to date")?;
        assert!(pair.replica.run(&["kuma-replicator", "plan"])?.starts_with("next cycle: up to date: "));
        assert_eq!(before, invocation(&pair.replica)?);
        assert!(!events(&pair.replica)?.contains(&"drifted".to_owned()));

        pair.main.run(&["systemctl", "stop", "uptime-kuma"])?;
        pair.replica.run(&["kuma-replicator", "promote"])?;
        assert_eq!(active(&pair.replica)?, [true, true]);
        pair.assert_equal()
    })
}

fn edits() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let wanted = digest(&pair.replica)?;
        expect(&pair.replica, 0, "up to date")?;
        assert!(!events(&pair.replica)?.contains(&"drifted".to_owned()), "Uptime Kuma's own start is no edit");

        logged_in(&pair.replica)?.call("changeMonitor", json!([1, { "name": "edited here" }]))?;
        let running = invocation(&pair.replica)?;
        for _ in 0..2 {
            expect(&pair.replica, 0, "up to date")?;
        }
        assert_eq!(pair.replica.journal(&["KUMA_EVENT=drifted"])?.len(), 1, "reported once");
        assert!(pair.replica.run(&["kuma-replicator", "status"])?.contains("edited here"));
        let plan: Value = serde_json::from_str(&pair.replica.run(&["kuma-replicator", "plan", "--json"])?)?;
        assert_eq!((plan["outcome"].as_str(), plan["restart"].as_bool()), (Some("up to date"), Some(false)));
        let columns = &plan["changes"][0]["columns"];
        assert!(
            columns.as_array().is_some_and(|columns| columns.iter().any(|c| c["from"] == "\"edited here\"")),
            "{plan}"
        );
        assert_eq!(running, invocation(&pair.replica)?);

        pair.replica.sh("echo 'on-drift = \"overwrite\"' >> /etc/kuma-replicator/config.toml")?;
        expect(&pair.replica, 0, "applied")?;
        assert_eq!(wanted, digest(&pair.replica)?);
        expect(&pair.replica, 0, "up to date")
    })
}

fn busy_main() -> Result<()> {
    let setup = Setup { replica_config: "[replica]\nrestart = \"always\"\n", ..Setup::default() };
    Pair::test(&setup, |pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let running = invocation(&pair.replica)?;
        for name in ["second", "third"] {
            kuma.call("changeMonitor", json!([monitor, { "name": name }]))?;
            expect(&pair.main, 0, "published")?;
            expect(&pair.replica, 0, "deferred")?;
        }
        assert_eq!(pair.replica.journal(&["KUMA_EVENT=deferred"])?.len(), 2);
        assert_eq!(running, invocation(&pair.replica)?);
        // Five minutes pass, and the time that the monitor takes to begin.
        let mut remembered = state(&pair.replica)?;
        let stopped = remembered["replica"]["stopped"].as_str().ok_or("no stop is remembered")?;
        let earlier = stopped.parse::<jiff::Timestamp>()?.checked_sub(jiff::SignedDuration::from_mins(6))?;
        remembered["replica"]["stopped"] = json!(earlier);
        // Until when it waits, which would be over, too.
        remembered["replica"].as_object_mut().ok_or("no replica")?.remove("verdict");
        set_state(&pair.replica, &remembered)?;
        expect(&pair.replica, 0, "applied")?;
        pair.assert_equal()?;
        assert_eq!(sql(&pair.replica, "SELECT name FROM monitor")?.trim(), "third");
        assert_eq!(pair.replica.journal(&["KUMA_EVENT=stopping"])?.len(), 2);
        Ok(())
    })
}
