//! Notifications to the service manager that started this program: its status, and that a step takes longer.
//!
//! Without `NOTIFY_SOCKET`, or if the manager does not listen, nothing is sent and nothing fails, so no decision may
//! depend on them. See sd_notify(3).

use std::time::Duration;

use sd_notify::NotifyState;

use crate::text;

/// Sets the text that `systemctl status` shows under "Status".
pub fn status(text: &str) {
    // A line break would start another assignment.
    send(&[NotifyState::Status(&text::line(text))]);
}

/// Extends the running start or stop time-out to at least `time` from now (`EXTEND_TIMEOUT_USEC`). systemd never shortens
/// one by it.
pub fn extend(time: Duration) {
    // The crate has 32 bits for the microseconds, which is more than an hour.
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// Does not unset the variable: with `NotifyAccess=main` systemd ignores the children of this program (restic, ssh).
fn send(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
