//! How much memory the agent and its worker take at most, operation by operation.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::SIZES;
use crate::hosts::Hosts;
use crate::testbed::{Machine, Peaks, Result};

/// A number of monitors that is only taken here, beside the usual ones.
const LARGEST: usize = 10_000;

/// The seconds between two checks: Uptime Kuma is stopped, so that thousands of monitors take no processor.
const INTERVAL: u32 = 300;

/// What the replica has before its first apply, once its Uptime Kuma is stopped.
const KEEP_EMPTY: &str = "systemctl stop uptime-kuma; cp -a /var/lib/uptime-kuma /root/empty";

/// Makes the replica new again.
const MAKE_NEW: &str = "rm -rf /var/lib/uptime-kuma /var/lib/kuma-replicator/*; cp -a /root/empty /var/lib/uptime-kuma";

const FILE: &str = "/root/exported.dump";

/// Measures with each number of monitors, and prints the peaks.
pub(crate) fn print(sizes: &[usize]) -> Result<()> {
    let hosts = Hosts::new("", None)?;
    hosts.replica.sh(KEEP_EMPTY)?;
    println!("\nThe most resident memory of each process, MiB, with Uptime Kuma stopped:\n");
    println!("{:>8}  {:28}{:>8}{:>8}{:>8}", "monitors", "", "agent", "worker", "restic");
    let largest = (sizes == SIZES).then_some(LARGEST);
    for monitors in sizes.iter().copied().chain(largest) {
        hosts.fill(monitors, INTERVAL)?;
        measure(&hosts, monitors).map_err(|error| format!("{monitors} monitors: {error}"))?;
    }
    Ok(())
}

fn measure(hosts: &Hosts, monitors: usize) -> Result<()> {
    let (main, replica) = (&hosts.main, &hosts.replica);
    let run = &["/usr/bin/kuma-replicator", "run"][..];
    let line = |name: &str, machine: &Machine, command: &[&str]| print_line(monitors, name, machine, command);
    line("publish, all rows are new", main, run)?;
    // The cycle after a publish looks at the repository once more.
    main.run(run)?;
    line("main, unchanged", main, run)?;
    replica.sh(MAKE_NEW)?;
    let unit = line("apply, all rows are new", replica, run)?;
    let written = hosts.events(&unit, "written")?;
    replica.run(run)?;
    line("replica, unchanged", replica, run)?;
    hosts.edit(monitors)?;
    line("publish, 3 rows changed", main, run)?;
    line("plan, 3 rows change", replica, &["/usr/bin/kuma-replicator", "plan"])?;
    line("apply, 3 rows change", replica, run)?;
    hosts.assert_equal()?;
    line("export", replica, &["/usr/bin/kuma-replicator", "export", FILE])?;
    replica.sh(MAKE_NEW)?;
    line("import, all rows are new", replica, &["/usr/bin/kuma-replicator", "import", FILE])?;
    hosts.assert_equal()?;
    let millis = written.first().and_then(|entry| entry.get("KUMA_MILLISECONDS")?.as_str()).ok_or("no event")?;
    println!("{monitors:>8}  from the claim to the commit, all rows new: {millis} ms");
    Ok(())
}

/// Runs a command of the package on a host, prints its peaks, and returns its unit.
fn print_line(monitors: usize, name: &str, machine: &Machine, command: &[&str]) -> Result<String> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let unit = format!("memory-{}.service", COUNT.fetch_add(1, Ordering::Relaxed));
    let peaks = machine.peaks(&unit, command)?;
    let [agent, worker, restic] = ["agent", "worker", "restic"].map(|program| cell(&peaks, program));
    println!("{monitors:>8}  {name:28}{agent:>8}{worker:>8}{restic:>8}");
    machine.run(&["journalctl", "--sync"])?;
    Ok(unit)
}

/// The largest peak of the processes of `program`, in MiB.
fn cell(peaks: &Peaks, program: &str) -> String {
    let largest = peaks.iter().filter(|(arguments, _)| program_of(arguments) == program).map(|(_, peak)| *peak).max();
    largest.map_or_else(String::new, |peak| format!("{:.1}", peak as f64 / f64::from(1 << 20)))
}

fn program_of(arguments: &[String]) -> &str {
    match arguments {
        [program, ..] if program.ends_with("restic") => "restic",
        [_, verb, ..] if verb == "worker" => "worker",
        _ => "agent",
    }
}
