//! How much memory the processes of a command hold at most, as the kernel counts it.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use super::process::{arguments, children};
use super::{Machine, Result};

/// How often the processes are looked at. The kernel remembers the most that each has held, so that only what it takes
/// between the last look and its end is missed.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The most resident memory of each process, in bytes, with its arguments.
pub(crate) type Peaks = Vec<(Vec<String>, u64)>;

impl Machine {
    /// Runs a command as a `unit` of its own to its end, and finds the peaks of it and of its children.
    pub(crate) fn peaks(&self, unit: &str, command: &[&str]) -> Result<Peaks> {
        let run = ["systemd-run", "--quiet", "--wait", "--collect", "--unit", unit];
        let mut found = BTreeMap::new();
        thread::scope(|scope| {
            let ending = scope.spawn(|| self.run(&[run.as_slice(), command].concat()));
            while !ending.is_finished() {
                let parent = self.process(command).map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
                for pid in parent.into_iter().flat_map(|parent| children(parent).into_iter().chain([parent])) {
                    if let Some(peak) = peak(pid) {
                        found.insert((pid, arguments(pid)), peak);
                    }
                }
                thread::sleep(POLL_INTERVAL);
            }
            ending.join().map_err(|_| "running a command panicked")?.map(drop)
        })?;
        Ok(found.into_iter().map(|((_, arguments), peak)| (arguments, peak)).collect())
    }
}

/// The most resident memory that a process has held; `None` if it has ended.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
