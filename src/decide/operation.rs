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
    let last = state.last_cycle.as_ref().map(|last| last.at);
    let seen = match state.hold.as_ref().and_then(|hold| hold.until) {
        Some(until) if now < until => last,
        until => state.last_success.max(until),
    };
    // A person has just seen to this host.
    let seen = seen.max(state.last_order.as_ref().map(|order| order.at));
    // A time far in the future was taken from a wrong clock, and proves as little as no time at all.
    let limit = SignedDuration::try_from(overdue_after).unwrap_or(SignedDuration::MAX);
    if seen.is_some_and(|at| now.duration_since(at).abs() <= limit) {
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
