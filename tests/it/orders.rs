//! Promise: the cycles keep to what a person orders by hand (hold, restore, another try), and a kill
//! in the middle of an order loses nothing.

use jiff::SignedDuration;
use kuma_replicator::config::Role;
use kuma_replicator::cycle::{Conclusion, Options, Session, Source};
use kuma_replicator::error::Kind;
use kuma_replicator::model::snapshot::SnapshotId;
use kuma_replicator::model::state::{Hold, LocalRows, State};

use crate::support::generations::generation;
use crate::support::host::{End, Fault, World, at_every_call, main_id, settings};

/// A replica that has applied generation 1 of main b.
fn following() -> (World, SnapshotId) {
    let mut world = World::new(generation(0));
    let id = world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(matches!(world.cycle(&settings(Role::Replica)), End::Done(Conclusion::Applied(_))));
    (world, id)
}

fn hold(world: &mut World, hold: Option<Hold>) {
    let state = State { hold, ..world.state() };
    world.disk = Some(state.render());
}

fn restore(world: &mut World, source: &Source) -> End {
    world.order(async |world, state| {
        let settings = settings(Role::Replica);
        let restoration =
            Session::new(world, &settings, state, Options::default()).prepare_restore(source.clone()).await?;
        Session::new(world, &settings, state, Options::default()).restore(restoration).await
    })
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
            let End::Done(Conclusion::OnHold(reason)) = world.cycle(&settings(role)) else { panic!("not held") };
            assert_eq!(reason, "upgrade");
            assert_eq!(world.calls, ["report on-hold", "save"], "nothing else is called");
            assert_eq!(world.state().last_success, None, "a hold is no success");
        }
        // The time is over: reported once, and the cycle goes on.
        let end = world.cycle(&settings(role));
        assert!(matches!(end, End::Done(Conclusion::Published(_) | Conclusion::Applied(_))), "{end:?}");
        assert_eq!(world.calls[0], "report released");
        assert_eq!(world.state().hold, None);
    }
}

#[test]
fn a_hold_without_an_end_stays_and_still_lets_uptime_kuma_be_started() {
    let (mut world, _) = following();
    world.offer(&generation(2), &main_id('b'), 1, 2);
    // Killed in the middle of an apply, then put on hold.
    world.named = vec![("claim", Fault::KillAfter)];
    assert!(matches!(world.cycle(&settings(Role::Replica)), End::Killed));
    assert!(!world.running && world.state().intent.is_some());
    let since = world.clock;
    hold(&mut world, Some(Hold { reason: "x".to_owned(), since, until: None }));
    for _ in 0..3 {
        assert!(matches!(world.cycle(&settings(Role::Replica)), End::Done(Conclusion::OnHold(_))));
        assert!(world.running && world.state().intent.is_none());
        world.clock = world.clock.checked_add(SignedDuration::from_hours(10_000)).unwrap();
    }
    hold(&mut world, None);
    assert!(matches!(world.cycle(&settings(Role::Replica)), End::Done(Conclusion::Applied(_) | Conclusion::UpToDate)));
    assert_eq!(world.rows, generation(2));
}

// ---------------------------------------------------------------------------------------------------
// Restore

#[test]
fn a_restore_is_in_force_until_it_is_released() {
    let (mut world, first) = following();
    let second = world.offer(&generation(2), &main_id('b'), 1, 2);
    let replica = settings(Role::Replica);
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::Applied(_))));
    for (source, rows) in
        [(Source::Snapshot(first), generation(1)), (Source::Previous, generation(2)), (Source::Previous, generation(1))]
    {
        let end = restore(&mut world, &source);
        assert!(matches!(end, End::Done(_)), "{source:?}: {end:?}");
        assert_eq!((&world.rows, world.running), (&rows, true), "{source:?}");
        let stops = world.stops;
        assert!(matches!(world.cycle(&replica), End::Done(Conclusion::OnHold(_))));
        assert_eq!((world.stops, &world.rows), (stops, &rows));
    }
    // Released: back to the newest, though it was applied before.
    hold(&mut world, None);
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::Applied(id)) if id == second));
    assert_eq!(world.rows, generation(2));
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
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
fn a_restored_configuration_that_uptime_kuma_does_not_start_with_is_rolled_back() {
    let (mut world, first) = following();
    world.offer(&generation(2), &main_id('b'), 1, 2);
    let replica = settings(Role::Replica);
    world.cycle(&replica);
    world.poison = Some(generation(1));
    assert_eq!(restore(&mut world, &Source::Snapshot(first)).kind(), Some(Kind::RolledBack));
    assert_eq!((&world.rows, world.running), (&generation(2), true));
    let state = world.state();
    assert_eq!((state.hold, state.replica.verdict), (None, None));
    // The rows are those of the newest snapshot; the next cycle only finds that out.
    let stops = world.stops;
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
    assert_eq!(world.stops, stops);
}

#[test]
fn a_restore_survives_a_fault_at_every_step() {
    let (mut ready, first) = following();
    ready.offer(&generation(2), &main_id('b'), 1, 2);
    let replica = settings(Role::Replica);
    ready.cycle(&replica);
    let order = |world: &mut World| restore(world, &Source::Snapshot(first.clone()));
    let tried = at_every_call(
        || ready.clone(),
        order,
        |mut world, _, _, context| {
            let whole = |world: &World| world.rows == generation(1) || world.rows == generation(2);
            assert!(whole(&world), "{context}");
            // The next cycle starts what was left stopped, and undoes nothing: it is held, or has nothing to undo.
            let rows = world.rows.clone();
            let next = world.cycle(&replica);
            assert!(world.running && world.state().intent.is_none(), "{context}: {next:?}");
            assert!(whole(&world), "{context}");
            if world.rows == generation(1) {
                assert!(matches!(next, End::Done(Conclusion::OnHold(_))), "{context}: {next:?}");
                assert_eq!(world.rows, rows, "{context}");
            }
            hold(&mut world, None);
            let last = world.cycle(&replica);
            assert!(matches!(last, End::Done(_)), "{context}: {last:?}");
            assert_eq!(world.rows, generation(2), "{context}");
        },
    );
    assert!(tried > 50, "{tried} faults were tried");
}

#[test]
fn a_failed_restore_changes_neither_the_previous_configuration_nor_the_hold() {
    let (mut world, _) = following();
    world.offer(&generation(2), &main_id('b'), 1, 2);
    world.cycle(&settings(Role::Replica));
    let (previous, since) = (world.previous.clone(), world.clock);
    let order = Hold { reason: "ours".to_owned(), since, until: None };
    hold(&mut world, Some(order.clone()));
    world.poison = Some(generation(1));
    assert_eq!(restore(&mut world, &Source::Previous).kind(), Some(Kind::RolledBack));
    let state = world.state();
    assert_eq!((state.hold, &world.previous), (Some(order), &previous));
    assert!(!matches!(world.local_rows(), Some(LocalRows::Restored { .. })));
    // What kept Uptime Kuma from starting is gone: the configuration can be restored.
    world.poison = None;
    assert!(matches!(restore(&mut world, &Source::Previous), End::Done(_)));
    assert_eq!(world.rows, generation(1));
}

// ---------------------------------------------------------------------------------------------------
// Another try

/// A replica on generation 1 that refuses generation 2, as Uptime Kuma did not come up with it.
fn refusing() -> (World, SnapshotId) {
    let (mut world, _) = following();
    let second = world.offer(&generation(2), &main_id('b'), 1, 2);
    world.poison = Some(generation(2));
    assert_eq!(world.cycle(&settings(Role::Replica)).kind(), Some(Kind::RolledBack));
    (world, second)
}

const RETRY: Options =
    Options { confirm_shrink: false, at_once: false, as_main: false, briefly: false, retry: true, look: false };

/// No order opens a set-up page.
#[test]
fn nothing_without_a_user_is_restored() {
    let (mut world, _) = following();
    let mut rows = generation(2);
    rows.tables.iter_mut().find(|table| table.spec.name == "user").unwrap().rows.clear();
    let id = world.offer(&rows, &main_id('b'), 1, 2);
    let end = restore(&mut world, &Source::Snapshot(id));
    assert_eq!((end.kind(), world.stops, &world.rows), (Some(Kind::NoUser), 1, &generation(1)));
}

#[test]
fn a_rejected_snapshot_is_tried_again_once_if_a_person_orders_it() {
    let replica = settings(Role::Replica);
    let (mut world, second) = refusing();
    // Still poisoned: it is refused as before, and reported.
    assert_eq!(world.cycle_with(&replica, &RETRY).kind(), Some(Kind::RolledBack));
    assert_eq!(world.did("report retried"), 1);
    let stops = world.stops;
    assert_eq!((world.cycle(&replica).kind(), world.stops), (Some(Kind::SnapshotRejected), stops));
    // An order that did not get as far as a stop uses nothing up, and leaves nothing behind.
    for call in ["look", "fetch", "rehearse", "check_writable", "check_stoppable"] {
        let mut world = world.clone();
        let at = {
            let mut probe = world.clone();
            probe.cycle_with(&replica, &RETRY);
            probe.calls.iter().filter(|found| *found != "release").position(|found| found == call).unwrap()
        };
        world.faults = vec![(at, Fault::ErrorBefore)];
        assert!(world.cycle_with(&replica, &RETRY).kind().is_some(), "{call}");
        assert_eq!((world.cycle(&replica).kind(), world.stops), (Some(Kind::SnapshotRejected), stops), "{call}");
    }
    world.poison = None;
    assert!(matches!(world.cycle_with(&replica, &RETRY), End::Done(Conclusion::Applied(id)) if id == second));
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
    assert_eq!((world.rejected(), world.cycle_with(&replica, &RETRY).kind()), (None, None));
    assert_eq!(world.did("report retried"), 0, "there is nothing to try again");
}

#[test]
fn a_killed_retry_is_completed_or_counts_as_not_ordered() {
    let replica = settings(Role::Replica);
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        for at in 0.. {
            let (mut world, _) = refusing();
            world.poison = None;
            world.faults = vec![(at, fault)];
            world.cycle_with(&replica, &RETRY);
            if world.count <= at {
                break;
            }
            let next = world.cycle(&replica);
            assert!(world.running && world.state().intent.is_none(), "{fault:?} at {at}: {next:?}");
            // Either the order had not begun to count, or it is carried out.
            let refused = next.kind() == Some(Kind::SnapshotRejected) && world.rows == generation(1);
            assert!(refused || (next.kind().is_none() && world.rows == generation(2)), "{fault:?} at {at}: {next:?}");
        }
    }
}

#[test]
fn a_snapshot_in_backoff_is_tried_at_once_if_a_person_orders_it() {
    let replica = settings(Role::Replica);
    let (mut world, _) = following();
    let second = world.offer(&generation(2), &main_id('b'), 1, 2);
    let at = {
        let mut probe = world.clone();
        probe.cycle(&replica);
        probe.calls.iter().position(|found| found == "claim").unwrap()
    };
    world.faults = vec![(at, Fault::ErrorBefore)];
    assert_eq!(world.cycle(&replica).kind(), Some(Kind::DatabaseBusy));
    world.clock = world.clock.checked_sub(SignedDuration::from_secs(30)).unwrap();
    assert_eq!(world.cycle(&replica).kind(), Some(Kind::Backoff));
    world.clock = world.clock.checked_sub(SignedDuration::from_secs(60)).unwrap();
    assert!(matches!(world.cycle_with(&replica, &RETRY), End::Done(Conclusion::Applied(id)) if id == second));
    assert_eq!(world.did("report retried"), 1);
}

#[test]
fn a_rejected_snapshot_that_was_restored_by_hand_is_no_longer_rejected() {
    let (mut world, second) = refusing();
    world.poison = None;
    assert!(matches!(restore(&mut world, &Source::Snapshot(second)), End::Done(_)));
    hold(&mut world, None);
    assert!(matches!(world.cycle(&settings(Role::Replica)), End::Done(Conclusion::UpToDate)));
    assert_eq!((world.rows, world.stops), (generation(2), 4));
}
