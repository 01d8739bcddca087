//! Promise: a running Uptime Kuma is told of changed monitors and maintenances, and takes them up without a restart. What
//! it cannot be told restarts it, as before anything was written; what it does not take up restarts it, too.
//!
//! Every cycle in memory ends with a server that has in memory what is in its database (`World::assert_in_force`).

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use kuma_replicator::config::Settings;
use kuma_replicator::cycle::{Conclusion, Options, Ready, Way};
use kuma_replicator::error::Kind;
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::told::Told;
use kuma_replicator::model::value::Value;

use crate::support::host::{End, Fault, World, at_every_call, eager, main_id, replica};
use crate::support::rows::{i, t, table};

/// What a test changes in a monitor.
struct Monitor(i64, &'static str, &'static str, Value, Value);

fn monitor(id: i64, name: &'static str) -> Monitor {
    Monitor(id, name, "http", i(1), i(1))
}

/// A configuration with these monitors and a maintenance.
fn with(monitors: Vec<Monitor>) -> Configuration {
    let rows = monitors
        .into_iter()
        .map(|Monitor(id, name, kind, active, user)| {
            vec![i(id), t(name), t(kind), active, user, t("2026-01-01 00:00:00")]
        })
        .collect();
    let columns = ["id", "name", "type", "active", "user_id", "created_date"];
    Configuration {
        tables: vec![
            table("user", &["id", "username"], vec![vec![i(1), t("admin")], vec![i(2), t("second")]]),
            table("tag", &["id", "name"], vec![vec![i(1), t("prod")]]),
            table("notification", &["id", "name"], vec![vec![i(1), t("mail")]]),
            table("monitor", &columns, rows),
            table("maintenance", &["id", "title", "active", "user_id"], vec![vec![i(1), t("night"), i(1), i(1)]]),
            table("monitor_notification", &["monitor_id", "notification_id"], vec![vec![i(1), i(1)]]),
            table("monitor_tag", &["monitor_id", "tag_id"], vec![vec![i(1), i(1)]]),
        ],
        ..Configuration::default()
    }
}

/// The push monitor is paused, as on every replica.
fn before() -> Configuration {
    with(vec![monitor(1, "web"), monitor(2, "dns"), Monitor(3, "push", "push", i(0), i(1))])
}

/// `before` with a changed, a removed, a paused and a new monitor.
fn after() -> Configuration {
    let mut after =
        with(vec![monitor(1, "web 2"), Monitor(3, "push", "push", i(0), i(1)), Monitor(4, "new", "http", i(0), i(1))]);
    let rows = &mut after.table_mut("maintenance").unwrap().rows;
    rows.push(rows[0].clone());
    let id = after.table("maintenance").unwrap().position("id").unwrap();
    after.table_mut("maintenance").unwrap().rows[1][id] = i(2);
    after
}

fn told(monitors: &[i64], maintenances: &[i64]) -> Told {
    let ids = |ids: &[i64]| ids.iter().copied().collect();
    Told { monitors: ids(monitors), maintenances: ids(maintenances), pages: false }
}

/// A replica that has `before`, and a snapshot of `wanted`.
fn behind(wanted: &Configuration) -> World {
    let mut world = World::new(before());
    world.offer(&before(), &main_id('b'), 1, 1);
    assert!(world.cycle(&replica("")).up_to_date());
    world.offer(wanted, &main_id('b'), 1, 2);
    world
}

fn prepared(world: &World, settings: &Settings) -> Way {
    match world.predict(settings, Options::default()) {
        Ok(Ready::Apply(application)) => application.changes[0].1.way.clone(),
        other => panic!("{other:?}"),
    }
}

/// Why Uptime Kuma is restarted for `wanted`.
fn reasons(world: &World) -> String {
    match prepared(world, &eager("")) {
        Way::Restart(reasons) => reasons.join("; "),
        way => panic!("{way:?}"),
    }
}

#[test]
fn changed_monitors_are_told_in_these_steps() {
    let mut world = behind(&after());
    assert_eq!(prepared(&world, &replica("")), Way::Live(told(&[1, 2, 4], &[2])));
    let end = world.cycle(&replica(""));
    assert!(end.applied(), "{end:?}");
    let steps = "look, export, fetch, report fetched, activity, server, probe, report planned, rehearse, activity, check_intact, \
                 check_writable, check_in_use, check_stoppable, dependents, previous, export, keep_previous, server, save, \
                 write_live, report written, check_healthy, export, tell, beats, beats, export, report told, check_healthy, \
                 tidy_history, export, keep_applied, report applied, save";
    assert_eq!(world.calls, steps.split(", ").collect::<Vec<_>>());
    assert_eq!((&world.rows, world.stops, world.tellings.len()), (&after(), 0, 1));
    assert_eq!(world.history.0, BTreeSet::from([i(1), i(3)]), "the history of a removed monitor goes");
    assert!(world.state().intent.is_none());
    assert!(world.cycle(&replica("")).up_to_date());
}

/// Each is a restart, and says why, before anything is written.
#[test]
fn what_cannot_be_told_restarts() {
    type Prepare = fn(&mut World);
    let table: &[(&str, Configuration, Prepare)] = &[
        ("Uptime Kuma 2.6.0 was not tried", after(), |world| world.server.version = Some("2.6.0".to_owned())),
        ("Uptime Kuma of unknown version was not tried", after(), |world| world.server.version = None),
        ("has not begun all its monitors", after(), |world| world.server.beginning = Duration::from_secs(1)),
        ("Invalid token.", after(), |world| world.refuses = Some("Invalid token.".to_owned())),
        (
            "monitor 3 is a push monitor",
            with(vec![monitor(1, "web"), monitor(2, "dns"), Monitor(3, "renamed", "push", i(0), i(1))]),
            |world| world.server.version = Some("2.4.0".to_owned()),
        ),
        ("monitor 3 is a push monitor", with(vec![monitor(1, "web"), monitor(2, "dns")]), |world| {
            world.server.version = Some("1.23.17".to_owned());
        }),
        ("monitor 4 has an id that another monitor has had", after(), |world| world.server.last_monitor = 4),
        (
            "monitor 1 is neither active nor paused",
            with(vec![
                Monitor(1, "web", "http", t("true"), i(1)),
                monitor(2, "dns"),
                Monitor(3, "push", "push", i(0), i(1)),
            ]),
            |_| {},
        ),
        (
            "monitor 1 belongs to no user who may log in",
            with(vec![
                Monitor(1, "web", "http", i(1), Value::Null),
                monitor(2, "dns"),
                Monitor(3, "push", "push", i(0), i(1)),
            ]),
            |_| {},
        ),
        ("monitor 1 belongs to no user who may log in", after(), |world| world.server.users.clear()),
    ];
    for (reason, wanted, prepare) in table {
        let mut world = behind(wanted);
        prepare(&mut world);
        let found = reasons(&world);
        assert!(found.contains(reason), "{reason}: {found}");
        assert!(world.cycle(&eager("")).applied(), "{reason}");
        assert_eq!((&world.rows, world.stops, world.tellings.len()), (wanted, 1, 0), "{reason}");
    }
}

/// The counterparts: these versions and rows are told.
#[test]
fn what_is_no_trap_is_told() {
    type Prepare = fn(&mut World);
    let renamed = with(vec![monitor(1, "web"), monitor(2, "dns"), Monitor(3, "renamed", "push", i(0), i(1))]);
    let of_second =
        with(vec![Monitor(1, "web", "http", i(1), i(2)), monitor(2, "dns"), Monitor(3, "push", "push", i(0), i(1))]);
    let table: &[(&Configuration, Prepare)] = &[
        (&renamed, |world| world.server.version = Some("2.5.0".to_owned())),
        (&of_second, |_| {}),
        (&after(), |world| {
            world.server.version = Some("1.23.17".to_owned());
            world.server.last_monitor = 9;
        }),
    ];
    for (wanted, prepare) in table {
        let mut world = behind(wanted);
        prepare(&mut world);
        assert!(world.cycle(&replica("")).applied());
        assert_eq!((&world.rows, world.stops, world.tellings.len()), (*wanted, 0, 1));
    }
}

/// Another monitor with the same id would get the history of the old one.
#[test]
fn an_id_that_another_monitor_takes_over_restarts_every_version() {
    let mut wanted = before();
    let created = wanted.table("monitor").unwrap().position("created_date").unwrap();
    wanted.table_mut("monitor").unwrap().rows[1][created] = t("2026-02-02 00:00:00");
    let mut world = behind(&wanted);
    world.server.version = Some("1.23.17".to_owned());
    assert!(reasons(&world).contains("monitor 2 has an id"));
    assert!(world.cycle(&eager("")).applied());
    assert_eq!(world.stops, 1);
}

/// A server of 2.1 or later knows the names of tags from its start, whichever cycle added one.
#[test]
fn a_monitor_with_a_tag_that_the_server_does_not_know_restarts() {
    let tagged = |name: &'static str| {
        let mut tagged = with(vec![monitor(1, name), monitor(2, "dns"), Monitor(3, "push", "push", i(0), i(1))]);
        *tagged.table_mut("tag").unwrap() =
            table("tag", &["id", "name"], vec![vec![i(1), t("prod")], vec![i(2), t("new")]]);
        *tagged.table_mut("monitor_tag").unwrap() =
            table("monitor_tag", &["monitor_id", "tag_id"], vec![vec![i(1), i(1)], vec![i(1), i(2)]]);
        tagged
    };
    for (version, stops) in [("2.0.2", 0), ("1.23.17", 0), ("2.1.0", 1)] {
        // The tag comes first, which the server reads; the monitor is changed later.
        let mut world = behind(&tagged("web"));
        world.server.version = Some(version.to_owned());
        assert!(world.cycle(&eager("")).applied());
        assert_eq!(world.stops, 0, "{version}");
        world.offer(&tagged("renamed"), &main_id('b'), 1, 3);
        assert!(world.cycle(&eager("")).applied());
        assert_eq!(world.stops, stops, "{version}");
        // The next run knows it.
        world.offer(&tagged("again"), &main_id('b'), 1, 4);
        assert!(world.cycle(&eager("")).applied());
        assert_eq!(world.stops, stops, "{version}");
    }
}

/// A restart now would only begin them anew.
#[test]
fn while_the_server_begins_its_monitors_changes_wait() {
    let mut world = behind(&after());
    world.server.beginning = Duration::from_secs(300);
    assert!(matches!(world.cycle(&replica("")), End::Done(Conclusion::Deferred(_))));
    assert_eq!((&world.rows, world.stops), (&before(), 0));
    // It is not asked again before that.
    assert!(matches!(world.cycle(&replica("")), End::Done(Conclusion::Deferred(_))));
    assert_eq!(world.did("server"), 0);
    world.server.beginning = Duration::ZERO;
    world.clock = world.clock.checked_add(SignedDuration::from_mins(5)).unwrap();
    assert!(world.cycle(&replica("")).applied());
    assert_eq!((&world.rows, world.stops, world.tellings.len()), (&after(), 0, 1));
}

/// A person who cannot wait gets a restart.
#[test]
fn an_order_does_not_wait_for_monitors_to_begin() {
    let mut world = behind(&after());
    world.server.beginning = Duration::from_secs(300);
    assert!(world.cycle_with(&replica(""), &Options { at_once: true, ..Options::default() }).applied());
    assert_eq!((&world.rows, world.stops), (&after(), 1));
}

#[test]
fn what_is_told_does_not_wait_for_the_interval_between_restarts() {
    let settings = replica("min-restart-interval = \"1h\"");
    let mut world = behind(&before());
    world.offer(
        &with(vec![monitor(1, "web"), monitor(2, "dns"), Monitor(3, "p", "push", i(0), i(1))]),
        &main_id('b'),
        1,
        3,
    );
    world.server.version = Some("1.23.17".to_owned());
    assert!(world.cycle(&settings).applied());
    assert_eq!(world.stops, 1);
    world.offer(&after(), &main_id('b'), 1, 4);
    let mut wanted = after();
    *wanted.table_mut("monitor").unwrap() =
        with(vec![monitor(1, "web 2"), Monitor(3, "p", "push", i(0), i(1)), Monitor(4, "new", "http", i(0), i(1))])
            .tables
            .remove(3);
    world.offer(&wanted, &main_id('b'), 1, 5);
    assert!(world.cycle(&settings).applied());
    assert_eq!((&world.rows, world.stops, world.tellings.len()), (&wanted, 1, 1));
}

/// What needs no restart is in force at once, while the rest of the snapshot waits for one.
#[test]
fn what_can_be_told_or_read_does_not_wait_for_what_needs_a_restart() {
    let settings = replica("min-restart-interval = \"1h\"");
    let user = |mut configuration: Configuration, name: &str| {
        *configuration.table_mut("user").unwrap() =
            table("user", &["id", "username"], vec![vec![i(1), t(name)], vec![i(2), t("second")]]);
        configuration
    };
    let mut world = behind(&user(before(), "first"));
    assert!(world.cycle(&settings).applied());
    assert_eq!(world.stops, 1);
    let mut silenced = user(after(), "renamed");
    silenced.table_mut("monitor_notification").unwrap().rows.clear();
    world.offer(&silenced, &main_id('b'), 1, 3);
    for cycles in 1..3 {
        assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
        let mut now = silenced.clone();
        *now.table_mut("user").unwrap() = user(before(), "first").tables.remove(0);
        assert_eq!((&world.rows, world.stops, world.tellings.len()), (&now, 1, 1), "{cycles}");
        assert!(world.state().intent.is_none());
    }
    // If it cannot be told either, what it reads is in force all the same.
    let mut world = behind(&user(before(), "first"));
    assert!(world.cycle(&settings).applied());
    world.offer(&silenced, &main_id('b'), 1, 3);
    world.refuses = Some("Invalid token.".to_owned());
    assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
    assert!(world.rows.table("monitor_notification").unwrap().rows.is_empty());
    assert_eq!((world.rows.table("monitor"), world.stops), (user(before(), "x").table("monitor"), 1));
    world.refuses = None;
    world.clock = world.clock.checked_add(SignedDuration::from_hours(1)).unwrap();
    assert!(world.cycle(&settings).applied());
    assert_eq!((&world.rows, world.stops), (&silenced, 2));
}

/// A silencing in the configuration file does not wait until the end of a deferral that was planned without it.
#[test]
fn another_customization_is_planned_at_once() {
    let settings = replica("min-restart-interval = \"1h\"");
    let mut world = behind(&before());
    world.offer(&with(vec![Monitor(1, "web", "http", i(1), Value::Null)]), &main_id('b'), 1, 3);
    assert!(world.cycle(&settings).applied());
    world.offer(&with(vec![Monitor(1, "web 2", "http", i(1), Value::Null)]), &main_id('b'), 1, 4);
    assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
    let silent = replica("min-restart-interval = \"1h\"\nalerts = \"off\"");
    assert!(matches!(world.cycle(&silent), End::Done(Conclusion::Deferred(_))));
    assert!(world.rows.table("monitor_notification").unwrap().rows.is_empty());
    assert_eq!(world.stops, 1);
}

/// The interval is a floor: on top comes what this host takes to begin its monitors.
#[test]
fn the_next_restart_waits_until_all_monitors_could_have_beaten() {
    let settings = replica("min-restart-interval = \"5m\"");
    let unowned = |name| with(vec![Monitor(1, name, "http", i(1), Value::Null)]);
    let mut world = behind(&unowned("web"));
    world.server.takes = Duration::from_secs(600);
    assert!(world.cycle(&settings).applied());
    world.offer(&unowned("web 2"), &main_id('b'), 1, 3);
    world.clock = world.clock.checked_add(SignedDuration::from_mins(9)).unwrap();
    assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Deferred(_))));
    world.clock = world.clock.checked_add(SignedDuration::from_mins(5)).unwrap();
    assert!(world.cycle(&settings).applied());
    assert_eq!(world.stops, 2);
}

/// Each log-in costs as much as a person who opens the page.
#[test]
fn between_two_log_ins_lies_a_while_and_the_second_has_all_of_it() {
    let settings = replica("");
    let mut world = behind(&after());
    assert!(world.cycle(&settings).applied());
    let told = world.clock;
    let renamed = |name: &str| {
        let mut wanted = after();
        let at = wanted.table("monitor").unwrap().position("name").unwrap();
        wanted.table_mut("monitor").unwrap().rows[0][at] = t(name);
        wanted
    };
    world.offer(&before(), &main_id('b'), 1, 3);
    for (sequence, seconds) in [(4, 5), (5, 9), (6, 10)] {
        let wanted = renamed(&format!("web {sequence}"));
        world.offer(&wanted, &main_id('b'), 1, sequence);
        // A world gives each cycle a minute.
        world.clock = told.checked_add(SignedDuration::from_secs(seconds - 60)).unwrap();
        let end = world.cycle(&settings);
        if seconds < 10 {
            assert!(matches!(end, End::Done(Conclusion::Deferred(_))), "{seconds} s: {end:?}");
        } else {
            assert!(end.applied(), "{seconds} s: {end:?}");
            assert_eq!((&world.rows, world.tellings.len(), world.stops), (&wanted, 2, 0));
        }
    }
}

#[test]
fn what_is_not_taken_up_at_once_is_told_once_more_and_then_restarts() {
    // Not acknowledged, once and always.
    for (fault, stops) in [(Fault::ErrorBefore, 1), (Fault::ErrorAfter, 1)] {
        let mut world = behind(&after());
        world.named = vec![("tell", fault)];
        assert!(world.cycle(&replica("")).applied());
        assert_eq!((&world.rows, world.stops, world.running), (&after(), stops, true));
        assert_eq!(world.did("tell"), 2);
        world.assert_in_force();
    }
    // Paused, and it still beats.
    let mut world = behind(&after());
    world.stubborn = BTreeSet::from([4]);
    assert!(world.cycle(&replica("")).applied());
    assert_eq!((world.did("tell"), world.stops), (2, 0));
    // A check that takes long is no fault: the server has said that it took the monitor up.
    let mut world = behind(&after());
    world.silent = BTreeSet::from([1]);
    assert!(world.cycle(&replica("")).applied());
    assert_eq!((world.did("tell"), world.stops), (1, 0));
}

#[test]
fn a_server_that_dies_of_what_it_is_told_gets_the_previous_configuration_back() {
    let mut world = behind(&after());
    world.deadly = Some(after());
    assert_eq!(world.cycle(&replica("")).kind(), Some(Kind::RolledBack));
    assert_eq!((&world.rows, world.running, world.stops), (&before(), true, 1));
    assert!(world.state().intent.is_none());
    world.assert_in_force();
    assert_eq!(world.cycle(&replica("")).kind(), Some(Kind::SnapshotRejected));
}

/// Killed between the commit and the last acknowledgement, the next cycle tells what it has saved; a server that was
/// started since has read it.
#[test]
fn a_killed_telling_is_made_up_for() {
    for restarted in [false, true] {
        let mut world = behind(&after());
        world.named = vec![("tell", Fault::KillBefore)];
        assert!(matches!(world.cycle(&replica("")), End::Killed));
        assert_eq!((&world.rows, &world.memory), (&after(), &before()));
        let saved = world.state().intent.unwrap().telling.unwrap();
        assert_eq!(saved.told, told(&[1, 2, 4], &[2]));
        if restarted {
            world.server.run = "7".to_owned();
            world.memory = world.rows.clone();
        }
        let end = world.cycle(&replica(""));
        assert!(end.up_to_date(), "{end:?}");
        assert_eq!((world.did("tell"), world.stops), (usize::from(!restarted), 0));
        world.assert_in_force();
        assert_eq!(world.history.0, BTreeSet::from([i(1), i(3)]));
    }
}

/// Whatever fails, and wherever it is killed: old or new, never a mix, it runs, and in the end what is in the database is
/// in force.
#[test]
fn a_telling_survives_a_fault_at_every_step() {
    let mut tried = 0;
    for deadly in [false, true] {
        let prepare = || {
            let mut world = behind(&after());
            world.deadly = deadly.then(after);
            world
        };
        tried += at_every_call(
            prepare,
            |world| world.cycle(&replica("")),
            |mut world, end, _, context| {
                let context = format!("deadly {deadly}, {context}");
                assert!([before(), after()].contains(&world.rows), "B: {context}");
                let brings_up = world.state().intent.is_some_and(|intent| intent.start);
                assert!(world.running || matches!(end, End::Killed) && brings_up || deadly, "A: {context}");
                for _ in 0..3 {
                    world.clock = world.clock.checked_add(SignedDuration::from_hours(2)).unwrap();
                    world.cycle(&replica(""));
                }
                assert!(world.running && !world.dead && world.state().intent.is_none(), "{context}");
                world.assert_in_force();
                // One that is started with the new rows, because a rollback failed, lives with them.
                let wanted = if world.rejected().is_some() { before() } else { after() };
                assert!(world.rows == wanted || deadly && world.rows == after(), "{context}");
            },
        );
    }
    assert!(tried > 100, "{tried} faults");
}

/// A cached page is a courtesy: where the server cannot be told, it comes into force within minutes.
#[test]
fn pages_are_emptied_where_that_is_possible_and_never_restart() {
    let page = |title: &str| {
        let mut configuration = before();
        configuration
            .tables
            .insert(3, table("status_page", &["id", "slug", "title"], vec![vec![i(1), t("one"), t(title)]]));
        configuration
    };
    let behind = || {
        let mut world = World::new(page("One"));
        world.offer(&page("Two"), &main_id('b'), 1, 1);
        world
    };
    let mut world = behind();
    assert!(world.cycle(&replica("")).applied());
    assert_eq!(world.tellings, [Told { pages: true, ..Told::default() }]);
    type Prepare = fn(&mut World);
    let obstacles: [Prepare; 4] = [
        |world| world.refuses = Some("Invalid token.".to_owned()),
        |world| world.server.version = None,
        |world| world.server.beginning = Duration::from_secs(9),
        |world| world.named = vec![("tell", Fault::ErrorBefore)],
    ];
    for prepare in obstacles {
        let mut world = behind();
        prepare(&mut world);
        assert!(world.cycle(&replica("")).applied());
        assert_eq!((&world.rows, world.stops, world.tellings.len()), (&page("Two"), 0, 0));
    }
}
