//! The power of a replica cut at random points of an apply, and a shutdown in the middle of one. Nobody
//! intervenes afterwards: the boot starts Uptime Kuma, and the timer the next cycle.

use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use crate::Test;
use crate::chance::{Chance, Rounds};
use crate::news::{Newest, News};
use crate::stand_in::{open_all, put_in_place};
use crate::steps::{started, stopped, stopping, writing, written};
use crate::target::{Target, holds};
use crate::testbed::{Result, wait_for};
use crate::world::{Pair, SOON, Setup, expect, state};

pub const TESTS: &[Test] = &[
    ("a_power_cut_at_ten_random_points_of_an_apply_heals_by_itself", cut),
    ("a_shutdown_in_an_apply_does_not_start_uptime_kuma_and_the_boot_goes_on", shut_down),
];

/// The timer as shipped waits a minute or more after a boot.
const TIMER: &str = "[Timer]\nOnBootSec=\nOnBootSec=3s\nOnUnitActiveSec=10s\n";

/// Where the agent is held while Uptime Kuma is down.
const HELD: [fn(&mut Target<'_>) -> Result<Pid>; 5] = [stopping, stopped, writing, written, started];

#[allow(clippy::print_stderr)]
fn cut() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, mut target) = timed(pair)?;
        let newest = news.publish()?;
        target.heal(&target.before.clone(), &newest)?;
        let length = target.events.last().map_or(Duration::ZERO, |(_, at)| *at);
        let (mut chance, rounds) = (Chance::new()?, Rounds::new(10)?);
        let (seed, mut round, mut phases) = (chance.seed, 0, Vec::new());
        while rounds.go_on(round) {
            let newest = news.publish()?;
            let (step, delay) = (HELD.get(round % (2 * HELD.len())), chance.within(length));
            // Half of them where Uptime Kuma is down, which is for moments only; the others at any time.
            if let Some(step) = step {
                step(&mut target)?;
            } else {
                target.begin()?;
                thread::sleep(delay.saturating_sub(target.age()));
            }
            pair.replica.power_off()?;
            target.catch_up();
            phases.push(target.phase().to_owned());
            open_all(&pair.replica)?;
            pair.replica.power_on()?;
            heals(&mut target, &newest).map_err(|error| format!("seed {seed}, {delay:?}, {phases:?}: {error}"))?;
            round += 1;
        }
        eprintln!("seed {seed}: cut off in {phases:?}");
        Ok(())
    })
}

/// A pair with a stand-in on the replica, whose timer comes soon after a boot.
fn timed<'a>(pair: &'a Pair) -> Result<(News<'a>, Target<'a>)> {
    let (news, _) = News::new(pair)?;
    expect(&pair.replica, 0, "applied")?;
    put_in_place(&pair.replica)?;
    let directory = pair.replica.root().join("etc/systemd/system/kuma-replicator.timer.d");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("soon.conf"), TIMER)?;
    pair.replica.run(&["systemctl", "enable", "kuma-replicator.timer"])?;
    Ok((news, Target::new(&pair.replica)?))
}

/// After a boot: the rows are whole at once, and the timer brings the newest.
fn heals(target: &mut Target<'_>, newest: &Newest) -> Result<()> {
    target.watch_again()?;
    let booted = target.look()?;
    let whole = booted.digest == target.before.digest || booted.digest == newest.digest;
    holds(whole, || format!("B: the rows are {booted:?}, neither of {:?} nor of {newest:?}", target.before))?;
    let replica = target.replica;
    wait_for("the timer heals it", SOON, || {
        let state = state(replica)?;
        let done = newest.is(&state["replica"]["applied"]["snapshot"]) && state.get("intent").is_none();
        Ok(done.then_some(()))
    })?;
    let healed = target.look()?;
    target.check_healed(&booted, healed, newest)
}

fn shut_down() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, mut target) = timed(pair)?;
        let newest = news.publish()?;
        stopping(&mut target)?;
        // The shutdown waits for the stop that the agent waits for.
        pair.replica.reboot_while(|| {
            wait_for("the shutdown has begun", SOON, || {
                let running = pair.replica.output(&["systemctl", "is-system-running"])?;
                Ok(running.stdout.starts_with(b"stopping").then_some(()))
            })?;
            open_all(&pair.replica)
        })?;
        heals(&mut target, &newest)?;
        // In the boot before, nothing started it after the agent had stopped it.
        let log = pair.replica.run(&["journalctl", "-b", "-1", "-o", "cat", "--no-pager"])?;
        let (_, after) = log.rsplit_once("\nstopping uptime-kuma.service\n").unwrap_or_default();
        holds(!after.is_empty(), || format!("the journal of the boot before is not there:\n{log}"))?;
        holds(!after.contains("\nStarted uptime-kuma"), || format!("it was started in a shutdown:\n{after}"))
    })
}
