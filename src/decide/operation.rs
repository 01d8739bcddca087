//! What concerns the operation of a host in either role: holds, and whether cycles end well.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Kind, Result};
use crate::model::state::{Hold, LastCycle, State};
use crate::text;

/// The hold that keeps cycles from changing anything, if it has not ended.
pub fn on_hold(hold: Option<&Hold>, now: Timestamp) -> Option<&Hold> {
    hold.filter(|hold| hold.until.is_none_or(|until| now < until))
}

/// Seconds since the last success; none if there was none, or the clock went back.
pub fn last_success_age(last_success: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    u64::try_from(now.duration_since(last_success?).as_secs()).ok()
}

/// When this host was last seen to be well, if it was: its last success, or the end of a hold, or when a person saw to it.
/// Before the end of a hold, any cycle counts.
pub(super) fn last_seen(state: &State, now: Timestamp) -> Option<Timestamp> {
    let seen = match state.hold.as_ref().and_then(|hold| hold.until) {
        Some(until) if now < until => state.last_cycle.as_ref().map(|last| last.at),
        until => state.last_success.max(until),
    };
    seen.max(state.last_order.as_ref().map(|order| order.at))
}

/// Whether `at` is no longer ago than `limit`. A time far in the future was taken from a wrong clock, and proves as little
/// as no time at all.
pub(super) fn is_recent(at: Timestamp, now: Timestamp, limit: Duration) -> bool {
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    now.duration_since(at).abs() <= limit
}

/// Fails if a person has to look at this host: its last cycle failed, or none has ended well for longer than
/// `overdue_after`. A hold with an end is no reason before that end, and a failure before a person's order is over.
///
/// # Errors
/// The kind that the last cycle failed with, or [`Kind::Overdue`].
pub fn alarm(state: &State, now: Timestamp, overdue_after: Duration, zone: &TimeZone) -> Result<()> {
    let time = |at: &Timestamp| text::time(*at, zone);
    let success = state.last_success.map_or_else(
        || "no cycle has ended well yet".to_owned(),
        |at| format!("the last success was at {}", time(&at)),
    );
    let order = state.order_since().map(|order| order.at);
    if let (Some(LastCycle { error: Some(kind), outcome, message, at }), None) = (&state.last_cycle, order) {
        return Err(Error::new(*kind, format!("the last cycle, at {}, ended as {outcome}; {success}", time(at)))
            .because(message.clone()));
    }
    if last_seen(state, now).is_some_and(|at| is_recent(at, now, overdue_after)) {
        return Ok(());
    }
    let why = match &state.last_cycle {
        None => "no cycle has run on this host yet".to_owned(),
        Some(LastCycle { outcome, message, at, .. }) if message.is_empty() => {
            format!("the last cycle, at {}, ended as {outcome}", time(at))
        }
        Some(LastCycle { outcome, message, at, .. }) => {
            format!("the last cycle, at {}, ended as {outcome}: {message}", time(at))
        }
    };
    Err(Error::new(Kind::Overdue, format!("cycles are overdue; {success}")).because(why))
}
