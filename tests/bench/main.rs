//! `make bench`: what a cycle costs, beside what the same work costs when scripts do it.
//!
//! Two hosts have a real systemd and Uptime Kuma, the real package, and the scripts of `scripts/`, which
//! work like those that people replicate Uptime Kuma with today. For each number of monitors both sides run
//! every operation in turn; then the monitoring is watched while they apply. What the figures mean is in
//! `docs/performance.md`. Nothing here passes or fails by a time; it fails when it cannot run, or when a side did
//! not do its work. Then edits are followed from a main to its replicas.
//!
//! Numbers as arguments, or in `BENCH_SIZES`, are the numbers of monitors to take, and `BENCH_PARTS` names the parts.

#![allow(clippy::indexing_slicing, reason = "tables of fixed size")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]
#![allow(unreachable_pub, reason = "modules of a bench have no outside")]

#[allow(dead_code, reason = "a module of the tests")]
#[path = "../system/chance.rs"]
mod chance;
mod disruption;
mod figures;
mod fleet;
mod history;
mod hosts;
mod lag;
mod memory;
mod stages;
mod starts;
#[path = "../testbed/mod.rs"]
mod testbed;
#[allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a module of the tests")]
#[path = "../system/world.rs"]
mod world;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use figures::{Operation, Run, SIDES};
use hosts::Hosts;
use testbed::Result;

/// The numbers of monitors, unless others are given.
const SIZES: [usize; 3] = [50, 500, 5000];

/// How often the cycles that change nothing are run.
const UNCHANGED_ROUNDS: usize = 7;

/// How often there is an edit to publish.
const PUBLISH_ROUNDS: usize = 5;

/// How many of those are applied. They take long: Uptime Kuma stops and starts twice in each.
const APPLY_ROUNDS: usize = 3;

/// The seconds between two checks of a monitor: seldom enough that thousands do not take the processors from what is
/// measured.
const INTERVAL: u32 = 300;

/// How long hosts are left alone after Uptime Kuma started: it answers before it is done.
const SETTLE: Duration = Duration::from_secs(3);

/// What can be measured, in this order. `BENCH_PARTS` names those to take, unless it is all.
const PARTS: [&str; 4] = ["cycles", "memory", "lag", "fleet"];

fn main() -> ExitCode {
    let (parts, sizes) = match parts().and_then(|parts| Ok((parts, sizes()?))) {
        Ok(wanted) => wanted,
        Err(reason) => {
            eprintln!("bench: {reason}");
            return ExitCode::from(2);
        }
    };
    let result = testbed::available().and_then(|()| world::package().map(drop));
    let result = result.map_err(Into::into).and_then(|()| bench(&parts, &sizes));
    world::clean_up();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The parts to take.
fn parts() -> Result<Vec<&'static str>> {
    let words = words("BENCH_PARTS");
    if let Some(unknown) = words.iter().find(|word| !PARTS.contains(&word.as_str())) {
        return Err(format!("BENCH_PARTS: there is no part {unknown}, only {}", PARTS.join(", ")).into());
    }
    Ok(PARTS.into_iter().filter(|part| words.is_empty() || words.iter().any(|word| word == part)).collect())
}

/// The numbers of monitors: the arguments, else those in the environment. cargo adds `--bench`.
fn sizes() -> Result<Vec<usize>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let sizes = if words.is_empty() { numbers("BENCH_SIZES", &SIZES) } else { parsed(&words) };
    match sizes {
        // Monitors are only ever added, and the edits need the first 25.
        Ok(sizes) if sizes.is_sorted() && sizes.iter().all(|size| *size >= 25) => Ok(sizes),
        _ => Err("the numbers of monitors must be 25 or more, in rising order, as in BENCH_SIZES=50,500".into()),
    }
}

/// The words in a variable of the environment.
fn words(variable: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_default();
    text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The numbers in a variable of the environment, or these.
fn numbers(variable: &str, or: &[usize]) -> Result<Vec<usize>> {
    let words = words(variable);
    if words.is_empty() {
        return Ok(or.to_vec());
    }
    parsed(&words).map_err(|error| format!("{variable}: {error}").into())
}

/// The number in a variable of the environment, or this one.
fn number(variable: &str, or: u64) -> Result<u64> {
    let Ok(text) = std::env::var(variable) else { return Ok(or) };
    text.parse().map_err(|error| format!("{variable}={text}: {error}").into())
}

fn parsed(words: &[String]) -> Result<Vec<usize>> {
    words.iter().map(|word| word.parse().map_err(|error| format!("{word}: {error}").into())).collect()
}

fn bench(parts: &[&str], sizes: &[usize]) -> Result<()> {
    let begun = Instant::now();
    for part in parts {
        match *part {
            "memory" => memory::print(sizes)?,
            "lag" => lag::print()?,
            "fleet" => fleet::print()?,
            _ => cycles(sizes)?,
        }
    }
    println!("\n{}; all of it took {} s.", machine(), begun.elapsed().as_secs());
    Ok(())
}

fn cycles(sizes: &[usize]) -> Result<()> {
    let hosts = Hosts::new("", None)?;
    println!("Two hosts on this machine, {}, {}; the repository is a folder.", machine(), hosts.restic()?);
    println!(
        "Medians of {UNCHANGED_ROUNDS} rounds (unchanged), {PUBLISH_ROUNDS} (publish) and {APPLY_ROUNDS} (apply), with least and most;"
    );
    println!(
        "the ratio is the median of kuma-replicator / scripts in each round. Below 1, kuma-replicator takes less.\n"
    );
    figures::print_heading();
    for monitors in sizes {
        hosts.fill(*monitors, INTERVAL)?;
        hosts.start_main()?;
        let operations = measure(&hosts).map_err(|error| format!("{monitors} monitors: {error}"))?;
        figures::print(*monitors, &operations);
    }
    starts::print(&hosts)?;
    if let Some(monitors) = sizes.last() {
        let directory = tempfile::tempdir()?;
        let database = directory.path().join("kuma.db");
        hosts.copy_database(&database)?;
        drop(hosts);
        disruption::print(*monitors)?;
        stages::print(&database, *monitors)?;
        history::print(&database)?;
    }
    Ok(())
}

fn measure(hosts: &Hosts) -> Result<Vec<Operation>> {
    // The new rows reach the replica, and both sides have a last time to compare with.
    for side in SIDES {
        hosts.main(side, "published")?;
        hosts.apply(side)?;
    }
    thread::sleep(SETTLE);

    let mut unchanged = [Operation::new("main, unchanged"), Operation::new("replica, unchanged")];
    for _ in 0..UNCHANGED_ROUNDS {
        for side in SIDES {
            unchanged[0].add(side, hosts.main(side, "unchanged")?);
        }
        for side in SIDES {
            unchanged[1].add(side, hosts.look(side)?);
        }
    }

    let mut publish = Operation::new("publish");
    let mut apply = ["apply, its work", "  stop of service", "  start of service"].map(Operation::new);
    for round in 0..PUBLISH_ROUNDS {
        hosts.edit(round)?;
        for side in SIDES {
            publish.add(side, hosts.main(side, "published")?);
            if round + APPLY_ROUNDS < PUBLISH_ROUNDS {
                continue;
            }
            let (all, unit) = hosts.apply(side)?;
            let (stop, start) = hosts.stop_and_start(side, &unit)?;
            let wall = |wall| Run { wall, cpu: None };
            apply[0].add(side, Run { wall: all.wall - stop - start, ..all });
            apply[1].add(side, wall(stop));
            apply[2].add(side, wall(start));
            thread::sleep(SETTLE);
        }
    }
    hosts.assert_equal()?;
    Ok(unchanged.into_iter().chain([publish]).chain(apply).collect())
}

/// The processors and how busy they are.
fn machine() -> String {
    let processors = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("{processors} processors, load {}", load.split(' ').next().unwrap_or("unknown"))
}
