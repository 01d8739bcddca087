//! The unit that this process was started for, if the service manager started it.

/// Whether this process is the main process of a unit: then its environment is that of the unit, and otherwise that of a
/// shell, a cron job or another program.
pub fn is_its_main_process() -> bool {
    // systemd sets it since version 248 (systemd.exec(5)), and what the process starts inherits it.
    std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|id| id.parse() == Ok(std::process::id()))
}
