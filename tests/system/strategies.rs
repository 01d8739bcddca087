//! What the strategies make of the same edits, over one repository, and what a boot does about them.

use std::thread;

use serde_json::json;

use crate::Test;
use crate::testbed::{Kuma, Machine, Result};
use crate::world::{Pair, Setup, customize, digest, expect, footing, logged_in, planned, sql};

pub const TESTS: &[Test] = &[
    ("replicas_of_each_strategy_share_a_main_and_treat_edits_differently", fleet),
    ("edits_outlive_a_boot_unless_apply_on_boot_is_set", boot),
];

/// What the monitors check.
const WEB: &str = "http://127.0.0.1:3001/";
/// Where the notifications are sent to: nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9/";

fn fleet() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (default, merge) = thread::scope(|scope| {
            let default = scope.spawn(|| pair.another("default"));
            let merge = scope.spawn(|| pair.another("merge"));
            (default.join().unwrap(), merge.join().unwrap())
        });
        let (snapshot, default, merge) = (&pair.replica, &default?, &merge?);
        let all = [snapshot, default, merge];
        customize(default, "strategy = \"default\"\n")?;
        customize(merge, "strategy = \"notifications-insert-merge\"\n")?;
        let mut main = pair.main_kuma()?;
        let hook = main.add_notification("hook", NOWHERE)?;
        let spare = main.add_notification("spare", NOWHERE)?;
        let monitor = |name: &str, ids: &[i64]| {
            let ids: serde_json::Map<_, _> = ids.iter().map(|id| (id.to_string(), json!(true))).collect();
            json!({ "name": name, "url": WEB, "interval": 20, "retryInterval": 20, "timeout": 16,
                "notificationIDList": ids })
        };
        for name in ["web", "db", "old"] {
            main.add_monitor_with(monitor(name, &[hook, spare]))?;
        }
        expect(&pair.main, 0, "published")?;
        each(all, ["applied"; 3])?;
        for host in [snapshot, merge] {
            assert_eq!(digest(&pair.main)?, digest(host)?);
        }
        assert_eq!(
            sql(default, "SELECT (SELECT count(*) FROM notification) + count(*) FROM monitor_notification")?,
            "0\n"
        );

        // Notifications of its own, under an id that on the main is another one's.
        let mut kuma = logged_in(default)?;
        assert_eq!(kuma.add_notification("pager", NOWHERE)?, hook);
        for id in [1, 3] {
            kuma.call("changeMonitor", json!([id, { "notificationIDList": { hook.to_string(): true } }]))?;
        }
        let links = || sql(default, "SELECT monitor_id, notification_id FROM monitor_notification ORDER BY monitor_id");
        for host in all {
            notify(host, "edited")?;
        }
        for host in [snapshot, default] {
            logged_in(host)?.call("changeMonitor", json!([1, { "name": "edited" }]))?;
        }
        each(all, ["up to date", "applied", "applied"])?;
        assert_eq!(names(snapshot)?, "edited|edited\n", "it stays until the next snapshot");
        assert_eq!(names(default)?, "web|edited\n", "its notifications are its own");
        assert_eq!(links()?, "1|1\n3|1\n");
        // The page saves all columns of a monitor, some with other values, even if only its notifications
        // were edited.
        assert_eq!(planned(default)?, [[0, 2, 0]]);
        assert_eq!((names(merge)?.as_str(), planned(merge)?), ("web|hook\n", vec![[0, 1, 0]]));
        assert_eq!(digest(&pair.main)?, digest(merge)?);
        each(all, ["up to date"; 3])?;

        // A change of the notifications alone is none for `default`.
        notify(&pair.main, "hook 2")?;
        expect(&pair.main, 0, "published")?;
        let before = footing(default)?;
        each(all, ["applied", "up to date", "applied"])?;
        assert_eq!(before, footing(default)?);
        assert_eq!(names(snapshot)?, "web|hook 2\n", "the next snapshot overwrites both edits");
        assert_eq!(names(merge)?, "web|hook 2\n");
        assert_eq!(planned(merge)?, [[0, 1, 0]]);

        // A monitor with notifications is removed, and one with its own is added.
        let mut main = pair.main_kuma()?;
        main.call("deleteMonitor", json!([3]))?;
        main.call("deleteNotification", json!([spare]))?;
        assert_eq!(main.add_monitor_with(monitor("new", &[hook]))?, 4);
        expect(&pair.main, 0, "published")?;
        each(all, ["applied"; 3])?;
        for host in [snapshot, merge] {
            assert_eq!(digest(&pair.main)?, digest(host)?);
        }
        let parts = planned(merge)?;
        // A monitor, and another one with two links; then a link, and a notification with two others.
        assert_eq!(parts, [[1, 0, 3]; 2]);
        let here = logged_in(merge)?.lists()?;
        assert_eq!(here["monitorList"]["4"]["notificationIDList"], json!({ hook.to_string(): true }));
        assert_eq!(sql(default, "SELECT id, name FROM monitor ORDER BY id")?, "1|web\n2|db\n4|new\n");
        assert_eq!(sql(default, "SELECT id, name FROM notification")?, "1|edited\n");
        assert_eq!(links()?, "1|1\n");
        each(all, ["up to date"; 3])
    })
}

fn boot() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        pair.main_kuma()?.add_monitor("web", WEB)?;
        pair.replicate()?;
        let rename = || logged_in(replica)?.call("changeMonitor", json!([1, { "name": "edited" }]));
        let reboot = || -> Result<()> {
            replica.reboot()?;
            replica.kuma().map(drop)
        };
        let name = || sql(replica, "SELECT name FROM monitor");
        rename()?;
        expect(replica, 0, "up to date")?;
        reboot()?;
        expect(replica, 0, "up to date")?;
        assert_eq!(name()?, "edited\n");

        // What is in force was applied before the boot, and it is only from the next cycle on that it was after.
        customize(replica, "apply-on-boot = true\n")?;
        let plan = replica.run(&["kuma-replicator", "plan"])?;
        assert!(plan.starts_with("next cycle: applied: ") && plan.contains("as this host was booted"), "{plan}");
        expect(replica, 0, "applied")?;
        assert_eq!(name()?, "web\n");
        rename()?;
        // Until the next boot, runtime units are kept where systemd says that it was booted.
        replica.run(&["systemctl", "mask", "--runtime", "another.service"])?;
        expect(replica, 0, "up to date")?;
        assert_eq!(name()?, "edited\n", "between boots it is as without");
        reboot()?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        let before = footing(replica)?;
        expect(replica, 0, "up to date")?;
        assert_eq!(before, footing(replica)?);
        Ok(())
    })
}

/// Runs a cycle on each host at the same time; each must end with its outcome.
fn each<const N: usize>(hosts: [&Machine; N], outcomes: [&str; N]) -> Result<()> {
    thread::scope(|scope| {
        let cycles: Vec<_> = hosts
            .into_iter()
            .zip(outcomes)
            .map(|(host, outcome)| scope.spawn(move || expect(host, 0, outcome)))
            .collect();
        cycles.into_iter().try_for_each(|cycle| cycle.join().unwrap())
    })
}

/// Renames the first notification of a host.
fn notify(host: &Machine, name: &str) -> Result<()> {
    let fields = json!({ "name": name, "type": "webhook", "webhookURL": NOWHERE, "webhookContentType": "json",
        "isDefault": false, "applyExisting": false });
    let mut kuma: Kuma = logged_in(host)?;
    kuma.call("addNotification", json!([fields, 1])).map(drop)
}

/// What the first monitor and the first notification of a host are called.
fn names(host: &Machine) -> Result<String> {
    sql(
        host,
        "SELECT monitor.name, notification.name FROM monitor, notification WHERE monitor.id = 1 AND notification.id = 1",
    )
}
