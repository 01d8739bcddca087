//! A second kill, and other moments than an apply: a rollback, a restore, the start of Uptime Kuma after a kill, and a
//! start by a person during an apply.

use rustix::process::Signal;
use serde_json::Value;

use crate::Test;
use crate::news::{Newest, News};
use crate::stand_in::{close, open};
use crate::steps::{free, gated, stopping, writing};
use crate::target::{Look, Target, holds};
use crate::testbed::{Result, signal, wait_for};
use crate::world::{Pair, SOON, Setup, expect, says, state};

pub const TESTS: &[Test] = &[
    ("a_kill_in_a_rollback_a_restore_or_a_recovery_is_healed_by_the_next_cycle", killed_again),
    ("an_uptime_kuma_that_is_started_during_an_apply_has_all_old_or_all_new_rows", started_during_an_apply),
];

fn killed_again() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, _, mut target) = gated(pair)?;
        recover(&mut news, &mut target).map_err(|error| format!("recover: {error}"))?;
        restore(&mut news, &mut target).map_err(|error| format!("restore: {error}"))?;
        roll_back(pair, &mut news, &mut target, false).map_err(|error| format!("before the rollback: {error}"))?;
        roll_back(pair, &mut news, &mut target, true).map_err(|error| format!("in the rollback: {error}"))?;
        newest_only(pair, &mut news, &mut target).map_err(|error| format!("days later: {error}"))?;
        Ok(())
    })
}

/// Both the agent and what the unit runs after it are killed: Uptime Kuma stays down until the next cycle.
fn recover(news: &mut News<'_>, target: &mut Target<'_>) -> Result<()> {
    let newest = news.publish()?;
    let replica = target.replica;
    signal(stopping(target)?, Signal::KILL);
    let command = ["/usr/bin/kuma-replicator", "recover"];
    let second = wait_for("the unit recovers", SOON, || Ok(replica.process(&command)))?;
    signal(second, Signal::KILL);
    free(replica)?;
    wait_for("Uptime Kuma is down", SOON, || Ok(is(target, "uptime-kuma", "inactive")?.then_some(())))?;
    let before = target.before.clone();
    target.heal(&before, &newest)?;
    holds(target.has("recovered"), || format!("it was not recovered first: {:?}", target.events))
}

/// What a person runs has no unit that looks after it: the next cycle does, though cycles are held by then.
fn restore(news: &mut News<'_>, target: &mut Target<'_>) -> Result<()> {
    let replica = target.replica;
    let (old, newest) = (target.before.digest.clone(), news.publish()?);
    let before = target.before.clone();
    target.heal(&before, &newest)?;
    for (gate, restored) in [("stop", false), ("start", true)] {
        let before = target.before.clone();
        close(replica, gate)?;
        replica.run(&["systemd-run", "--unit=person", "--collect", "kuma-replicator", "restore", "previous"])?;
        let waits = if restored { "activating" } else { "deactivating" };
        wait_for("the restore is running", SOON, || Ok(is(target, "uptime-kuma", waits)?.then_some(())))?;
        replica.run(&["systemctl", "kill", "--signal=KILL", "person"])?;
        free(replica)?;
        wait_for("it is at rest", SOON, || {
            Ok((!is(target, "uptime-kuma", "activating")? && !is(target, "uptime-kuma", "deactivating")?).then_some(()))
        })?;
        target.begin()?;
        let healed = target.look()?;
        holds(healed.ended.0 == "0" && target.has("on-hold"), || format!("not held: {:?} {healed:?}", target.events))?;
        let wanted = if restored { &old } else { &before.digest };
        holds(healed.digest == *wanted, || format!("restored {restored}, and the rows are {healed:?}"))?;
        target.before = healed;
        replica.run(&["kuma-replicator", "release"])?;
    }
    // From now on it follows again.
    let newest = news.publish()?;
    let before = target.before.clone();
    target.heal(&before, &newest)
}

/// Uptime Kuma does not run with the new rows. The agent is killed before it rolls them back, or while it starts
/// Uptime Kuma with the old ones.
fn roll_back(pair: &Pair, news: &mut News<'_>, target: &mut Target<'_>, late: bool) -> Result<()> {
    let replica = target.replica;
    let old = target.before.digest.clone();
    news.change("poison")?;
    expect(&pair.main, 0, "published")?;
    close(replica, "die")?;
    target.begin()?;
    let agent = target.agent()?;
    target.until("started")?;
    if late {
        close(replica, "start")?;
        open(replica, "die");
        wait_for("it starts with the old rows", SOON, || {
            let rejected = state(replica)?["replica"]["verdict"]["decision"]["name"] == "rejected";
            Ok((rejected && is(target, "uptime-kuma", "activating")?).then_some(()))
        })?;
    }
    signal(agent, Signal::KILL);
    free(replica)?;
    wait_for("the agent is at rest", SOON, || Ok(is(target, "kuma-replicator", "failed")?.then_some(())))?;
    if !late {
        wait_for("Uptime Kuma has ended", SOON, || Ok(is(target, "uptime-kuma", "failed")?.then_some(())))?;
    }
    // The next cycle does the rollback of the killed one, and reports it; the one after only refuses.
    target.begin()?;
    let healed = target.look()?;
    let code = if late { "65" } else { "3" };
    holds(healed.ended.0 == code && healed.digest == old, || format!("{healed:?}, {:?}", target.events))?;
    target.begin()?;
    let again = target.look()?;
    let quiet = again.ended.0 == "65" && again.digest == old && again.invocation == healed.invocation;
    holds(quiet, || format!("{again:?} after {healed:?}"))?;
    let newest = news.publish()?;
    target.before = again.clone();
    target.heal(&again, &newest)
}

/// A replica that was off for days applies the newest of all that was published, and nothing between.
fn newest_only(pair: &Pair, news: &mut News<'_>, target: &mut Target<'_>) -> Result<()> {
    for _ in 0..3 {
        news.publish()?;
    }
    let newest = news.publish()?;
    let before = target.before.clone();
    target.heal(&before, &newest)?;
    for once in ["fetched", "stopping", "applied"] {
        let count = target.events.iter().filter(|(name, _)| name == once).count();
        holds(count == 1, || format!("{once} {count} times: {:?}", target.events))?;
    }
    expect(&pair.replica, 0, "up to date")
}

fn started_during_an_apply() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (mut news, _, mut target) = gated(pair)?;
        let newest = news.publish()?;
        between_stop_and_claim(&mut target, &newest).map_err(|error| format!("before the claim: {error}"))?;
        let newest = news.publish()?;
        in_the_transaction(&mut target, &newest).map_err(|error| format!("in the transaction: {error}"))?;
        Ok(())
    })
}

/// It is up again with the old rows before the agent has the database: nothing is written.
fn between_stop_and_claim(target: &mut Target<'_>, newest: &Newest) -> Result<()> {
    let replica = target.replica;
    let agent = stopping(target)?;
    signal(agent, Signal::STOP);
    open(replica, "stop");
    wait_for("it is down", SOON, || Ok(is(target, "uptime-kuma", "inactive")?.then_some(())))?;
    replica.run(&["systemctl", "start", "uptime-kuma"])?;
    wait_for("it is up again", SOON, || Ok(replica.kuma_ready()?.then_some(())))?;
    signal(agent, Signal::CONT);
    let now = target.look()?;
    let clean = now.ended.0 == "75" && now.digest == target.before.digest;
    holds(clean, || format!("{now:?}, {:?}", target.events))?;
    runs_with(target, &now)?;
    // It would wait a minute now; something newer it takes at once.
    let mut remembered = state(replica)?;
    let verdict = remembered["replica"].as_object_mut().and_then(|replica| replica.remove("verdict"));
    holds(verdict.is_some_and(|verdict| verdict["decision"]["name"] == "backoff"), || {
        "no backoff is remembered".to_owned()
    })?;
    crate::world::set_state(replica, &remembered)?;
    target.before = now.clone();
    target.heal(&now, newest)?;
    runs_with(target, &target.before)
}

/// It is kept out of the database until the new rows are in force.
fn in_the_transaction(target: &mut Target<'_>, newest: &Newest) -> Result<()> {
    let agent = writing(target)?;
    open(target.replica, "start");
    target.replica.run(&["systemctl", "start", "uptime-kuma"])?;
    // Long enough to open the database, if it could.
    std::thread::sleep(std::time::Duration::from_secs(1));
    signal(agent, Signal::CONT);
    let now = target.look()?;
    holds(now.ended.0 == "0" && now.digest == newest.digest, || format!("{now:?}, {:?}", target.events))?;
    runs_with(target, &now)
}

/// What Uptime Kuma has read at its start is what the database has.
fn runs_with(target: &Target<'_>, now: &Look) -> Result<()> {
    let read: Value = serde_json::from_str(&target.replica.run(&["curl", "-sf", "http://127.0.0.1:3001/names"])?)?;
    let there =
        crate::world::sql(target.replica, "SELECT json_group_array(name) FROM (SELECT name FROM monitor ORDER BY id)")?;
    let there: Value = serde_json::from_str(&there)?;
    holds(read == there, || format!("it runs with {read}, the database has {there}: {now:?}"))
}

fn is(target: &Target<'_>, unit: &str, wanted: &str) -> Result<bool> {
    Ok(says(target.replica, &["systemctl", "is-active", unit])? == wanted)
}
