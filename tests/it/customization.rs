//! Promise: what the configuration of a replica says about that host holds: which monitors are paused, how often Uptime
//! Kuma is restarted, what happens to edits, and into which schemas rows are written.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use kuma_replicator::config::{Role, SchemaPolicy, Settings};
use kuma_replicator::cycle::{Cause, Conclusion, Options, Promotion, Ready, Session};
use kuma_replicator::decide;
use kuma_replicator::localise::Desired;
use kuma_replicator::model::configuration::{Configuration, Row};
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::plan;

use crate::support::generations::generation;
use crate::support::host::{End, World, main_id, replica};
use crate::support::rows::{self, i, t, table};

fn events(world: &World, name: &str) -> usize {
    world.did(&format!("report {name}"))
}

// ---------------------------------------------------------------------------------------------------
// Paused monitors

/// Monitors of these types, the even ones paused.
fn monitors(types: &[&str]) -> Configuration {
    let rows = types.iter().zip(1..).map(|(kind, id)| vec![i(id), t(kind), i(id % 2)]).collect();
    let columns = &["id", "type", "active"];
    let user = table("user", &["id", "username"], vec![vec![i(1), t("admin")]]);
    Configuration { tables: vec![user, table("monitor", columns, rows)], files: Vec::new(), zone: None }
}

fn active(configuration: &Configuration) -> BTreeSet<i64> {
    let table = configuration.table("monitor").unwrap();
    let id = |row: &Row| match (table.value(row, "id"), table.value(row, "active")) {
        (Value::Integer(id), Value::Integer(1)) => Some(*id),
        _ => None,
    };
    table.rows.iter().filter_map(id).collect()
}

const TYPES: [&str; 7] = ["http", "http", "push", "group", "docker", "dns", "tailscale-ping"];

#[test]
fn monitors_of_some_types_are_paused_on_replicas() {
    let main = monitors(&TYPES);
    assert_eq!(active(&main), [1, 3, 5, 7].into());
    let wanted = |customization: &str| {
        Desired::customized(&main, &replica(customization).replica.customization).on(&main).unwrap().configuration
    };
    assert_eq!(active(&wanted("")), [1].into(), "push, docker and tailscale are paused by default");
    assert_eq!(wanted("paused-types = []"), main);
    assert_eq!(active(&wanted("paused-types = [\"http\", \"nonsense\"]")), [3, 5, 7].into());
    // Text that SQLite keeps in the column is no obstacle, and what is paused stays as it is.
    let mut odd = monitors(&["push", "push"]);
    let at = odd.tables[1].position("active").unwrap();
    odd.tables[1].rows[0][at] = t("true");
    let wanted = Desired::customized(&odd, &replica("").replica.customization).on(&odd).unwrap().configuration;
    assert_eq!(
        plan(
            &wanted,
            &Desired::customized(&odd, &replica("").replica.customization).on(&wanted).unwrap().configuration
        )
        .size()
        .updates,
        0
    );
    assert!(active(&wanted).is_empty());
}

/// The pause is this replica's own: neither an edit, nor what the fleet gets when it becomes the main.
#[test]
fn a_promotion_ends_the_pause() {
    let mut world = World::new(monitors(&TYPES[..1]));
    world.offer(&monitors(&TYPES), &main_id('b'), 1, 1);
    let settings = replica("min-restart-interval = \"0s\"");
    assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Applied(_))));
    assert_eq!(active(&world.rows), [1].into());
    for _ in 0..2 {
        assert!(matches!(world.cycle(&settings), End::Done(Conclusion::UpToDate)));
        assert_eq!((events(&world, "drifted"), world.stops), (0, 1));
    }
    let end = world.order(async |world, state| {
        Session::new(world, &settings, state, Options::default()).promote(Promotion::default()).await.map(drop)
    });
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!((world.role, &world.rows), (Some(Role::Main), &monitors(&TYPES)));
    let (newest, _) = world.repository.last().unwrap();
    assert_eq!(newest.tags.digest, rows::manifest(&monitors(&TYPES), None).digest);
    assert_eq!(newest.tags.place.order(), (2, 2));
}

// ---------------------------------------------------------------------------------------------------
// Restarts

#[test]
fn edits_of_a_busy_main_are_applied_together() {
    let settings = replica("min-restart-interval = \"5m\"");
    let mut world = World::new(generation(0));
    let (mut applied, mut reported) = (0, 0);
    // The main is edited every minute, for half an hour.
    for minute in 1..=30 {
        world.offer(&generation(minute), &main_id('b'), 1, minute.unsigned_abs());
        match world.cycle(&settings) {
            End::Done(Conclusion::Applied(_)) => {
                applied += 1;
                assert_eq!(world.rows, generation(minute), "only the newest counts");
            }
            End::Done(Conclusion::Deferred(reason)) => assert!(reason.contains("deferred until"), "{reason}"),
            end => panic!("{end:?}"),
        }
        reported += events(&world, "deferred");
        assert_eq!(world.did("fetch"), 1, "it might have been something that needs no restart");
        if events(&world, "deferred") == 1 {
            world.clock = world.clock.checked_sub(SignedDuration::from_mins(1)).unwrap();
            assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
            assert_eq!((world.did("fetch"), events(&world, "deferred")), (0, 1), "what waits is not fetched again");
        }
    }
    assert_eq!((applied, world.stops, reported), (6, 6, 24));
    // An order does not wait, and neither does a cycle after the clock went back.
    world.offer(&generation(31), &main_id('b'), 1, 31);
    let at_once = Options { at_once: true, ..Options::default() };
    assert!(matches!(world.cycle_with(&settings, &at_once), End::Done(Conclusion::Applied(_))));
    world.offer(&generation(32), &main_id('b'), 1, 32);
    world.clock = world.clock.checked_sub(SignedDuration::from_hours(24 * 365)).unwrap();
    assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Applied(_))));
    // After the time, and with "0s" at once.
    world.offer(&generation(33), &main_id('b'), 1, 33);
    assert!(matches!(world.cycle(&replica("min-restart-interval = \"0s\"")), End::Done(Conclusion::Applied(_))));
}

// ---------------------------------------------------------------------------------------------------
// Edits

#[test]
fn an_edit_is_reported_once_and_overwritten_by_policy() {
    let settings = |policy| replica(&format!("min-restart-interval = \"0s\"\non-drift = \"{policy}\""));
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(matches!(world.cycle(&settings("report")), End::Done(Conclusion::Applied(_))));
    world.rows = generation(2);
    for reported in [1, 0] {
        assert!(matches!(world.cycle(&settings("report")), End::Done(Conclusion::UpToDate)));
        assert_eq!((events(&world, "drifted"), world.stops, &world.rows), (reported, 1, &generation(2)));
        assert!(world.state().replica.is_drifted());
    }
    // Another edit is reported as well; an edit that is reverted is none.
    world.rows = generation(3);
    world.cycle(&settings("report"));
    assert_eq!(events(&world, "drifted"), 1);
    world.rows = generation(1);
    world.cycle(&settings("report"));
    assert_eq!((events(&world, "drifted"), world.state().replica.is_drifted()), (0, false));

    world.rows = generation(2);
    assert!(matches!(world.cycle(&settings("overwrite")), End::Done(Conclusion::Applied(_))));
    assert_eq!((events(&world, "drifted"), world.stops, &world.rows), (1, 2, &generation(1)));
    assert!(matches!(world.cycle(&settings("overwrite")), End::Done(Conclusion::UpToDate)));
    // If Uptime Kuma does not come up with the main's rows again, it is not restarted every minute.
    world.rows = generation(2);
    world.poison = Some(generation(1));
    assert!(matches!(world.cycle(&settings("overwrite")), End::Failed(_)));
    for _ in 0..3 {
        assert!(matches!(world.cycle(&settings("overwrite")), End::Done(Conclusion::UpToDate)));
        assert_eq!((world.stops, &world.rows), (4, &generation(2)));
    }
}

/// What `plan` says before any cycle has found an edit is what the next one does.
#[test]
fn plan_predicts_what_happens_to_an_edit() {
    let predicted = |world: &World, settings: &Settings| match world.predict(settings, Options::default()) {
        Ok(Ready::Apply(application)) => (true, Some(application.cause)),
        Ok(Ready::UpToDate { drifted, .. }) => (false, drifted.then_some(Cause::Drift(None))),
        other => panic!("{other:?}"),
    };
    for (customization, over_edits, over_boots) in [
        ("", false, false),
        ("on-drift = \"overwrite\"", true, true),
        ("apply-on-boot = true", false, true),
        ("strategy = \"default\"", true, true),
        ("strategy = \"notifications-insert-merge\"", true, true),
    ] {
        let settings = replica(&format!("min-restart-interval = \"0s\"\n{customization}"));
        let mut world = World::new(generation(0));
        world.offer(&generation(1), &main_id('b'), 1, 1);
        assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Applied(_))));
        assert!(matches!(predicted(&world, &settings), (false, None)));
        for (boots, expected) in [(false, over_edits), (true, over_boots)] {
            world.rows = generation(2);
            if boots {
                world.booted = world.clock;
            }
            let (applies, cause) = predicted(&world, &settings);
            let boot = boots && customization.starts_with("apply-on-boot");
            let expected_cause = if boot { Cause::Boot } else { Cause::Drift(None) };
            assert_eq!(cause, Some(expected_cause), "{customization}");
            assert_eq!(applies, expected, "{customization}");
            world.cycle(&settings);
            assert_eq!(world.rows == generation(1), applies, "{customization}");
        }
        assert_eq!(predicted(&world, &replica("paused-types = []")), (true, Some(Cause::Customization)));
    }
}

/// An upgrade of Uptime Kuma rewrites rows by itself.
#[test]
fn a_migration_is_no_edit() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    let settings = replica("on-drift = \"overwrite\"");
    world.cycle(&settings);
    world.rows = generation(2);
    world.schema = rows::schema(&world.rows, &["2025-01-01-0000-first.js", "2026-01-01-0000-second.js"]);
    for _ in 0..2 {
        assert!(matches!(world.cycle(&settings), End::Done(Conclusion::UpToDate)));
        assert_eq!((events(&world, "drifted"), world.stops), (0, 1));
    }
}

// ---------------------------------------------------------------------------------------------------
// Schemas

#[test]
fn a_superset_takes_rows_if_it_is_allowed_to() {
    let schema = |columns: &[&str], migrations: &[&str]| {
        let rows = table("monitor", columns, Vec::new());
        rows::schema(&Configuration { tables: vec![rows], files: Vec::new(), zone: None }, migrations)
    };
    let older = schema(&["id", "name"], &["first"]);
    let newer = schema(&["id", "name", "zone"], &["first", "second"]);
    let other = schema(&["id", "name", "ping"], &["first", "third"]);
    for (here, main, exact, superset) in [
        (&older, &older, true, true),
        (&newer, &older, false, true),
        (&older, &newer, false, false),
        (&newer, &other, false, false),
    ] {
        assert_eq!(decide::schema_gate(here, main, SchemaPolicy::Exact).is_none(), exact);
        assert_eq!(decide::schema_gate(here, main, SchemaPolicy::Superset).is_none(), superset);
    }

    // What is held is fetched again only when that may change something.
    let mut world = World::new(generation(0));
    world.schema = rows::schema(&world.rows, &["2025-01-01-0000-first.js", "2026-01-01-0000-second.js"]);
    world.offer(&generation(1), &main_id('b'), 1, 1);
    for fetches in [1, 0] {
        assert!(matches!(world.cycle(&replica("")), End::Done(Conclusion::Blocked(_))));
        assert_eq!(world.did("fetch"), fetches);
    }
    assert!(matches!(world.cycle(&replica("schema = \"superset\"")), End::Done(Conclusion::Applied(_))));
}
