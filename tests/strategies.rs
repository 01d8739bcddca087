//! Promise: a replica takes what its strategy and its other wishes name, again when they change, and its alerts are
//! switched by hand without the repository.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use kuma_replicator::config::{Alerts, Role, Settings};
use kuma_replicator::cycle::{self, Outcome, Promotion, Switched};
use kuma_replicator::error::Kind;
use kuma_replicator::model::configuration::{Configuration, Row, Table};
use kuma_replicator::model::value::Value;

use support::generations::generation;
use support::host::{End, FAULTS, Fault, World, main_id};
use support::rows::{i, t, table};

const MINE: &str = "[[replica.overrides]]\ntable = \"monitor\"\nwhere = { id = 1 }\nset = { name = \"mine\" }\n";

fn replica(wishes: &str) -> Settings {
    let text = format!("role = \"replica\"\nrepository = \"/r\"\n[replica]\nmin-restart-interval = \"0s\"\n{wishes}");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

fn applied(end: &End) -> bool {
    matches!(end, End::Done(Outcome::Applied(_)))
}

fn up_to_date(end: &End) -> bool {
    matches!(end, End::Done(Outcome::UpToDate))
}

/// A fleet's configuration: two monitors that tell two people, in words of this `version`.
fn fleet(version: i64) -> Configuration {
    let name = |what: &str| t(&format!("{what} {version}"));
    let made = || t("2026-01-01 00:00:00");
    Configuration {
        tables: vec![
            table("user", &["id", "username"], vec![vec![i(1), t("admin")]]),
            table("notification", &["id", "name"], vec![vec![i(1), name("mail")], vec![i(2), name("chat")]]),
            table(
                "monitor",
                &["id", "name", "created_date"],
                vec![vec![i(1), name("web"), made()], vec![i(2), name("dns"), made()]],
            ),
            table("monitor_notification", &["monitor_id", "notification_id"], vec![vec![i(1), i(1)], vec![i(2), i(2)]]),
        ],
        files: Vec::new(),
    }
}

fn table_of<'a>(configuration: &'a Configuration, name: &str) -> &'a Table {
    configuration.table(name).unwrap()
}

fn rows_mut<'a>(configuration: &'a mut Configuration, name: &str) -> &'a mut Vec<Row> {
    &mut configuration.table_mut(name).unwrap().rows
}

/// Renames a row of a table, by its place.
fn rename(configuration: &mut Configuration, table: &str, row: usize, name: &str) {
    let at = table_of(configuration, table).position("name").unwrap();
    rows_mut(configuration, table)[row][at] = t(name);
}

fn name(configuration: &Configuration, table: &str, row: usize) -> Value {
    let table = table_of(configuration, table);
    table.value(&table.rows[row], "name").clone()
}

// ---------------------------------------------------------------------------------------------------
// Wishes that change

#[test]
fn other_wishes_are_applied_without_a_new_snapshot_and_without_a_fetch() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(applied(&world.cycle(&replica(""))));
    for _ in 0..2 {
        assert!(applied(&world.cycle(&replica(MINE))));
        assert_eq!((world.did("fetch"), name(&world.rows, "monitor", 0)), (0, t("mine")));
        for _ in 0..2 {
            assert!(up_to_date(&world.cycle(&replica(MINE))));
            assert_eq!(world.did("tell drifted"), 0, "what is wished for is no edit");
        }
        assert!(applied(&world.cycle(&replica(""))));
        assert_eq!(world.rows, generation(1));
        // Without the copy it is fetched; one that is another's is of no use.
        world.applied = None;
        assert!(applied(&world.cycle(&replica(MINE))));
        assert_eq!(world.did("fetch"), 1);
        world.applied = Some(b"{}".to_vec());
        assert!(applied(&world.cycle(&replica(""))));
        assert_eq!((world.did("fetch"), &world.rows), (1, &generation(1)));
    }
}

#[test]
fn what_is_refused_with_some_wishes_is_tried_with_others() {
    let mut bad = generation(1);
    rename(&mut bad, "monitor", 0, "mine");
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    world.poison = Some(bad);
    assert_eq!(world.cycle(&replica(MINE)).kind(), Some(Kind::RolledBack));
    assert_eq!(world.cycle(&replica(MINE)).kind(), Some(Kind::SnapshotRefused));
    assert!(applied(&world.cycle(&replica(""))));
    // The same when it is in force already: it is told, and Uptime Kuma is not stopped every minute.
    assert_eq!(world.cycle(&replica(MINE)).kind(), Some(Kind::RolledBack));
    let stops = world.stops;
    for _ in 0..2 {
        assert_eq!(world.cycle(&replica(MINE)).kind(), Some(Kind::SnapshotRefused));
        assert_eq!((world.stops, &world.rows), (stops, &generation(1)));
    }
    assert!(up_to_date(&world.cycle(&replica(""))), "those wishes are in force");
    assert_eq!(world.stops, stops);
}

#[test]
fn wishes_that_do_not_fit_are_an_error_of_the_configuration() {
    for (wishes, said) in [
        ("[[replica.overrides]]\ntable = \"proxy\"\nset = { host = \"x\" }", "no table proxy"),
        ("[[replica.overrides]]\ntable = \"monitor\"\nset = { pace = 1 }", "no column pace"),
        ("[replica.exclude]\nmonitor-names = [\"*\"]", "leaves none of the 4 monitors"),
    ] {
        let mut world = World::new(generation(0));
        world.offer(&generation(1), &main_id('b'), 1, 1);
        let End::Failed(error) = world.cycle(&replica(wishes)) else { panic!("{wishes}") };
        assert_eq!(error.kind(), Kind::Config, "{wishes}");
        assert!(error.chain().contains(said), "{}", error.chain());
        assert_eq!((world.stops, &world.rows, world.state().replica.refused), (0, &generation(0), None));
        assert!(applied(&world.cycle(&replica(""))), "the snapshot is not to blame");
    }
}

#[test]
fn a_boot_ends_edits_if_it_is_to() {
    for (key, ended) in [("apply-on-boot = true", true), ("", false)] {
        let mut world = World::new(generation(0));
        world.offer(&generation(1), &main_id('b'), 1, 1);
        assert!(applied(&world.cycle(&replica(key))));
        world.rows = generation(2);
        assert!(up_to_date(&world.cycle(&replica(key))));
        world.booted = world.clock;
        assert_eq!(applied(&world.cycle(&replica(key))), ended);
        assert_eq!(world.rows, generation(if ended { 1 } else { 2 }));
        // Once a boot, and not for nothing.
        let stops = world.stops;
        assert!(up_to_date(&world.cycle(&replica(key))));
        world.booted = world.clock;
        assert!(up_to_date(&world.cycle(&replica(key))));
        assert_eq!((world.stops, world.did("fetch")), (stops, 0));
    }
}

// ---------------------------------------------------------------------------------------------------
// Strategies

#[test]
fn default_overwrites_edits_in_each_cycle_and_leaves_notifications_alone() {
    let settings = replica("strategy = \"default\"");
    let mut here = fleet(0);
    rename(&mut here, "notification", 0, "pager of this host");
    let own = table_of(&here, "notification").clone();
    let mut world = World::new(here);
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(applied(&world.cycle(&settings)));
    assert_eq!(table_of(&world.rows, "notification"), &own);
    assert_eq!(table_of(&world.rows, "monitor"), table_of(&fleet(1), "monitor"));

    // Notifications are edited at will; all else is put right in the next cycle.
    rename(&mut world.rows, "notification", 1, "another one");
    rows_mut(&mut world.rows, "monitor_notification").pop();
    let edited = world.rows.clone();
    assert!(up_to_date(&world.cycle(&settings)));
    assert_eq!((world.did("tell drifted"), &world.rows), (0, &edited));
    rename(&mut world.rows, "monitor", 0, "edited");
    assert!(applied(&world.cycle(&settings)));
    assert_eq!((world.did("tell drifted"), world.did("fetch"), &world.rows), (1, 0, &edited));

    // What was tied to a monitor that goes, goes with it; nothing else does.
    let mut less = fleet(2);
    rows_mut(&mut less, "monitor").remove(0);
    world.offer(&less, &main_id('b'), 1, 2);
    assert!(applied(&world.cycle(&settings)));
    assert_eq!(table_of(&world.rows, "notification"), table_of(&edited, "notification"));
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
}

#[test]
fn insert_merge_writes_notifications_and_the_rest_by_themselves() {
    let settings = replica("strategy = \"notifications-insert-merge\"");
    let mut world = World::new(fleet(0));
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(applied(&world.cycle(&settings)));
    assert_eq!((world.did("tell planned"), &world.rows), (2, &fleet(1)));
    assert!(up_to_date(&world.cycle(&settings)));
    // An edit in one of them is overwritten without the other.
    for table in ["notification", "monitor"] {
        rename(&mut world.rows, table, 1, "edited");
        assert!(applied(&world.cycle(&settings)), "{table}");
        assert_eq!((world.did("tell planned"), &world.rows), (1, &fleet(1)), "{table}");
    }
    // A monitor that comes with its notification has both in the end, and one that goes leaves nothing behind.
    let mut other = fleet(1);
    rows_mut(&mut other, "monitor").remove(0);
    *rows_mut(&mut other, "monitor_notification") = vec![vec![i(2), i(1)], vec![i(2), i(2)]];
    world.offer(&other, &main_id('b'), 1, 2);
    assert!(applied(&world.cycle(&settings)));
    assert_eq!(world.rows, other);
    world.offer(&fleet(3), &main_id('b'), 1, 3);
    assert!(applied(&world.cycle(&settings)));
    assert_eq!(world.rows, fleet(3));
}

/// Monitors that wait for a restart keep no notification waiting.
#[test]
fn insert_merge_writes_notifications_while_the_rest_waits() {
    let text = "role = \"replica\"\nrepository = \"/r\"\n[replica]\nstrategy = \"notifications-insert-merge\"\n";
    let settings = Settings::parse(text, Path::new("config.toml")).unwrap();
    let mut world = World::new(fleet(0));
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(applied(&world.cycle(&settings)));
    world.offer(&fleet(2), &main_id('b'), 1, 2);
    for fetches in [1, 0] {
        assert!(matches!(world.cycle(&settings), End::Done(Outcome::Held(_))));
        assert_eq!((world.did("fetch"), world.stops), (fetches, 1));
        assert_eq!(table_of(&world.rows, "notification"), table_of(&fleet(2), "notification"));
        assert_eq!(table_of(&world.rows, "monitor"), table_of(&fleet(1), "monitor"));
    }
    world.clock = world.clock.checked_add(jiff::SignedDuration::from_mins(5)).unwrap();
    assert!(applied(&world.cycle(&settings)));
    assert_eq!((&world.rows, world.stops), (&fleet(2), 2));
}

// ---------------------------------------------------------------------------------------------------
// Alerts

fn silent() -> Settings {
    replica("alerts = \"none\"")
}

/// A silent standby, up to date.
fn standby() -> World {
    let mut world = World::new(fleet(0));
    world.configuration.push_str("[replica]\nmin-restart-interval = \"0s\"\nalerts = \"none\"\n");
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(applied(&world.cycle(&silent())));
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
    assert_eq!(table_of(&world.rows, "notification"), table_of(&fleet(1), "notification"));
    assert!(up_to_date(&world.cycle(&silent())));
    world
}

fn switch(world: &mut World, before: &Settings, alerts: Alerts) -> End {
    world.order(async |world, state| {
        assert_eq!(cycle::alerts(world, before, state, alerts).await?, Switched::Now);
        Ok(())
    })
}

#[test]
fn alerts_are_switched_without_the_repository_and_stay_so() {
    let mut world = standby();
    let repository = std::mem::take(&mut world.repository);
    assert!(matches!(switch(&mut world, &silent(), Alerts::All), End::Done(_)));
    assert_eq!((&world.rows, world.did("look"), world.did("fetch")), (&fleet(1), 0, 0));
    assert!(world.configuration.contains("alerts = \"all\""), "{}", world.configuration);
    world.repository = repository;
    assert!(up_to_date(&world.cycle(&replica(""))), "it is what is wished for by now");
    assert_eq!(world.did("tell drifted"), 0);
    world.offer(&fleet(2), &main_id('b'), 1, 2);
    assert!(applied(&world.cycle(&replica(""))));
    assert_eq!(world.rows, fleet(2));

    assert!(matches!(switch(&mut world, &replica(""), Alerts::None), End::Done(_)));
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
    world.offer(&fleet(3), &main_id('b'), 1, 3);
    assert!(applied(&world.cycle(&silent())));
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
    // Ordered again, there is nothing to do.
    let commits = world.commits;
    assert!(matches!(switch(&mut world, &silent(), Alerts::None), End::Done(_)));
    assert_eq!(world.commits, commits);
}

#[test]
fn switching_alerts_applies_nothing_else_and_forgets_no_edit() {
    let mut world = standby();
    rename(&mut world.rows, "monitor", 0, "edited");
    world.offer(&fleet(2), &main_id('b'), 1, 2);
    assert!(matches!(switch(&mut world, &silent(), Alerts::All), End::Done(_)));
    let mut expected = fleet(1);
    rename(&mut expected, "monitor", 0, "edited");
    assert_eq!(world.rows, expected);
    world.repository.pop();
    assert!(up_to_date(&world.cycle(&replica(""))));
    assert_eq!(world.did("tell drifted"), 1);
    rename(&mut world.rows, "monitor", 0, "web 1");
    assert!(up_to_date(&world.cycle(&replica(""))));
    assert_eq!(world.state().replica.drift, None, "undone, it is no edit any more");
}

/// Its monitors tell nobody, and so would those of every host that takes them over.
#[test]
fn a_silent_standby_is_not_promoted_as_it_is() {
    let promote = |world: &mut World, settings: &Settings, as_is| {
        world.order(async |world, state| {
            let promotion = Promotion { as_is, confirm_shrink: false };
            cycle::promote(world, settings, state, promotion).await.map(drop)
        })
    };
    let mut world = standby();
    assert_eq!(promote(&mut world, &silent(), true).kind(), Some(Kind::Usage));
    assert_eq!((world.role, world.repository.len()), (None, 1));
    assert!(matches!(switch(&mut world, &silent(), Alerts::All), End::Done(_)));
    assert!(matches!(promote(&mut world, &replica(""), true), End::Done(_)));
    assert_eq!((world.role, &world.rows), (Some(Role::Main), &fleet(1)));
    // Otherwise it takes what the main had, and speaks.
    let mut world = standby();
    assert!(matches!(promote(&mut world, &silent(), false), End::Done(_)));
    assert_eq!((world.role, &world.rows), (Some(Role::Main), &fleet(1)));
}

#[test]
fn alerts_that_cannot_be_switched_say_so() {
    // The notifications are this host's own.
    let mut world = World::new(fleet(0));
    world.configuration.push_str("[replica]\nstrategy = \"default\"\n");
    let file = world.configuration.clone();
    let end = switch(&mut world, &replica("strategy = \"default\""), Alerts::None);
    assert_eq!((end.kind(), &world.configuration), (Some(Kind::Config), &file));
    // Nothing was applied yet: it counts from then on.
    let mut world = World::new(fleet(0));
    let end = world.order(async |world, state| {
        assert_eq!(cycle::alerts(world, &replica(""), state, Alerts::None).await?, Switched::Later);
        Ok(())
    });
    assert!(matches!(end, End::Done(_)) && world.configuration.contains("alerts = \"none\""), "{end:?}");
    assert_eq!((&world.rows, world.stops), (&fleet(0), 0));
    // On hold nothing changes.
    let mut world = standby();
    let mut state = world.state();
    let reason = "upgrade".to_owned();
    state.hold = Some(kuma_replicator::model::state::Hold { reason, since: world.clock, until: None });
    world.disk = Some(state.render());
    let file = world.configuration.clone();
    assert_eq!(switch(&mut world, &silent(), Alerts::All).kind(), Some(Kind::OnHold));
    assert_eq!(world.configuration, file);
}

/// Whatever happens, the next cycle or the same order ends as ordered.
#[test]
fn a_switch_survives_a_fault_at_every_step() {
    let mut tried = 0;
    for fault in FAULTS {
        for at in 0.. {
            let mut world = standby();
            world.faults = vec![(at, fault)];
            let end = switch(&mut world, &silent(), Alerts::All);
            if world.count <= at {
                break;
            }
            if world.fired == 0 {
                continue;
            }
            tried += 1;
            let context = format!("{fault:?} at {at}, {:?}, {end:?}", world.calls.last());
            let file = world.configuration.clone();
            let settings = Settings::parse(&file, Path::new("config.toml")).unwrap();
            if matches!(fault, Fault::KillBefore | Fault::KillAfter) || matches!(end, End::Failed(_)) {
                let turned = settings.replica.wishes.alerts == Alerts::All;
                for _ in 0..3 {
                    let next = world.cycle(&settings);
                    assert!(turned || up_to_date(&next) || applied(&next), "{context}: {next:?}");
                    world.clock = world.clock.checked_add(jiff::SignedDuration::from_hours(2)).unwrap();
                }
                let links = &table_of(&world.rows, "monitor_notification").rows;
                assert_eq!(links.is_empty(), !turned, "{context}");
            }
            assert!(world.running, "{context}");
            let settings = Settings::parse(&world.configuration, Path::new("config.toml")).unwrap();
            assert!(matches!(switch(&mut world, &settings, Alerts::All), End::Done(_)), "{context}");
            assert_eq!(world.rows, fleet(1), "{context}");
            assert!(up_to_date(&world.cycle(&replica(""))), "{context}");
        }
    }
    assert!(tried > 40, "{tried} faults");
}
