//! The digest covers every value of the configuration and nothing else.

use std::collections::BTreeSet;

use kuma_replicator::model::dump::Dump;

use super::program::{digest, dump, exported, fixture};
use crate::support::instance::{Instance, Order, Version};

#[test]
fn only_the_configuration_makes_the_digest() {
    for version in [Version::One, Version::Two] {
        let expected = digest(&Instance::rich(version, Order::Fresh));
        assert_eq!(digest(&Instance::rich(version, Order::Upgraded)), expected, "{version:?}: order of columns");

        let mut changes = vec![
            "UPDATE monitor SET dns_last_result='other' WHERE id=16",
            "UPDATE user SET twofa_last_token='654321'",
            "UPDATE monitor_notification SET id = id + 100",
            "UPDATE monitor_tag SET id = id + 1000",
            "UPDATE monitor_group SET id = id + 100",
            "UPDATE status_page_cname SET id = id + 50",
            "UPDATE monitor_maintenance SET id = id + 9; UPDATE maintenance_status_page SET id = id + 9",
            "UPDATE sqlite_sequence SET seq = seq + 1000",
            "DELETE FROM heartbeat",
            "INSERT INTO heartbeat (monitor_id, status, time) VALUES (1, 1, '2026-01-01')",
            "UPDATE setting SET id = id + 100",
            "UPDATE setting SET value='other' WHERE key IN ('jwtSecret', 'disableAuth', 'initServerTimezone')",
            "INSERT INTO setting (key, value) VALUES ('title', 'x'), ('cloudflaredTunnelToken', 'x'), ('nscd', 'x')",
            "CREATE TABLE of_a_plugin (id INTEGER PRIMARY KEY)",
            "VACUUM",
        ];
        if version == Version::Two {
            changes.push("UPDATE maintenance SET last_start_date='2026-03-03'");
            changes.push("UPDATE knex_migrations SET id = id + 10, batch = 7");
        }
        for sql in changes {
            let instance = Instance::rich(version, Order::Fresh);
            instance.execute(sql);
            assert_eq!(digest(&instance), expected, "{sql}");
        }
    }
}

/// Uptime Kuma shows them in the order in which they were written.
#[test]
fn the_order_of_tags_and_domains_makes_the_digest_and_that_of_other_links_does_not() {
    for version in [Version::One, Version::Two] {
        let instance = Instance::rich(version, Order::Fresh);
        instance.execute(
            "INSERT INTO monitor_tag (monitor_id, tag_id, value) VALUES (1, 1, 'z'), (1, 1, 'a');
             DELETE FROM status_page_cname;
             INSERT INTO status_page_cname (status_page_id, domain) VALUES (1, 'z.example.com'), (1, 'a.example.com')",
        );
        let before = digest(&instance);
        for (table, counts) in [("monitor_tag", true), ("status_page_cname", true), ("monitor_notification", false)] {
            instance.execute(&format!("UPDATE {table} SET id = -id; UPDATE {table} SET id = id + 1000"));
            assert_eq!(digest(&instance) != before, counts, "{version:?}: {table} in the other order");
            instance.execute(&format!("UPDATE {table} SET id = -id"));
            assert_eq!(digest(&instance), before, "{version:?}: {table} as before");
        }
    }
}

/// A server writes it whenever a maintenance window opens.
#[test]
fn a_maintenance_window_that_opens_does_not_make_the_digest() {
    let instance = fixture("kuma-2.5.3", Version::Two);
    let before = digest(&instance);
    for now in ["'2026-12-24 00:00:00'", "NULL"] {
        instance.execute(&format!("UPDATE maintenance SET last_start_date={now} WHERE strategy='cron'"));
        assert_eq!(digest(&instance), before, "{now}");
    }
    instance.execute("UPDATE maintenance SET cron='0 3 * * *' WHERE strategy='cron'");
    assert_ne!(digest(&instance), before, "there is such a window");
}

/// The statements are those of `server/server.js` and `server/2fa.js`, the same in 1.23 and 2.x.
#[test]
fn a_secret_for_2fa_makes_the_digest_only_once_it_is_confirmed() {
    for (name, version) in [("kuma-1.23", Version::One), ("kuma-2.5.3", Version::Two)] {
        let instance = fixture(name, version);
        let before = digest(&instance);
        let prepare = |secret: &str| {
            instance.execute(&format!("UPDATE user SET twofa_secret = '{secret}' WHERE id = 1"));
            digest(&instance)
        };
        assert_eq!(prepare("a secret"), before, "{name}: opening the dialog");
        assert_eq!(prepare("another one"), before, "{name}: opening it again");
        assert!(!exported(&instance).windows(11).any(|bytes| bytes == b"another one"), "{name}: not published");
        instance.execute("UPDATE user SET twofa_status = 1 WHERE id = 1");
        let on = digest(&instance);
        assert_ne!(on, before, "{name}: confirming it");
        assert_ne!(prepare("a third one"), on, "{name}: it counts from then on");
        instance.execute("UPDATE user SET twofa_status = 0 WHERE id = 1");
        assert_eq!(digest(&instance), before, "{name}: switching it off leaves a secret that does not count");
    }
}

#[test]
fn every_single_configuration_value_makes_the_digest() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    instance.execute("UPDATE user SET twofa_status = 1");
    let original = digest(&instance);
    let Dump { configuration, .. } = dump(&instance);
    let mut seen = BTreeSet::from([original]);
    let mut count = 1;
    for table in &configuration.tables {
        for column in table.columns.iter().filter(|column| *column != "id") {
            let copy = instance.copy();
            // The second row of a column is another value of another storage class than before.
            let sql = format!(
                r#"PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON;
                   UPDATE "{0}" SET "{column}" = CASE typeof("{column}") WHEN 'blob' THEN 'text' ELSE x'626c6f62' END
                   WHERE rowid = (SELECT max(rowid) FROM "{0}")"#,
                table.spec.name
            );
            copy.execute(&sql);
            seen.insert(digest(&copy));
            count += 1;
        }
    }
    assert_eq!(seen.len(), count, "two different configurations have the same digest");
    assert!(count > 100);
}
