//! The agent of a replica killed at random points of an apply, hundreds of times: with a stand-in that is quick, and
//! with the real Uptime Kuma. Nobody but the unit itself starts Uptime Kuma again; then the next cycle runs.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::Test;
use crate::chance::{Chance, Rounds};
use crate::news::{Newest, News};
use crate::stand_in::{open_all, put_in_place};
use crate::steps::{planned, started, stopping, written};
use crate::target::{CYCLE, Target, holds};
use crate::testbed::{Machine, Result, signal};
use crate::world::{Pair, Setup, expect, host};

pub const TESTS: &[Test] = &[
    ("an_apply_killed_at_random_points_of_each_phase_loses_nothing_a_hundred_times", in_any_phase),
    ("an_apply_to_a_real_uptime_kuma_killed_at_random_points_loses_nothing_twenty_times", real),
];

/// Where the agent is led first, and the events between which it is then killed.
type Point = (Hold, &'static str, &'static str);

/// Brings the agent of a new cycle to a point.
type Hold = fn(&mut Target<'_>) -> Result<Pid>;

/// With a stand-in and its gates.
const GATED: &[Point] = &[
    (planned, "planned", "stopping"),
    (stopping, "stopping", "written"),
    (written, "written", "started"),
    (started, "started", "applied"),
];

/// With the real Uptime Kuma, which takes its time to stop and to start.
const REAL: &[Point] = &[
    (|target| at_event(target, "stopping"), "stopping", "written"),
    (|target| at_event(target, "started"), "started", "applied"),
];

/// The events of a whole cycle, with their times since it was ordered.
type Timing = [(String, Duration)];

/// Kills by the phase they came in.
type Kills = BTreeMap<String, usize>;

fn in_any_phase() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, _) = News::new(pair)?;
        expect(&pair.replica, 0, "applied")?;
        put_in_place(&pair.replica)?;
        let targets = vec![Target::new(&pair.replica)?];
        let kills = rounds_of_kills(&mut news, targets, 100, GATED)?;
        hit(&kills, &["stopping", "stopped", "written", "started"])
    })
}

fn hit(kills: &Kills, phases: &[&str]) -> Result<()> {
    holds(phases.iter().all(|phase| kills.contains_key(*phase)), || format!("a phase was not hit: {kills:?}"))
}

fn at_event(target: &mut Target<'_>, event: &str) -> Result<Pid> {
    target.begin()?;
    target.until(event)?;
    target.agent()
}

/// One point after the other, then one at any time; and how long the agent goes on from there.
fn aim(points: &[Point], timing: &Timing, round: usize, chance: &mut Chance) -> (Option<Hold>, Duration) {
    let time = |event: &str| timing.iter().find(|(name, _)| name == event).map_or(Duration::ZERO, |(_, at)| *at);
    match points.get(round % (points.len() + 1)) {
        Some((hold, from, to)) => (Some(*hold), chance.within(time(to).saturating_sub(time(from)))),
        None => (None, chance.within(time("applied"))),
    }
}

fn real() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, _) = News::new(pair)?;
        // It waits most of the time, so several replicas are struck side by side.
        let more = thread::scope(|scope| {
            let boot = |name| scope.spawn(move || host(name, "replica", &pair.repository, None, ""));
            let booting = ["second", "third"].map(boot);
            booting.into_iter().map(|machine| machine.join().unwrap()).collect::<Result<Vec<Machine>>>()
        })?;
        let mut targets = Vec::new();
        for replica in more.iter().chain([&pair.replica]) {
            replica.kuma()?;
            expect(replica, 0, "applied")?;
            targets.push(Target::new(replica)?);
        }
        hit(&rounds_of_kills(&mut news, targets, 20, REAL)?, &["stopping", "started"])
    })
}

/// Publishes, strikes and heals until `count` agents were killed in an apply.
#[allow(clippy::print_stderr)]
fn rounds_of_kills(news: &mut News<'_>, mut targets: Vec<Target<'_>>, count: usize, points: &[Point]) -> Result<Kills> {
    let (mut chance, rounds) = (Chance::new()?, Rounds::new(count)?);
    let seed = chance.seed;
    let mut kills = Kills::new();
    let (mut round, mut recovered) = (0, 0);
    // How long a cycle takes on this machine today.
    let newest = news.publish()?;
    each(&mut targets, |target| target.heal(&target.before.clone(), &newest))?;
    let timings: Vec<Vec<(String, Duration)>> = targets.iter().map(|target| target.events.clone()).collect();
    while rounds.go_on(kills.values().sum()) {
        let newest = news.publish()?;
        let mut aims = Vec::new();
        for timing in &timings {
            aims.push(aim(points, timing, round, &mut chance));
            round += 1;
        }
        if timings.len() > 1 {
            // Each replica gets each point in turn.
            round += 1;
        }
        let mut aimed = aims.iter().zip(&mut targets).collect::<Vec<_>>();
        let hits = each(&mut aimed, |(aim, target)| {
            strike(target, **aim, &newest)
                .map_err(|error| format!("seed {seed}, {:?} on, {:?}: {error}", aim.1, target.events).into())
        })?;
        for (phase, again) in hits.into_iter().flatten() {
            *kills.entry(phase).or_default() += 1;
            recovered += usize::from(again);
        }
    }
    eprintln!("seed {seed}: killed in {kills:?}; {recovered} times the unit started Uptime Kuma again");
    holds(recovered > 0, || format!("nothing was ever recovered: {kills:?}"))?;
    Ok(kills)
}

/// Does something on all at the same time.
fn each<T: Send, R: Send>(all: &mut [T], what: impl Fn(&mut T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let what = &what;
    thread::scope(|scope| {
        let running: Vec<_> = all.iter_mut().map(|one| scope.spawn(move || what(one))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// Kills the agent of a cycle, lets everything come to rest, and runs the next one. If the agent was still there to
/// be killed, returns its phase and whether the unit started Uptime Kuma again.
fn strike(
    target: &mut Target<'_>,
    (hold, delay): (Option<Hold>, Duration),
    newest: &Newest,
) -> Result<Option<(String, bool)>> {
    let agent = if let Some(hold) = hold {
        let agent = hold(target)?;
        open_all(target.replica)?;
        thread::sleep(delay);
        Some(agent)
    } else {
        target.begin()?;
        thread::sleep(delay.saturating_sub(target.age()));
        target.replica.process(CYCLE)
    };
    // It may have ended by itself.
    if let Some(agent) = agent {
        signal(agent, Signal::KILL);
    }
    let struck = target.check_struck(newest)?;
    let hit = (struck.ended.1 == "signal").then(|| (target.phase().to_owned(), target.has("recovered")));
    target.heal(&struck, newest)?;
    Ok(hit)
}
