//! A dump that does not fit, or whose rows break a rule, is refused, and no byte changes.

use std::path::Path;

use jiff::Timestamp;
use kuma_replicator::cycle::CanonicalExport;

use super::program::{exported, import, import_of, import_well, library_export, refused, run};
use crate::support::instance::{Instance, Order, Version};

#[test]
fn import_refuses_and_changes_nothing() {
    let rich = Instance::rich(Version::Two, Order::Fresh);
    let good = exported(&rich);
    let edited = |sql: &str| {
        let copy = rich.copy();
        copy.execute(sql);
        exported(&copy)
    };
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(good.clone()).unwrap();
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("nothing", Vec::new(), &["it is empty"]),
        ("no dump", b"#!/bin/sh\n".to_vec(), &["first line is not a manifest"]),
        ("cut", good[..good.len() / 2].to_vec(), &["it is cut"]),
        ("cut by one byte", good[..good.len() - 1].to_vec(), &["it is cut"]),
        ("changed", replaced("outer group", "0uter group"), &["its content has digest"]),
        ("another format", replaced("\"format\":1", "\"format\":2"), &["format 2", "upgrade kuma-replicator"]),
        (
            "of 1.x",
            exported(&Instance::rich(Version::One, Order::Fresh)),
            &["another version of Uptime Kuma", "google_analytics"],
        ),
        (
            "no user",
            edited(
                "PRAGMA foreign_keys=OFF; DELETE FROM user; UPDATE monitor SET user_id=NULL;
            UPDATE maintenance SET user_id=NULL; DELETE FROM api_key",
            ),
            &["no user"],
        ),
        (
            "another migration",
            edited("INSERT INTO knex_migrations (name) VALUES ('2027-x.js')"),
            &["only the dump has: migration 2027-x.js; only the database has: nothing"],
        ),
        (
            "a migration less",
            edited("DELETE FROM knex_migrations WHERE name LIKE '2025%'"),
            &["2025-01-01", "same version on both"],
        ),
        ("another column", edited("ALTER TABLE monitor ADD COLUMN future TEXT"), &["monitor.future"]),
        ("another table", edited("DROP TABLE incident"), &["incident"]),
    ];
    for (name, bytes, said) in cases {
        let target = Instance::empty(Version::Two, Order::Upgraded);
        let before = target.files();
        let output = import(&bytes, &target);
        assert!(output.stdout.is_empty(), "{name}");
        refused(&output, &before, &target, 65, said);
    }
    let target = Instance::empty(Version::Two, Order::Upgraded);
    let before = target.files();
    let output = run(&mut import_of(Path::new("/nonexistent/dump"), &target.path()));
    refused(&output, &before, &target, 2, &["there is no dump /nonexistent/dump", "kuma-replicator export"]);
}

#[test]
fn import_refuses_rows_that_break_a_rule() {
    let lax = "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON;";
    let (lawful, lawless) = (Order::Fresh, Order::Lawless);
    let cases: &[(Order, &str, &str)] = &[
        (lawful, "UPDATE monitor SET snmp_version='4' WHERE id=7", "monitor row id 7"),
        (lawless, "UPDATE monitor SET method=NULL WHERE id=7", "monitor row id 7"),
        (lawless, "UPDATE status_page SET slug='main' WHERE id=3", "status_page row id 3"),
        (lawless, "UPDATE user SET username='admin' WHERE id=2", "user row id 2"),
        (lawless, "UPDATE status_page_cname SET domain='a.example.com'", "status_page_cname row status_page_id 1"),
        (lawful, "UPDATE monitor SET user_id=77 WHERE id=7", "missing user"),
        (lawful, "UPDATE monitor SET parent=77 WHERE id=7", "missing monitor"),
        (lawful, "UPDATE monitor SET proxy_id=77 WHERE id=7", "missing proxy"),
        (lawful, "INSERT INTO monitor_tag (monitor_id, tag_id) VALUES (7, 77)", "missing tag"),
        (lawful, "INSERT INTO monitor_notification (monitor_id, notification_id) VALUES (77, 1)", "missing monitor"),
        (lawful, "INSERT INTO api_key (id, key, name, user_id) VALUES (9, 'k', 'n', 77)", "missing user"),
        (lawful, "DELETE FROM proxy WHERE id=3", "missing proxy"),
        // What the database takes and Uptime Kuma could not run with.
        (lawful, "UPDATE monitor SET parent=id WHERE id=2", "monitor row id 2 is its own parent"),
        (lawful, "UPDATE monitor SET parent=1 WHERE id=2", "is its own parent"),
        (lawful, "UPDATE tag SET id=0 WHERE id=5", "tag row id 0"),
        (lawful, "UPDATE tag SET id=-5 WHERE id=5", "tag row id -5"),
        (lawful, "UPDATE tag SET id=9007199254740992 WHERE id=5", "tag row id 9007199254740992"),
        (lawful, "UPDATE user SET active=0", "no user who could log in"),
        (lawful, "UPDATE user SET active='true'", "no user who could log in"),
        (lawful, "UPDATE user SET active=0 WHERE id=1; UPDATE user SET username=' ' WHERE id=2", "no user who could"),
    ];
    let rich = Instance::rich(Version::Two, Order::Fresh);
    for (rules, sql, said) in cases {
        let source = Instance::rich(Version::Two, *rules);
        source.execute(&format!("{lax} {sql}"));
        let export = CanonicalExport::new(library_export(&source));
        let bytes = export.dump("host", Timestamp::now(), None).unwrap();
        for target in [Instance::empty(Version::Two, Order::Fresh), rich.copy()] {
            let before = target.files();
            refused(&import(&bytes, &target), &before, &target, 65, &[said]);
        }
        // An export by the program has no reference to a row that does not exist.
        if said.starts_with("missing") {
            import_well(&exported(&source), &rich.copy());
        }
    }
}
