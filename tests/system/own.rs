//! What a replica does not take over, what it keeps as its own, and how edits of everything else are reported.

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Kuma, Machine, Result, wait_for};
use crate::world::{
    Pair, SOON, Setup, customize, digest, events, expect, fails, footing, logged_in, planned, sql, typed,
};

pub const TESTS: &[Test] = &[
    ("excluded_monitors_go_and_come_back_and_excluded_tables_are_left_alone", exclusions),
    ("overrides_and_proxies_of_a_replica_outlast_applies", values),
    ("a_replica_can_have_its_own_users", users),
    ("edits_are_shown_row_by_row_without_the_repository_and_undone_from_the_copy_kept_here", edits),
];

const WEB: &str = "http://127.0.0.1:3001/";

fn exclusions() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let mut main = pair.main_kuma()?;
        let fields =
            |name: &str| json!({ "name": name, "url": WEB, "interval": 20, "retryInterval": 20, "timeout": 16 });
        add_proxy(&mut main, None, "10.0.0.1")?;
        let kept = main.add_monitor_with(with(fields("kept"), json!({ "proxyId": 1 })))?;
        let tagged = main.add_monitor("tagged", WEB)?;
        main.add_monitor("lab-1", WEB)?;
        main.add_monitor_with(json!({ "name": "named", "type": "ping", "hostname": "127.0.0.1" }))?;
        let branch = main.add_monitor_with(json!({ "name": "Branch north", "type": "group" }))?;
        main.add_monitor_with(with(fields("in it"), json!({ "parent": branch })))?;
        let tag = main.add_tag("internal", "#ff0000")?;
        main.tag_monitor(tag, tagged, "")?;
        main.add_status_page("Public", "public", "Services", &[kept, tagged])?;
        pair.replicate()?;
        pair.assert_equal()?;
        let history = |monitor: i64| {
            sql(replica, &format!("SELECT id, time, msg FROM heartbeat WHERE monitor_id = {monitor} ORDER BY id"))
        };
        wait_for("both have history", SOON, || {
            Ok((!history(kept)?.is_empty() && !history(tagged)?.is_empty()).then_some(()))
        })?;

        // The customization removes them; the snapshot is the one in force.
        let snapshots = pair.main.run(&["kuma-replicator", "snapshots"])?;
        let before = history(kept)?;
        let customization = "[replica.exclude]\ntables = [\"status_page\", \"proxy\"]\nmonitor-tags = [\"internal\"]\n\
            monitor-names = [\"lab-?\"]\nmonitor-types = [\"ping\"]\nmonitor-groups = [\"Branch *\"]\n";
        customize(replica, customization)?;
        let plan = replica.run(&["kuma-replicator", "plan"])?;
        for line in [
            "excluded by tag internal: 1 monitor",
            "excluded by name lab-?: 1 monitor",
            "excluded by type ping: 1 monitor",
            "excluded by group Branch *: 2 monitors",
            "left alone: status_page",
            "left alone: proxy",
            "- monitor 2 name \"tagged\"",
            "- monitor 6 name \"in it\"",
        ] {
            assert!(plan.contains(line), "no '{line}' in {plan}");
        }
        expect(replica, 0, "applied")?;
        assert_eq!(sql(replica, "SELECT name FROM monitor")?, "kept\n");
        assert_eq!(sql(replica, "SELECT DISTINCT monitor_id FROM heartbeat")?, format!("{kept}\n"));
        assert!(history(kept)?.starts_with(&before));
        expect(replica, 0, "up to date")?;

        // A page and a proxy of this host, which are no edits, and stay when the main's go.
        let mut kuma = logged_in(replica)?;
        assert_eq!(kuma.lists()?["monitorList"].as_object().map(|list| list.len()), Some(1));
        kuma.add_status_page("Own", "own", "Mine", &[kept])?;
        add_proxy(&mut kuma, Some(1), "10.9.9.9")?;
        let running = footing(replica)?;
        expect(replica, 0, "up to date")?;
        assert_eq!(running, footing(replica)?);
        assert!(!events(replica)?.contains(&"drifted".to_owned()));
        let mut main = pair.main_kuma()?;
        main.call("deleteProxy", json!([1]))?;
        main.call("deleteStatusPage", json!(["public"]))?;
        main.call("changeMonitor", json!([kept, { "interval": 30 }]))?;
        pair.replicate()?;
        assert_eq!(planned(replica)?, [[0, 1, 0]]);
        assert_eq!(sql(replica, "SELECT interval, host FROM monitor, proxy ON proxy_id = proxy.id")?, "30|10.9.9.9\n");
        let page: Value =
            serde_json::from_str(&replica.run(&["curl", "-sf", &format!("{WEB}api/status-page/own")])?)?;
        assert_eq!(page["publicGroupList"][0]["monitorList"][0]["name"], "kept", "{page}");
        assert_eq!(sql(replica, "SELECT slug FROM status_page ORDER BY id")?, "public\nown\n");

        // All that was left out comes back, and all that is not the main's goes.
        let before = history(kept)?;
        customize(replica, "")?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        assert!(history(kept)?.starts_with(&before));
        assert_eq!(sql(replica, "SELECT count(*) FROM monitor")?, "6\n");
        expect(replica, 0, "up to date")?;
        assert_eq!(pair.main.run(&["kuma-replicator", "snapshots"])?.lines().count(), snapshots.lines().count() + 1);
        Ok(())
    })
}

fn values() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let mut main = pair.main_kuma()?;
        for number in 1..=2 {
            add_proxy(&mut main, None, &format!("10.0.0.{number}"))?;
            let fields = json!({ "name": format!("web {number}"), "url": WEB, "proxyId": number });
            main.add_monitor_with(fields)?;
        }
        main.add_monitor_with(json!({ "name": "ping", "type": "ping", "hostname": "127.0.0.1", "interval": 50 }))?;
        let own = "[replica.local-entities]\nproxy = \"keep\"\n";
        let longer =
            "[[replica.overrides]]\ntable = \"monitor\"\nwhere = { type = \"http\" }\nset = { interval = 120 }\n";
        customize(replica, &[own, longer].concat())?;
        assert!(typed(replica, 0, &["check"])?.contains("fits the database of this replica"));
        pair.replicate()?;
        let monitors = || sql(replica, "SELECT id, interval, proxy_id FROM monitor ORDER BY id");
        let proxies = |machine: &Machine| sql(machine, "SELECT id, host FROM proxy ORDER BY id");
        assert_eq!(monitors()?, "1|120|1\n2|120|2\n3|50|\n");
        let mut kuma = logged_in(replica)?;
        let lists = kuma.lists()?;
        let intervals = ["1", "2", "3"].map(|id| lists["monitorList"][id]["interval"].as_i64());
        assert_eq!(intervals, [Some(120), Some(120), Some(50)]);
        assert_eq!(proxies(replica)?, "1|10.0.0.1\n2|10.0.0.2\n", "there is nothing to keep yet");

        // What is this host's own is no edit.
        add_proxy(&mut kuma, Some(1), "10.9.9.9")?;
        add_proxy(&mut kuma, Some(2), "10.9.9.8")?;
        let running = footing(replica)?;
        expect(replica, 0, "up to date")?;
        assert_eq!(running, footing(replica)?);
        assert!(!events(replica)?.contains(&"drifted".to_owned()));
        add_proxy(&mut main, Some(1), "10.0.0.11")?;
        add_proxy(&mut main, None, "10.0.0.3")?;
        main.call("deleteProxy", json!([2]))?;
        pair.replicate()?;
        assert_eq!(proxies(replica)?, "1|10.9.9.9\n3|10.0.0.3\n");
        assert_eq!(monitors()?, "1|120|1\n2|120|\n3|50|\n");
        expect(replica, 0, "up to date")?;

        // A column that is not there is found before anything is touched.
        let before = footing(replica)?;
        customize(replica, &[own, &longer.replace("interval =", "intervall =")].concat())?;
        assert!(typed(replica, 78, &["check"])?.contains("monitor has no column intervall"));
        fails(replica, 78, "config", "monitor has no column intervall")?;
        assert_eq!(before, footing(replica)?);

        // With "follow" and no overrides, it is as on the main again.
        customize(replica, "")?;
        expect(replica, 0, "applied")?;
        assert_eq!(proxies(replica)?, proxies(&pair.main)?);
        pair.assert_equal()
    })
}

fn users() -> Result<()> {
    const OWN: (&str, &str) = ("oncall", "Local-pass-1");
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        replica.kuma()?.call("setup", json!([OWN.0, OWN.1]))?;
        customize(replica, "[replica.local-entities]\nuser = \"keep\"\n")?;
        let mut main = pair.main_kuma()?;
        let hook = main.add_notification("hook", "http://127.0.0.1:9/")?;
        let monitor = json!({ "name": "web", "url": WEB, "notificationIDList": { hook.to_string(): true } });
        main.add_monitor_with(monitor)?;
        main.call("newMaintenance", json!([{ "title": "night" }]))?;
        main.call("addAPIKey", json!([{ "name": "metrics", "expires": null, "active": true }]))?;
        pair.replicate()?;

        let own = |password: &str| -> Result<Kuma> {
            let mut kuma = replica.kuma()?;
            kuma.log_in(OWN.0, password)?;
            Ok(kuma)
        };
        let refused =
            |user: &str, password: &str| -> Result<bool> { Ok(replica.kuma()?.log_in(user, password).is_err()) };
        assert!(refused(Kuma::USER, Kuma::PASSWORD)?, "the main's log-in works on the replica");
        let mut kuma = own(OWN.1)?;
        let lists = kuma.lists()?;
        assert_eq!(lists["monitorList"]["1"]["name"], "web");
        assert_eq!(lists["maintenanceList"]["1"]["title"], "night");
        assert_eq!(
            (&lists["notificationList"][0]["name"], &lists["apiKeyList"][0]["name"]),
            (&json!("hook"), &json!("metrics"))
        );
        kuma.call("changeMonitor", json!([1, { "name": "edited" }]))?;
        assert_eq!(kuma.lists()?["monitorList"]["1"]["name"], "edited");
        // The two passwords change, each on its host.
        let change = |old: &str, new: &str| json!([{ "currentPassword": old, "newPassword": new }]);
        kuma.call("changePassword", change(OWN.1, "Local-pass-2"))?;
        main.call("changePassword", change(Kuma::PASSWORD, "Another-pass-1"))?;
        main.call("changeMonitor", json!([1, { "name": "renamed" }]))?;
        pair.replicate()?;
        assert_eq!(own("Local-pass-2")?.lists()?["monitorList"]["1"]["name"], "renamed");
        for password in [Kuma::PASSWORD, "Another-pass-1"] {
            assert!(refused(Kuma::USER, password)?);
        }
        assert!(refused(OWN.0, OWN.1)?);
        expect(replica, 0, "up to date")?;

        customize(replica, "")?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        assert!(refused(OWN.0, "Local-pass-2")?);
        replica.kuma()?.log_in(Kuma::USER, "Another-pass-1")
    })
}

fn edits() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let mut main = pair.main_kuma()?;
        let hook = main.add_notification("hook", "http://127.0.0.1:9/")?;
        main.add_monitor_with(json!({ "name": "web", "url": WEB, "notificationIDList": { hook.to_string(): true } }))?;
        let db = main.add_monitor("db", WEB)?;
        let tag = main.add_tag("prod", "#ff0000")?;
        main.tag_monitor(tag, db, "yes")?;
        pair.replicate()?;
        let wanted = digest(replica)?;

        let mut kuma = logged_in(replica)?;
        kuma.call("changeMonitor", json!([1, { "name": "edited", "url": "http://s3cret.example/" }]))?;
        kuma.call("deleteMonitorTag", json!([tag, db, "yes"]))?;
        kuma.add_tag("mine", "#00ff00")?;
        let fields = json!({ "name": "hook", "type": "webhook", "webhookURL": "http://127.0.0.1:9/s3cret",
            "webhookContentType": "json", "isDefault": false, "applyExisting": false });
        kuma.call("addNotification", json!([fields, hook]))?;
        expect(replica, 0, "up to date")?;

        let lines = [
            "~ monitor 1 name \"web\"",
            "name: \"edited\" → \"web\"",
            "url: changed (hidden)",
            "~ notification 1 name \"hook\"",
            "config: changed (hidden)",
            "- tag 2 name \"mine\"",
            // It was on no other monitor, so Uptime Kuma has removed it, too.
            "+ tag 1 name \"prod\"",
            "+ monitor_tag monitor_id 2 tag_id 1 value \"yes\"",
        ];
        let shows_edits = |text: &str| {
            for line in lines {
                assert!(text.contains(line), "no '{line}' in {text}");
            }
            assert!(!text.contains("s3cret") && !text.contains("127.0.0.1:9"), "{text}");
        };
        // Without any repository, what is kept here is enough to say so.
        let repository = pair.repository.path();
        let parts = ["config", "snapshots"].map(|part| (repository.join(part), repository.join(format!("no {part}"))));
        parts.iter().try_for_each(|(there, away)| std::fs::rename(there, away))?;
        let status = typed(replica, 0, &["status"])?;
        assert!(status.contains("edited here   "), "{status}");
        shows_edits(&status);
        let document = typed(replica, 0, &["status", "--json"])?;
        let edits: Value = serde_json::from_str::<Value>(&document)?["replica"]["edits"].take();
        assert_eq!(edits["size"], json!({ "inserts": 2, "updates": 2, "deletes": 1, "files": 0 }), "{edits}");
        let tables: Vec<_> = edits["changes"].as_array().ok_or("no changes")?.iter().map(|it| &it["table"]).collect();
        assert_eq!(tables, ["tag", "tag", "notification", "monitor", "monitor_tag"], "{edits}");
        assert!(!document.contains("s3cret"));
        // What the next cycle would do is another question, which the repository has to answer.
        assert!(typed(replica, 78, &["plan"])?.contains("cannot look into repository"));
        parts.iter().try_for_each(|(there, away)| std::fs::rename(away, there))?;

        // With a repository that lists its snapshots and has lost what is in them, they can be undone, too.
        let (there, away) = (repository.join("data"), repository.join("no data"));
        std::fs::rename(&there, &away)?;
        shows_edits(&typed(replica, 0, &["plan"])?);
        expect(replica, 0, "up to date")?;
        customize(replica, "on-drift = \"overwrite\"\n")?;
        assert!(typed(replica, 0, &["plan"])?.starts_with("next cycle: applied: "));
        expect(replica, 0, "applied")?;
        assert_eq!(wanted, digest(replica)?);
        expect(replica, 0, "up to date")?;

        // A strategy that overwrites says what the next cycle does before any has found the edit.
        customize(replica, "strategy = \"default\"\n")?;
        expect(replica, 0, "up to date")?;
        logged_in(replica)?.call("changeMonitor", json!([1, { "name": "edited" }]))?;
        let plan = typed(replica, 0, &["plan"])?;
        assert!(plan.starts_with("next cycle: applied: ") && plan.contains("name: \"edited\" → \"web\""), "{plan}");
        expect(replica, 0, "applied")?;
        let drifted = replica.journal(&["KUMA_EVENT=drifted"])?;
        let last = drifted.last().and_then(|entry| entry["MESSAGE"].as_str()).unwrap_or_default();
        assert!(last.ends_with("applying the main's configuration again"), "{last}");
        std::fs::rename(&away, &there)?;
        assert_eq!(wanted, digest(replica)?);
        Ok(())
    })
}

/// Adds a proxy, or edits the one with this id.
fn add_proxy(kuma: &mut Kuma, id: Option<i64>, host: &str) -> Result<()> {
    let fields = json!({ "protocol": "http", "host": host, "port": 3128, "auth": false, "active": true,
        "default": false, "applyExisting": false });
    kuma.call("addProxy", json!([fields, id])).map(drop)
}

/// Some fields, and others in place of them.
fn with(mut fields: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}
