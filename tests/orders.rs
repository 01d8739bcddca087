//! Promise: what a person orders by hand (hold, restore, promote, demote) is kept by the cycles that follow, a
//! kill in the middle of an order loses nothing, and there is one main.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use jiff::SignedDuration;
use kuma_replicator::config::{self, Role, Settings};
use kuma_replicator::cycle::{self, Outcome, Source, Turn};
use kuma_replicator::decide;
use kuma_replicator::error::{Error, Kind, Result};
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::snapshot::{Listing, SnapshotId};
use kuma_replicator::model::state::{Hold, State};

use support::generations::generation;
use support::host::{End, FAULTS, Fault, World, main_id};

fn settings(role: Role) -> Settings {
    let text = format!("role = \"{role}\"\nrepository = \"/r\"\n[replica]\nmin-restart-interval = \"0s\"");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

/// A replica that has applied generation 1 of main b.
fn following() -> (World, SnapshotId) {
    let mut world = World::new(generation(0));
    let id = world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(matches!(world.cycle(&settings(Role::Replica)), End::Done(Outcome::Applied(_))));
    (world, id)
}

fn hold(world: &mut World, hold: Option<Hold>) {
    let state = State { hold, ..world.state() };
    world.disk = Some(state.render());
}

fn restore(world: &mut World, source: &Source) -> End {
    world.order(async |world, state| {
        let settings = settings(Role::Replica);
        let restoration = cycle::prepare_restore(world, &settings, state, source).await?;
        cycle::restore(world, &settings, state, restoration, "restored".to_owned()).await
    })
}

/// Runs `promote` or `demote` on a host with the role that its configuration file has.
fn turn(world: &mut World, from: Role, to: Role, as_is: bool) -> Result<Turn, Option<Error>> {
    let mut turned = None;
    let settings = settings(world.role.unwrap_or(from));
    let end = world.order(async |world, state| {
        turned = Some(match to {
            Role::Main => cycle::promote(world, &settings, state, as_is).await?,
            Role::Replica => cycle::demote(world, &settings, state, as_is).await?,
        });
        Ok(())
    });
    match end {
        End::Done(_) => Ok(turned.unwrap()),
        End::Failed(error) => Err(Some(error)),
        End::Killed => Err(None),
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, Option<Error>>) -> Kind {
    result.expect_err("a failure").expect("an error").kind()
}

// ---------------------------------------------------------------------------------------------------
// Hold

#[test]
fn nothing_happens_on_hold() {
    for role in [Role::Main, Role::Replica] {
        let mut world = World::new(generation(0));
        if role == Role::Replica {
            world.offer(&generation(1), &main_id('b'), 1, 1);
        }
        let since = world.clock;
        let until = since.checked_add(SignedDuration::from_mins(3)).unwrap();
        hold(&mut world, Some(Hold { reason: "upgrade".to_owned(), since, until: Some(until) }));
        for _ in 0..2 {
            let End::Done(Outcome::Held(reason)) = world.cycle(&settings(role)) else { panic!("not held") };
            assert!(reason.contains("upgrade") && reason.contains(&until.to_string()), "{reason}");
            assert_eq!(world.calls, ["tell held", "save"], "nothing else is even asked");
            assert_eq!(world.state().last_success, None, "held is no success");
        }
        // The time is over: told once, and the cycle goes on.
        let end = world.cycle(&settings(role));
        assert!(matches!(end, End::Done(Outcome::Published(_) | Outcome::Applied(_))), "{end:?}");
        assert_eq!(world.calls[0], "tell released");
        assert_eq!(world.state().hold, None);
    }
}

#[test]
fn a_hold_without_an_end_stays_and_still_lets_uptime_kuma_be_started() {
    let (mut world, _) = following();
    world.offer(&generation(2), &main_id('b'), 1, 2);
    // Killed in the middle of an apply, then put on hold.
    world.faults = vec![(14, Fault::KillAfter)];
    assert!(matches!(world.cycle(&settings(Role::Replica)), End::Killed));
    assert!(!world.running && world.state().intent.is_some());
    let since = world.clock;
    hold(&mut world, Some(Hold { reason: "x".to_owned(), since, until: None }));
    for _ in 0..3 {
        assert!(matches!(world.cycle(&settings(Role::Replica)), End::Done(Outcome::Held(_))));
        assert!(world.running && world.state().intent.is_none());
        world.clock = world.clock.checked_add(SignedDuration::from_hours(10_000)).unwrap();
    }
    hold(&mut world, None);
    assert!(matches!(world.cycle(&settings(Role::Replica)), End::Done(Outcome::Applied(_) | Outcome::UpToDate)));
    assert_eq!(world.rows, generation(2));
}

// ---------------------------------------------------------------------------------------------------
// Restore

#[test]
fn a_restore_is_in_force_until_it_is_released() {
    let (mut world, first) = following();
    let second = world.offer(&generation(2), &main_id('b'), 1, 2);
    let replica = settings(Role::Replica);
    assert!(matches!(world.cycle(&replica), End::Done(Outcome::Applied(_))));
    for (source, rows) in
        [(Source::Snapshot(first), generation(1)), (Source::Previous, generation(2)), (Source::Previous, generation(1))]
    {
        let end = restore(&mut world, &source);
        assert!(matches!(end, End::Done(_)), "{source:?}: {end:?}");
        assert_eq!((&world.rows, world.running), (&rows, true), "{source:?}");
        let stops = world.stops;
        assert!(matches!(world.cycle(&replica), End::Done(Outcome::Held(_))));
        assert_eq!((world.stops, &world.rows), (stops, &rows));
    }
    // Released: back to the newest, though it was applied before.
    hold(&mut world, None);
    assert!(matches!(world.cycle(&replica), End::Done(Outcome::Applied(id)) if id == second));
    assert_eq!(world.rows, generation(2));
    assert!(matches!(world.cycle(&replica), End::Done(Outcome::UpToDate)));
}

#[test]
fn a_restore_that_cannot_be_changes_nothing() {
    let (mut world, id) = following();
    let unknown: SnapshotId = "0123456789".parse().unwrap();
    assert_eq!(restore(&mut world, &Source::Snapshot(unknown)).kind(), Some(Kind::Usage));
    world.previous = None;
    assert_eq!(restore(&mut world, &Source::Previous).kind(), Some(Kind::Usage));
    world.schema.migrations.insert("2026-newer.js".to_owned());
    assert_eq!(restore(&mut world, &Source::Snapshot(id)).kind(), Some(Kind::SchemaDiffers));
    assert_eq!((world.stops, world.commits, world.state().hold), (1, 1, None));
}

#[test]
fn a_restored_configuration_that_uptime_kuma_does_not_take_is_taken_back() {
    let (mut world, first) = following();
    world.offer(&generation(2), &main_id('b'), 1, 2);
    let replica = settings(Role::Replica);
    world.cycle(&replica);
    world.poison = Some(generation(1));
    assert_eq!(restore(&mut world, &Source::Snapshot(first)).kind(), Some(Kind::RolledBack));
    assert_eq!((&world.rows, world.running), (&generation(2), true));
    let state = world.state();
    assert_eq!((state.hold, state.replica.refused, state.replica.setback), (None, None, None));
    // The rows are those of the newest snapshot; the next cycle only finds that out.
    let stops = world.stops;
    assert!(matches!(world.cycle(&replica), End::Done(Outcome::UpToDate)));
    assert!(matches!(world.cycle(&replica), End::Done(Outcome::UpToDate)));
    assert_eq!(world.stops, stops);
}

#[test]
fn a_restore_survives_a_fault_at_every_step() {
    let mut tried = 0;
    for fault in FAULTS {
        for at in 0.. {
            let (mut world, first) = following();
            world.offer(&generation(2), &main_id('b'), 1, 2);
            let replica = settings(Role::Replica);
            world.cycle(&replica);
            world.faults = vec![(at, fault)];
            let end = restore(&mut world, &Source::Snapshot(first));
            if world.count <= at {
                break;
            }
            if world.fired == 0 {
                continue;
            }
            tried += 1;
            let context = format!("{fault:?} at call {at}, {:?}, {end:?}", world.calls.last());
            let whole = |world: &World| world.rows == generation(1) || world.rows == generation(2);
            assert!(whole(&world), "{context}");
            // The next cycle starts what was left stopped, and undoes nothing: it is held, or has nothing to undo.
            let rows = world.rows.clone();
            let next = world.cycle(&replica);
            assert!(world.running && world.state().intent.is_none(), "{context}: {next:?}");
            assert!(whole(&world), "{context}");
            if world.rows == generation(1) {
                assert!(matches!(next, End::Done(Outcome::Held(_))), "{context}: {next:?}");
                assert_eq!(world.rows, rows, "{context}");
            }
            hold(&mut world, None);
            let last = world.cycle(&replica);
            assert!(matches!(last, End::Done(_)), "{context}: {last:?}");
            assert_eq!(world.rows, generation(2), "{context}");
        }
    }
    assert!(tried > 50, "{tried} faults were tried");
}

// ---------------------------------------------------------------------------------------------------
// One main

/// Two hosts over one repository: main `a` with generation 1 published, and replica `b` that has it.
fn fleet() -> (World, World) {
    let mut a = World::new(generation(1));
    assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Outcome::Published(_))));
    let mut b = World::new(generation(0));
    b.id = main_id('b');
    b.share(&a);
    assert!(matches!(b.cycle(&settings(Role::Replica)), End::Done(Outcome::Applied(_))));
    (a, b)
}

fn places(world: &World) -> Vec<(char, u64, u64)> {
    let place = |snapshot: &kuma_replicator::model::snapshot::Snapshot| {
        let place = &snapshot.label.place;
        (place.main.to_string().chars().next().unwrap(), place.epoch, place.sequence)
    };
    world.repository.iter().map(|(snapshot, _)| place(snapshot)).collect()
}

#[test]
fn a_failover_has_one_main_at_its_end() {
    let (mut a, mut b) = fleet();
    // The main changed something that the replica does not have yet, and is gone.
    a.rows = generation(2);
    a.cycle(&settings(Role::Main));
    b.share(&a);
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, false).unwrap(), Turn::Turned);
    assert_eq!((b.role, &b.rows), (Some(Role::Main), &generation(2)), "the newest snapshot is taken first");
    assert_eq!(places(&b), [('a', 1, 1), ('a', 1, 2), ('b', 2, 3)]);
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, false).unwrap(), Turn::Already);
    b.rows = generation(3);
    assert!(matches!(b.cycle(&settings(Role::Main)), End::Done(Outcome::Published(_))));

    // The former main comes back with a change of its own: it publishes nothing, now and later.
    a.share(&b);
    a.rows = generation(0);
    for look in [1, 0] {
        assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
        assert_eq!((a.did("look"), a.did("publish")), (look, 0));
    }
    // Not even when the repository loses what told so.
    let all = std::mem::take(&mut a.repository);
    assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
    a.repository = all;

    // Demoted, it follows.
    assert_eq!(turn(&mut a, Role::Main, Role::Replica, false).unwrap(), Turn::Turned);
    assert!(matches!(a.cycle(&settings(Role::Replica)), End::Done(Outcome::Applied(_))));
    assert_eq!((&a.rows, a.role), (&generation(3), Some(Role::Replica)));
    assert_eq!(turn(&mut a, Role::Main, Role::Replica, false).unwrap(), Turn::Already);

    // And back: a planned switch.
    b.rows = generation(1);
    assert_eq!(turn(&mut b, Role::Main, Role::Replica, false).unwrap(), Turn::Turned);
    a.share(&b);
    assert_eq!(turn(&mut a, Role::Replica, Role::Main, false).unwrap(), Turn::Turned);
    assert_eq!((&a.rows, places(&a).last()), (&generation(1), Some(&('a', 3, 6))), "published before it was demoted");
    b.share(&a);
    assert!(matches!(b.cycle(&settings(Role::Replica)), End::Done(Outcome::UpToDate)));
}

#[test]
fn what_a_former_main_publishes_late_is_ignored_and_told_once() {
    let (mut a, mut b) = fleet();
    let mut c = World::new(generation(1));
    c.share(&a);
    c.cycle(&settings(Role::Replica));
    turn(&mut b, Role::Replica, Role::Main, false).unwrap();
    // It looked a moment too early.
    a.rows = generation(2);
    assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Outcome::Published(_))));
    assert_eq!(places(&a).last(), Some(&('a', 1, 2)));
    a.merge(&b);
    c.share(&a);
    b.share(&a);
    assert!(matches!(c.cycle(&settings(Role::Replica)), End::Done(Outcome::UpToDate)));
    assert_eq!((&c.rows, c.did("tell stray")), (&generation(1), 1));
    c.cycle(&settings(Role::Replica));
    assert_eq!(c.did("tell stray"), 0);
    b.rows = generation(3);
    b.cycle(&settings(Role::Main));
    assert_eq!(b.did("tell stray"), 1);
    // It notices by itself in the cycle after its publish, without another change.
    assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
}

#[test]
fn two_mains_that_publish_at_the_same_moment_both_stop_and_a_promotion_settles_it() {
    let (mut a, mut b) = fleet();
    let mut c = World::new(generation(1));
    c.share(&a);
    c.cycle(&settings(Role::Replica));
    // Both replicas are promoted while neither sees the other.
    c.id = main_id('c');
    b.rows = generation(2);
    turn(&mut b, Role::Replica, Role::Main, true).unwrap();
    turn(&mut c, Role::Replica, Role::Main, true).unwrap();
    b.merge(&c);
    c.share(&b);
    a.share(&b);
    for world in [&mut b, &mut c] {
        let end = world.cycle(&settings(Role::Main));
        assert_eq!(end.kind(), Some(Kind::OutOfOrder), "{end:?}");
        assert_eq!(world.did("publish"), 0);
    }
    assert_eq!(a.cycle(&settings(Role::Replica)).kind(), Some(Kind::OutOfOrder));
    assert_eq!((a.stops, kind(turn(&mut b, Role::Main, Role::Main, false))), (0, Kind::OutOfOrder));
    assert_eq!(turn(&mut b, Role::Main, Role::Main, true).unwrap(), Turn::Turned);
    c.share(&b);
    assert_eq!(c.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
    a.share(&b);
    assert!(matches!(a.cycle(&settings(Role::Replica)), End::Done(Outcome::Applied(_))));
    assert_eq!(a.rows, generation(2));
}

#[test]
fn a_main_restored_from_an_old_backup_takes_the_newest_before_it_is_the_main_again() {
    let (mut a, _) = fleet();
    let old = a.clone();
    for sequence in 2..4 {
        a.rows = generation(sequence);
        a.cycle(&settings(Role::Main));
    }
    let mut back = old;
    back.share(&a);
    back.rows = generation(0);
    assert_eq!(back.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
    assert_eq!(turn(&mut back, Role::Main, Role::Main, false).unwrap(), Turn::Turned);
    assert_eq!((&back.rows, places(&back).last()), (&generation(3), Some(&('a', 2, 4))));
}

#[test]
fn no_role_is_turned_on_hold_or_when_the_newest_cannot_be_had() {
    let (mut a, mut b) = fleet();
    let since = b.clock;
    for (world, from, to) in [(&mut b, Role::Replica, Role::Main), (&mut a, Role::Main, Role::Replica)] {
        hold(world, Some(Hold { reason: "x".to_owned(), since, until: None }));
        assert_eq!((kind(turn(world, from, to, false)), world.role), (Kind::OnHold, None));
        hold(world, None);
    }
    a.rows = generation(2);
    a.cycle(&settings(Role::Main));
    b.share(&a);
    b.schema.migrations.insert("2026-newer.js".to_owned());
    assert_eq!((kind(turn(&mut b, Role::Replica, Role::Main, false)), b.role), (Kind::OnHold, None));
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, true).unwrap(), Turn::Turned);
    assert_eq!((&b.rows, places(&b).last()), (&generation(1), Some(&('b', 2, 3))));
}

#[test]
fn a_promotion_survives_a_fault_at_every_step() {
    let mut tried = 0;
    for fault in FAULTS {
        for at in 0.. {
            let (mut a, mut b) = fleet();
            a.rows = generation(2);
            a.cycle(&settings(Role::Main));
            b.share(&a);
            b.faults = vec![(at, fault)];
            let _ = turn(&mut b, Role::Replica, Role::Main, false);
            if b.count <= at {
                break;
            }
            if b.fired == 0 {
                continue;
            }
            tried += 1;
            let context = format!("{fault:?} at call {at}, {:?}", b.calls.last());
            // Whatever came of it, the host has a role that its cycles can live with, and the order given once
            // more settles it, but for a snapshot that it was made to refuse.
            let role = b.role.unwrap_or(Role::Replica);
            let next = b.cycle(&settings(role));
            assert!(b.running && b.state().intent.is_none(), "{context}: {next:?}");
            let refused = b.state().replica.refused.is_some();
            let again = turn(&mut b, Role::Replica, Role::Main, refused);
            assert!(again.is_ok(), "{context}: {again:?}");
            assert_eq!(b.role, Some(Role::Main), "{context}");
            let newest = b.repository.last().unwrap().0.label.clone();
            assert_eq!((&newest.place.main, newest.place.epoch > 1), (&b.id, true), "{context}");
            let mut seen = std::collections::BTreeSet::new();
            assert!(places(&b).into_iter().all(|place| seen.insert(place)), "{context}: a place was taken twice");
            a.share(&b);
            a.rows = generation(3);
            assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced), "{context}");
        }
    }
    assert!(tried > 60, "{tried} faults were tried");
}

#[test]
fn strays_are_told_by_order_and_not_by_time() {
    let mut world = World::new(Configuration::default());
    let mut at = |main: char, epoch: u64, sequence: u64| world.offer(&generation(0), &main_id(main), epoch, sequence);
    at('a', 1, 8);
    let last = at('a', 1, 9);
    at('b', 2, 9);
    at('b', 2, 10);
    let listing = |world: &World, leave: usize| Listing {
        snapshots: world.repository.iter().skip(leave).map(|(snapshot, _)| snapshot.clone()).collect(),
        unreadable: Vec::new(),
    };
    assert_eq!(decide::stray(&listing(&world, 0)).map(|stray| stray.id.clone()), Some(last));
    // With a gap as a promotion leaves it, there is none.
    assert!(decide::stray(&listing(&world, 2)).is_none());
    let mut world = World::new(Configuration::default());
    world.offer(&generation(0), &main_id('a'), 1, 8);
    world.offer(&generation(0), &main_id('b'), 2, 9);
    assert!(decide::stray(&listing(&world, 0)).is_none());
}

#[test]
fn a_role_is_written_without_touching_the_rest_of_the_file() {
    let path = Path::new("config.toml");
    let text = "# ours\nrole = \"replica\"  # for now\nrepository='/r'\n\n[replica]\nstrategy = \"snapshot\"\n";
    let changed = config::with_role(text, Role::Main, path).unwrap();
    assert_eq!(changed, text.replace("\"replica\"  #", "\"main\"  #"));
    assert_eq!(Settings::parse(&changed, path).unwrap().role, Role::Main);
    assert_eq!(config::with_role("role = ", Role::Main, path).unwrap_err().kind(), Kind::Config);
}
