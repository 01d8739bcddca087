//! When a main forgets and prunes.

use std::path::Path;

use jiff::SignedDuration;
use kuma_replicator::config::{Role, Settings};
use kuma_replicator::cycle::{Options, Ready, Session, Surroundings as _, Tidying};
use kuma_replicator::error::Kind;
use kuma_replicator::model::state::{Hold, State};
use kuma_replicator::report::{Clock, StatusDocument};

use crate::support::generations::generation;
use crate::support::host::{End, Fault, World, at_every_call, main_id, settings};

/// A main with these keys.
fn main_with(keys: &str) -> Settings {
    let text = format!("role = \"main\"\nrepository = \"/r\"\n[main]\n{keys}");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

fn keeps(last: u32) -> Settings {
    main_with(&format!("keep = {{ last = {last} }}"))
}

/// A main that has published so often before it began to forget.
fn published(times: u64) -> World {
    let mut world = World::new(generation(0));
    for _ in 0..times {
        edit(&mut world);
        assert!(matches!(world.cycle(&main_with("keep = \"all\"")), End::Done(_)), "{:?}", world.calls);
    }
    world
}

/// Something else is to be published.
fn edit(world: &mut World) {
    world.rows = if world.rows == generation(0) { generation(1) } else { generation(0) };
}

fn later(world: &mut World, hours: i64) {
    world.clock += SignedDuration::from_hours(hours);
}

fn sequences(world: &World) -> Vec<u64> {
    world.repository.iter().map(|(snapshot, _)| snapshot.tags.place.sequence).collect()
}

#[track_caller]
fn done(world: &mut World, settings: &Settings) {
    let end = world.cycle(settings);
    assert!(matches!(end, End::Done(_)), "{end:?}");
}

#[test]
fn a_main_forgets_once_it_is_confirmed_and_once_a_day() {
    let mut world = published(5);
    let main = keeps(2);
    edit(&mut world);
    done(&mut world, &main);
    assert_eq!((sequences(&world), world.did("forget")), ([1, 2, 3, 4, 5, 6].into(), 0), "not before it is confirmed");
    let Ok(Ready::Unchanged { tidying, .. }) = world.predict(&main, Options::default()) else { panic!("it publishes") };
    assert_eq!((tidying.forget.len(), tidying.kept, tidying.prune), (4, 2, false));
    done(&mut world, &main);
    assert_eq!((sequences(&world), world.did("forget")), ([5, 6].into(), 1));
    let at = |name: &str| world.calls.iter().position(|call| call == name).unwrap();
    assert!(at("remove_stale_locks") < at("check_publishable") && at("check_publishable") < at("forget"));
    assert!(at("forget") < at("report forgotten") && at("report forgotten") < at("report unchanged"));
    for _ in 0..3 {
        edit(&mut world);
        done(&mut world, &main);
        done(&mut world, &main);
        assert_eq!(world.did("forget"), 0, "not again on the same day");
    }
    later(&mut world, 24);
    done(&mut world, &main);
    assert_eq!(sequences(&world), [8, 9], "the daily look is one, too");
    later(&mut world, 24);
    done(&mut world, &main);
    assert_eq!((world.did("look"), world.did("forget")), (1, 0), "nothing is to be forgotten");
}

#[test]
fn a_repository_is_pruned_once_a_week() {
    let mut world = published(5);
    let main = keeps(2);
    let mut pruned = Vec::new();
    for day in 0..24 {
        done(&mut world, &main);
        if world.did("prune") > 0 {
            pruned.push(day);
        }
        edit(&mut world);
        done(&mut world, &main);
        assert_eq!(world.did("prune"), 0, "it delays no publish");
        later(&mut world, 24);
    }
    assert_eq!((pruned, world.prunes), ([7, 14, 21].into(), 3));
    // Nothing was forgotten since.
    let all = main_with("keep = \"all\"");
    for _ in 0..9 {
        later(&mut world, 24);
        done(&mut world, &all);
    }
    assert_eq!(
        (world.prunes, world.state().main.unwrap().retention.unpruned > 0),
        (4, false),
        "what was left of before"
    );
}

#[test]
fn a_lost_state_leads_to_no_prune() {
    let mut world = published(3);
    let main = keeps(1);
    for _ in 0..30 {
        later(&mut world, 24);
        edit(&mut world);
        done(&mut world, &main);
        done(&mut world, &main);
        world.disk = None;
        done(&mut world, &main);
    }
    assert_eq!(world.prunes, 0);
    assert_eq!(world.repository.len(), 1, "forgetting costs little");
}

#[test]
fn where_others_back_up_nothing_is_pruned_unless_it_is_ordered() {
    for (keys, others, prunes) in
        [("", 0, 1), ("prune = \"auto\"", 3, 0), ("prune = \"always\"", 3, 1), ("prune = \"never\"", 0, 0)]
    {
        let mut world = published(5);
        world.others = others;
        let main = main_with(&format!("keep = {{ last = 2 }}\n{keys}"));
        for _ in 0..9 {
            done(&mut world, &main);
            later(&mut world, 24);
        }
        assert_eq!((world.repository.len(), world.prunes), (2, prunes), "{keys:?}, {others}");
    }
    // Another fleet is another, too.
    let mut world = published(5);
    world.repository[0].0.tags.fleet = main_id('f');
    for _ in 0..9 {
        done(&mut world, &keeps(1));
        later(&mut world, 24);
    }
    assert_eq!((world.repository.len(), world.prunes), (2, 0));
}

#[test]
fn nobody_else_forgets() {
    let forgets = |world: &mut World, settings: &Settings| {
        let _ = world.cycle(settings);
        world.did("forget") + world.did("prune")
    };
    let main = keeps(1);
    let mut replica = published(5);
    assert_eq!(forgets(&mut replica, &settings(Role::Replica)), 0);
    let mut held = published(5);
    let mut state = held.state();
    state.hold = Some(Hold { reason: "x".to_owned(), since: held.clock, until: None });
    held.disk = Some(state.render());
    assert_eq!(forgets(&mut held, &main), 0);
    // Another host was promoted, or has published in its place, or at the same place.
    for (letter, epoch, sequence) in [('b', 2, 6), ('b', 1, 6), ('a', 1, 6), ('b', 1, 5)] {
        let mut fenced = published(5);
        fenced.offer(&generation(2), &main_id(letter), epoch, sequence);
        for _ in 0..2 {
            assert_eq!(forgets(&mut fenced, &main), 0, "{letter}, {epoch}, {sequence}");
            assert_eq!(fenced.repository.len(), 6);
        }
    }
    // The sum of both: a main that was never anything else does.
    assert_eq!(forgets(&mut published(5), &main), 1);
}

#[test]
fn a_promotion_and_a_demotion_do_not_wait_for_it() {
    for as_is in [false, true] {
        let mut world = published(5);
        let main = keeps(1);
        let end = world.order(async |world, state| {
            Session::new(world, &main, state, Options::default()).demote(as_is).await.map(drop)
        });
        assert!(matches!(end, End::Done(_)), "{end:?}");
        assert_eq!((world.did("forget"), world.repository.len()), (0, 5));
    }
}

#[test]
fn storage_that_refuses_is_told_of_once_and_asked_once_a_week() {
    let mut world = published(5);
    let main = keeps(2);
    let (mut warnings, mut asked) = (0, Vec::new());
    for day in 0..16 {
        // Each time.
        world.named = vec![("forget", Fault::ErrorBefore)];
        edit(&mut world);
        done(&mut world, &main);
        world.named = vec![("forget", Fault::ErrorBefore)];
        done(&mut world, &main);
        warnings += world.did("report warning");
        if world.did("forget") > 0 {
            asked.push(day);
        }
        if day > 0 {
            assert_eq!(warnings, 1, "day {day}: {:?}", world.calls);
        }
        later(&mut world, 24);
    }
    assert_eq!((warnings, asked, world.prunes), (1, [0, 7, 14].into(), 0));
    let retention = world.state().main.unwrap().retention;
    let failure = retention.forget.clone().unwrap().failure.unwrap();
    assert_eq!((failure.kind, retention.unpruned), (Kind::RepositoryDenied, 0));
    let clock = Clock { now: world.clock, zone: world.zone() };
    let shown = StatusDocument::new(&main, None, world.state(), None, clock).to_string();
    assert!(shown.contains("no forget     since 2026-01-0"), "{shown}");
    // It no longer does.
    later(&mut world, 7 * 24);
    done(&mut world, &main);
    assert_eq!((world.did("forget"), world.repository.len()), (1, 2));
    assert_eq!(world.state().main.unwrap().retention.forget.unwrap().failure, None);
}

#[test]
fn what_passes_by_itself_is_tried_again_soon() {
    let mut world = published(5);
    let main = keeps(2);
    world.kinds = vec![("forget", Kind::RepositoryLocked)];
    for (hours, tried) in [(0, 1), (0, 0), (1, 1)] {
        later(&mut world, hours);
        world.named = vec![("forget", Fault::ErrorBefore)];
        let look = Options { look: true, ..Options::default() };
        assert!(matches!(world.cycle_with(&main, &look), End::Done(_)));
        assert_eq!(world.did("forget"), tried, "after {hours} hours");
    }
}

/// An exclusive lock that stays would keep all hosts from publishing.
#[test]
fn no_exclusive_lock_is_made_where_locks_cannot_be_removed() {
    let mut world = published(5);
    world.keeps_locks = Some("it refuses".to_owned());
    let main = keeps(2);
    done(&mut world, &main);
    assert_eq!((world.did("check_publishable"), world.did("forget"), world.did("report warning")), (1, 0, 1));
    edit(&mut world);
    done(&mut world, &main);
    done(&mut world, &main);
    assert_eq!((world.did("check_publishable"), world.did("report warning")), (0, 0));
}

#[test]
fn a_fault_at_any_step_ends_no_cycle_and_loses_nothing_that_is_kept() {
    let main = keeps(2);
    // A day on which it both forgets and prunes.
    let prepare = || {
        let mut world = published(4);
        for _ in 0..2 {
            done(&mut world, &main);
            edit(&mut world);
            done(&mut world, &main);
            later(&mut world, 7 * 24);
        }
        world
    };
    let mut whole = prepare();
    done(&mut whole, &main);
    assert_eq!((whole.did("forget"), whole.did("prune")), (1, 1), "{:?}", whole.calls);
    let struck = at_every_call(
        prepare,
        |world| world.cycle(&main),
        |mut world, end, _, context| {
            let tidies = |call: &str| matches!(call, "check_publishable" | "forget" | "prune");
            if world.calls.last().is_some_and(|call| tidies(call)) {
                assert!(matches!(end, End::Killed), "{context}");
            }
            let newest = sequences(&world).into_iter().rev().take(2).collect::<Vec<_>>();
            assert_eq!(newest, [6, 5], "{context}");
            // What was killed is not repeated in each cycle.
            for _ in 0..3 {
                edit(&mut world);
                done(&mut world, &main);
                done(&mut world, &main);
            }
            later(&mut world, 8 * 24);
            done(&mut world, &main);
            assert_eq!(sequences(&world).len(), 2, "{context}");
        },
    );
    assert!(struck > 10, "{struck}");
}

#[test]
fn a_person_forgets_at_once_and_only_on_the_main() {
    let forget = |world: &mut World, settings: &Settings, prune: bool| {
        world.order(async |world, state: &mut State| {
            let mut session = Session::new(world, settings, state, Options::default());
            let retained = session.prepare_forget().await?;
            session.forget_as_ordered(&Tidying::of(&retained, prune)).await
        })
    };
    let main = keeps(2);
    let mut world = published(5);
    done(&mut world, &main);
    edit(&mut world);
    done(&mut world, &main);
    done(&mut world, &main);
    assert_eq!(world.repository.len(), 3, "it forgot today");
    let end = forget(&mut world, &main, false);
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!((world.repository.len(), world.prunes), (2, 0));
    world.others = 3;
    assert!(matches!(forget(&mut world, &main, true), End::Done(_)));
    let retention = world.state().main.unwrap().retention;
    assert_eq!((world.prunes, retention.unpruned, world.did("forget")), (1, 0, 0), "he said so");

    assert_eq!(forget(&mut world, &settings(Role::Replica), false).kind(), Some(Kind::Usage));
    let mut new = World::new(generation(0));
    assert_eq!(forget(&mut new, &main, false).kind(), Some(Kind::Usage), "it has published nothing");
    let mut state = world.state();
    state.hold = Some(Hold { reason: "x".to_owned(), since: world.clock, until: None });
    world.disk = Some(state.render());
    assert_eq!(forget(&mut world, &main, true).kind(), Some(Kind::OnHold));
    state.hold = None;
    world.disk = Some(state.render());
    world.offer(&generation(2), &main_id('b'), 2, 9);
    assert_eq!(forget(&mut world, &main, true).kind(), Some(Kind::Fenced));
    assert_eq!((world.did("forget"), world.did("prune")), (0, 0));
    let mut refusing = published(5);
    refusing.keeps_locks = Some("it refuses".to_owned());
    assert_eq!(forget(&mut refusing, &main, false).kind(), Some(Kind::RepositoryDenied));
}
