//! How much memory a cycle takes with 10,000 monitors, and with 500 when there is nothing to do.

use crate::Test;
use crate::testbed::{Machine, Result};
use crate::world::{Pair, Setup, sql};

pub const TESTS: &[Test] = &[("ten_thousand_monitors_take_no_more_memory_than_documented", documented)];

/// The monitors of a main, as the benchmark makes them.
const ROWS: &str = include_str!("../bench/rows.sql");

/// What no process of this program takes more of with 10,000 monitors, in bytes.
const MOST: u64 = 100 << 20;

/// And with 500 monitors, if there is nothing to do.
const IDLE: u64 = 16 << 20;

/// How often a command is run until its processes were seen.
const TRIES: usize = 20;

const RUN: &[&str] = &["/usr/bin/kuma-replicator", "run"];

fn documented() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let Pair { main, replica, .. } = pair;
        for machine in [main, replica] {
            machine.run(&["systemctl", "stop", "uptime-kuma"])?;
        }
        fill(main, 500)?;
        for (machine, what) in [(main, "main"), (replica, "replica")] {
            // The second one looks once more after a publish.
            machine.run(RUN)?;
            machine.run(RUN)?;
            within(IDLE, &format!("{what}, 500 monitors, unchanged"), machine, RUN)?;
        }
        fill(main, 10_000)?;
        within(MOST, "publish", main, RUN)?;
        within(MOST, "apply, nearly all rows are new", replica, RUN)?;
        sql(main, "UPDATE monitor SET name = name || ' edited' WHERE id IN (3, 14, 25)")?;
        within(MOST, "publish, 3 rows changed", main, RUN)?;
        within(MOST, "plan, 3 rows change", replica, &["/usr/bin/kuma-replicator", "plan"])?;
        within(MOST, "apply, 3 rows change", replica, RUN)?;
        main.run(RUN)?;
        within(MOST, "main, unchanged", main, RUN)?;
        within(MOST, "replica, unchanged", replica, RUN)?;
        pair.assert_equal()
    })
}

/// Brings the database of a stopped Uptime Kuma to so many monitors.
fn fill(machine: &Machine, monitors: usize) -> Result<()> {
    let rows = ROWS.replace(":count", &monitors.to_string()).replace(":interval", "300");
    std::fs::write(machine.root().join("root/rows.sql"), rows)?;
    machine.run(&["sqlite3", "-bail", "/var/lib/uptime-kuma/kuma.db", ".read /root/rows.sql"]).map(drop)
}

/// Runs a command of the package, and fails if it fails or if one of its processes takes more than `most`. What ends too
/// soon to be seen is run again: that changed nothing.
fn within(most: u64, what: &str, machine: &Machine, command: &[&str]) -> Result<()> {
    for _ in 0..TRIES {
        let mut peaks = machine.peaks("memory.service", command)?;
        let is_worker = |arguments: &[String]| arguments.get(1).is_some_and(|verb| verb == "worker");
        peaks.retain(|(arguments, _)| *arguments == command || is_worker(arguments));
        if let Some((arguments, peak)) = peaks.iter().find(|(_, peak)| *peak > most) {
            return Err(format!("{what}: {arguments:?} took {peak} bytes of memory, more than {most}").into());
        }
        if peaks.iter().any(|(arguments, _)| is_worker(arguments)) {
            return Ok(());
        }
    }
    Err(format!("{what}: the worker was never seen").into())
}
