//! An import leaves alone what is not configuration: history goes only with its monitor.

use std::time::Duration;

use kuma_replicator::cycle::History;
use kuma_replicator::error::Kind;
use kuma_replicator::host::kuma::database::{Database, rehearse};
use kuma_replicator::localise::{Desired, overridden};
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::plan;

use super::program::{everything, exported, import_well, library_export, taken};
use crate::support::host::eager;
use crate::support::instance::{HISTORY, Instance, Order, Version, history, insert, monitor};
use crate::support::rows::{i, t};

/// Longer than anything here takes.
const ENOUGH: Duration = Duration::from_secs(600);

#[test]
fn history_goes_only_with_its_monitor() {
    for version in [Version::One, Version::Two] {
        // Here: kept 1, changed 7, removed 60, replaced 9 (same id, created at another time), kept 61.
        let target = Instance::rich(version, Order::Upgraded);
        {
            let connection = target.open();
            monitor(&connection, 60, t("removed"), &[]);
            monitor(&connection, 61, t("kept, local order"), &[]);
            for id in [60, 61, 4] {
                history(&connection, version, id);
            }
            // A row of a monitor that was removed long ago goes, too: with it an upgrade to 2.x would fail.
            let row = [("type", t("certificate")), ("monitor_id", i(999)), ("days", i(7))];
            insert(&connection, "notification_sent_history", &row);
        }
        let source = target.copy();
        source.execute(
            "DELETE FROM monitor WHERE id=60;
             UPDATE monitor SET name='changed', interval=61 WHERE id=7;
             UPDATE monitor SET created_date='2026-06-06 06:06:06' WHERE id=9",
        );
        let wanted = |rows: Vec<Vec<Value>>, at: usize| {
            rows.into_iter().filter(|row| ![i(60), i(9), i(999)].contains(&row[at])).collect::<Vec<_>>()
        };
        let tables: Vec<&str> =
            HISTORY.iter().copied().filter(|table| target.tables().contains(&(*table).to_owned())).collect();
        assert!(tables.len() >= 3);
        let position = |table: &str| match target
            .value(&format!("SELECT cid FROM pragma_table_info('{table}') WHERE name='monitor_id'"))
        {
            Value::Integer(at) => usize::try_from(at).unwrap(),
            other => panic!("{other:?}"),
        };
        let expected: Vec<_> = tables.iter().map(|table| wanted(target.rows(table), position(table))).collect();
        for (table, rows) in tables.iter().zip(&expected) {
            assert!(rows.len() >= 4, "{table} has history to keep");
            assert!(target.rows(table).len() >= rows.len() + 2, "{table} has history to remove");
        }
        import_well(&exported(&source), &target);
        for (table, rows) in tables.iter().zip(expected) {
            assert_eq!(target.rows(table), rows, "{version:?} {table}");
        }
        assert_eq!(taken(&target), taken(&source));
    }
}

/// As a cycle writes: until Uptime Kuma has come up, a rollback finds all history.
#[test]
fn the_history_of_removed_monitors_stays_until_it_is_tidied() {
    for version in [Version::One, Version::Two] {
        let instance = Instance::rich(version, Order::Upgraded);
        {
            let connection = instance.open();
            monitor(&connection, 60, t("removed"), &[]);
            history(&connection, version, 60);
        }
        let tables: Vec<String> =
            HISTORY.iter().map(|&table| table.to_owned()).filter(|table| instance.tables().contains(table)).collect();
        let (before, full) = (library_export(&instance).configuration, everything(&instance, &tables));
        // Removed 60, replaced 9.
        let other = instance.copy();
        other.execute(
            "DELETE FROM monitor WHERE id=60; UPDATE monitor SET created_date='2026-06-06 06:06:06' WHERE id=9",
        );
        let wanted = library_export(&other).configuration;
        let database = Database::new(instance.path());
        let write = |wanted: &Configuration, history| {
            let claim = database.claim(Duration::ZERO).unwrap();
            let changes = plan(&claim.export().unwrap().configuration, wanted);
            assert!(claim.write(&changes, wanted, history).unwrap().is_empty());
        };
        let count = |what: &str| -> Vec<Value> {
            tables
                .iter()
                .map(|table| instance.value(&format!("SELECT count(*) FROM {table} WHERE monitor_id {what}")))
                .collect()
        };
        let none = vec![i(0); tables.len()];
        let (removed, replaced) = (count("= 60"), count("= 9"));
        assert!(removed.iter().chain(&replaced).all(|rows| *rows != i(0)), "{version:?}: each table has history");
        assert_eq!(database.orphaned_history().unwrap(), 0);

        // Beside the running server, and the rest in the write.
        assert_eq!(database.set_history_aside(&[9], ENOUGH).unwrap(), 0);
        assert_eq!((count("= 9"), count("= -9")), (none.clone(), replaced.clone()), "{version:?}");
        history(&instance.open(), version, 9);
        write(&wanted, History::SetAside);
        assert_eq!(count("= 9"), none, "{version:?}: the new monitor 9 inherits nothing");
        assert_eq!(count("= 60"), removed, "{version:?}: what is removed stays where it is");
        // Uptime Kuma has run for a moment, and did not answer.
        history(&instance.open(), version, 9);
        write(&before, History::Remove);
        assert_eq!(database.tidy_history(true, ENOUGH).unwrap(), 0);
        assert_eq!(count("IN (60)"), removed, "{version:?}");
        assert!(count("= 9").iter().zip(&replaced).all(|(now, before)| now >= before), "{version:?}");
        assert_eq!(count("< 0"), none, "{version:?}");

        // It answers: what no monitor has is removed, in steps.
        write(&wanted, History::SetAside);
        assert_ne!(database.orphaned_history().unwrap(), 0);
        assert_eq!(database.tidy_history(false, ENOUGH).unwrap(), 0);
        assert_eq!((count("< 0"), count("IN (9, 60)")), (none.clone(), none.clone()), "{version:?}");
        assert_eq!(database.orphaned_history().unwrap(), 0);
        let rest = |all: &[(String, Vec<Vec<Value>>)]| all.iter().map(|(_, rows)| rows.len()).sum::<usize>();
        assert!(rest(&everything(&instance, &tables)) < rest(&full), "{version:?}");
        assert_ne!(count("NOT IN (9, 60)"), none, "{version:?}: that of other monitors stays");
    }
}

/// More than one step, and a time that is over before the end.
#[test]
fn much_history_goes_in_steps() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let database = Database::new(instance.path());
    let many = |id: i64| {
        instance.execute(&format!(
            "PRAGMA foreign_keys=OFF; INSERT INTO heartbeat (important, monitor_id, status, msg, time, duration)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             SELECT 0, {id}, 1, '', datetime(1700000000 + i, 'unixepoch'), 20 FROM n",
        ));
    };
    let count = |id: i64| instance.value(&format!("SELECT count(*) FROM heartbeat WHERE monitor_id = {id}"));
    many(77);
    assert_eq!(database.orphaned_history().unwrap(), 5000);
    assert_eq!(database.tidy_history(false, Duration::ZERO).unwrap(), 4000);
    assert_eq!(database.tidy_history(false, ENOUGH).unwrap(), 0);
    assert_eq!(count(77), i(0));
    // What was set aside before is not taken for that of the monitor that has the id now.
    many(-2);
    many(2);
    let before = count(2);
    assert_ne!(database.set_history_aside(&[2], Duration::ZERO).unwrap(), 0);
    assert_eq!(database.set_history_aside(&[2], ENOUGH).unwrap(), 0);
    assert_eq!((count(2), count(-2)), (i(0), before.clone()));
    assert_eq!(database.tidy_history(true, ENOUGH).unwrap(), 0);
    assert_eq!((count(2), count(-2)), (before, i(0)));
}

/// A replica of a newer Uptime Kuma that is allowed to take rows of an older one.
#[test]
fn what_the_main_lacks_is_left_alone() {
    let instance = Instance::rich(Version::Two, Order::Upgraded);
    let main = instance.copy();
    main.execute("UPDATE monitor SET name='renamed' WHERE id=1; DELETE FROM monitor WHERE id=16; UPDATE monitor_tag SET value='other'");
    let wanted = library_export(&main).configuration;
    instance.execute(
        "ALTER TABLE monitor ADD COLUMN zone TEXT NOT NULL DEFAULT 'nowhere'; UPDATE monitor SET zone='here';
         ALTER TABLE monitor_tag ADD COLUMN colour TEXT",
    );
    let here = library_export(&instance).configuration;
    let wanted = Desired::Restored { configuration: &wanted, customization: None }.on(&here).unwrap().configuration;
    let changes = plan(&here, &wanted);
    let database = Database::new(instance.path());
    rehearse(&database, &changes, &here, &wanted).unwrap();
    let claim = database.claim(Duration::ZERO).unwrap();
    assert!(claim.write(&changes, &wanted, History::Remove).unwrap().is_empty());
    assert_eq!(instance.value("SELECT zone FROM monitor WHERE id=1"), t("here"));
    assert_eq!(instance.value("SELECT name FROM monitor WHERE id=1"), t("renamed"));
    assert!(plan(&library_export(&instance).configuration, &wanted).is_empty());
    // A new row has the default, and the rows that were here can be written back.
    instance.execute("DELETE FROM monitor WHERE id=1");
    let changes = plan(&library_export(&instance).configuration, &wanted);
    let claim = database.claim(Duration::ZERO).unwrap();
    claim.write(&changes, &wanted, History::Remove).unwrap();
    assert_eq!(instance.value("SELECT zone FROM monitor WHERE id=1"), t("nowhere"));
    let claim = database.claim(Duration::ZERO).unwrap();
    let changes = plan(&claim.export().unwrap().configuration, &here);
    claim.write(&changes, &here, History::Remove).unwrap();
    assert_eq!(library_export(&instance).configuration, here);
}

#[test]
fn what_is_local_stays() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    source.execute(
        "UPDATE monitor SET dns_last_result='of the main', interval=99 WHERE id=16;
         UPDATE user SET password='new', twofa_last_token='111111';
         UPDATE maintenance SET title='new', last_start_date='2020-01-01';
         INSERT INTO setting (key, value) VALUES ('of the main', 'x'), ('steamAPIKey', 'of the main');
         UPDATE setting SET value='180' WHERE key='keepDataPeriodDays'",
    );
    let target = Instance::rich(Version::Two, Order::Upgraded);
    target.execute(
        "UPDATE monitor SET dns_last_result='of here' WHERE id IN (16, 1);
         UPDATE user SET twofa_last_token='222222';
         UPDATE maintenance SET last_start_date='2026-09-09';
         INSERT INTO setting (key, value) VALUES ('of here', 'y');
         INSERT INTO domain_expiry (domain) VALUES ('example.com');
         CREATE TABLE of_a_plugin (id INTEGER PRIMARY KEY, monitor_id INTEGER REFERENCES monitor(id), x);
         INSERT INTO of_a_plugin (monitor_id, x) VALUES (1, x'00'), (16, 'y')",
    );
    let local: Vec<String> = target
        .tables()
        .into_iter()
        .filter(|table| kuma_replicator::model::catalog::find(table).is_none() || table == "setting")
        .filter(|table| table != "sqlite_sequence")
        .collect();
    assert!(["of_a_plugin", "heartbeat", "setting"].iter().all(|table| local.iter().any(|found| found == table)));
    let before = everything(&target, &local);
    import_well(&exported(&source), &target);
    assert_eq!(everything(&target, &local), before);
    for (sql, value) in [
        ("SELECT dns_last_result FROM monitor WHERE id=16", "of here"),
        ("SELECT dns_last_result FROM monitor WHERE id=1", "of here"),
        ("SELECT twofa_last_token FROM user WHERE id=1", "222222"),
        ("SELECT password FROM user WHERE id=1", "new"),
        ("SELECT max(last_start_date) FROM maintenance", "2026-09-09"),
        ("SELECT min(title) FROM maintenance", "new"),
    ] {
        assert_eq!(target.value(sql), t(value), "{sql}");
    }
    assert_eq!(target.value("SELECT interval FROM monitor WHERE id=16"), i(99));
}

#[test]
fn a_2fa_that_is_being_set_up_stays_and_a_confirmed_one_is_written() {
    let secret = |instance: &Instance| instance.value("SELECT twofa_secret FROM user WHERE id=1");
    for version in [Version::One, Version::Two] {
        let (source, target) = (Instance::rich(version, Order::Fresh), Instance::rich(version, Order::Upgraded));
        source.execute("UPDATE user SET password='new', twofa_secret='begun on the main' WHERE id=1");
        target.execute("UPDATE user SET twofa_secret='begun here' WHERE id=1");
        import_well(&exported(&source), &target);
        assert_eq!(target.value("SELECT password FROM user WHERE id=1"), t("new"));
        assert_eq!(secret(&target), t("begun here"), "{version:?}");

        source.execute("UPDATE user SET twofa_status=1 WHERE id=1");
        import_well(&exported(&source), &target);
        assert_eq!(secret(&target), t("begun on the main"), "{version:?}");
        assert_eq!(target.value("SELECT twofa_status FROM user WHERE id=1"), i(1));

        // What was in force is removed when 2FA is switched off.
        source.execute("UPDATE user SET twofa_status=0 WHERE id=1");
        import_well(&exported(&source), &target);
        assert_eq!(secret(&target), Value::Null, "{version:?}");
    }
}

/// In a dump, such as one that was edited, or with an override.
#[test]
fn a_secret_for_2fa_that_is_not_confirmed_is_never_wanted() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let here = library_export(&instance).configuration;
    instance.execute("UPDATE user SET twofa_secret='a secret', twofa_status=1 WHERE id=1");
    let main = library_export(&instance).configuration;
    let mut begun = main.clone();
    let users = begun.table_mut("user").unwrap();
    let status = users.position("twofa_status").unwrap();
    users.rows[0][status] = i(0);
    let plain = eager("").replica.customization;
    let switched_off = eager("[[replica.overrides]]\ntable = \"user\"\nwhere.id = 1\nset = { twofa_status = 0 }");
    let overriding = switched_off.replica.customization;
    for desired in [
        Desired::customized(&begun, &plain),
        Desired::AsMain { main: &begun, customization: &plain },
        Desired::Restored { configuration: &begun, customization: None },
        Desired::customized(&main, &overriding),
    ] {
        assert_eq!(desired.on(&here).unwrap().configuration.table("user"), here.table("user"), "{desired:?}");
    }
    let tried = overridden(&main, &overriding).unwrap();
    rehearse(&Database::new(instance.path()), &plan(&main, &tried), &main, &tried).unwrap();
}

/// What is refused is what the changes touch.
#[test]
fn a_row_that_breaks_a_rule_here_refuses_no_change_of_other_rows() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    instance.execute("PRAGMA ignore_check_constraints=ON; UPDATE monitor SET snmp_version='4' WHERE id=7");
    let here = library_export(&instance).configuration;
    let other = instance.copy();
    other.execute("UPDATE monitor SET name='renamed' WHERE id=1");
    let wanted = library_export(&other).configuration;
    let database = Database::new(instance.path());
    rehearse(&database, &plan(&here, &wanted), &here, &wanted).unwrap();
    let claim = database.claim(Duration::ZERO).unwrap();
    claim.write(&plan(&here, &wanted), &wanted, History::Remove).unwrap();
    assert_eq!(instance.value("SELECT name FROM monitor WHERE id=1"), t("renamed"));
}

/// A replica may have rules of its own, which no change on the main satisfies.
#[test]
fn a_rule_that_only_this_host_has_is_told_as_such_and_its_triggers_do_not_run() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let other = instance.copy();
    other.execute("UPDATE monitor SET name=(SELECT name FROM monitor WHERE id=1) WHERE id=2");
    instance.execute(
        "CREATE UNIQUE INDEX my_names ON monitor (name);
         CREATE TRIGGER my_trigger AFTER UPDATE ON monitor BEGIN UPDATE monitor SET name='mine' WHERE id=2; END",
    );
    let here = library_export(&instance).configuration;
    let wanted = library_export(&other).configuration;
    let database = Database::new(instance.path());
    let error = rehearse(&database, &plan(&here, &wanted), &here, &wanted).unwrap_err();
    assert_eq!(error.kind(), Kind::Unwritable, "{error:?}");
    assert!(error.chain().contains("not Uptime Kuma's") && error.chain().contains("my_names"), "{error:?}");
    assert!(error.hint().contains("drop the index on this host"), "{error:?}");

    instance.execute("DROP INDEX my_names");
    rehearse(&database, &plan(&here, &wanted), &here, &wanted).unwrap();
    let claim = database.claim(Duration::ZERO).unwrap();
    claim.write(&plan(&here, &wanted), &wanted, History::Remove).unwrap();
    assert_eq!(library_export(&instance).configuration, wanted);
}

/// It would be found only in the write, with Uptime Kuma stopped for each such snapshot.
#[test]
fn a_table_of_this_host_that_cannot_let_go_of_a_row_is_found_before_the_stop() {
    for (rule, refused) in [("NOT NULL", true), ("", false)] {
        let instance = Instance::rich(Version::Two, Order::Fresh);
        let other = instance.copy();
        other.execute("PRAGMA foreign_keys=ON; DELETE FROM monitor WHERE id=16");
        instance.execute(&format!(
            "CREATE TABLE mine (monitor_id INTEGER {rule} REFERENCES monitor (id) ON DELETE SET NULL);
             INSERT INTO mine SELECT id FROM monitor"
        ));
        let here = library_export(&instance).configuration;
        let wanted = library_export(&other).configuration;
        let database = Database::new(instance.path());
        let rehearsed = rehearse(&database, &plan(&here, &wanted), &here, &wanted);
        if !refused {
            rehearsed.unwrap();
            let claim = database.claim(Duration::ZERO).unwrap();
            claim.write(&plan(&here, &wanted), &wanted, History::Remove).unwrap();
            assert_eq!(instance.value("SELECT count(*) FROM mine WHERE monitor_id IS NULL"), i(1));
            continue;
        }
        let error = rehearsed.unwrap_err();
        assert_eq!(error.kind(), Kind::Unwritable, "{error:?}");
        assert!(
            error.chain().contains("monitor row 16") && error.chain().contains("monitor_id of table mine"),
            "{error:?}"
        );
        instance.execute("DELETE FROM mine WHERE monitor_id=16");
        rehearse(&database, &plan(&here, &wanted), &here, &wanted).unwrap();
    }
}

/// SQLite reads what is no number there as 0.
#[test]
fn a_sequence_that_is_no_number_is_passed_over() {
    for seq in ["NULL", "'many'"] {
        let instance = Instance::rich(Version::Two, Order::Fresh);
        instance.execute(&format!("UPDATE sqlite_sequence SET seq={seq} WHERE name='tag'"));
        let here = library_export(&instance).configuration;
        let other = instance.copy();
        other.execute("UPDATE tag SET color='#000'");
        let wanted = library_export(&other).configuration;
        rehearse(&Database::new(instance.path()), &plan(&here, &wanted), &here, &wanted).unwrap();
    }
}

/// SQLite says that the disk is full.
#[test]
fn a_table_that_has_used_up_its_ids_is_no_full_disk() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    instance.execute("UPDATE sqlite_sequence SET seq=9223372036854775807 WHERE name='monitor_tag'");
    let here = library_export(&instance).configuration;
    let other = instance.copy();
    other.execute("UPDATE sqlite_sequence SET seq=1000 WHERE name='monitor_tag'; INSERT INTO monitor_tag (monitor_id, tag_id, value) VALUES (1, 1, 'new')");
    let wanted = library_export(&other).configuration;
    let database = Database::new(instance.path());
    let error = rehearse(&database, &plan(&here, &wanted), &here, &wanted).unwrap_err();
    assert_eq!(error.kind(), Kind::Unwritable, "{error:?}");
    assert!(error.chain().contains("monitor_tag has used up its ids"), "{error:?}");
}
