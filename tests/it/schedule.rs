//! Promise: the timer runs often, and what it runs costs something only when there is something to do. What a person runs is
//! never put off.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use kuma_replicator::config::Settings;
use kuma_replicator::decide::{AFTER_NEWS, is_due, turn};
use kuma_replicator::host::store::{Store, forget_failure, has_failed_within, remember_failure};
use kuma_replicator::model::looked::{LastLook, LookCost};
use kuma_replicator::model::origin::Origin;
use kuma_replicator::model::state::{Intent, State};

use crate::support::generations::{generation, rows_mut};
use crate::support::host::{World, main_id, replica};
use crate::support::rows::t;

fn settings(role: &str, lines: &str) -> Settings {
    let text = format!("role = \"{role}\"\nrepository = \"/srv/kuma\"\n[replica]\n{lines}");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

#[test]
fn a_replica_looks_as_often_as_suits_what_a_look_costs() {
    let (booted, looked) = (Timestamp::UNIX_EPOCH, "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap());
    let due = |lines: &str, cost, seconds| {
        let mut state = State::default();
        state.replica.looked = Some(LastLook { at: looked, cost });
        is_due(&settings("replica", lines), &state, looked + SignedDuration::from_secs(seconds), booted)
    };
    for (lines, cost, not_yet, then) in [
        ("", LookCost::Request, 10, 20),
        ("look-every = \"auto\"", LookCost::Request, 10, 20),
        ("", LookCost::Restic, 50, 60),
        ("look-every = \"5m\"", LookCost::Little, 290, 300),
        ("look-every = \"30s\"", LookCost::Restic, 20, 30),
    ] {
        let found = [not_yet, then - 1, then, then + 100_000].map(|seconds| due(lines, cost, seconds));
        assert_eq!(found, [false, true, true, true], "{lines}, {cost:?}: the timer is not exact to a second");
        assert!(due(lines, cost, -1), "a clock that went back proves nothing");
    }
    assert!(due("", LookCost::Little, 0), "it costs less than the start of the run");
}

#[test]
fn a_replica_that_applied_a_moment_ago_looks_with_each_run() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&replica("")).applied());
    let mut state = world.state();
    let applied = state.replica.applied.as_ref().unwrap().at;
    let mut due = |lines: &str, cost, after: Duration| {
        let at = applied + after - Duration::from_secs(10);
        state.replica.looked = Some(LastLook { at, cost });
        is_due(&settings("replica", lines), &state, applied + after, Timestamp::UNIX_EPOCH)
    };
    let (soon, late) = (AFTER_NEWS - Duration::from_secs(1), AFTER_NEWS);
    assert_eq!((due("", LookCost::Request, soon), due("", LookCost::Request, late)), (true, false));
    assert!(!due("", LookCost::Restic, soon), "a restic is dear");
    assert!(!due("look-every = \"20s\"", LookCost::Request, soon), "what was ordered");
}

#[test]
fn a_main_a_first_run_a_boot_and_an_interrupted_apply_are_always_due() {
    let looked: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let (soon, before) = (looked + SignedDuration::from_secs(1), looked - SignedDuration::from_secs(1));
    let (follows, leads) = (settings("replica", "look-every = \"1h\""), settings("main", "look-every = \"1h\""));
    let mut state = State::default();
    assert!(is_due(&follows, &state, soon, before));
    state.replica.looked = Some(LastLook { at: looked, cost: LookCost::Restic });
    assert!(!is_due(&follows, &state, soon, before));
    assert!(is_due(&leads, &state, soon, before));
    assert!(is_due(&follows, &state, soon, soon), "it was booted since");
    let origin = Origin::Restore { name: "previous".to_owned() };
    let (start, since) = (true, looked);
    let dependents = Vec::new();
    state.intent = Some(Intent { origin, start, dependents, since, previous: None, written: false, telling: None });
    assert!(is_due(&follows, &state, soon, before));
}

#[test]
fn a_replica_remembers_when_it_looked_and_what_that_costs() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&replica("")).applied());
    let first = world.state().replica.looked.unwrap();
    assert_eq!(first.cost, LookCost::Little);
    world.cycle(&replica(""));
    assert!(world.state().replica.looked.unwrap().at > first.at);
}

#[test]
fn a_failure_is_remembered_until_another_run_begins() {
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    assert!(!has_failed_within(directory.path(), hour, Timestamp::MIN));
    drop(Store::lock(directory.path()).unwrap());
    for _ in 0..2 {
        remember_failure(directory.path());
        assert!(has_failed_within(directory.path(), hour, Timestamp::MIN));
        assert!(
            !has_failed_within(directory.path(), hour, Timestamp::now() + SignedDuration::from_secs(1)),
            "a boot ago"
        );
    }
    let file = std::fs::File::options().write(true).open(directory.path().join("failed")).unwrap();
    for (modified, expected) in [(SystemTime::now() - 2 * hour, false), (SystemTime::now() + hour, false)] {
        file.set_modified(modified).unwrap();
        assert_eq!(has_failed_within(directory.path(), hour, Timestamp::MIN), expected, "{modified:?}");
    }
    remember_failure(directory.path());
    forget_failure(directory.path());
    assert!(!has_failed_within(directory.path(), hour, Timestamp::MIN));
}

#[test]
fn replicas_take_turns_to_restart() {
    let turns: Vec<Duration> = "0123456789abcdef".chars().map(|letter| turn(&main_id(letter))).collect();
    assert!(turns.is_sorted_by(|one, next| one < next), "{turns:?}");
    assert_eq!((turns[0], turns[15] < Duration::from_secs(30)), (Duration::ZERO, true));

    // Before a restart that the timer brings, a replica waits, and then looks and plans once more.
    let behind = |by_timer| {
        let mut world = World::new(generation(0));
        world.offer(&generation(1), &main_id('b'), 1, 1);
        world.by_timer = by_timer;
        world
    };
    let always = replica("restart = \"always\"");
    let mut world = behind(true);
    assert!(world.cycle(&always).applied());
    let at = |name: &str| world.calls.iter().position(|call| call == name).unwrap();
    assert!(at("fetch") < at("pause") && at("pause") < at("stop"), "{:?}", world.calls);
    assert_eq!((world.did("look"), world.did("fetch")), (2, 2));
    let said = |name: &str| world.story.iter().filter(|(event, _)| *event == name).count();
    assert_eq!((said("fetched"), said("planned")), (1, 1), "nothing is said twice");
    // Nobody waits for nothing: not for what is in force, not if Uptime Kuma is stopped, and not a person.
    world.cycle(&always);
    assert_eq!(world.did("pause"), 0, "{:?}", world.calls);
    let mut stopped = behind(true);
    stopped.running = false;
    for mut world in [stopped, behind(false)] {
        assert!(world.cycle(&always).applied());
        assert_eq!(world.did("pause"), 0, "{:?}", world.calls);
    }
    // What is written while Uptime Kuma runs does not wait either.
    let mut renamed = generation(1);
    rows_mut(&mut renamed, "tag")[0][1] = t("live");
    let mut world = behind(false);
    assert!(world.cycle(&replica("")).applied());
    world.by_timer = true;
    world.offer(&renamed, &main_id('b'), 1, 2);
    assert!(world.cycle(&replica("")).applied());
    assert_eq!((world.did("pause"), world.did("write_live")), (0, 1), "{:?}", world.calls);
}
