//! The agent of a replica killed or stopped at each step of an apply. Gates hold it there.

use rustix::process::{Pid, Signal};

use crate::Test;
use crate::news::{Newest, News};
use crate::stand_in::{close, gate_restic, open, open_all, put_in_place, wait_at};
use crate::target::{CYCLE, Look, Target, holds};
use crate::testbed::{Machine, Result, signal, wait_for};
use crate::world::{Pair, SOON, Setup, expect, state};

pub const TESTS: &[Test] =
    &[("an_apply_killed_or_stopped_at_each_step_loses_nothing_and_restarts_nothing_twice", each_step)];

/// A step: its name, how the agent is held there, and whether the old rows and the new rows may be there then.
struct Step {
    name: &'static str,
    hold: fn(&mut Target<'_>) -> Result<Pid>,
    old: bool,
    new: bool,
}

const STEPS: &[Step] = &[
    Step { name: "while it looks", hold: looking, old: true, new: false },
    Step { name: "while it fetches", hold: fetching, old: true, new: false },
    Step { name: "before the intent", hold: planned, old: true, new: false },
    Step { name: "while it stops Uptime Kuma", hold: stopping, old: true, new: false },
    Step { name: "while it waits for the database", hold: stopped, old: true, new: false },
    Step { name: "in the transaction", hold: writing, old: true, new: true },
    Step { name: "after the commit", hold: written, old: false, new: true },
    Step { name: "while it waits for an answer", hold: started, old: false, new: true },
    Step { name: "while it records", hold: recording, old: false, new: true },
];

/// A replica with a stand-in and a restic with gates.
pub fn gated<'a>(pair: &'a Pair) -> Result<(News<'a>, Newest, Target<'a>)> {
    let (news, newest) = News::new(pair)?;
    expect(&pair.replica, 0, "applied")?;
    put_in_place(&pair.replica)?;
    gate_restic(&pair.replica)?;
    Ok((news, newest, Target::new(&pair.replica)?))
}

fn looking(target: &mut Target<'_>) -> Result<Pid> {
    at_restic(target, "snapshots")
}

fn fetching(target: &mut Target<'_>) -> Result<Pid> {
    at_restic(target, "dump")
}

fn at_restic(target: &mut Target<'_>, command: &str) -> Result<Pid> {
    close(target.replica, &format!("before-{command}"))?;
    target.begin()?;
    wait_at(target.replica, &format!("at-{command}"))?;
    target.agent()
}

/// It asks whether Uptime Kuma answers before it stops it.
pub fn planned(target: &mut Target<'_>) -> Result<Pid> {
    close(target.replica, "answer")?;
    target.begin()?;
    target.until("planned")?;
    target.agent()
}

/// Uptime Kuma received the signal to stop and has not ended.
pub fn stopping(target: &mut Target<'_>) -> Result<Pid> {
    close(target.replica, "stop")?;
    target.begin()?;
    target.until("stopping")?;
    let unit = ["systemctl", "is-active", "uptime-kuma"];
    wait_for("it is being stopped", SOON, || {
        Ok(target.replica.output(&unit)?.stdout.starts_with(b"deactivating").then_some(()))
    })?;
    target.agent()
}

/// Another program has the database open.
pub fn stopped(target: &mut Target<'_>) -> Result<Pid> {
    let reader = "echo 'BEGIN; SELECT count(*) FROM monitor; \n.shell touch /var/lib/gates/inside; exec sleep infinity' \
        | sqlite3 /var/lib/uptime-kuma/kuma.db";
    target.replica.run(&["systemd-run", "--unit=stranger", "--collect", "bash", "-c", reader])?;
    wait_at(target.replica, "inside")?;
    target.begin()?;
    target.until("stopped")?;
    target.agent()
}

/// The previous configuration is kept, the transaction begun, and not yet committed, or only just.
pub fn writing(target: &mut Target<'_>) -> Result<Pid> {
    let agent = stopping(target)?;
    // In case it is not held in time.
    close(target.replica, "start")?;
    open(target.replica, "stop");
    // Looked for without a pause, as a transaction does not take long.
    while state(target.replica)?["intent"].get("previous").is_none() {
        holds(target.age() < SOON, || "the previous configuration was never kept".to_owned())?;
    }
    holds(signal(agent, Signal::STOP), || "the agent has ended".to_owned())?;
    Ok(agent)
}

/// The start job waits.
pub fn written(target: &mut Target<'_>) -> Result<Pid> {
    close(target.replica, "start")?;
    target.begin()?;
    target.until("written")?;
    target.agent()
}

/// Uptime Kuma runs and does not answer.
pub fn started(target: &mut Target<'_>) -> Result<Pid> {
    let agent = stopping(target)?;
    close(target.replica, "answer")?;
    open(target.replica, "stop");
    target.until("started")?;
    Ok(agent)
}

/// Uptime Kuma answers, the snapshot in force is being kept, and the state that says so is written next.
fn recording(target: &mut Target<'_>) -> Result<Pid> {
    let agent = started(target)?;
    let new = target.replica.root().join("var/lib/kuma-replicator/applied.dump.new");
    open(target.replica, "answer");
    // Looked for without a pause, as it is there for a moment only; on a busy machine it may be missed: see `held`.
    while !(0..1000).any(|_| new.exists()) && target.replica.process(CYCLE).is_some() {}
    signal(agent, Signal::STOP);
    Ok(agent)
}

/// Lets everything go on that was held.
pub fn free(replica: &Machine) -> Result<()> {
    open_all(replica)?;
    // There is not always one.
    replica.output(&["systemctl", "stop", "stranger"]).map(drop)
}

fn each_step() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, _, mut target) = gated(pair)?;
        for step in STEPS {
            for strike in [killed, interrupted] {
                let (newest, agent) =
                    held(&mut news, &mut target, step).map_err(|error| format!("{}: {error}", step.name))?;
                let done = strike(&mut target, step, agent, &newest)
                    .and_then(|struck| target.heal(&struck, &newest).map(|()| struck));
                done.map_err(|error| format!("{}: {error}; {:?}", step.name, target.events))?;
            }
        }
        Ok(())
    })
}

/// Publishes something, and holds the agent at a step of its apply.
fn held(news: &mut News<'_>, target: &mut Target<'_>, step: &Step) -> Result<(Newest, Pid)> {
    for _ in 0..20 {
        let newest = news.publish()?;
        let agent = (step.hold)(target)?;
        if !newest.is(&state(target.replica)?["replica"]["applied"]["snapshot"]) {
            return Ok((newest, agent));
        }
        // It got away and has ended as designed.
        signal(agent, Signal::CONT);
        free(target.replica)?;
        target.before = target.look()?;
    }
    Err("it always got away".into())
}

/// Nobody but the unit itself has started Uptime Kuma when this returns.
fn killed(target: &mut Target<'_>, step: &Step, agent: Pid, newest: &Newest) -> Result<Look> {
    signal(agent, Signal::KILL);
    free(target.replica)?;
    let struck = target.check_struck(newest)?;
    holds(struck.ended.1 == "signal", || format!("it was not killed: {struck:?}"))?;
    let new = struck.digest == newest.digest;
    holds(if new { step.new } else { step.old }, || format!("killed {}: {struck:?}", step.name))?;
    let recorded = newest.is(&state(target.replica)?["replica"]["applied"]["snapshot"]);
    holds(!recorded, || "C: recorded before it was over".to_owned())?;
    Ok(struck)
}

/// It finishes what it has begun, and begins nothing more.
fn interrupted(target: &mut Target<'_>, step: &Step, agent: Pid, newest: &Newest) -> Result<Look> {
    target.replica.run(&["systemctl", "stop", "--no-block", "kuma-replicator"])?;
    free(target.replica)?;
    signal(agent, Signal::CONT);
    let struck = target.check_struck(newest)?;
    let (touched, new) = (target.has("stopping"), struck.digest == newest.digest);
    holds(touched == new, || format!("stopped {}: left half-way: {struck:?}", step.name))?;
    let state = state(target.replica)?;
    let recorded = newest.is(&state["replica"]["applied"]["snapshot"]);
    holds(recorded == new && state.get("intent").is_none(), || format!("not recorded as it is: {state}"))?;
    Ok(struck)
}
