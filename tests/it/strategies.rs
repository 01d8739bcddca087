//! Promise: a replica takes what its strategy and the rest of its customization name, and again when they change.

use std::path::Path;

use kuma_replicator::config::Settings;
use kuma_replicator::cycle::Conclusion;
use kuma_replicator::error::Kind;

use crate::support::generations::{fleet, generation, name, rename, rows_mut, table_of};
use crate::support::host::{End, World, eager, main_id};
use crate::support::rows::{i, t};

const MINE: &str = "[[replica.overrides]]\ntable = \"monitor\"\nwhere = { id = 1 }\nset = { name = \"mine\" }\n";

// ---------------------------------------------------------------------------------------------------
// Changed customization

#[test]
fn a_changed_customization_is_applied_without_a_new_snapshot_and_without_a_fetch() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&eager("")).applied());
    for _ in 0..2 {
        assert!(world.cycle(&eager(MINE)).applied());
        assert_eq!((world.did("fetch"), name(&world.rows, "monitor", 0)), (0, t("mine")));
        for _ in 0..2 {
            assert!(world.cycle(&eager(MINE)).up_to_date());
            assert_eq!(world.did("report drifted"), 0, "a customization is no edit");
        }
        assert!(world.cycle(&eager("")).applied());
        assert_eq!(world.rows, generation(1));
        // Without the copy of this snapshot it is fetched.
        world.applied = None;
        assert!(world.cycle(&eager(MINE)).applied());
        assert_eq!(world.did("fetch"), 1);
        world.applied = Some(b"{}".to_vec());
        assert!(world.cycle(&eager("")).applied());
        assert_eq!((world.did("fetch"), &world.rows), (1, &generation(1)));
    }
}

#[test]
fn a_snapshot_rejected_with_one_customization_is_tried_with_another() {
    let mut bad = generation(1);
    rename(&mut bad, "monitor", 0, "mine");
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    world.poison = Some(bad);
    assert_eq!(world.cycle(&eager(MINE)).kind(), Some(Kind::RolledBack));
    assert_eq!(world.cycle(&eager(MINE)).kind(), Some(Kind::SnapshotRejected));
    assert!(world.cycle(&eager("")).applied());
    // The same when it is in force already: it is reported, and Uptime Kuma is not stopped every minute.
    assert_eq!(world.cycle(&eager(MINE)).kind(), Some(Kind::RolledBack));
    let stops = world.stops;
    for _ in 0..2 {
        assert_eq!(world.cycle(&eager(MINE)).kind(), Some(Kind::SnapshotRejected));
        assert_eq!((world.stops, &world.rows), (stops, &generation(1)));
    }
    assert!(world.cycle(&eager("")).up_to_date(), "it is in force without the customization");
    assert_eq!(world.stops, stops);
}

#[test]
fn a_customization_that_does_not_fit_is_a_configuration_error() {
    for (customization, said) in [
        ("[[replica.overrides]]\ntable = \"proxy\"\nset = { host = \"x\" }", "no table proxy"),
        ("[[replica.overrides]]\ntable = \"monitor\"\nset = { pace = 1 }", "no column pace"),
        ("[replica.exclude]\nmonitor-names = [\"*\"]", "leaves none of the 4 monitors"),
    ] {
        let mut world = World::new(generation(0));
        world.offer(&generation(1), &main_id('b'), 1, 1);
        let End::Failed(error) = world.cycle(&eager(customization)) else { panic!("{customization}") };
        assert_eq!(error.kind(), Kind::Config, "{customization}");
        assert!(error.chain().contains(said), "{}", error.chain());
        assert_eq!((world.stops, &world.rows, world.rejected()), (0, &generation(0), None));
        assert!(world.cycle(&eager("")).applied(), "the snapshot is not to blame");
    }
}

#[test]
fn a_boot_undoes_edits_if_so_configured() {
    for (key, ended) in [("apply-on-boot = true", true), ("", false)] {
        let mut world = World::new(generation(0));
        world.offer(&generation(1), &main_id('b'), 1, 1);
        assert!(world.cycle(&eager(key)).applied());
        world.rows = generation(2);
        assert!(world.cycle(&eager(key)).up_to_date());
        world.booted = world.clock;
        assert_eq!(world.cycle(&eager(key)).applied(), ended);
        assert_eq!(world.rows, generation(if ended { 1 } else { 2 }));
        // Once per boot, and only if something was edited.
        let stops = world.stops;
        assert!(world.cycle(&eager(key)).up_to_date());
        world.booted = world.clock;
        assert!(world.cycle(&eager(key)).up_to_date());
        assert_eq!((world.stops, world.did("fetch")), (stops, 0));
    }
}

// ---------------------------------------------------------------------------------------------------
// Strategies

#[test]
fn default_overwrites_edits_in_each_cycle_and_leaves_notifications_alone() {
    let settings = eager("strategy = \"default\"");
    let mut here = fleet(0);
    rename(&mut here, "notification", 0, "pager of this host");
    let own = table_of(&here, "notification").clone();
    let mut world = World::new(here);
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&settings).applied());
    assert_eq!(table_of(&world.rows, "notification"), &own);
    assert_eq!(table_of(&world.rows, "monitor"), table_of(&fleet(1), "monitor"));

    // Notifications are edited at will; all else is put right in the next cycle.
    rename(&mut world.rows, "notification", 1, "another one");
    rows_mut(&mut world.rows, "monitor_notification").pop();
    let edited = world.rows.clone();
    assert!(world.cycle(&settings).up_to_date());
    assert_eq!((world.did("report drifted"), &world.rows), (0, &edited));
    rename(&mut world.rows, "monitor", 0, "edited");
    assert!(world.cycle(&settings).applied());
    assert_eq!((world.did("report drifted"), world.did("fetch"), &world.rows), (1, 0, &edited));

    // What was tied to a monitor that goes, goes with it; nothing else does.
    let mut less = fleet(2);
    rows_mut(&mut less, "monitor").remove(0);
    world.offer(&less, &main_id('b'), 1, 2);
    assert!(world.cycle(&settings).applied());
    assert_eq!(table_of(&world.rows, "notification"), table_of(&edited, "notification"));
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
}

/// What is this host's own is not written back as it was when the changes were planned.
#[test]
fn what_is_saved_here_until_the_stop_stays_if_it_is_this_hosts_own() {
    let settings = eager("strategy = \"default\"");
    let mut world = World::new(fleet(0));
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    let mut saved = fleet(0);
    rename(&mut saved, "notification", 0, "saved at the last moment");
    rename(&mut saved, "monitor", 0, "this too");
    world.at_stop = Some(saved.clone());
    assert!(world.cycle(&settings).applied());
    assert_eq!(table_of(&world.rows, "notification"), table_of(&saved, "notification"));
    assert_eq!(table_of(&world.rows, "monitor"), table_of(&fleet(1), "monitor"));
    assert!(world.cycle(&settings).up_to_date());
}

#[test]
fn insert_merge_writes_notifications_and_the_rest_by_themselves() {
    let settings = eager("strategy = \"notifications-insert-merge\"");
    let mut world = World::new(fleet(0));
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&settings).applied());
    assert_eq!((world.did("report planned"), &world.rows), (2, &fleet(1)));
    assert!(world.cycle(&settings).up_to_date());
    // An edit in one of them is overwritten without the other.
    for table in ["notification", "monitor"] {
        rename(&mut world.rows, table, 1, "edited");
        assert!(world.cycle(&settings).applied(), "{table}");
        assert_eq!((world.did("report planned"), &world.rows), (1, &fleet(1)), "{table}");
    }
    // A monitor that comes with its notification has both in the end, and one that goes leaves nothing behind.
    let mut other = fleet(1);
    rows_mut(&mut other, "monitor").remove(0);
    *rows_mut(&mut other, "monitor_notification") = vec![vec![i(2), i(1)].into(), vec![i(2), i(2)].into()];
    world.offer(&other, &main_id('b'), 1, 2);
    assert!(world.cycle(&settings).applied());
    assert_eq!(world.rows, other);
    world.offer(&fleet(3), &main_id('b'), 1, 3);
    assert!(world.cycle(&settings).applied());
    assert_eq!(world.rows, fleet(3));
}

/// Monitors that wait for a restart keep no notification waiting.
#[test]
fn insert_merge_writes_notifications_while_the_rest_waits() {
    let text = "role = \"replica\"\nrepository = \"/r\"\n[replica]\nstrategy = \"notifications-insert-merge\"\n";
    let settings = Settings::parse(text, Path::new("config.toml")).unwrap();
    let mut world = World::new(fleet(0));
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&settings).applied());
    world.offer(&fleet(2), &main_id('b'), 1, 2);
    for fetches in [1, 0] {
        assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
        assert_eq!((world.did("fetch"), world.stops), (fetches, 1));
        assert_eq!(table_of(&world.rows, "notification"), table_of(&fleet(2), "notification"));
        assert_eq!(table_of(&world.rows, "monitor"), table_of(&fleet(1), "monitor"));
    }
    world.clock = world.clock.checked_add(jiff::SignedDuration::from_mins(5)).unwrap();
    assert!(world.cycle(&settings).applied());
    assert_eq!((&world.rows, world.stops), (&fleet(2), 2));
    // Parts of one snapshot do not wait for each other.
    let text = format!("{text}restart = \"always\"\n");
    world.clock = world.clock.checked_add(jiff::SignedDuration::from_mins(5)).unwrap();
    world.offer(&fleet(3), &main_id('b'), 1, 3);
    assert!(world.cycle(&Settings::parse(&text, Path::new("config.toml")).unwrap()).applied());
    assert_eq!((&world.rows, world.stops), (&fleet(3), 4));
}
