//! Promise: what a running Uptime Kuma picks up by itself is written while it runs, whole or not at all, and restarts
//! are for the rest.

use jiff::SignedDuration;
use kuma_replicator::cycle::{Conclusion, MAX_LIVE_ROWS};
use kuma_replicator::error::Kind;
use kuma_replicator::model::catalog::{self, Grade, TableSpec};
use kuma_replicator::model::configuration::{Configuration, Table};
use kuma_replicator::model::dump;
use kuma_replicator::plan::{Uptake, plan, uptake};

use crate::support::generations::generation;
use crate::support::host::{End, World, at_every_call, main_id, replica};
use crate::support::rows::{i, t, table};

/// `generation` with its tags renamed: a running server picks that up.
fn renamed(generation: i64, name: &str) -> Configuration {
    let mut configuration = self::generation(generation);
    *configuration.table_mut("tag").unwrap() =
        table("tag", &["id", "name"], vec![vec![i(1), t(name)], vec![i(2), t("test")]]);
    configuration
}

/// `configuration` with the monitors of this generation.
fn with_monitors_of(generation: i64, mut configuration: Configuration) -> Configuration {
    *configuration.table_mut("monitor").unwrap() = self::generation(generation).table("monitor").unwrap().clone();
    configuration
}

/// A replica with `generation(1)`, and a newer snapshot with a renamed tag.
fn behind() -> World {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&replica("")).applied());
    world.offer(&renamed(1, "live"), &main_id('b'), 1, 2);
    world
}

/// A configuration of one table.
fn only(table: Table) -> Configuration {
    Configuration { tables: vec![table], ..Configuration::default() }
}

/// What a running server needs to take up the changes between these.
fn needs(here: &Configuration, wanted: &Configuration) -> Uptake {
    uptake(&plan(here, wanted), here, wanted)
}

#[test]
fn only_what_a_running_server_has_in_memory_is_told_or_needs_a_restart() {
    let graded = |grade: Grade| -> Vec<&str> {
        let with = |spec: &TableSpec, name| only(table(spec.name, &["id", "name"], vec![vec![i(1), t(name)]]));
        let found = catalog::TABLES.iter().filter(|spec| needs(&with(spec, "a"), &with(spec, "b")).grade() == grade);
        found.map(|spec| spec.name).collect()
    };
    assert_eq!(graded(Grade::Told), ["monitor", "maintenance"]);
    assert_eq!(graded(Grade::Restart), ["user", "status_page_cname"]);
    assert_eq!(needs(&generation(1), &generation(1)), Uptake::default());
    // Of a monitor it reads some columns each time.
    let monitor = |column: &str, value| only(table("monitor", &["id", column], vec![vec![i(1), i(value)]]));
    for (column, grade) in [("parent", Grade::Read), ("weight", Grade::Read), ("interval", Grade::Told)] {
        assert_eq!(needs(&monitor(column, 1), &monitor(column, 2)).grade(), grade, "{column}");
    }
    // Public pages are cached, whatever is on them.
    let tables = catalog::TABLES.iter().filter(|spec| spec.on_pages).map(|spec| spec.name);
    let pages = ["status_page", "group", "incident", "monitor_group", "maintenance_status_page"];
    assert_eq!(tables.collect::<Vec<_>>(), pages);
}

#[test]
fn the_slug_of_a_page_matters_to_its_domains_alone() {
    let page = |slug: &str, domains: &[i64]| Configuration {
        tables: vec![
            table("status_page", &["id", "slug"], vec![vec![i(1), t(slug)]]),
            table(
                "status_page_cname",
                &["status_page_id", "domain"],
                domains.iter().map(|id| vec![i(*id), t(&format!("{id}.example"))]).collect(),
            ),
        ],
        ..Configuration::default()
    };
    for (domains, grade) in [(&[][..], Grade::Read), (&[2], Grade::Read), (&[1], Grade::Restart)] {
        assert_eq!(needs(&page("a", domains), &page("b", domains)).grade(), grade, "{domains:?}");
    }
    assert_eq!(needs(&page("a", &[1]), &page("b", &[])).restart, ["status_page", "status_page_cname"]);
}

#[test]
fn of_settings_it_depends_on_which() {
    for setting in catalog::SETTINGS {
        let columns = &["key", "type", "value"];
        let with = |value: &str| only(table("setting", columns, vec![vec![t(setting.key), t("general"), t(value)]]));
        let without = only(table("setting", columns, vec![]));
        for (here, wanted) in [(with("1"), with("2")), (without.clone(), with("2")), (with("1"), without)] {
            assert_eq!(needs(&here, &wanted).grade(), setting.grade, "{}", setting.key);
        }
    }
}

#[test]
fn a_live_write_takes_its_steps_in_this_order() {
    let mut world = behind();
    let end = world.cycle(&replica(""));
    assert!(end.applied(), "{end:?}");
    let steps = "look, export, fetch, report fetched, activity, server, report planned, rehearse, activity, check_intact, check_writable, \
                 check_in_use, check_stoppable, dependents, previous, export, keep_previous, save, write_live, report written, check_healthy, export, keep_applied, \
                 report applied, save";
    assert_eq!(world.calls, steps.split(", ").collect::<Vec<_>>());
    assert_eq!((&world.rows, world.stops, world.running), (&renamed(1, "live"), 1, true));
    let previous = dump::parse(world.previous.as_ref().unwrap()).unwrap();
    assert_eq!(previous.configuration, generation(1), "a rollback finds what was there");
    // The next monitor restarts once.
    world.offer(&generation(2), &main_id('b'), 1, 3);
    world.clock = world.clock.checked_add(SignedDuration::from_hours(1)).unwrap();
    assert!(world.cycle(&replica("")).applied());
    assert_eq!((world.stops, world.did("write_live"), world.did("write")), (2, 0, 1));
}

#[test]
fn a_stopped_or_always_restarted_uptime_kuma_is_written_while_it_is_down() {
    let mut world = behind();
    world.running = false;
    assert!(world.cycle(&replica("")).applied());
    assert_eq!((world.did("write_live"), world.did("write"), world.running, world.stops), (0, 1, false, 1));

    let mut world = behind();
    assert!(world.cycle(&replica("restart = \"always\"\nmin-restart-interval = \"0s\"")).applied());
    assert_eq!((world.did("write_live"), world.did("write"), world.running, world.stops), (0, 1, true, 2));
}

/// Uptime Kuma waits for the lock no longer than a second.
#[test]
fn more_rows_than_can_be_written_in_a_moment_restart() {
    for (rows, live) in [(MAX_LIVE_ROWS, 1), (MAX_LIVE_ROWS + 1, 0)] {
        let mut world = behind();
        let mut many = generation(1);
        let tags =
            (1..=i64::try_from(rows).unwrap() + 2).map(|id| vec![i(id), t(["prod", "test"][usize::from(id == 2)])]);
        *many.table_mut("tag").unwrap() = table("tag", &["id", "name"], tags.collect());
        world.offer(&many, &main_id('b'), 1, 3);
        world.clock = world.clock.checked_add(SignedDuration::from_hours(1)).unwrap();
        assert!(world.cycle(&replica("")).applied());
        assert_eq!((world.did("write_live"), world.did("stop"), &world.rows), (live, 1 - live, &many));
    }
}

/// A live change does not wait for the last restart, and does not count as one.
#[test]
fn what_needs_no_restart_does_not_wait() {
    let settings = replica("");
    let mut world = behind();
    assert!(world.cycle(&settings).applied(), "a minute after a restart");
    // Nor does it wait for a monitor beside it that needs one.
    world.offer(&renamed(2, "waits"), &main_id('b'), 1, 3);
    let now = with_monitors_of(1, renamed(2, "waits"));
    for fetches in [1, 0] {
        assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
        assert_eq!((world.did("fetch"), &world.rows), (fetches, &now));
    }
    // Something newer that needs none is not kept waiting by it.
    world.offer(&renamed(1, "newer"), &main_id('b'), 1, 4);
    assert!(world.cycle(&settings).applied());
    assert_eq!((world.stops, world.deferred()), (1, None));
    world.offer(&renamed(2, "last"), &main_id('b'), 1, 5);
    world.clock = world.clock.checked_add(SignedDuration::from_mins(5)).unwrap();
    assert!(world.cycle(&settings).applied());
    assert_eq!((&world.rows, world.stops), (&renamed(2, "last"), 2));
}

#[test]
fn rows_with_which_a_running_server_stops_answering_are_rolled_back() {
    let mut world = behind();
    world.poison = Some(renamed(1, "live"));
    assert_eq!(world.cycle(&replica("")).kind(), Some(Kind::RolledBack));
    assert_eq!((&world.rows, world.running, world.stops), (&generation(1), true, 2));
    assert!(world.state().intent.is_none());
    assert_eq!(world.cycle(&replica("")).kind(), Some(Kind::SnapshotRejected));
    assert_eq!((&world.rows, world.stops), (&generation(1), 2));
}

#[test]
fn an_edit_at_the_same_moment_costs_a_cycle_and_nothing_else() {
    let mut world = behind();
    world.named = vec![("write_live", crate::support::host::Fault::ErrorBefore)];
    assert_eq!(world.cycle(&replica("")).kind(), Some(Kind::DatabaseBusy));
    assert_eq!((&world.rows, world.stops), (&generation(1), 1));
    assert!(world.cycle(&replica("")).applied());
    assert_eq!((&world.rows, world.stops), (&renamed(1, "live"), 1));
}

/// An edit in a table that the write does not touch is not written over, nor taken for what the apply left.
#[test]
fn an_edit_during_the_fetch_is_still_an_edit() {
    let mut world = behind();
    world.edited = Some(generation(2));
    assert_eq!(world.cycle(&replica("")).kind(), Some(Kind::DatabaseBusy));
    assert_eq!((&world.rows, world.stops, world.did("write_live")), (&generation(2), 1, 0));
    assert!(world.state().intent.is_none());
}

/// With "notifications-insert-merge" a part of a snapshot is written while another waits for its restart: nothing is
/// under way between the two.
#[test]
fn a_part_that_is_in_force_leaves_nothing_to_recover() {
    let with = |generation: i64, name: &str| {
        let mut configuration = self::generation(generation);
        configuration.tables.push(table("notification", &["id", "name"], vec![vec![i(1), t(name)]]));
        configuration.tables.sort_by_key(|table| catalog::TABLES.iter().position(|spec| spec == table.spec));
        configuration
    };
    let settings = replica("strategy = \"notifications-insert-merge\"");
    let behind = || {
        let mut world = World::new(with(0, "old"));
        world.offer(&with(1, "old"), &main_id('b'), 1, 1);
        assert!(world.cycle(&settings).applied());
        world.offer(&with(2, "new"), &main_id('b'), 1, 2);
        world
    };
    let mut world = behind();
    assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
    assert_eq!((world.did("write_live"), &world.rows), (2, &with_monitors_of(1, with(2, "new"))));
    assert_eq!(world.state().intent, None);
    // Stopped by the administrator meanwhile, it stays so.
    world.running = false;
    world.cycle(&settings);
    assert!(!world.running);

    // What fails in the second part is no reason to go back behind the first.
    let mut world = behind();
    world.clock = world.clock.checked_add(SignedDuration::from_hours(1)).unwrap();
    let at = {
        let mut probe = world.clone();
        probe.cycle(&settings);
        let calls: Vec<_> = probe.calls.iter().filter(|call| *call != "release").collect();
        calls.iter().rposition(|call| *call == "write_live").unwrap()
    };
    world.faults = vec![(at, crate::support::host::Fault::ErrorBefore)];
    assert_eq!(world.cycle(&settings).kind(), Some(Kind::DatabaseBusy));
    assert_eq!((world.state().intent, &world.rows), (None, &with(2, "old")));
}

/// Whatever fails, and wherever it is killed: old or new, it runs, and the next cycles end it.
#[test]
fn a_live_write_survives_a_fault_at_every_step() {
    let mut tried = 0;
    for poisoned in [false, true] {
        let prepare = || {
            let mut world = behind();
            world.poison = poisoned.then(|| renamed(1, "live"));
            world
        };
        tried += at_every_call(
            prepare,
            |world| world.cycle(&replica("")),
            |mut world, end, _, context| {
                let context = format!("poisoned {poisoned}, {context}");
                assert!([generation(1), renamed(1, "live")].contains(&world.rows), "B: {context}");
                let brings_up = world.state().intent.is_some_and(|intent| intent.start);
                assert!(world.running || matches!(end, End::Killed) && brings_up || poisoned, "A: {context}");
                for _ in 0..3 {
                    world.clock = world.clock.checked_add(SignedDuration::from_hours(2)).unwrap();
                    world.cycle(&replica(""));
                }
                assert!(world.running && world.state().intent.is_none(), "{context}");
                // A rehearsal or an answer that was made to fail is blamed on the snapshot.
                let refused = poisoned || world.rejected().is_some();
                let expected = if refused { generation(1) } else { renamed(1, "live") };
                assert!(world.rows == expected, "{context}");
                if !refused {
                    assert!(matches!(world.cycle(&replica("")), End::Done(Conclusion::UpToDate)), "{context}");
                }
            },
        );
    }
    assert!(tried > 100, "{tried} faults");
}
