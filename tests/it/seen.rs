//! Promise: a cycle that finds the database as it was costs no export, and whatever changes what a host would publish or take
//! over is found by the next cycle.

use kuma_replicator::config::{Role, Settings};
use kuma_replicator::cycle::Conclusion;
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::dump;
use kuma_replicator::model::state::LocalRows;

use crate::support::generations::{generation, rows_mut};
use crate::support::host::{End, World, main_id, replica, settings};
use crate::support::instance::{Instance, Order, Version};
use crate::support::rows::{i, t, table};

/// A main that has published, and looked once more.
fn settled(configuration: Configuration) -> (World, Settings) {
    let (mut main, settings) = (World::new(configuration), settings(Role::Main));
    assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Published(_))));
    assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Unchanged)));
    (main, settings)
}

#[test]
fn a_digest_replaces_the_export_of_a_main_that_did_not_change() {
    let (mut main, settings) = settled(generation(1));
    assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Unchanged)));
    assert_eq!((main.did("content"), main.did("export"), main.did("look")), (1, 0, 0), "{:?}", main.calls);
    // A change is seen by the digest, and published after two exports that are the same.
    rows_mut(&mut main.rows, "monitor")[0][2] = t("renamed");
    assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Published(_))));
    assert_eq!(main.did("content"), 1);
    // A schema that changed without a row is a change, too: another export, and a look.
    for did in [(0, 1, 1), (1, 0, 0)] {
        assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Unchanged)));
        assert_eq!((main.did("content"), main.did("export"), main.did("look")), did);
    }
    main.schema.migrations.insert("2030-01-01-0000-new".to_owned());
    main.cycle(&settings);
    assert_eq!((main.did("content"), main.did("look")), (1, 1));
    assert!(main.did("export") > 0);
}

#[test]
fn another_zone_of_the_server_is_found_while_its_database_stays_the_same() {
    let mut configuration = generation(1);
    let row = vec![i(1), t("window"), t("recurring-weekday"), t("0 2 * * 1"), t("SAME_AS_SERVER")];
    configuration.tables.insert(3, table("maintenance", &["id", "title", "strategy", "cron", "timezone"], vec![row]));
    let (mut main, settings) = settled(configuration);
    assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Unchanged)));
    assert_eq!((main.did("server_zone"), main.did("export")), (1, 0));
    main.zone = "Asia/Tokyo".parse().ok();
    assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Published(_))));
}

#[test]
fn other_settings_of_the_former_main_are_found_while_the_database_stays_the_same() {
    let mut configuration = generation(1);
    configuration.tables.push(table("setting", &["key", "type", "value"], vec![]));
    let (mut main, settings) = settled(configuration);
    let rows = vec![vec![t("apiKeysEnabled"), t("general"), t("true")]];
    let tables = vec![table("setting", &["key", "type", "value"], rows)];
    main.inherited = Some(dump::body(&Configuration { tables, ..Configuration::default() }));
    assert!(matches!(main.cycle(&settings), End::Done(Conclusion::Published(_))));
}

#[test]
fn a_digest_replaces_the_export_of_a_replica_that_was_not_edited() {
    let mut host = World::new(generation(0));
    host.offer(&generation(1), &main_id('b'), 1, 1);
    let settings = replica("");
    assert!(host.cycle(&settings).applied());
    for (export, content) in [(1, 0), (0, 1), (0, 1)] {
        assert!(host.cycle(&settings).up_to_date());
        assert_eq!((host.did("export"), host.did("content")), (export, content), "{:?}", host.calls);
    }
    rows_mut(&mut host.rows, "monitor")[0][2] = t("edited");
    assert!(host.cycle(&settings).up_to_date());
    let rows = |host: &World| host.state().replica.applied.unwrap().rows;
    assert!(matches!(rows(&host), LocalRows::Drifted { .. }), "{:?}", rows(&host));
    // What was seen with other settings counts no longer.
    let silent = replica("alerts = \"off\"");
    assert!(host.cycle(&silent).applied());
}

/// An export says what it was read from, and that stays the same until something of it changes.
#[test]
fn the_content_of_a_database_is_that_of_its_export() {
    for version in [Version::One, Version::Two] {
        for order in [Order::Fresh, Order::Upgraded] {
            for instance in [Instance::rich(version, order), Instance::empty(version, order)] {
                let database = Database::new(instance.path());
                let source = database.export().unwrap().source;
                assert_eq!(source, Some(database.content().unwrap()), "{version:?}, {order:?}");
            }
        }
    }
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let content = || Database::new(instance.path()).content().unwrap();
    assert!(!Database::new(instance.path()).export().unwrap().configuration.files.is_empty());
    let before = content();
    std::fs::write(instance.path().parent().unwrap().join("upload/logo1.png"), "another picture").unwrap();
    assert_ne!(content(), before, "a file counts");
    instance.execute("UPDATE heartbeat SET status=0");
    let with_file = content();
    // One change of each kind: a value, its type, one that moves to the next column, a row more and less, a column.
    let mut all = vec![with_file];
    for change in [
        "UPDATE monitor SET name='renamed' WHERE id=1",
        "UPDATE monitor SET name=x'72656e616d6564' WHERE id=1",
        "UPDATE monitor SET name='ab', url='c' WHERE id=1",
        "UPDATE monitor SET name='a', url='bc' WHERE id=1",
        "UPDATE monitor SET interval=interval+1 WHERE id=1",
        "UPDATE monitor SET interval=interval+0.5 WHERE id=1",
        "UPDATE monitor SET url=NULL WHERE id=1",
        "UPDATE monitor SET url='' WHERE id=1",
        "INSERT INTO tag (id, name, color) VALUES (99, 'new', '#000000')",
        "DELETE FROM tag WHERE id=99",
        "ALTER TABLE tag ADD COLUMN note TEXT",
        "UPDATE setting SET value='7' WHERE key='keepDataPeriodDays'",
    ] {
        instance.execute(change);
        all.push(content());
    }
    let last = all.len() - 1;
    for (number, found) in all.iter().enumerate() {
        let same = all.iter().filter(|other| *other == found).count();
        // The tag was added and removed again.
        assert_eq!(same, 1 + usize::from([8, 10].contains(&number)), "change {number} of {last}");
    }
}
