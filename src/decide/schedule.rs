//! When a run that the timer starts does its work. The timer is made for a main, which costs nothing when it is unchanged; a
//! replica looks into the repository, and a look may have its price.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::{LookEvery, Role, Settings};
use crate::model::looked::{LastLook, LookCost};
use crate::model::snapshot::MainId;
use crate::model::state::State;

/// How long the timer's runs do nothing after one that failed: five of six. Less than a minute, as the first of the next
/// six begins a moment before.
pub const AFTER_FAILURE: Duration = Duration::from_secs(55);

/// The longest that a replica waits for its turn to restart Uptime Kuma.
const LONGEST_TURN: Duration = Duration::from_secs(30);

/// How long after an apply a replica looks with each run even if each look is a request: edits seldom come alone.
pub const AFTER_NEWS: Duration = Duration::from_secs(600);

/// How much earlier than it should a look may be. The timer is not as exact as a clock.
const SLACK: Duration = Duration::from_secs(2);

/// Whether a run of the timer has anything to do.
pub fn is_due(settings: &Settings, state: &State, now: Timestamp, booted: Timestamp) -> bool {
    match (settings.role, state.replica.looked) {
        (Role::Replica, Some(LastLook { at, cost })) => {
            let every = match (settings.replica.look_every, cost) {
                (LookEvery::Auto, LookCost::Request) if has_news(state, now) => Duration::ZERO,
                (look_every, cost) => between_looks(look_every, cost),
            };
            // A clock that went back proves nothing.
            let since = now.duration_since(at);
            let waits = SignedDuration::try_from(every.saturating_sub(SLACK)).unwrap_or(SignedDuration::MAX);
            state.intent.is_some() || at < booted || since.is_negative() || since >= waits
        }
        _ => true,
    }
}

/// Whether this replica applied something a moment ago.
fn has_news(state: &State, now: Timestamp) -> bool {
    let applied = state.replica.applied.as_ref().map(|applied| now.duration_since(applied.at));
    applied.is_some_and(|age| !age.is_negative() && age < SignedDuration::try_from(AFTER_NEWS).unwrap_or_default())
}

/// The time between two looks that cost so much, when no apply was a moment ago; none for one at each run of the timer.
pub fn between_looks(look_every: LookEvery, cost: LookCost) -> Duration {
    match (look_every, cost) {
        (LookEvery::Every(every), _) => every,
        // The start of the run costs more.
        (LookEvery::Auto, LookCost::Little) => Duration::ZERO,
        (LookEvery::Auto, LookCost::Request) => Duration::from_secs(20),
        (LookEvery::Auto, LookCost::Restic) => Duration::from_secs(60),
    }
}

/// How long the host that would be this main waits for its turn to restart Uptime Kuma: always the same time, and another one
/// on each host, below half a minute.
pub fn turn(host: &MainId) -> Duration {
    let digits: String = host.to_string().chars().take(8).collect();
    let part = u32::from_str_radix(&digits, 16).unwrap_or_default();
    LONGEST_TURN.mul_f64(f64::from(part) / (f64::from(u32::MAX) + 1.0))
}
