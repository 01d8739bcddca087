//! How long another process has run.

use std::time::Duration;

/// The unit of the times in `/proc`: `USER_HZ`, the same on every machine that Debian's amd64 and arm64 run on (time(7)).
const TICKS_PER_SECOND: u64 = 100;

/// When the process `id` was started, in ticks since the boot, and how long ago; `None` if this process may not see it.
pub fn started(id: u32) -> Option<(u64, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let ticks = start_ticks(&stat)?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let since_boot = Duration::try_from_secs_f64(uptime.split_whitespace().next()?.parse().ok()?).ok()?;
    let start = Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND));
    Some((ticks, since_boot.saturating_sub(start)))
}

/// The field `starttime` of `/proc/PID/stat` (proc_pid_stat(5)). The name of the program, in parentheses, may contain
/// anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The field after the name is the third.
    fields.split_whitespace().nth(22 - 3)?.parse().ok()
}

/// Changes with each boot.
pub fn boot() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_the_twenty_second_field() {
        let stat =
            "812 (uptime) kuma)) S 1 812 812 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 11 0 31337 9 10 18446744073709551615";
        assert_eq!(start_ticks(stat), Some(31337));
        assert_eq!(start_ticks("812 (x) S 1"), None);
        assert_eq!(start_ticks(""), None);
    }

    #[test]
    fn this_process_has_a_start() {
        let (ticks, age) = started(std::process::id()).expect("its own process");
        assert!(ticks > 0 && age < Duration::from_secs(24 * 60 * 60));
        assert!(boot().is_some_and(|boot| boot.len() == 36));
        assert_eq!(started(0), None);
    }
}
