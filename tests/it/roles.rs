//! Promise: there is one main. A promotion fences the former main, no replica takes what another host publishes, and a
//! kill in the middle of a promotion loses nothing.

use std::path::Path;

use kuma_replicator::config::{self, Role, Settings};
use kuma_replicator::cycle::{Conclusion, Options, Promotion, RoleChange, Session};
use kuma_replicator::decide;
use kuma_replicator::error::{Error, Kind, Result};
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::dump;
use kuma_replicator::model::snapshot::{Listing, Snapshot};
use kuma_replicator::model::state::{Hold, State};
use kuma_replicator::model::value::Value;

use crate::support::generations::generation;
use crate::support::host::{End, Fault, World, at_every_call, eager, main_id, settings};
use crate::support::rows::{t, table};

/// Runs `promote` or `demote` on a host with the role that its configuration file has.
fn turn(world: &mut World, from: Role, to: Role, as_is: bool) -> Result<RoleChange, Option<Error>> {
    turn_with(world, from, to, Promotion { as_is, confirm_shrink: false })
}

fn turn_with(world: &mut World, from: Role, to: Role, promotion: Promotion) -> Result<RoleChange, Option<Error>> {
    let mut turned = None;
    let settings = settings(world.role.unwrap_or(from));
    let end = world.order(async |world, state| {
        turned = Some(match to {
            Role::Main => Session::new(world, &settings, state, Options::default()).promote(promotion).await?,
            Role::Replica => Session::new(world, &settings, state, Options::default()).demote(promotion.as_is).await?,
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

/// Two hosts over one repository: main `a` with generation 1 published, and replica `b` that has it.
fn fleet() -> (World, World) {
    let mut a = World::new(generation(1));
    assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
    let mut b = World::new(generation(0));
    b.id = main_id('b');
    b.share(&a);
    assert!(matches!(b.cycle(&settings(Role::Replica)), End::Done(Conclusion::Applied(_))));
    (a, b)
}

fn places(world: &World) -> Vec<(char, u64, u64)> {
    let place = |snapshot: &Snapshot| {
        let place = &snapshot.tags.place;
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
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, false).unwrap(), RoleChange::Changed);
    assert_eq!((b.role, &b.rows), (Some(Role::Main), &generation(2)), "the newest snapshot is taken first");
    assert_eq!(places(&b), [('a', 1, 1), ('a', 1, 2), ('b', 2, 3)]);
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, false).unwrap(), RoleChange::Unchanged);
    b.rows = generation(3);
    assert!(matches!(b.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));

    // The former main comes back with a change of its own: it publishes nothing, now and later.
    a.share(&b);
    a.rows = generation(0);
    for look in [1, 0] {
        assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
        assert_eq!((a.did("look"), a.did("publish")), (look, 0));
    }
    // Not even when the repository loses the snapshot that fenced it.
    let all = std::mem::take(&mut a.repository);
    assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
    a.repository = all;

    // Demoted, it follows.
    assert_eq!(turn(&mut a, Role::Main, Role::Replica, false).unwrap(), RoleChange::Changed);
    assert!(matches!(a.cycle(&settings(Role::Replica)), End::Done(Conclusion::Applied(_))));
    assert_eq!((&a.rows, a.role), (&generation(3), Some(Role::Replica)));
    assert_eq!(turn(&mut a, Role::Main, Role::Replica, false).unwrap(), RoleChange::Unchanged);

    // And back: a planned switch.
    b.rows = generation(1);
    assert_eq!(turn(&mut b, Role::Main, Role::Replica, false).unwrap(), RoleChange::Changed);
    a.share(&b);
    assert_eq!(turn(&mut a, Role::Replica, Role::Main, false).unwrap(), RoleChange::Changed);
    assert_eq!((&a.rows, places(&a).last()), (&generation(1), Some(&('a', 3, 6))), "published before it was demoted");
    b.share(&a);
    assert!(matches!(b.cycle(&settings(Role::Replica)), End::Done(Conclusion::UpToDate)));
}

#[test]
fn a_former_main_that_was_off_is_fenced_by_its_first_cycle_without_any_change() {
    let (mut a, mut b) = fleet();
    assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Conclusion::Unchanged)));
    turn(&mut b, Role::Replica, Role::Main, false).unwrap();
    a.share(&b);
    assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Conclusion::Unchanged)));
    a.booted = a.clock;
    assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
    // One that is still the main looks once.
    b.booted = b.clock;
    for looks in [1, 0] {
        assert!(matches!(b.cycle(&settings(Role::Main)), End::Done(Conclusion::Unchanged)));
        assert_eq!(b.did("look"), looks);
    }
}

#[test]
fn what_a_former_main_publishes_late_is_ignored_and_reported_once() {
    let (mut a, mut b) = fleet();
    let mut c = World::new(generation(1));
    c.share(&a);
    c.cycle(&settings(Role::Replica));
    turn(&mut b, Role::Replica, Role::Main, false).unwrap();
    // It looked a moment too early.
    a.rows = generation(2);
    assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
    assert_eq!(places(&a).last(), Some(&('a', 1, 2)));
    a.merge(&b);
    c.share(&a);
    b.share(&a);
    assert!(matches!(c.cycle(&settings(Role::Replica)), End::Done(Conclusion::UpToDate)));
    assert_eq!((&c.rows, c.did("report stray")), (&generation(1), 1));
    c.cycle(&settings(Role::Replica));
    assert_eq!(c.did("report stray"), 0);
    b.rows = generation(3);
    b.cycle(&settings(Role::Main));
    assert_eq!(b.did("report stray"), 1);
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
    assert_eq!(turn(&mut b, Role::Main, Role::Main, true).unwrap(), RoleChange::Changed);
    c.share(&b);
    assert_eq!(c.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
    a.share(&b);
    assert!(matches!(a.cycle(&settings(Role::Replica)), End::Done(Conclusion::Applied(_))));
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
    assert_eq!(turn(&mut back, Role::Main, Role::Main, false).unwrap(), RoleChange::Changed);
    assert_eq!((&back.rows, places(&back).last()), (&generation(3), Some(&('a', 2, 4))));
}

#[test]
fn no_role_changes_on_hold_or_while_the_newest_snapshot_cannot_be_applied() {
    let (mut a, mut b) = fleet();
    let since = b.clock;
    for (world, from, to) in [(&mut b, Role::Replica, Role::Main), (&mut a, Role::Main, Role::Replica)] {
        let hold = Some(Hold { reason: "x".to_owned(), since, until: None });
        world.disk = Some(State { hold, ..world.state() }.render());
        assert_eq!((kind(turn(world, from, to, false)), world.role), (Kind::OnHold, None));
        world.disk = Some(State { hold: None, ..world.state() }.render());
    }
    a.rows = generation(2);
    a.cycle(&settings(Role::Main));
    b.share(&a);
    b.schema.migrations.insert("2026-newer.js".to_owned());
    assert_eq!((kind(turn(&mut b, Role::Replica, Role::Main, false)), b.role), (Kind::OnHold, None));
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, true).unwrap(), RoleChange::Changed);
    assert_eq!((&b.rows, places(&b).last()), (&generation(1), Some(&('b', 2, 3))));
}

#[test]
fn a_promotion_survives_a_fault_at_every_step() {
    let (mut a, mut b) = fleet();
    a.rows = generation(2);
    a.cycle(&settings(Role::Main));
    b.share(&a);
    let order = |b: &mut World| turn(b, Role::Replica, Role::Main, false);
    let tried = at_every_call(
        || b.clone(),
        order,
        |mut b, _, _, context| {
            let mut a = a.clone();
            // Whatever happened, the cycles of the host work with its role, and the same order settles it, except for
            // a snapshot that it was made to refuse.
            let role = b.role.unwrap_or(Role::Replica);
            let next = b.cycle(&settings(role));
            assert!(b.running && b.state().intent.is_none(), "{context}: {next:?}");
            let refused = b.rejected().is_some();
            let again = turn(&mut b, Role::Replica, Role::Main, refused);
            assert!(again.is_ok(), "{context}: {again:?}");
            assert_eq!(b.role, Some(Role::Main), "{context}");
            let newest = b.repository.last().unwrap().0.tags.clone();
            assert_eq!((&newest.place.main, newest.place.epoch > 1), (&b.id, true), "{context}");
            let mut seen = std::collections::BTreeSet::new();
            assert!(places(&b).into_iter().all(|place| seen.insert(place)), "{context}: a place was taken twice");
            a.share(&b);
            a.rows = generation(3);
            assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced), "{context}");
        },
    );
    assert!(tried > 60, "{tried} faults were tried");
}

/// All that a main remembers is gone, and its database is not what it published last: it was edited, or restored from
/// an old backup, or this is a clone of it.
#[test]
fn a_host_that_may_not_write_into_the_repository_is_not_promoted_and_changes_nothing() {
    for as_is in [false, true] {
        let (mut a, mut b) = fleet();
        a.rows = generation(2);
        assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
        b.share(&a);
        let (rows, state, stops) = (b.rows.clone(), b.state(), b.stops);
        b.named = vec![("check_publishable", Fault::ErrorBefore)];
        assert_eq!(kind(turn(&mut b, Role::Replica, Role::Main, as_is)), Kind::RepositoryDenied);
        assert_eq!((&b.rows, b.state(), b.role, b.stops), (&rows, state, None, stops), "as is: {as_is}");
        assert_eq!(b.repository.len(), a.repository.len());
        b.named.clear();
        turn(&mut b, Role::Replica, Role::Main, as_is).unwrap();
        assert_eq!(b.role, Some(Role::Main));
    }
}

#[test]
fn a_main_that_lost_its_state_publishes_no_other_rows_than_the_newest_until_it_is_promoted() {
    for (as_is, rows) in [(false, generation(2)), (true, generation(3))] {
        let (mut a, _) = fleet();
        a.rows = generation(2);
        a.cycle(&settings(Role::Main));
        a.disk = None;
        assert!(matches!(a.cycle(&settings(Role::Main)), End::Done(Conclusion::Unchanged)), "the rows are the newest");
        a.disk = None;
        a.rows = generation(3);
        for _ in 0..2 {
            assert_eq!((a.cycle(&settings(Role::Main)).kind(), a.repository.len()), (Some(Kind::Fenced), 2));
        }
        assert_eq!(turn(&mut a, Role::Main, Role::Main, as_is).unwrap(), RoleChange::Changed);
        assert_eq!((&a.rows, places(&a).last()), (&rows, Some(&('a', 2, 3))));
    }
}

#[test]
fn a_promotion_that_could_not_publish_yet_takes_nothing_when_it_is_ordered_again() {
    let (_, mut b) = fleet();
    b.kinds = vec![("publish", Kind::RepositoryDenied)];
    let at = {
        let mut probe = b.clone();
        turn(&mut probe, Role::Replica, Role::Main, false).unwrap();
        probe.calls.iter().filter(|call| *call != "release").position(|call| call == "publish").unwrap()
    };
    b.faults = vec![(at, Fault::ErrorBefore)];
    assert_eq!(kind(turn(&mut b, Role::Replica, Role::Main, false)), Kind::RepositoryDenied);
    assert_eq!((b.role, b.repository.len()), (Some(Role::Main), 1));
    // People work on the new main meanwhile.
    b.rows = generation(5);
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, false).unwrap(), RoleChange::Changed);
    assert_eq!((&b.rows, places(&b).last()), (&generation(5), Some(&('b', 2, 2))));
}

#[test]
fn promoted_as_it_is_a_host_that_lost_most_rows_has_to_be_confirmed() {
    let mut a = World::new(generation(8));
    a.cycle(&settings(Role::Main));
    let mut most = generation(8);
    most.tables.iter_mut().find(|found| found.spec.name == "monitor").unwrap().rows.truncate(2);
    let mut b = World::new(most);
    b.id = main_id('b');
    b.share(&a);
    let promotion = Promotion { as_is: true, confirm_shrink: false };
    assert_eq!(kind(turn_with(&mut b, Role::Replica, Role::Main, promotion)), Kind::Shrunk);
    assert_eq!((b.role, b.repository.len(), b.state().main), (None, 1, None), "nothing is promoted");
    let promotion = Promotion { confirm_shrink: true, ..promotion };
    assert_eq!(turn_with(&mut b, Role::Replica, Role::Main, promotion).unwrap(), RoleChange::Changed);
    // Without a user there is nothing to confirm.
    let mut empty = World::new(Configuration::default());
    empty.share(&a);
    assert_eq!(kind(turn_with(&mut empty, Role::Replica, Role::Main, promotion)), Kind::NoUser);
}

#[test]
fn a_snapshot_that_a_promotion_overrules_is_reported() {
    let (mut a, mut b) = fleet();
    a.rows = generation(2);
    a.cycle(&settings(Role::Main));
    b.share(&a);
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, true).unwrap(), RoleChange::Changed);
    assert_eq!((b.did("report stray"), &b.rows), (1, &generation(1)));
    // A snapshot that was applied, or that has the same rows, is not overruled.
    let (a, mut b) = fleet();
    b.share(&a);
    turn(&mut b, Role::Replica, Role::Main, true).unwrap();
    assert_eq!(b.did("report stray"), 0);
}

#[test]
fn a_new_main_publishes_above_every_epoch_that_it_knows_of() {
    // The repository is lost, and a new one is there.
    let (_, mut b) = fleet();
    turn(&mut b, Role::Replica, Role::Main, false).unwrap();
    turn(&mut b, Role::Main, Role::Replica, false).unwrap();
    b.cycle(&settings(Role::Replica));
    b.repository.clear();
    assert_eq!(kind(turn(&mut b, Role::Replica, Role::Main, false)), Kind::OutOfOrder);
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, true).unwrap(), RoleChange::Changed);
    assert_eq!(places(&b), [('b', 3, 1)]);
    // It went back to an earlier epoch: what the main publishes comes after all that its replicas have.
    b.rows = generation(2);
    b.cycle(&settings(Role::Main));
    b.rows = generation(3);
    b.cycle(&settings(Role::Main));
    b.repository.clear();
    b.offer(&generation(1), &main_id('a'), 1, 1);
    b.rows = generation(4);
    assert!(matches!(b.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
    assert_eq!(places(&b).last(), Some(&('b', 3, 4)));
}

/// Such a number leaves no room for a later main: it would fence the fleet for ever.
/// A mistake in `repository`, or two fleets that share one, at any place in the order of snapshots.
#[test]
fn a_replica_takes_nothing_from_another_fleet() {
    for (epoch, sequence) in [(1, 1), (1, 2), (2, 1), (7, 3)] {
        for shared in [false, true] {
            let (_, mut b) = fleet();
            let own = b.repository.clone();
            if !shared {
                b.repository.clear();
            }
            b.offer(&generation(5), &main_id('f'), epoch, sequence);
            b.repository.last_mut().unwrap().0.tags.fleet = main_id('f');
            let context = format!("epoch {epoch}, sequence {sequence}, shared: {shared}");
            for _ in 0..2 {
                let End::Failed(error) = b.cycle(&settings(Role::Replica)) else { panic!("{context}: a failure") };
                assert_eq!((error.kind(), &b.rows), (Kind::OtherFleet, &generation(1)), "{context}");
                assert!(error.chain().contains("host alpha published snapshot"), "{error:?}");
                assert!(error.hint().contains("correct repository in config.toml"), "{error:?}");
            }
            // Nor does it become its main, which would end its epoch.
            for as_is in [false, true] {
                let end = turn(&mut b, Role::Replica, Role::Main, as_is);
                assert_eq!((kind(end), b.role, b.did("publish")), (Kind::OtherFleet, None, 0), "{context}");
            }
            b.repository = own;
            assert!(matches!(b.cycle(&settings(Role::Replica)), End::Done(Conclusion::UpToDate)), "{context}");
        }
    }
}

/// Both the main and the repository are lost: a replica is promoted as it is, in a new one, and later another.
#[test]
fn replicas_follow_their_fleet_into_a_new_repository() {
    let (a, mut b) = fleet();
    let mut c = World::new(generation(0));
    c.id = main_id('c');
    c.share(&a);
    assert!(matches!(c.cycle(&settings(Role::Replica)), End::Done(Conclusion::Applied(_))));
    let mut late = c.clone();
    b.repository.clear();
    assert_eq!(turn(&mut b, Role::Replica, Role::Main, true).unwrap(), RoleChange::Changed);
    c.share(&b);
    assert!(matches!(c.cycle(&settings(Role::Replica)), End::Done(Conclusion::UpToDate)));
    assert_eq!(turn(&mut c, Role::Replica, Role::Main, false).unwrap(), RoleChange::Changed);
    c.rows = generation(2);
    assert!(matches!(c.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
    // One that was off all the time sees only the last snapshot, by a main that it has never heard of.
    late.share(&c);
    late.repository.drain(..late.repository.len() - 1);
    assert!(matches!(late.cycle(&settings(Role::Replica)), End::Done(Conclusion::Applied(_))));
    assert_eq!((late.rows, late.repository[0].0.tags.fleet.clone()), (generation(2), a.id));
}

#[test]
fn a_place_that_no_main_can_have_fences_nobody() {
    for (epoch, sequence) in [(u64::MAX, 1), (u64::MAX, u64::MAX), (1, u64::MAX), (1 << 40, 2), (2, 1 << 33)] {
        let (mut a, mut b) = fleet();
        a.offer(&generation(5), &main_id('f'), epoch, sequence);
        a.offer(&generation(5), &a.id.clone(), epoch, sequence);
        b.share(&a);
        a.rows = generation(3);
        let end = a.cycle(&settings(Role::Main));
        assert!(matches!(end, End::Done(Conclusion::Published(_))), "{epoch}, {sequence}: {end:?}");
        b.share(&a);
        assert!(b.cycle(&settings(Role::Replica)).applied(), "{epoch}, {sequence}");
        assert_eq!(b.rows, generation(3));
        turn(&mut b, Role::Replica, Role::Main, false).unwrap();
        assert_eq!(b.repository.last().unwrap().0.tags.place.epoch, 2);
    }
    // A host that has seen the last epoch cannot go above it, and says so.
    let (_, mut b) = fleet();
    let mut state = b.state();
    state.replica.applied.as_mut().unwrap().place.epoch = u64::MAX;
    b.disk = Some(state.render());
    assert_eq!(kind(turn(&mut b, Role::Replica, Role::Main, true)), Kind::OutOfOrder);
    assert_eq!(b.role, None);
}

#[test]
fn strays_are_recognised_by_order_and_not_by_time() {
    let mut world = World::new(Configuration::default());
    let mut at = |main: char, epoch: u64, sequence: u64| world.offer(&generation(0), &main_id(main), epoch, sequence);
    at('a', 1, 8);
    let last = at('a', 1, 9);
    at('b', 2, 9);
    at('b', 2, 10);
    let listing = |world: &World, leave: usize| Listing {
        snapshots: world.repository.iter().skip(leave).map(|(snapshot, _)| snapshot.clone()).collect(),
        ..Listing::default()
    };
    assert_eq!(decide::stray(&listing(&world, 0)).map(|stray| stray.id.clone()), Some(last));
    // With a gap as a promotion leaves it, there is none.
    assert!(decide::stray(&listing(&world, 2)).is_none());
    let mut world = World::new(Configuration::default());
    world.offer(&generation(0), &main_id('a'), 1, 8);
    world.offer(&generation(0), &main_id('b'), 2, 9);
    assert!(decide::stray(&listing(&world, 0)).is_none());
    // Another main in the same epoch that lost the race for the place before the newest.
    let lost = world.offer(&generation(1), &main_id('c'), 2, 9);
    world.offer(&generation(0), &main_id('b'), 2, 10);
    assert_eq!(decide::stray(&listing(&world, 0)).map(|stray| stray.id.clone()), Some(lost));
}

#[test]
fn a_role_is_written_without_touching_the_rest_of_the_file() {
    let path = Path::new("config.toml");
    let text = "# ours\nrole = \"replica\"  # for now\nrepository='/r'\n\n[replica]\nstrategy = \"snapshot\"\n";
    let changed = config::with(text, &["role"], "main", path).unwrap();
    assert_eq!(changed, text.replace("\"replica\"  #", "\"main\"  #"));
    assert_eq!(Settings::parse(&changed, path).unwrap().role, Role::Main);
    assert_eq!(config::with("role = ", &["role"], "main", path).unwrap_err().kind(), Kind::Config);
}

#[test]
fn nothing_without_a_user_is_made_the_main() {
    let (_, mut b) = fleet();
    let mut without = generation(2);
    without.tables.iter_mut().find(|table| table.spec.name == "user").unwrap().rows.clear();
    // As the newest snapshot it is not taken over, and if it is what is here, nothing can be published.
    b.offer(&without, &main_id('a'), 1, 2);
    assert_eq!(kind(turn(&mut b, Role::Replica, Role::Main, false)), Kind::NoUser);
    b.rows = without;
    let count = b.repository.len();
    assert_eq!(kind(turn(&mut b, Role::Replica, Role::Main, true)), Kind::NoUser);
    assert_eq!((b.role, b.repository.len()), (None, count));
    assert!(b.state().main.is_none(), "it is no main");
}

/// A configuration of generation 1 with these settings.
fn with_settings(rows: &[(&str, &str)]) -> Configuration {
    let mut configuration = generation(1);
    let rows = rows.iter().map(|(key, value)| vec![t(key), t("general"), t(value)]).collect();
    configuration.tables.push(table("setting", &["key", "type", "value"], rows));
    configuration
}

fn set(world: &mut World, key: &str, value: &str) {
    let table = world.rows.table_mut("setting").unwrap();
    table.rows.retain(|row| row[0] != t(key));
    table.rows.push(vec![t(key), t("general"), t(value)].into());
    table.sort();
}

/// The settings of a host, as `key=value`.
fn shown(configuration: &Configuration) -> String {
    let table = configuration.table("setting").unwrap();
    let text = |row: &[Value], column: &str| table.value(row, column).as_text().unwrap_or_default().to_owned();
    let rows = table.rows.iter().map(|row| format!("{}={}", text(row, "key"), text(row, "value")));
    rows.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_promoted_host_publishes_the_settings_of_the_fleet_until_a_person_sets_them_there() {
    let mut a = World::new(with_settings(&[("apiKeysEnabled", "true"), ("checkBeta", "a"), ("steamAPIKey", "k")]));
    a.cycle(&settings(Role::Main));
    let listing = eager("settings = [\"apiKeysEnabled\", \"steamAPIKey\"]");
    let (mut b, mut c) = (World::new(with_settings(&[("checkBeta", "b")])), World::new(with_settings(&[])));
    (b.id, c.id) = (main_id('b'), main_id('c'));
    for (host, settings) in [(&mut b, &settings(Role::Replica)), (&mut c, &listing)] {
        host.share(&a);
        host.cycle(settings);
    }
    assert_eq!(shown(&c.rows), "apiKeysEnabled=true steamAPIKey=k");

    turn(&mut b, Role::Replica, Role::Main, false).unwrap();
    assert_eq!(b.did("report warning"), 1, "the other value of checkBeta: {:?}", b.calls);
    assert_eq!(shown(&b.rows), "checkBeta=b", "its own Uptime Kuma gets none that it does not list");
    assert!(matches!(b.cycle(&settings(Role::Main)), End::Done(Conclusion::Unchanged)));
    c.share(&b);
    assert!(c.cycle(&listing).up_to_date());
    assert_eq!((shown(&c.rows), c.stops, c.commits), ("apiKeysEnabled=true steamAPIKey=k".to_owned(), 0, 1));

    // What is set there counts, and only that.
    set(&mut b, "apiKeysEnabled", "false");
    assert!(matches!(b.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
    c.share(&b);
    c.cycle(&listing);
    assert_eq!(shown(&c.rows), "apiKeysEnabled=false steamAPIKey=k");

    // The next main goes on with both, whether it takes the newest snapshot first or not.
    for as_is in [false, true] {
        let mut d = World::new(with_settings(&[]));
        d.id = main_id('d');
        d.share(&b);
        d.cycle(&settings(Role::Replica));
        turn(&mut d, Role::Replica, Role::Main, as_is).unwrap();
        let (_, published) = d.repository.last().unwrap();
        let published = dump::parse(published).unwrap().configuration;
        assert_eq!(shown(&published), "apiKeysEnabled=false checkBeta=b steamAPIKey=k", "as it is: {as_is}");
    }
}

/// A main that finds out that another host was promoted, and is demoted: nobody has to look at it any more.
#[test]
fn status_is_well_at_once_after_a_demotion() {
    let (mut a, mut b) = fleet();
    turn(&mut b, Role::Replica, Role::Main, false).unwrap();
    a.share(&b);
    a.booted = a.clock;
    assert_eq!(a.cycle(&settings(Role::Main)).kind(), Some(Kind::Fenced));
    let alarm = |world: &World| {
        let limit = std::time::Duration::from_secs(1800);
        decide::alarm(&world.state(), world.clock, limit, &jiff::tz::TimeZone::UTC).map_err(|error| error.kind())
    };
    assert_eq!(alarm(&a), Err(Kind::Fenced));
    turn(&mut a, Role::Main, Role::Replica, false).unwrap();
    assert_eq!((alarm(&a), a.state().last_order.unwrap().verb), (Ok(()), "demote".to_owned()));
    // A failure after it counts.
    a.named = vec![("look", Fault::ErrorBefore)];
    assert_eq!(a.cycle(&settings(Role::Replica)).kind(), Some(Kind::RepositoryUnreachable));
    assert_eq!(alarm(&a), Err(Kind::RepositoryUnreachable));
}
