//! What is replicated: everything people edit in the web interface, by the timers as shipped, and what is
//! not: history.

use std::thread;

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Kuma, Machine, Network, Options, Result, S3Server, wait_for};
use crate::world::{Pair, SOON, Setup, boot, configure, digest, events, expect, logged_in, sql, wait_for_event};

pub const TESTS: &[Test] = &[
    ("first_replication_by_the_timers_as_shipped", by_the_timers),
    ("every_entity_kind_is_added_changed_and_removed", every_entity_kind),
    ("ten_applies_keep_the_heartbeats_of_the_replica", heartbeats_stay),
    ("an_unchanged_main_sends_no_request_to_the_s3_server", unchanged_is_free),
];

fn by_the_timers() -> Result<()> {
    Pair::from_scratch()?.shows(|pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        kuma.add_notification("hook", "http://127.0.0.1:9/")?;
        kuma.add_status_page("Public", "public", "Services", &[monitor])?;
        for machine in [&pair.main, &pair.replica] {
            machine.run(&["systemctl", "enable", "--now", "kuma-replicator.timer"])?;
        }
        wait_for_event(&pair.main, "published")?;
        wait_for_event(&pair.replica, "applied")?;
        let here = logged_in(&pair.replica)?.lists()?;
        assert_eq!(here["monitorList"][monitor.to_string()]["name"], "web");
        assert_eq!(here["notificationList"][0]["name"], "hook");
        assert_eq!(here["statusPageList"]["1"]["slug"], "public");
        // Every step is found by its message id, and carries the fields of its event.
        for (name, id) in kuma_replicator::cycle::MESSAGE_IDS {
            let machine = if *name == "published" { &pair.main } else { &pair.replica };
            let wanted =
                ["published", "fetched", "planned", "stopping", "stopped", "written", "started", "healthy", "applied"];
            if wanted.contains(name) {
                let found = machine.journal(&[&format!("MESSAGE_ID={id}"), "_SYSTEMD_UNIT=kuma-replicator.service"])?;
                let entry = found.first().ok_or_else(|| format!("no {name} by its message id {id}"))?;
                assert_eq!(entry["KUMA_EVENT"], *name);
                assert_eq!(entry["KUMA_CYCLE"], entry["_SYSTEMD_INVOCATION_ID"], "of {name}");
            }
        }
        // The catalog that the package brings explains them.
        let applied = pair.replica.journal(&["KUMA_EVENT=applied"])?;
        let snapshot = applied.first().and_then(|entry| entry["KUMA_SNAPSHOT"].as_str()).ok_or("no snapshot")?;
        let explained = pair.replica.run(&["journalctl", "-x", "--no-pager", "KUMA_EVENT=applied"])?;
        assert!(explained.contains(&format!("Subject: Snapshot {snapshot} is in force\n")), "{explained}");
        Ok(())
    })
}

/// One round of edits through the main's API, by what it does.
type Edit = (&'static str, fn(&mut Kuma) -> Result<()>);

/// `name(args)` of the socket API.
macro_rules! calls {
    ($($name:literal $args:tt;)*) => {
        |kuma| {
            $(kuma.call($name, json!($args))?;)*
            Ok(())
        }
    };
}

const EDITS: &[Edit] = &[
    ("add monitors, one in a group", |kuma| {
        let child = kuma.add_monitor("child", "http://127.0.0.1:3001/")?;
        let group = kuma.add_monitor_with(json!({ "name": "group", "type": "group" }))?;
        kuma.add_monitor("third; -- 'x'\n", "http://127.0.0.1:9/?a=%20")?;
        assert_eq!((child, group), (1, 2));
        // The parent has a higher id than its child.
        kuma.call("changeMonitor", json!([child, { "parent": group }])).map(drop)
    }),
    ("change a monitor", calls! { "changeMonitor" [1, { "name": "renamed", "interval": 33, "keyword": "null" }]; }),
    ("pause a monitor", calls! { "pauseMonitor" [1]; }),
    ("resume a monitor", calls! { "resumeMonitor" [1]; }),
    ("add tags and put them on monitors", |kuma| {
        let (one, two) = (kuma.add_tag("prod", "#ff0000")?, kuma.add_tag("null", "#00ff00")?);
        kuma.tag_monitor(one, 1, "")?;
        kuma.tag_monitor(two, 3, "007")
    }),
    ("change a tag", calls! { "editTag" [{ "id": 1, "name": "production", "color": "#0000ff" }]; }),
    ("add a notification and use it", |kuma| {
        let id = kuma.add_notification("hook", "http://127.0.0.1:9/")?;
        kuma.call("changeMonitor", json!([3, { "notificationIDList": { id.to_string(): true } }])).map(drop)
    }),
    ("change a notification", |kuma| {
        let fields = json!({ "name": "hook 2", "type": "webhook", "webhookURL": "http://127.0.0.1:9/2",
            "webhookContentType": "json", "isDefault": true, "applyExisting": false });
        kuma.call("addNotification", json!([fields, 1])).map(drop)
    }),
    ("add a status page with a domain", |kuma| {
        kuma.add_status_page("One", "one", "Services", &[1, 3])?;
        kuma.call(
            "changeStatusPage",
            json!(["one", { "domainNameList": ["status.example.com"] },
            [{ "id": 1, "name": "Services", "monitorList": [{ "id": 1 }, { "id": 3 }] }]]),
        )
        .map(drop)
    }),
    ("add a second page and let the two swap their slugs", |kuma| {
        kuma.add_status_page("Two", "two", "More", &[1])?;
        for (from, to) in [("one", "three"), ("two", "one"), ("three", "two")] {
            kuma.call("changeStatusPage", json!([from, { "slug": to }, []]))?;
        }
        Ok(())
    }),
    (
        "post an incident",
        calls! { "postIncident" ["one", { "title": "null", "content": "it; burns", "style": "danger" }]; },
    ),
    ("unpin the incident", calls! { "unpinIncident" ["one"]; }),
    (
        "add a maintenance for a monitor and a page",
        calls! {
            "newMaintenance" [{ "title": "night", "strategy": "recurring-interval", "intervalDay": 2 }];
            "addMonitorMaintenance" [1, [{ "id": 1 }]];
            "addMaintenanceStatusPage" [1, [{ "id": 1 }]];
        },
    ),
    ("change the maintenance", calls! { "changeMaintenance" [1, { "title": "day" }]; }),
    (
        "add a proxy and use it",
        calls! {
            "addProxy" [{ "protocol": "http", "host": "127.0.0.1", "port": 3128, "auth": true, "username": "u",
                "password": "p", "active": true, "default": false, "applyExisting": false }, null];
            "changeMonitor" [3, { "proxyId": 1 }];
        },
    ),
    (
        "add a docker host",
        calls! {
            "addDockerHost" [{ "name": "local", "dockerType": "socket", "dockerDaemon": "/var/run/docker.sock" }, null];
        },
    ),
    ("add an API key", calls! { "addAPIKey" [{ "name": "metrics", "expires": null, "active": true }]; }),
    (
        "change the password",
        calls! {
            "changePassword" [{ "currentPassword": Kuma::PASSWORD, "newPassword": "Another-pass-1" }];
        },
    ),
    ("remove the docker host and the proxy", calls! { "deleteDockerHost" [1]; "deleteProxy" [1]; }),
    ("remove the API key", calls! { "deleteAPIKey" [1]; }),
    ("remove the maintenance", calls! { "deleteMaintenance" [1]; }),
    ("remove a status page", calls! { "deleteStatusPage" ["one"]; }),
    ("remove the notification", calls! { "deleteNotification" [1]; }),
    ("remove a tag from a monitor, and a tag", calls! { "deleteMonitorTag" [2, 3, "007"]; "deleteTag" [1]; }),
    ("remove the group and a monitor", calls! { "deleteMonitor" [2]; "deleteMonitor" [3]; }),
];

fn every_entity_kind() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let mut kuma = pair.main_kuma()?;
        for (what, edit) in EDITS {
            let before = digest(&pair.main)?;
            edit(&mut kuma).map_err(|error| format!("{what}: {error}"))?;
            assert_ne!(before, digest(&pair.main)?, "{what}: nothing changed on the main");
            pair.replicate().map_err(|error| format!("{what}: {error}"))?;
            pair.assert_equal().map_err(|error| format!("{what}: {error}"))?;
        }
        // What the replica's own API shows is what the main's shows.
        let (mut there, mut here) = (kuma.lists()?, {
            let mut kuma = pair.replica.kuma()?;
            kuma.log_in(Kuma::USER, "Another-pass-1")?;
            kuma.lists()?
        });
        for lists in [&mut there, &mut here] {
            lists.as_object_mut().ok_or("no lists")?.remove("heartbeats");
        }
        assert_eq!(there, here);
        Ok(())
    })
}

fn heartbeats_stay() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("kept", "http://127.0.0.1:3001/api/entry-page")?;
        pair.replicate()?;
        let beats = |machine: &Machine| -> Result<Vec<String>> {
            let rows = sql(
                machine,
                "SELECT id, monitor_id, status, quote(msg), time, ping, duration, important FROM heartbeat ORDER BY id",
            )?;
            Ok(rows.lines().map(str::to_owned).collect())
        };
        wait_for("the replica beats by itself", SOON, || Ok((!beats(&pair.replica)?.is_empty()).then_some(())))?;
        for round in 0..10 {
            let before = beats(&pair.replica)?;
            kuma.call("changeMonitor", json!([monitor, { "name": format!("kept {round}") }]))?;
            pair.replicate()?;
            let after = beats(&pair.replica)?;
            assert_eq!(before[..], after[..before.len()], "history changed in round {round}");
        }
        assert_eq!(events(&pair.replica)?.iter().filter(|event| *event == "applied").count(), 11);
        Ok(())
    })
}

fn unchanged_is_free() -> Result<()> {
    let network = Network::new()?;
    let s3 = S3Server::start(&network)?;
    let repository = format!("{}/kuma", s3.new_bucket()?);
    let machine = |name: &str| -> Result<Machine> {
        let machine = boot(name, &Options { network: Some(&network), ..Options::default() })?;
        configure(&machine, name, &repository, "")?;
        let variables: Vec<String> =
            S3Server::ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(machine.root().join("etc/kuma-replicator/environment"), variables.concat())?;
        machine.kuma()?;
        Ok(machine)
    };
    let (main, replica) = thread::scope(|scope| {
        let main = scope.spawn(|| machine("main"));
        let replica = scope.spawn(|| machine("replica"));
        (main.join().unwrap(), replica.join().unwrap())
    });
    let (main, replica) = (main?, replica?);
    main.run(&["kuma-replicator", "init"])?;
    let mut kuma = main.kuma()?;
    kuma.set_up()?;
    kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
    kuma.add_monitor_with(
        json!({ "name": "dns", "type": "dns", "hostname": "example.com", "dns_resolve_server": "127.0.0.1" }),
    )?;
    expect(&main, 0, "published")?;
    expect(&replica, 0, "applied")?;
    expect(&main, 0, "unchanged")?;
    // Neither a request nor a child: restic is not even there. Heartbeats and the answers of name servers
    // arrive all the while.
    main.run(&["mv", "/usr/bin/restic", "/root/restic"])?;
    let before = s3.requests()?;
    wait_for("heartbeats", SOON, || Ok((sql(&main, "SELECT count(*) FROM heartbeat")?.trim() != "0").then_some(())))?;
    sql(&main, "UPDATE monitor SET dns_last_result = 'another answer' WHERE type = 'dns'")?;
    main.run(&["systemctl", "restart", "uptime-kuma"])?;
    main.kuma()?;
    for _ in 0..3 {
        expect(&main, 0, "unchanged")?;
    }
    assert_eq!(s3.requests()?, before, "an unchanged cycle asked the server");
    main.run(&["mv", "/root/restic", "/usr/bin/restic"])?;
    // A replica asks which snapshots there are, and nothing else.
    expect(&replica, 0, "up to date")?;
    let asked = s3.requests()? - before;
    assert_eq!(asked, 1, "an up-to-date replica made {asked} requests");
    let lists: Value = logged_in(&replica)?.lists()?;
    assert_eq!(lists["monitorList"]["1"]["name"], "web");
    Ok(())
}
