//! What an apply does to the monitoring: how long Uptime Kuma gives no answer, how long its monitors are not checked, and
//! what it costs Uptime Kuma. The agent tells it, the agent restarts it, and the scripts do; beside a while without any
//! apply.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::{Side, median};
use crate::hosts::{Hosts, numbers};
use crate::testbed::{Machine, Result};
use crate::world;

/// The numbers of monitors.
const SIZES: [usize; 2] = [50, 300];

/// The seconds between two checks of a monitor: the fewest that Uptime Kuma allows.
const INTERVAL: u32 = 20;

/// How often each way is measured. After a restart that takes minutes: monitors begin one by one.
const ROUNDS: usize = 2;

/// The time between two requests of the client.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Uptime Kuma has a slice of its own: the control group of a service is a new one after a restart, that of its slice goes on.
const SLICE: &str = "[Service]\nSlice=measured.slice\n";

/// The processor time of that slice, in whichever layout of control groups.
const USED: &str = "cd /sys/fs/cgroup; cat measured.slice/cpu.stat 2>/dev/null || cat unified/measured.slice/cpu.stat";

/// How three changed monitors come into force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Nothing,
    Told,
    Restart,
    Scripts,
}

/// In this order in every round: a server is told only when it has begun all its monitors.
const WAYS: [(Way, &str); 4] =
    [(Way::Nothing, "no apply"), (Way::Told, "told"), (Way::Restart, "restart"), (Way::Scripts, "scripts")];

/// One apply, in seconds.
struct Disruption {
    /// The longest time between two answers to a client.
    away: f64,
    /// How much more than its interval passed between two checks, at most, for each monitor.
    blind: Vec<f64>,
    /// Processor time of the agent or the scripts.
    cpu: f64,
    /// Processor time of Uptime Kuma until each monitor was checked once after the apply, and how long that took.
    server: f64,
    window: f64,
}

/// Measures all ways with each number of monitors up to `limit`, and prints the medians.
pub(crate) fn print(limit: usize) -> Result<()> {
    let hosts = Hosts::new(world::WHEN_NEEDED, Some(SLICE))?;
    println!(
        "\nThree monitors change, of so many that are checked every {INTERVAL} s; seconds (medians of {ROUNDS} rounds):\n"
    );
    println!("{:27}|{:^23}|{:^35}|", "", "a monitor is blind", "processor time");
    let heading = ["no answer", "median", "longest", "replicating", "Uptime Kuma", "in"];
    let [away, middle, longest, cpu, server, window] = heading;
    println!("{:>8}  {:9}{away:>8}|{middle:>11}{longest:>11} |{cpu:>12}{server:>13}{window:>9} |", "monitors", "");
    for monitors in SIZES.into_iter().filter(|monitors| *monitors <= limit) {
        fill(&hosts, monitors)?;
        let mut rounds = WAYS.map(|_| Vec::new());
        for round in 0..ROUNDS {
            for (at, (way, name)) in WAYS.into_iter().enumerate() {
                let disruption = measure(&hosts, way, round * WAYS.len() + at, monitors);
                rounds[at].push(disruption.map_err(|error| format!("{monitors} monitors, {name}: {error}"))?);
            }
        }
        hosts.assert_equal()?;
        for (rounds, (_, name)) in rounds.iter().zip(WAYS) {
            print_line(monitors, name, rounds);
        }
    }
    Ok(())
}

fn print_line(monitors: usize, name: &str, rounds: &[Disruption]) {
    let of = |value: fn(&Disruption) -> f64| median(rounds.iter().map(value).collect());
    let blind: Vec<f64> = rounds.iter().flat_map(|round| &round.blind).copied().collect();
    let longest = blind.iter().copied().fold(0.0, f64::max);
    let (away, middle) = (of(|round| round.away), median(blind));
    let [cpu, server, window] = [of(|round| round.cpu), of(|round| round.server), of(|round| round.window)];
    println!(
        "{monitors:>8}  {name:9}{away:>8.1}|{middle:>11.1}{longest:>11.1} |{cpu:>12.2}{server:>13.2}{window:>9.0} |"
    );
}

/// Brings both hosts to so many monitors, and waits until the replica checks all of them. The main is not measured, and its
/// Uptime Kuma stays stopped.
fn fill(hosts: &Hosts, monitors: usize) -> Result<()> {
    hosts.fill(monitors, INTERVAL)?;
    world::customize(&hosts.replica, "")?;
    hosts.main(Side::Agent, "published")?;
    hosts.apply(Side::Agent)?;
    world::beat_since(&hosts.replica, &now(&hosts.replica)?)
}

/// Publishes an edit of this number, applies it in this way, and waits until all monitors have been checked since.
fn measure(hosts: &Hosts, way: Way, number: usize, monitors: usize) -> Result<Disruption> {
    let replica = &hosts.replica;
    if way != Way::Nothing {
        hosts.edit(number)?;
        hosts.main(way.side(), "published")?;
    }
    world::customize(replica, if way == Way::Restart { "restart = \"always\"\n" } else { "" })?;
    let (begun, used, since) = (now(replica)?, used(replica)?, Instant::now());
    let end = AtomicBool::new(false);
    let (cpu, away) = thread::scope(|scope| {
        let client = scope.spawn(|| longest_without_answer(replica, &end));
        let cpu = apply(hosts, way).and_then(|cpu| world::beat_since(replica, &now(replica)?).map(|()| cpu));
        end.store(true, Ordering::Relaxed);
        (cpu, client.join())
    });
    let cpu = cpu?;
    let away = away.map_err(|_| "the client panicked")??;
    let (window, server) = (since.elapsed().as_secs_f64(), self::used(replica)? - used);
    Ok(Disruption { away, blind: blind(replica, &begun, monitors)?, cpu, server, window })
}

impl Way {
    fn side(self) -> Side {
        if self == Way::Scripts { Side::Scripts } else { Side::Agent }
    }
}

/// Applies what is published, fails if it came into force in another way, and returns the processor time.
fn apply(hosts: &Hosts, way: Way) -> Result<f64> {
    if way == Way::Nothing {
        return Ok(0.0);
    }
    let before = world::invocation(&hosts.replica)?;
    let (run, unit) = hosts.apply(way.side())?;
    let restarted = before != world::invocation(&hosts.replica)?;
    let told = !hosts.events(&unit, "told")?.is_empty();
    if (restarted, told) != (way != Way::Told, way == Way::Told) {
        return Err(format!("Uptime Kuma was restarted: {restarted}, and told: {told}").into());
    }
    run.cpu.ok_or_else(|| "no processor time".into())
}

/// Asks the server until `end`, as a client that waits for each answer, and returns the longest time between two answers.
fn longest_without_answer(machine: &Machine, end: &AtomicBool) -> Result<f64> {
    let (mut answered, mut longest) = (Instant::now(), Duration::ZERO);
    while !end.load(Ordering::Relaxed) {
        if machine.kuma_ready()? {
            longest = longest.max(answered.elapsed());
            answered = Instant::now();
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(longest.max(answered.elapsed()).as_secs_f64())
}

/// For each monitor the longest time between two checks of which the second was after `begun`, without its interval.
fn blind(replica: &Machine, begun: &str, monitors: usize) -> Result<Vec<f64>> {
    let gaps = format!(
        "SELECT max(gap) FROM (SELECT monitor_id, time, \
         (julianday(time) - julianday(lag(time) OVER (PARTITION BY monitor_id ORDER BY id))) * 86400.0 AS gap \
         FROM heartbeat WHERE time >= datetime('{begun}', '-{INTERVAL} seconds', '-10 seconds')) \
         WHERE time >= '{begun}' GROUP BY monitor_id"
    );
    let gaps = numbers(&world::sql(replica, &gaps)?)?;
    if gaps.len() != monitors {
        return Err(format!("{} of {monitors} monitors were checked before and after", gaps.len()).into());
    }
    Ok(gaps.into_iter().map(|gap| (gap - f64::from(INTERVAL)).max(0.0)).collect())
}

/// The time of the host, as Uptime Kuma writes it.
fn now(machine: &Machine) -> Result<String> {
    Ok(world::sql(machine, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")?.trim().to_owned())
}

/// The processor time that Uptime Kuma has used since the boot of the host, in seconds.
fn used(machine: &Machine) -> Result<f64> {
    let stat = machine.sh(USED)?;
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    Ok(micros.ok_or_else(|| format!("no usage in {stat:?}"))?.parse::<f64>()? / 1e6)
}
