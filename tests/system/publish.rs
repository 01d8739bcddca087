//! The agent of a main killed or stopped at each step of a publish and at random points of it, and the main's
//! power cut there. Replicas must see a whole newest snapshot, and the main must not take its own for another's.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::Test;
use crate::chance::{Chance, Rounds};
use crate::news::News;
use crate::stand_in::{close, gate_restic, open_all, put_in_place, wait_at};
use crate::target::{CYCLE, Target, holds};
use crate::testbed::{Machine, Result, signal};
use crate::world::{Pair, SOON, Setup, expect, state};

pub const TESTS: &[Test] =
    &[("a_publish_interrupted_at_each_step_and_at_random_points_publishes_once_and_whole", anywhere)];

/// How often a publish is killed at a random point.
const RANDOM: usize = 10;

fn anywhere() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, _) = News::new(pair)?;
        expect(&pair.replica, 0, "applied")?;
        put_in_place(&pair.replica)?;
        gate_restic(&pair.main)?;
        let mut main = Target::new(&pair.main)?;
        for hold in [before, during, after] {
            for strike in [kill, stop, cut] {
                struck(pair, &mut news, &mut main, |main| {
                    hold(pair, main)?;
                    strike(main)
                })?;
            }
        }
        let (mut chance, rounds) = (Chance::new()?, Rounds::new(RANDOM)?);
        let (seed, mut round) = (chance.seed, 0);
        while rounds.go_on(round) {
            round += 1;
            let delay = chance.within(Duration::from_millis(1200));
            struck(pair, &mut news, &mut main, |main| {
                main.begin()?;
                thread::sleep(delay.saturating_sub(main.age()));
                if let Some(agent) = main.replica.process(CYCLE) {
                    signal(agent, Signal::KILL);
                }
                Ok(Power::Stayed)
            })
            .map_err(|error| format!("seed {seed}, after {delay:?}: {error}"))?;
        }
        Ok(())
    })
}

/// Whether a strike took the power away.
#[derive(PartialEq, Eq)]
enum Power {
    Stayed,
    Went,
}

/// restic is about to begin.
fn before(_: &Pair, main: &mut Target<'_>) -> Result<()> {
    close(main.replica, "before-backup")?;
    main.begin()?;
    wait_at(main.replica, "at-backup")
}

/// restic has its lock in the repository.
fn during(pair: &Pair, main: &mut Target<'_>) -> Result<()> {
    let locks = || std::fs::read_dir(pair.repository.path().join("locks"));
    // In case it is not struck in time.
    close(main.replica, "after-backup")?;
    // Those of restics that were killed.
    for lock in locks()? {
        std::fs::remove_file(lock?.path())?;
    }
    main.begin()?;
    // Looked for closely, as it is there for a moment only.
    while locks()?.next().is_none() {
        holds(main.age() < SOON, || "restic never had a lock".to_owned())?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The snapshot is in the repository, and the agent does not know yet.
fn after(_: &Pair, main: &mut Target<'_>) -> Result<()> {
    close(main.replica, "after-backup")?;
    main.begin()?;
    wait_at(main.replica, "done-backup")
}

fn kill(main: &mut Target<'_>) -> Result<Power> {
    signal(main.agent()?, Signal::KILL);
    Ok(Power::Stayed)
}

fn stop(main: &mut Target<'_>) -> Result<Power> {
    main.replica.run(&["systemctl", "stop", "kuma-replicator"])?;
    Ok(Power::Stayed)
}

fn cut(main: &mut Target<'_>) -> Result<Power> {
    main.replica.power_cut()?;
    main.watch_again()?;
    Ok(Power::Went)
}

/// Something new is published, and struck on the way. The next cycle completes it.
fn struck(
    pair: &Pair,
    news: &mut News<'_>,
    main: &mut Target<'_>,
    strike: impl FnOnce(&mut Target<'_>) -> Result<Power>,
) -> Result<()> {
    let before = sequences(&pair.main)?;
    news.change("struck")?;
    let power = strike(main)?;
    open_all(&pair.main)?;
    main.look()?;
    if power == Power::Went {
        news.booted()?;
    }
    main.begin()?;
    let now = main.look()?;
    holds(now.ended.0 == "0", || {
        format!("the next cycle of the main: {now:?} {}", state(&pair.main).unwrap_or_default())
    })?;
    let newest = news.newest()?;
    holds(newest.digest == now.digest, || format!("the newest is {newest:?}, the main has {now:?}"))?;
    let after = sequences(&pair.main)?;
    let unique: BTreeSet<u64> = after.iter().copied().collect();
    let one_more =
        after.len() == before.len() + 1 && unique.len() == after.len() && unique.last() == Some(&newest.sequence);
    holds(one_more, || format!("it was not published once: {before:?}, {after:?}, {newest:?}"))?;
    expect(&pair.replica, 0, "applied")?;
    holds(newest.is(&state(&pair.replica)?["replica"]["applied"]["snapshot"]), || "the replica has another".to_owned())
}

/// The sequences of all snapshots.
fn sequences(main: &Machine) -> Result<Vec<u64>> {
    let listing: Value = serde_json::from_str(&main.run(&["kuma-replicator", "snapshots", "--json"])?)?;
    let snapshots = listing["snapshots"].as_array().ok_or("no list of snapshots")?;
    Ok(snapshots.iter().filter_map(|snapshot| snapshot["sequence"].as_u64()).collect())
}
