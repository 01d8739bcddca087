//! Promise: whatever fails or is killed at whatever step, Uptime Kuma runs again if it ran, its rows are
//! all old or all new, nothing is recorded that is not true, and the next cycle continues.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use kuma_replicator::config::Settings;
use kuma_replicator::cycle::{Conclusion, Level, Options, Promotion, Session};
use kuma_replicator::error::{Exit, Kind};
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::dump;
use kuma_replicator::model::manifest::FORMAT;
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::snapshot::SnapshotId;
use kuma_replicator::model::state::{LocalRows, PendingHistory};
use kuma_replicator::report::{Clock, StatusDocument};

use crate::support::generations::generation;
use crate::support::host::{self, End, FAULTS, Fault, World, at_every_call, main_id, settings};
use crate::support::rows;

fn replica() -> Settings {
    settings("replica")
}

fn main_host() -> Settings {
    settings("main")
}

/// A replica with generation 0 and a repository with generation 1.
fn behind(running: bool) -> (World, SnapshotId) {
    let mut world = World::new(generation(0));
    world.running = running;
    let id = world.offer(&generation(1), &main_id('b'), 1, 1);
    (world, id)
}

fn applied(world: &World) -> Option<SnapshotId> {
    world.state().replica.applied.map(|applied| applied.snapshot)
}

fn status_of(world: &World) -> String {
    let clock = Clock { now: world.clock, zone: TimeZone::UTC };
    StatusDocument::new(&replica(), None, world.state(), None, clock).to_string()
}

fn words(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).collect()
}

// ---------------------------------------------------------------------------------------------------
// The order of steps

#[test]
fn an_apply_takes_its_steps_in_this_order() {
    let before = "look, export, fetch, report fetched, activity";
    let planned = "report planned, rehearse, activity";
    let stop = "check_intact, check_writable, check_in_use, check_stoppable, dependents, previous, save, report stopping, stop, report stopped";
    let write = "claim, export, keep_previous, save, write, release, report written";
    let start = "start, report started, check_healthy, report healthy, export";
    for (running, steps) in [
        (true, format!("{before}, server, {planned}, {stop}, {write}, {start}, keep_applied, report applied, save")),
        // What the administrator stopped stays stopped.
        (
            false,
            format!(
                "{before}, {planned}, check_intact, check_writable, previous, save, {write}, export, keep_applied, report applied, save"
            ),
        ),
    ] {
        let (mut world, id) = behind(running);
        let end = world.cycle(&replica());
        assert!(matches!(&end, End::Done(Conclusion::Applied(done)) if *done == id), "{end:?}");
        assert_eq!(world.calls, words(&steps));
        assert_eq!((world.running, &world.rows, applied(&world)), (running, &generation(1), Some(id)));
        let previous = dump::parse(world.previous.as_ref().unwrap()).unwrap();
        assert_eq!(previous.configuration, generation(0), "a rollback finds what was there");
        let state = world.state();
        assert_eq!(state.intent, None);
        assert_eq!((state.last_cycle.unwrap().outcome.name(), state.last_success), ("applied", Some(world.clock)));

        // From now on one look per cycle.
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
        assert_eq!(world.calls, words("look, export, report up-to-date, save"));
    }
}

#[test]
fn an_edit_that_is_half_saved_is_not_published() {
    let published = |world: &World| -> Vec<Configuration> {
        world.repository.iter().map(|(_, bytes)| dump::parse(bytes).unwrap().configuration).collect()
    };
    let mut world = World::new(generation(0));
    world.cycle(&main_host());
    // The first look finds generation 1, half of the edit; the second and the third find all of it.
    world.rows = generation(1);
    world.edits.push_back(generation(2));
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Published(_))));
    assert_eq!(published(&world), [generation(0), generation(2)]);
    // An edit that is undone meanwhile is none.
    world.rows = generation(1);
    world.edits.push_back(generation(2));
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)));
    // The rows are edited all the time.
    world.rows = generation(1);
    world.edits = [0, 1, 0, 1, 0, 1, 0].into_iter().map(generation).collect();
    assert_eq!(world.cycle(&main_host()).kind(), Some(Kind::DatabaseBusy));
    assert_eq!(world.repository.len(), 2);
    // With settle at zero, nothing waits.
    world.edits.clear();
    let mut settings = main_host();
    settings.main.settle = Duration::ZERO;
    assert!(matches!(world.cycle(&settings), End::Done(Conclusion::Published(_))));
    assert_eq!((world.did("pause"), world.repository.len()), (0, 3));
}

#[test]
fn a_publish_takes_its_steps_in_this_order() {
    let mut world = World::new(generation(0));
    world.warnings = vec!["uploaded file x is left out".to_owned()];
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Published(_))));
    assert_eq!(
        world.calls,
        words(
            "inherited, export, pause, export, look, check_in_use, check_intact, report warning, save, publish, report published, save"
        )
    );
    let (snapshot, bytes) = &world.repository[0];
    let dump = dump::parse(bytes).unwrap();
    assert_eq!(dump.configuration, generation(0));
    assert_eq!(dump.manifest.place.as_ref(), Some(&snapshot.tags.place));
    assert_eq!((snapshot.tags.place.epoch, snapshot.tags.place.sequence), (1, 1));
    assert_eq!((snapshot.tags.digest, snapshot.tags.schema), (dump.manifest.digest, dump.manifest.fingerprint));

    // Unchanged: one more look, as another main may have published at the same moment; then none, and no publish.
    // With a look it also removes locks that were left behind, and reports them.
    world.left_locks = 1;
    for found in ["export, look, check_in_use, remove_stale_locks, report warning", "content", "content"] {
        assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)));
        assert_eq!(world.calls, words(&format!("inherited, {found}, report unchanged, save")));
    }
    // Changed: the next sequence.
    world.rows = generation(1);
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Published(_))));
    assert_eq!(world.repository[1].0.tags.place.sequence, 2);
    assert!(world.running && world.stops == 0, "a main is never stopped");
}

#[test]
fn nothing_is_stopped_for_nothing() {
    // Rows that are as wanted, in the first cycle, or after a lost state: recorded, not written.
    let mut world = World::new(generation(1));
    let id = world.offer(&generation(1), &main_id('b'), 1, 1);
    for _ in 0..2 {
        world.disk = None;
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
        assert_eq!(world.calls, words("look, export, fetch, report fetched, keep_applied, report up-to-date, save"));
        assert_eq!((world.stops, world.commits, applied(&world)), (0, 0, Some(id.clone())));
    }
}

// ---------------------------------------------------------------------------------------------------
// Faults

/// What holds at the end of any run, whatever happened in it.
fn check_after(world: &World, end: &End, ran: bool, id: &SnapshotId, context: &str) {
    let whole = world.rows == generation(0) || world.rows == generation(1);
    assert!(whole, "B: rows are neither the old nor the new: {context}");
    let state = world.state();
    if applied(world).as_ref() == Some(id) {
        assert_eq!(world.rows, generation(1), "C: recorded as applied, but the rows are others: {context}");
        assert_eq!(world.running, ran, "C: recorded as applied before it ran again: {context}");
    }
    if matches!(end, End::Killed) {
        let brings_up = state.intent.is_some_and(|intent| intent.start);
        assert!(world.running == ran || brings_up, "A: stopped, and nothing on disk says so: {context}");
    } else {
        assert_eq!(world.running, ran, "A: {context}");
    }
}

#[test]
fn an_apply_survives_a_fault_at_every_step() {
    let mut tried = 0;
    for ran in [true, false] {
        let (ready, id) = behind(ran);
        tried += at_every_call(
            || ready.clone(),
            |world| world.cycle(&replica()),
            |mut world, end, _, context| {
                let (id, context) = (id.clone(), format!("ran {ran}, {context}"));
                if matches!(end, End::Done(_)) {
                    // What failed only helps later cycles: to see edits, and to do without the repository.
                    assert_eq!((applied(&world), &world.rows), (Some(id), &generation(1)), "{context}");
                    let forgot = world.local_rows() == Some(LocalRows::Unknown);
                    assert_eq!(world.did("report warning"), usize::from(!forgot), "{context}");
                    return;
                }
                assert!(!matches!(end, End::Done(_)), "{context}");
                check_after(&world, &end, ran, &id, &context);

                let (stops, written) = (world.stops, world.rows == generation(1));
                let refused = world.rejected();
                let next = world.cycle(&replica());
                check_after(&world, &next, ran, &id, &context);
                if let Some(refused) = refused {
                    // F8: not tried again, and nothing stopped for it; a newer one is tried.
                    assert_eq!(refused, id);
                    assert_eq!(next.kind(), Some(Kind::SnapshotRejected), "{context}");
                    assert_eq!((world.stops, &world.rows), (stops, &generation(0)), "{context}");
                    let newer = world.offer(&generation(1), &main_id('b'), 1, 2);
                    let third = world.cycle(&replica());
                    assert!(matches!(third, End::Done(Conclusion::Applied(_))), "{context} {third:?}");
                    assert_eq!(applied(&world), Some(newer));
                    assert_eq!(world.rejected(), None);
                } else {
                    assert!(matches!(next, End::Done(_)), "{context}: {next:?}");
                    assert_eq!(applied(&world), Some(id.clone()), "{context}");
                    if written {
                        assert_eq!(world.stops, stops, "F3: stopped again for rows that are there: {context}");
                    }
                }
                let state = world.state();
                assert_eq!((world.running, &world.rows, state.intent), (ran, &generation(1), None), "{context}");
                assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)), "{context}");
            },
        );
    }
    assert!(tried > 100, "{tried} faults were tried");
}

#[test]
fn a_main_looks_into_another_repository_at_once() {
    let mut world = World::new(generation(0));
    world.cycle(&main_host());
    world.cycle(&main_host());
    let looks = |world: &mut World, settings: &Settings, options: Options| {
        assert!(matches!(world.cycle_with(settings, &options), End::Done(_)));
        world.did("look")
    };
    assert_eq!(looks(&mut world, &main_host(), Options::default()), 0);
    assert_eq!(looks(&mut world, &main_host(), Options { look: true, ..Options::default() }), 1);
    assert_eq!(looks(&mut world, &main_host(), Options::default()), 0);
    // The other repository is empty.
    let text = "role = \"main\"\nrepository = \"/other\"\n";
    let other = Settings::parse(text, std::path::Path::new("config.toml")).unwrap();
    world.repository.clear();
    assert_eq!(looks(&mut world, &other, Options::default()), 1);
    assert_eq!(world.repository.len(), 1, "it was published there");
    // It was made anew at its place.
    looks(&mut world, &other, Options::default());
    world.repository.clear();
    assert_eq!(looks(&mut world, &other, Options::default()), 0);
    assert_eq!(looks(&mut world, &other, Options { look: true, ..Options::default() }), 1);
    assert_eq!(world.repository.len(), 1, "it was published there, too");
}

/// restic looks at what names do not show, once a day and after a boot, and when a person orders it.
#[test]
fn a_look_is_by_name_unless_it_is_due_or_ordered() {
    let mut world = World::new(generation(0));
    let looks = |world: &mut World, options: Options| {
        let before = world.by_name;
        assert!(matches!(world.cycle_with(&main_host(), &options), End::Done(_)));
        (world.did("look"), world.by_name - before)
    };
    let asked = Options { look: true, ..Options::default() };
    assert_eq!(looks(&mut world, Options::default()), (1, 0), "the first one");
    assert_eq!(looks(&mut world, Options::default()), (1, 1), "what was published is confirmed");
    assert_eq!(looks(&mut world, Options::default()), (0, 0));
    assert_eq!(looks(&mut world, asked), (1, 0));
    world.rows = generation(1);
    assert_eq!(looks(&mut world, Options::default()), (1, 1), "it is edited");
    assert_eq!(looks(&mut world, Options::default()), (1, 1));
    let pass =
        |world: &mut World, hours| world.clock = world.clock.checked_add(SignedDuration::from_hours(hours)).unwrap();
    pass(&mut world, 25);
    world.rows = generation(2);
    assert_eq!(looks(&mut world, Options::default()), (1, 0), "it is edited, and a look is due");
    assert_eq!(looks(&mut world, Options::default()), (1, 1));
    pass(&mut world, 1);
    world.booted = world.clock;
    pass(&mut world, 1);
    assert_eq!(looks(&mut world, Options::default()), (1, 0), "after a boot");
}

/// Its address by mistake, or its repository at the address of the own one: this main is not fenced for ever, and does not
/// end the epoch of the other.
#[test]
fn a_main_publishes_nothing_into_a_repository_that_belongs_to_another() {
    let look = Options { look: true, ..Options::default() };
    let other =
        Settings::parse("role = \"main\"\nrepository = \"/other\"\n", std::path::Path::new("config.toml")).unwrap();
    for (epoch, settings) in [(1, &other), (2, &other), (7, &other), (1, &main_host()), (2, &main_host())] {
        let mut world = World::new(generation(0));
        world.cycle(&main_host());
        world.cycle(&main_host());
        let own = std::mem::take(&mut world.repository);
        world.offer(&generation(5), &main_id('f'), epoch, 3);
        for _ in 0..2 {
            let End::Failed(error) = world.cycle_with(settings, &look) else { panic!("a failure") };
            assert_eq!((error.kind(), world.repository.len()), (Kind::OtherFleet, 1), "epoch {epoch}");
            assert!(error.chain().contains("host alpha published snapshot"), "{error:?}");
            assert!(error.hint().contains("correct repository in config.toml"), "{error:?}");
        }
        for as_is in [false, true] {
            let end = world.order(async |world, state| {
                let promotion = Promotion { as_is, confirm_shrink: true };
                Session::new(world, settings, state, Options::default()).promote(promotion).await.map(drop)
            });
            assert_eq!((end.kind(), world.repository.len()), (Some(Kind::OtherFleet), 1), "epoch {epoch}");
        }
        let theirs = std::mem::replace(&mut world.repository, own);
        assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)), "corrected, it goes on");
        // As the message says.
        (world.repository, world.disk) = (theirs, None);
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    }
}

/// A rejected snapshot ends every cycle with a failure, for as long as the main publishes no other.
#[test]
fn history_goes_back_although_the_snapshot_is_rejected() {
    let (mut world, _) = behind(true);
    world.kinds = vec![("write", Kind::WriteFailed)];
    world.named = vec![("write", Fault::ErrorBefore)];
    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::WriteFailed));
    let all = world.history.0.clone();
    let id = world.history.0.pop_first().unwrap();
    world.history.1.insert(id);
    let mut state = world.state();
    state.replica.history = Some(PendingHistory { rows: 1, bring_back: true });
    world.disk = Some(state.render());
    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::SnapshotRejected));
    assert_eq!(world.history, (all, BTreeSet::new()));
    assert_eq!(world.state().replica.history, None);
}

/// What `restore previous` puts back is what the last successful apply replaced.
#[test]
fn a_failed_apply_leaves_the_previous_configuration_as_it_was() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    let previous = world.previous.clone().unwrap();
    world.offer(&generation(2), &main_id('b'), 1, 2);
    world.poison = Some(generation(2));
    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::RolledBack));
    assert_eq!((&world.rows, world.previous.as_ref()), (&generation(1), Some(&previous)));
    world.offer(&generation(3), &main_id('b'), 1, 3);
    world.kinds = vec![("write", Kind::WriteFailed)];
    world.named = vec![("write", Fault::ErrorBefore)];
    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::WriteFailed));
    assert_eq!((&world.rows, world.previous.as_ref()), (&generation(1), Some(&previous)));
}

/// A first kill may have been a power cut. A second one in a row may have the snapshot as its reason.
#[test]
fn kills_in_a_row_do_not_stop_uptime_kuma_every_minute() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    for _ in 0..2 {
        world.named = vec![("stop", Fault::KillAfter)];
        assert!(matches!(world.cycle(&replica()), End::Killed));
    }
    assert_eq!(world.stops, 2);
    let end = world.cycle(&replica());
    assert_eq!((end.kind(), world.stops, world.running), (Some(Kind::Backoff), 2, true), "{:?}", world.calls);
    world.clock += SignedDuration::from_mins(1);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    assert_eq!(world.in_backoff(), None);
}

/// A snapshot that removes a monitor and with which Uptime Kuma does not come up costs no history, whatever else
/// goes wrong.
#[test]
fn a_rollback_finds_the_history_of_removed_monitors() {
    let all = rows::ids(&generation(2), "monitor");
    let mut tried = 0;
    for fault in FAULTS {
        for at in 0.. {
            let mut world = World::new(generation(2));
            world.offer(&generation(1), &main_id('b'), 1, 1);
            world.poison = Some(generation(1));
            world.faults = vec![(at, fault)];
            let mut end = world.cycle(&replica());
            if world.count <= at {
                break;
            }
            tried += world.fired;
            // As many cycles as it takes to come to rest.
            for _ in 0..3 {
                let context = format!("{fault:?} at {at}: {:?} {end:?}", world.calls);
                let (there, aside) = &world.history;
                assert_eq!(there.union(aside).cloned().collect::<BTreeSet<_>>(), all, "{context}");
                assert!(world.rows == generation(1) || aside.is_empty(), "{context}");
                end = world.cycle(&replica());
            }
            assert_eq!(world.rows, generation(2), "{end:?}");
            assert_eq!(world.history, (all.clone(), BTreeSet::new()), "{end:?}");
        }
    }
    assert!(tried > 50, "{tried} faults were tried");

    // When it comes up, the history goes.
    let mut world = World::new(generation(2));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    assert_eq!(world.history, (rows::ids(&generation(1), "monitor"), BTreeSet::new()));
}

#[test]
fn an_apply_survives_two_faults_in_one_run() {
    let mut tried = 0;
    for ran in [true, false] {
        for (first, second) in [Fault::ErrorBefore, Fault::ErrorAfter].into_iter().flat_map(|a| FAULTS.map(|b| (a, b)))
        {
            for (at, then) in (0..40).flat_map(|at| (at + 1..40).map(move |then| (at, then))) {
                let (mut world, id) = behind(ran);
                world.faults = vec![(at, first), (then, second)];
                let end = world.cycle(&replica());
                if world.fired < 2 {
                    continue;
                }
                tried += 1;
                let context = format!("{first:?} at {at}, {second:?} at {then}, ran {ran}: {:?} {end:?}", world.calls);
                let brings_up = world.state().intent.as_ref().is_some_and(|intent| intent.start);
                assert!(world.running == ran || brings_up, "A: {context}");
                assert!(world.rows == generation(0) || world.rows == generation(1), "B: {context}");
                let recorded = applied(&world) == Some(id.clone());
                assert!(!recorded || world.rows == generation(1) && world.running == ran, "C: {context}");

                let next = world.cycle(&replica());
                assert_eq!(world.running, ran, "A after the next cycle: {context}");
                assert_eq!(world.state().intent, None, "{context}");
                if !matches!(next, End::Done(_)) {
                    assert_eq!(next.kind(), Some(Kind::SnapshotRejected), "{context}");
                    world.offer(&generation(1), &main_id('b'), 1, 2);
                    let third = world.cycle(&replica());
                    assert!(matches!(third, End::Done(_)), "{context} {third:?}");
                }
                assert_eq!((world.running, &world.rows), (ran, &generation(1)), "{context}");
            }
        }
    }
    assert!(tried > 100, "{tried} pairs of faults were tried");
}

#[test]
fn a_publish_survives_a_fault_at_every_step() {
    let mut tried = 0;
    // Also with an edit between the crash and the next cycle, which must not take one's own snapshot for
    // that of another main.
    for edited in [false, true] {
        for fault in FAULTS {
            for at in 0.. {
                let mut world = World::new(generation(0));
                assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Published(_))));
                world.rows = generation(1);
                world.faults = vec![(at, fault)];
                let end = world.cycle(&main_host());
                if world.count <= at {
                    break;
                }
                if world.fired == 0 {
                    continue;
                }
                tried += 1;
                let context = format!("{fault:?} at call {at} {:?}, edited {edited}", world.calls);
                assert!(!matches!(end, End::Done(_)), "{context}");
                let wanted = if edited { generation(2) } else { generation(1) };
                world.rows = wanted.clone();
                let next = world.cycle(&main_host());
                assert!(matches!(next, End::Done(_)), "{context}: {next:?}");
                assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)), "{context}");
                let sequences: Vec<u64> = world.repository.iter().map(|(found, _)| found.tags.place.sequence).collect();
                assert!(sequences.is_sorted_by(|a, b| a < b), "{context}: {sequences:?}");
                let newest = dump::parse(&world.repository.last().unwrap().1).unwrap();
                assert_eq!(newest.configuration, wanted, "{context}");
                if !edited {
                    assert_eq!(world.repository.len(), 2, "published twice: {context}");
                }
                let main = world.state().main.unwrap();
                assert_eq!(
                    (main.publishing, Some(&main.published.unwrap().sequence)),
                    (None, sequences.last()),
                    "{context}"
                );
            }
        }
    }
    assert!(tried > 30, "{tried} faults were tried");
}

/// Kinds that mean "not now": the snapshot is not to blame, so it is tried again.
#[test]
fn a_failure_that_is_not_the_snapshots_is_tried_again() {
    let cases = [
        ("write", Kind::DiskFull, false),
        ("write", Kind::DatabaseBusy, false),
        ("write", Kind::WriteFailed, true),
        ("write", Kind::Unwritable, true),
        ("claim", Kind::DatabaseBusy, false),
        ("keep_previous", Kind::DiskFull, false),
        ("stop", Kind::StopFailed, false),
    ];
    for (call, kind, refused) in cases {
        let (mut world, id) = behind(true);
        world.cycle(&replica());
        let calls: Vec<String> = world.calls.iter().filter(|name| *name != "release").cloned().collect();
        let at = calls.iter().position(|name| name == call).unwrap();
        let (mut world, _) = behind(true);
        world.faults = vec![(at, Fault::ErrorBefore)];
        world.kinds = vec![(call, kind)];
        let end = world.cycle(&replica());
        assert_eq!(end.kind(), Some(kind), "{call}");
        assert_eq!((world.running, &world.rows), (true, &generation(0)), "{call}");
        assert_eq!(world.rejected().is_some(), refused, "{call} {kind:?}");
        world.kinds.clear();
        let next = world.cycle(&replica());
        assert_eq!(matches!(&next, End::Done(Conclusion::Applied(done)) if *done == id), !refused, "{call} {kind:?}");
    }
}

/// F8: rows with which Uptime Kuma does not come up.
#[test]
fn rows_that_uptime_kuma_does_not_start_with_are_rolled_back() {
    for at in 0..80 {
        for fault in FAULTS {
            let (mut world, id) = behind(true);
            world.poison = Some(generation(1));
            if at > 0 {
                world.faults = vec![(at - 1, fault)];
            }
            let end = world.cycle(&replica());
            if at == 0 {
                assert_eq!(end.kind(), Some(Kind::RolledBack));
                assert_eq!((world.running, &world.rows), (true, &generation(0)));
                assert_eq!((world.stops, world.commits), (2, 2), "put back once");
                assert_eq!(world.rejected(), Some(id));
                assert_eq!(world.state().intent, None);
                // Not tried again, however often.
                for _ in 0..3 {
                    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::SnapshotRejected));
                    assert_eq!((world.stops, world.did("fetch")), (2, 0));
                }
            } else if world.fired == 0 {
                continue;
            }
            let context = format!("{fault:?} at {at}: {:?}", world.calls);
            // With one more fault, and interrupted at any point: the next cycles finish the rollback.
            for _ in 0..2 {
                world.cycle(&replica());
            }
            let stops = world.stops;
            assert_eq!(world.cycle(&replica()).kind(), Some(Kind::SnapshotRejected), "{context}");
            assert_eq!((world.running, &world.rows), (true, &generation(0)), "A and B: {context}");
            assert_eq!((world.stops, world.state().intent), (stops, None), "it flaps: {context}");
            let newer = world.offer(&generation(2), &main_id('b'), 1, 2);
            let end = world.cycle(&replica());
            assert!(matches!(&end, End::Done(Conclusion::Applied(done)) if *done == newer), "{context}: {end:?}");
        }
    }
}

/// Something on this host that stays as it is: a snapshot is not tried every minute, as each attempt stops
/// Uptime Kuma.
#[test]
fn a_lasting_failure_is_tried_less_and_less_often() {
    let (mut world, id) = behind(true);
    let mut attempts = Vec::new();
    for minute in 0..400 {
        // The claim of every attempt fails; a cycle in backoff does not get that far.
        world.named = vec![("claim", Fault::ErrorBefore)];
        world.kinds = vec![("claim", Kind::DatabaseBusy)];
        let stops = world.stops;
        let end = world.cycle(&replica());
        if world.stops > stops {
            assert_eq!(end.kind(), Some(Kind::DatabaseBusy), "{:?}", world.calls);
            attempts.push(minute);
        } else {
            assert_eq!(end.kind(), Some(Kind::Backoff));
            assert_eq!(world.did("fetch"), 0, "fetched for nothing");
        }
        assert!(world.running && world.rows == generation(0));
    }
    let waits: Vec<i32> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    // A clock that went back proves nothing: it is tried.
    world.clock = world.clock.checked_sub(SignedDuration::from_hours(48)).unwrap();
    let end = world.cycle(&replica());
    assert!(matches!(&end, End::Done(Conclusion::Applied(done)) if *done == id), "{end:?}");
    assert_eq!(world.in_backoff(), None);
    // Something newer is tried at once.
    world.offer(&generation(2), &main_id('b'), 1, 2);
    world.named = vec![("claim", Fault::ErrorBefore)];
    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::DatabaseBusy));
    let newer = world.offer(&generation(2), &main_id('b'), 1, 3);
    world.clock = world.clock.checked_sub(SignedDuration::from_secs(59)).unwrap();
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(done)) if done == newer));
}

/// A bus that is gone for a moment says nothing against the rows.
#[test]
fn a_bus_that_is_gone_after_the_write_refuses_nothing() {
    for kind in [Kind::BusUnavailable, Kind::ServiceBusy, Kind::NotPermitted] {
        let (mut world, id) = behind(true);
        world.kinds = vec![("check_healthy", kind)];
        world.named = vec![("check_healthy", Fault::ErrorBefore)];
        assert_eq!(world.cycle(&replica()).kind(), Some(kind), "{:?}", world.calls);
        assert!(world.rejected().is_none() && world.state().intent.is_some());
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
        assert_eq!((world.stops, &world.rows, applied(&world)), (1, &generation(1), Some(id)));
    }
}

/// The system shuts down while a cycle waits for Uptime Kuma: the rows are not to blame, so nothing is rolled back.
#[test]
fn a_shutdown_while_waiting_for_an_answer_rolls_nothing_back() {
    let (mut world, id) = behind(true);
    world.kinds = vec![("check_healthy", Kind::Interrupted)];
    world.named = vec![("check_healthy", Fault::ErrorBefore)];
    let end = world.cycle(&replica());
    assert_eq!(end.kind(), Some(Kind::Interrupted), "{:?}", world.calls);
    assert_eq!((world.stops, &world.rows, applied(&world)), (1, &generation(1), None));
    assert!(world.state().intent.is_some() && world.rejected().is_none());
    // The next boot, which starts Uptime Kuma by itself.
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
    assert_eq!((world.stops, applied(&world)), (1, Some(id)));
}

/// A person stops Uptime Kuma while a cycle waits for its answer: the rows are not to blame, and it stays stopped.
#[test]
fn a_stop_by_a_person_while_waiting_for_an_answer_judges_nothing_and_is_not_undone() {
    for call in ["check_healthy", "start"] {
        let (mut world, id) = behind(true);
        world.kinds = vec![(call, Kind::ServiceStopped)];
        world.named = vec![(call, Fault::ErrorBefore)];
        assert_eq!(world.cycle(&replica()).kind(), Some(Kind::ServiceStopped), "{:?}", world.calls);
        assert_eq!((world.stops, world.running, &world.rows), (1, false, &generation(1)), "{call}");
        assert!(world.state().replica.verdict.is_none(), "{:?}", world.state().replica.verdict);
        let status = status_of(&world);
        assert!(status.contains("\nwritten       since"), "{status}");
        assert!(status.contains("stopped by hand before it answered") && !status.contains("unfinished"), "{status}");
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
        assert_eq!((world.running, world.did("start"), applied(&world)), (false, 0, Some(id)), "{call}");
        assert!(!status_of(&world).contains("written"));
    }
    // Nothing was written, or it was written back: nothing is left to do.
    for (call, kind) in [("write", Kind::WriteFailed), ("check_healthy", Kind::Unhealthy)] {
        let (mut world, _) = behind(true);
        world.kinds = vec![(call, kind), ("start", Kind::ServiceStopped)];
        world.named = vec![(call, Fault::ErrorBefore)];
        let mut stopped = world.clone();
        world.cycle(&replica());
        world.calls.retain(|name| name != "release");
        let failed = world.calls.iter().position(|name| name == call).unwrap();
        let again = world.calls.iter().rposition(|name| name == "start").unwrap();
        stopped.named.clear();
        stopped.faults = vec![(failed, Fault::ErrorBefore), (again, Fault::ErrorBefore)];
        assert!(matches!(stopped.cycle(&replica()), End::Failed(_)));
        assert_eq!((stopped.running, &stopped.rows), (false, &generation(0)), "{call}: {:?}", stopped.calls);
        let status = status_of(&stopped);
        assert!(!status.contains("unfinished") && !status.contains("written "), "{call}: {status}");
    }
    // It was killed before, and a person stops what the next cycle has started.
    let (mut world, id) = behind(true);
    world.named = vec![("start", Fault::KillBefore)];
    assert!(matches!(world.cycle(&replica()), End::Killed));
    world.kinds = vec![("check_healthy", Kind::ServiceStopped)];
    world.named = vec![("check_healthy", Fault::ErrorBefore)];
    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::ServiceStopped), "{:?}", world.calls);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
    assert_eq!((world.running, world.stops, applied(&world)), (false, 1, Some(id)));
}

#[test]
fn a_signal_before_the_stop_of_uptime_kuma_ends_the_cycle() {
    for role in ["main", "replica"] {
        let (mut world, _) = behind(true);
        world.kinds = vec![("check_interrupted", Kind::Interrupted)];
        assert_eq!(world.cycle(&settings(role)).kind(), Some(Kind::Interrupted));
        assert_eq!((world.stops, world.commits, world.repository.len()), (0, 0, 1));
    }
}

/// The intent of a killed cycle comes before everything else.
#[test]
fn an_unfinished_apply_comes_first() {
    for ran in [true, false] {
        let (mut world, _) = behind(ran);
        // Killed right after the rows were committed: Uptime Kuma is down.
        world.named = vec![("write", Fault::KillAfter)];
        assert!(matches!(world.cycle(&replica()), End::Killed));
        assert!(!world.running && world.rows == generation(1), "{:?}", world.calls);
        // The repository is gone: Uptime Kuma runs again all the same.
        let full = std::mem::take(&mut world.repository);
        world.cycle(&replica());
        assert_eq!(world.running, ran);
        let first = if ran {
            "activity, start, check_healthy, tidy_history, report recovered, save, look"
        } else {
            "report recovered, save, look"
        };
        assert_eq!(world.calls[..words(first).len()], words(first));
        world.repository = full;
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
        assert_eq!(world.stops, usize::from(ran));
    }
}

/// Nothing is restarted then, so nothing waits for the interval between restarts.
#[test]
fn while_uptime_kuma_is_stopped_everything_is_written_at_once() {
    let patient = host::replica("restart = \"always\"");
    let (mut world, _) = behind(true);
    assert!(world.cycle(&patient).applied());
    let newer = world.offer(&generation(2), &main_id('b'), 1, 2);
    assert!(matches!(world.cycle(&patient), End::Done(Conclusion::Deferred(_))));
    world.running = false;
    world.clock += SignedDuration::from_secs(1);
    world.offer(&generation(3), &main_id('b'), 1, 3);
    assert!(world.cycle(&patient).applied());
    assert!(!world.running && applied(&world) != Some(newer), "it stays stopped");
}

/// A stale lock blocks no publish, and neither does a repository from which it cannot be removed.
#[test]
fn locks_that_cannot_be_removed_fail_no_publish() {
    for fault in FAULTS {
        let mut world = World::new(generation(0));
        world.cycle(&main_host());
        world.faults = vec![(words("inherited, export, look, check_in_use").len(), fault)];
        let end = world.cycle(&main_host());
        let killed = matches!(fault, Fault::KillBefore | Fault::KillAfter);
        assert_eq!(matches!(end, End::Killed), killed, "{fault:?}: {end:?} {:?}", world.calls);
        if !killed {
            assert!(matches!(end, End::Done(Conclusion::Unchanged)), "{fault:?}: {end:?}");
        }
        assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)), "{fault:?}");
        assert_eq!(world.repository.len(), 1);
    }
}

/// A prune at the wrong moment: the snapshot is gone, or its data are.
#[test]
fn a_snapshot_that_is_pruned_while_it_is_fetched_costs_one_more_look() {
    for kind in [Kind::SnapshotGone, Kind::SnapshotDamaged] {
        // There is a newer one by then.
        let (mut world, _) = behind(true);
        let newer = world.offer(&generation(2), &main_id('b'), 1, 2);
        let pruned = world.offer(&generation(1), &main_id('b'), 1, 3);
        world.pruned = Some(kind);
        let end = world.cycle(&replica());
        assert!(matches!(&end, End::Done(Conclusion::Applied(done)) if *done == newer && newer != pruned), "{end:?}");
        assert_eq!(world.calls[..5], words("look, export, fetch, look, export"));
        assert_eq!((world.did("look"), world.did("fetch"), world.stops), (2, 2, 1));
        assert_eq!(world.by_name, 1, "restic looks once more");

        // None is left that is newer than what is applied here.
        let gone = world.offer(&generation(1), &main_id('b'), 1, 4);
        world.pruned = Some(kind);
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)));
        assert_eq!((world.did("fetch"), applied(&world).as_ref() == Some(&gone)), (1, false));

        // It is still the newest: then it is no prune, and one fetch is enough.
        let stays = world.offer(&generation(1), &main_id('b'), 1, 5);
        let snapshots = world.repository.clone();
        world.kinds = vec![("fetch", kind)];
        world.faults = vec![(2, Fault::ErrorBefore)];
        assert_eq!(world.cycle(&replica()).kind(), Some(kind));
        assert_eq!((world.did("look"), world.did("fetch"), world.stops), (2, 1, 1), "{:?}", world.calls);
        assert_eq!((world.rejected(), world.repository.len()), (None, snapshots.len()));
        world.kinds.clear();
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(done)) if done == stays));
    }
}

// ---------------------------------------------------------------------------------------------------
// What a replica decides

#[test]
fn a_replica_holds_on_another_schema_and_fetches_once() {
    let (mut world, id) = behind(true);
    let same = world.schema.clone();
    for (change, said) in
        [("ahead", "upgrade Uptime Kuma on the main"), ("behind", "on this replica"), ("apart", "same version")]
    {
        world.schema = same.clone();
        match change {
            "ahead" => drop(world.schema.migrations.insert("9".to_owned())),
            "behind" => world.schema.migrations.clear(),
            _ => world.schema.migrations = ["9".to_owned()].into(),
        }
        for round in 0..3 {
            let End::Done(Conclusion::Blocked(reason)) = world.cycle(&replica()) else {
                panic!("{change}: not blocked")
            };
            assert!(reason.contains(said), "{change}: {reason}");
            assert_eq!(world.did("fetch"), usize::from(round == 0), "{change}, round {round}");
            assert_eq!((world.stops, applied(&world)), (0, None));
            assert_eq!(world.state().last_cycle.unwrap().outcome, Outcome::Blocked);
            assert_eq!(world.state().last_success, None);
        }
    }
    world.schema = same;
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(done)) if done == id));
    assert_eq!(world.blocked(), None);
}

#[test]
fn a_replica_decides_from_tags() {
    // What the repository holds beside snapshot (b, epoch 1, sequence 5), which was applied; what the replica does.
    type Offers<'a> = &'a [(char, u64, u64, i64)];
    let cases: &[(&str, Offers<'_>, Result<bool, Kind>)] = &[
        ("nothing new", &[], Ok(false)),
        ("older ones", &[('b', 1, 3, 3), ('b', 1, 4, 4)], Ok(false)),
        ("a newer one", &[('b', 1, 6, 6)], Ok(true)),
        ("only the newest counts", &[('b', 1, 9, 9), ('b', 1, 6, 6), ('b', 1, 8, 8)], Ok(true)),
        ("another main in the same epoch", &[('c', 1, 6, 6)], Err(Kind::Fenced)),
        ("another main in an older epoch", &[('c', 0, 60, 6)], Ok(false)),
        ("a new main in a new epoch", &[('c', 2, 1, 6)], Ok(true)),
        ("two at one place", &[('b', 1, 6, 6), ('b', 1, 6, 7)], Err(Kind::OutOfOrder)),
        ("two mains at one place", &[('b', 1, 6, 6), ('c', 1, 6, 6)], Err(Kind::OutOfOrder)),
        ("twice the same", &[('b', 1, 6, 6), ('b', 1, 6, 6)], Ok(true)),
        ("the applied one once more", &[('b', 1, 5, 1), ('b', 1, 5, 1), ('b', 1, 5, 1)], Ok(false)),
    ];
    for (name, offers, wanted) in cases {
        let mut world = World::new(generation(0));
        world.offer(&generation(1), &main_id('b'), 1, 5);
        assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
        let stops = world.stops;
        for (main, epoch, sequence, content) in *offers {
            world.offer(&generation(*content), &main_id(*main), *epoch, *sequence);
        }
        let end = world.cycle(&replica());
        match wanted {
            Ok(changes) => {
                assert!(matches!(end, End::Done(_)), "{name}: {end:?}");
                assert_eq!(world.stops > stops, *changes, "{name}");
                let newest = offers.iter().max_by_key(|offer| (offer.1, offer.2)).filter(|_| *changes);
                assert_eq!(world.rows, generation(newest.map_or(1, |offer| offer.3)), "{name}");
                assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)), "{name}");
            }
            Err(kind) => {
                assert_eq!(end.kind(), Some(*kind), "{name}: {end:?}");
                assert_eq!(kind.exit(), Exit::NeedsPerson);
                assert_eq!((world.stops, &world.rows, world.did("fetch")), (stops, &generation(1), 0), "{name}");
            }
        }
    }
    // A repository that lost everything, or went back.
    let mut world = World::new(generation(0));
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Blocked(_))), "nothing was ever published");
    world.offer(&generation(1), &main_id('b'), 1, 1);
    let old = world.repository.clone();
    world.offer(&generation(2), &main_id('b'), 1, 2);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    for repository in [Vec::new(), old] {
        world.repository = repository;
        assert_eq!(world.cycle(&replica()).kind(), Some(Kind::OutOfOrder));
        assert_eq!(world.rows, generation(2));
    }
}

/// F15, F21: nothing is stopped for what is not wholly right.
#[test]
fn a_replica_refuses_what_is_not_what_it_says() {
    type Spoil = fn(&mut World);
    let cases: &[(&str, Spoil, Kind)] = &[
        ("cut", |world| world.repository[0].1.truncate(300), Kind::SnapshotDamaged),
        ("empty", |world| world.repository[0].1.clear(), Kind::SnapshotDamaged),
        ("other digest in the tags", |world| world.repository[0].0.tags.digest = dump_digest(2), Kind::SnapshotDamaged),
        ("other schema in the tags", |world| world.repository[0].0.tags.schema = dump_digest(2), Kind::SnapshotDamaged),
        ("other place in the tags", |world| world.repository[0].0.tags.place.sequence += 1, Kind::SnapshotDamaged),
        (
            "another dump",
            |world| {
                let mut other = World::new(generation(0));
                other.offer(&generation(2), &main_id('b'), 1, 1);
                world.repository[0].1 = other.repository[0].1.clone();
            },
            Kind::SnapshotDamaged,
        ),
        (
            "a newer format inside",
            |world| {
                let text = String::from_utf8(world.repository[0].1.clone()).unwrap();
                world.repository[0].1 = text.replacen("\"format\":1", "\"format\":7", 1).into_bytes();
            },
            Kind::FormatUnknown,
        ),
        (
            "no user",
            |world| {
                world.repository.clear();
                let mut empty = generation(1);
                empty.tables[0].rows.clear();
                world.offer(&empty, &main_id('b'), 1, 1);
            },
            Kind::NoUser,
        ),
    ];
    for (name, spoil, kind) in cases {
        let (mut world, _) = behind(true);
        spoil(&mut world);
        // The same bytes are not fetched again to be refused again.
        for kind in [*kind, Kind::SnapshotRejected] {
            assert_eq!(world.cycle(&replica()).kind(), Some(kind), "{name}");
            assert_eq!(world.did("fetch"), usize::from(kind != Kind::SnapshotRejected), "{name}");
            assert_eq!((world.stops, world.running, &world.rows), (0, true, &generation(0)), "{name}");
            assert_eq!(applied(&world), None, "{name}");
        }
    }
    // A format of a newer version in the tags is not even fetched.
    let (mut world, _) = behind(true);
    world.repository[0].0.tags.format = FORMAT + 1;
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Blocked(_))));
    assert_eq!(world.did("fetch"), 0);
}

fn dump_digest(number: i64) -> kuma_replicator::model::digest::Digest {
    kuma_replicator::model::digest::Digest::of(&dump::body(&generation(number)))
}

/// F27: rows edited on the replica are overwritten by the next snapshot, not mixed with it.
#[test]
fn local_edits_do_not_survive_the_next_snapshot() {
    let (mut world, _) = behind(true);
    world.cycle(&replica());
    world.rows = generation(3);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::UpToDate)), "nothing newer");
    world.offer(&generation(2), &main_id('b'), 1, 2);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    assert_eq!(world.rows, generation(2));
}

// ---------------------------------------------------------------------------------------------------
// What a main decides

#[test]
fn a_main_is_fenced_by_another() {
    for (name, main, epoch, sequence) in [
        ("another main", 'c', 1, 2),
        ("another main in a higher epoch", 'c', 2, 1),
        ("its own id in a higher epoch", 'a', 2, 1),
        ("a copy of itself", 'a', 1, 2),
    ] {
        let mut world = World::new(generation(0));
        world.cycle(&main_host());
        world.offer(&generation(5), &main_id(main), epoch, sequence);
        world.rows = generation(1);
        for _ in 0..2 {
            let end = world.cycle(&main_host());
            assert_eq!(end.kind(), Some(Kind::Fenced), "{name}: {end:?}");
            assert_eq!(world.repository.len(), 2, "{name}");
        }
    }
    // Without a change it notices once a day.
    let mut world = World::new(generation(0));
    world.cycle(&main_host());
    world.cycle(&main_host());
    world.offer(&generation(5), &main_id('c'), 2, 1);
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)));
    world.clock = world.clock.checked_add(SignedDuration::from_hours(24)).unwrap();
    assert_eq!(world.cycle(&main_host()).kind(), Some(Kind::Fenced));
    // Two at the newest place: neither is applied.
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('a'), 1, 1);
    world.offer(&generation(2), &main_id('a'), 1, 1);
    assert_eq!(world.cycle(&main_host()).kind(), Some(Kind::OutOfOrder));
}

#[test]
fn a_main_looks_once_a_day_and_notices_a_lost_repository() {
    let mut world = World::new(generation(0));
    world.cycle(&main_host());
    world.cycle(&main_host());
    let start = world.clock;
    let at = |world: &mut World, hours: i64| {
        world.clock = start.checked_add(SignedDuration::from_hours(hours)).unwrap();
        let end = world.cycle(&main_host());
        (matches!(end, End::Done(Conclusion::Published(_))), world.did("look"))
    };
    assert_eq!(at(&mut world, 23), (false, 0));
    assert_eq!(at(&mut world, 24), (false, 1));
    assert_eq!(at(&mut world, 30), (false, 0));
    world.repository.clear();
    assert_eq!(at(&mut world, 49), (true, 1), "the repository was lost: published anew");
    assert_eq!(world.repository[0].0.tags.place.sequence, 2, "with the next sequence, for those who know the old");
    assert_eq!(at(&mut world, 50), (false, 1), "confirmed");
    // A clock that went back proves nothing: it looks.
    assert_eq!(at(&mut world, -100), (false, 1));
}

/// An upgrade of Uptime Kuma that touches no row: replicas must learn that this main is ahead.
#[test]
fn a_main_publishes_a_migration() {
    let mut world = World::new(generation(0));
    world.cycle(&main_host());
    world.schema.migrations.insert("2027-01-01-0000-next.js".to_owned());
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Published(_))));
    let tags: Vec<_> = world.repository.iter().map(|(snapshot, _)| &snapshot.tags).collect();
    assert_eq!(tags[0].digest, tags[1].digest);
    assert_ne!(tags[0].schema, tags[1].schema);
    assert_eq!(tags[1].place.sequence, 2);
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)));
    // Also if it lost its state meanwhile: what is there already is not published again.
    world.disk = None;
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)));
    assert_eq!(world.repository.len(), 2);
}

#[test]
fn a_main_that_lost_its_state_continues_where_the_repository_stands() {
    // Also if it was promoted.
    let mut world = World::new(generation(1));
    world.offer(&generation(0), &main_id('b'), 2, 8);
    world.offer(&generation(1), &main_id('a'), 3, 9);
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Unchanged)));
    world.rows = generation(2);
    assert!(matches!(world.cycle(&main_host()), End::Done(Conclusion::Published(_))));
    assert_eq!(world.repository[2].0.tags.place.order(), (3, 10));
    assert_eq!(world.state().main.unwrap().id, main_id('a'));
}

/// F14: what lost its users, its monitors or most of its rows does not leave the host by itself.
#[test]
fn a_main_does_not_publish_what_shrank() {
    let remove = |table: &str, keep: usize| {
        let mut rows = generation(8);
        rows.tables.iter_mut().find(|found| found.spec.name == table).unwrap().rows.truncate(keep);
        rows
    };
    let cases = [
        ("all monitors", remove("monitor", 0), Some(Kind::Shrunk)),
        ("most rows", remove("monitor", 2), Some(Kind::Shrunk)),
        ("some rows", remove("monitor", 8), None),
        ("all tags", remove("tag", 0), None),
        ("all users", remove("user", 0), Some(Kind::NoUser)),
        (
            "a table",
            Configuration { tables: generation(8).tables[..2].to_vec(), files: vec![], zone: None },
            Some(Kind::Shrunk),
        ),
    ];
    for (name, rows, wanted) in cases {
        let mut world = World::new(generation(8));
        world.cycle(&main_host());
        world.rows = rows;
        let end = world.cycle(&main_host());
        assert_eq!(end.kind(), wanted, "{name}: {end:?}");
        assert_eq!(world.repository.len(), if wanted.is_some() { 1 } else { 2 }, "{name}");
        if wanted == Some(Kind::Shrunk) {
            assert_eq!(world.did("look"), 0, "{name}");
            let end = world.cycle_with(&main_host(), &Options { confirm_shrink: true, ..Options::default() });
            assert!(matches!(end, End::Done(Conclusion::Published(_))), "{name}: {end:?}");
        } else if wanted == Some(Kind::NoUser) {
            let end = world.cycle_with(&main_host(), &Options { confirm_shrink: true, ..Options::default() });
            assert_eq!(end.kind(), Some(Kind::NoUser), "no order opens the set-up page of the replicas");
        }
    }
}

/// What a host with monitors gets that is made a replica by mistake.
#[test]
fn a_first_snapshot_without_monitors_removes_none() {
    let mut empty = generation(1);
    empty.tables.iter_mut().find(|table| table.spec.name == "monitor").unwrap().rows.clear();
    let mut world = World::new(generation(0));
    let id = world.offer(&empty, &main_id('b'), 1, 1);
    for _ in 0..2 {
        let end = world.cycle(&replica());
        assert_eq!(end.kind(), Some(Kind::Shrunk), "{end:?}");
        assert_eq!((world.stops, &world.rows, applied(&world)), (0, &generation(0), None));
    }
    let confirmed = Options { confirm_shrink: true, ..Options::default() };
    let end = world.cycle_with(&replica(), &confirmed);
    assert!(matches!(&end, End::Done(Conclusion::Applied(done)) if *done == id), "{end:?}");
    // Later on the main's guard was passed: what was confirmed there holds here.
    world.offer(&generation(1), &main_id('b'), 1, 2);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    world.offer(&empty, &main_id('b'), 1, 3);
    assert!(matches!(world.cycle(&replica()), End::Done(Conclusion::Applied(_))));
    assert_eq!(world.rows, empty);
}

/// Rows that SQLite takes and Uptime Kuma cannot run with: remembered, so that they are fetched once.
#[test]
fn a_snapshot_that_would_break_uptime_kuma_is_refused_before_the_stop() {
    let mut rows = generation(1);
    let tag = rows.tables.iter_mut().find(|table| table.spec.name == "tag").unwrap();
    let id = tag.position("id").unwrap();
    tag.rows[0][id] = kuma_replicator::model::value::Value::Integer(0);
    let mut world = World::new(generation(0));
    world.offer(&rows, &main_id('b'), 1, 1);
    for (kind, fetches) in [(Kind::Unwritable, 1), (Kind::SnapshotRejected, 0)] {
        assert_eq!(world.cycle(&replica()).kind(), Some(kind));
        assert_eq!((world.stops, world.did("fetch"), &world.rows), (0, fetches, &generation(0)));
    }
}

/// A failed cycle leaves its reason for `status`, and says nothing of a success.
#[test]
fn every_end_is_recorded() {
    let mut world = World::new(generation(0));
    world.cycle(&main_host());
    let success = world.state().last_success;
    world.rows = generation(1);
    world.named = vec![("look", Fault::ErrorBefore)];
    assert_eq!(world.cycle(&main_host()).kind(), Some(Kind::RepositoryUnreachable));
    let state = world.state();
    assert_eq!((state.last_success, state.last_cycle.unwrap().outcome.name()), (success, "failed"));
}

// ---------------------------------------------------------------------------------------------------
// The story that the journal keeps; every cycle of a world is checked for an end (`World::cycle_with`)

#[test]
fn a_snapshot_that_is_in_force_already_is_told_to_the_end() {
    let (mut world, _) = behind(true);
    let replica = replica();
    assert!(world.cycle(&replica).applied());
    for _ in 0..2 {
        assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
    }
    assert_eq!(world.story, [("up-to-date", Level::Info)], "the same as before is no news");
    // The main published the same rows again.
    world.offer(&generation(1), &main_id('b'), 1, 2);
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
    assert_eq!(world.story, [("fetched", Level::Notice), ("up-to-date", Level::Notice)]);
    assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
    assert_eq!(world.story, [("up-to-date", Level::Info)]);
}

#[test]
fn a_rollback_says_why_uptime_kuma_is_stopped_again() {
    let (mut world, _) = behind(true);
    world.poison = Some(generation(1));
    assert_eq!(world.cycle(&replica()).kind(), Some(Kind::RolledBack));
    let names: Vec<&str> = world.story.iter().map(|(name, _)| *name).collect();
    let told = ["stopping", "stopped", "written", "started", "rolling-back", "started", "healthy"];
    assert_eq!(names.iter().filter(|name| told.contains(name)).copied().collect::<Vec<_>>(), told, "{names:?}");
}
