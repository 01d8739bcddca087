//! What the service manager that started us is told: what we are doing, and that it takes longer.
//!
//! All of it is a courtesy. Without `NOTIFY_SOCKET`, or if the manager does not listen, nothing happens and
//! nothing fails; no decision may depend on it. See sd_notify(3).

use std::time::Duration;

use sd_notify::NotifyState;

use crate::text;

/// What `systemctl status` shows under "Status".
pub fn status(text: &str) {
    // A line break would start another assignment.
    send(&[NotifyState::Status(&text::line(text))]);
}

/// Asks for at least `time` from now before the start or stop time-out strikes (`EXTEND_TIMEOUT_USEC`).
///
/// systemd takes it for whichever of the two is under way, and never shortens one by it.
pub fn extend(time: Duration) {
    // The crate carries 32 bits of microseconds: a good hour.
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// The variable stays set; the children of this program (restic, ssh) are not from the main process, so
/// `NotifyAccess=main` keeps them from being heard.
fn send(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(false, states);
}
