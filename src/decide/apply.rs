//! Whether a replica applies the newest snapshot, and when.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Kind, Result};
use crate::model::digest::Digest;
use crate::model::snapshot::{Listing, Snapshot};
use crate::model::state::{Applied, Decision, LocalRows, ReplicaState, Verdict};
use crate::text;

use super::newest::single_newest;

/// The longest a snapshot in backoff waits, in minutes.
const MAX_BACKOFF_MINUTES: i64 = 60;

/// What the newest snapshot is to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newest<'a> {
    /// There is none: nothing was published yet.
    None,
    /// It is the one applied last.
    Applied(&'a Snapshot),
    /// It was not applied yet, or another configuration is in force since.
    New(&'a Snapshot),
}

/// What the newest snapshot of `listing` is to this replica.
///
/// # Errors
/// [`Kind::Fenced`] or [`Kind::OutOfOrder`].
pub fn newest<'a>(listing: &'a Listing, replica: &ReplicaState) -> Result<Newest<'a>> {
    match (single_newest(listing)?, &replica.applied) {
        (None, None) => Ok(Newest::None),
        (None, Some(applied)) => Err(Error::new(
            Kind::OutOfOrder,
            format!("the repository no longer has any snapshot, but {} was applied here", applied.snapshot.short()),
        )),
        (Some(newest), None) => Ok(Newest::New(newest)),
        (Some(newest), Some(applied)) => after(newest, applied),
    }
}

fn after<'a>(newest: &'a Snapshot, applied: &Applied) -> Result<Newest<'a>> {
    let (old, new) = (&applied.place, &newest.tags.place);
    // The same dump may have another id: copied to another repository, tagged, published twice.
    let same = applied.snapshot.same(&newest.id) || (old == new && applied.digest == newest.tags.digest);
    if same && !matches!(applied.rows, LocalRows::Restored { .. }) {
        return Ok(Newest::Applied(newest));
    }
    if !same && new.order() <= old.order() {
        return Err(Error::new(
            Kind::OutOfOrder,
            format!(
                "the newest snapshot {} (epoch {}, sequence {}) does not come after {} (epoch {}, sequence {}), which was applied here",
                newest.id.short(),
                new.epoch,
                new.sequence,
                applied.snapshot.short(),
                old.epoch,
                old.sequence
            ),
        ));
    }
    if new.main != old.main && new.epoch == old.epoch {
        return Err(Error::new(
            Kind::Fenced,
            format!(
                "snapshot {} is from main {} on host {}, not from main {} which this replica follows",
                newest.id.short(),
                new.main,
                newest.host,
                old.main
            ),
        ));
    }
    Ok(Newest::New(newest))
}

/// Fails if `snapshot` was rejected with this customization.
///
/// # Errors
/// [`Kind::SnapshotRejected`], with the reason.
pub fn rejected(replica: &ReplicaState, snapshot: &Snapshot, customization: Digest, zone: &TimeZone) -> Result<()> {
    match replica.verdict_on(&snapshot.id) {
        Some(Verdict { at, reason, decision: Decision::Rejected { customization: tried }, .. })
            if *tried == customization =>
        {
            let what =
                format!("snapshot {} has been rejected since {}: {reason}", snapshot.id.short(), text::time(*at, zone));
            Err(Error::new(Kind::SnapshotRejected, what))
        }
        _ => Ok(()),
    }
}

/// Fails if `snapshot` is in backoff: after an attempt that stopped Uptime Kuma and failed, the first wait is one
/// minute, each further one twice as long, the longest an hour. After the first attempt that was killed there is none.
///
/// # Errors
/// [`Kind::Backoff`], with the reason of the last attempt.
pub fn backoff(replica: &ReplicaState, snapshot: &Snapshot, now: Timestamp) -> Result<()> {
    let Some(Verdict { at, reason, decision: Decision::Backoff { attempts }, .. }) = replica.verdict_on(&snapshot.id)
    else {
        return Ok(());
    };
    if *attempts == 0 {
        return Ok(());
    }
    let minutes = 1_i64 << attempts.saturating_sub(1).min(6);
    let wait = SignedDuration::from_mins(minutes.min(MAX_BACKOFF_MINUTES));
    let since = now.duration_since(*at);
    // A clock that went back proves nothing, and waiting for it could take years.
    if since.is_negative() || since >= wait {
        return Ok(());
    }
    let what = format!(
        "snapshot {} is tried again in {} s; attempt {attempts} failed: {reason}",
        snapshot.id.short(),
        (wait - since).as_secs() + 1
    );
    Err(Error::new(Kind::Backoff, what))
}

/// The longest that a server may take to begin its monitors and be waited for.
const MAX_BEGINNING: Duration = Duration::from_secs(3 * 60 * 60);

/// The time from one restart for an apply to the next: `interval`, and what the monitors `take` to begin. No time without an
/// interval. The longest there is where it is not known what they take.
pub fn between_restarts(interval: Duration, take: Option<Duration>) -> Duration {
    if interval.is_zero() {
        interval
    } else {
        interval.saturating_add(take.unwrap_or(MAX_BEGINNING).min(MAX_BEGINNING))
    }
}

/// The time from one telling to the next. After each log-in the server sends lists that are as long as it has `monitors`:
/// a tenth of a second for each, at least ten seconds and at most a minute.
pub fn between_tellings(monitors: usize) -> Duration {
    let tenths = u64::try_from(monitors).unwrap_or(u64::MAX);
    Duration::from_millis(tenths.saturating_mul(100)).clamp(Duration::from_secs(10), Duration::from_secs(60))
}

/// Until when Uptime Kuma is not restarted, if it was stopped for an apply less than `interval` ago. Changes of the
/// main that arrive in the meantime are applied together.
pub fn deferred_until(stopped: Option<Timestamp>, now: Timestamp, interval: Duration) -> Option<Timestamp> {
    let since = now.duration_since(stopped?);
    let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
    // A clock that went back proves nothing.
    if since.is_negative() || since >= interval { None } else { stopped?.checked_add(interval).ok() }
}

/// Until when `snapshot` waits, if a cycle has found that it does, with this customization.
pub fn still_deferred(
    replica: &ReplicaState,
    snapshot: &Snapshot,
    customization: Digest,
    now: Timestamp,
) -> Option<Timestamp> {
    match replica.verdict_on(&snapshot.id)? {
        // A clock that went back proves nothing.
        Verdict { at, decision: Decision::Deferred { until, customization: planned }, .. } if *at <= now => {
            (*planned == customization && now < *until).then_some(*until)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_between_tellings_grows_with_the_lists() {
        for (monitors, seconds) in [(0, 10), (100, 10), (300, 30), (600, 60), (5000, 60), (usize::MAX, 60)] {
            assert_eq!(between_tellings(monitors), Duration::from_secs(seconds), "{monitors}");
        }
    }

    #[test]
    fn the_interval_between_restarts_is_a_floor() {
        let [minutes, seconds, days] = [300, 40, 90_000].map(Duration::from_secs);
        for (interval, take, expected) in [
            (minutes, Some(seconds), minutes + seconds),
            (minutes, Some(Duration::ZERO), minutes),
            (minutes, Some(days), minutes + MAX_BEGINNING),
            (minutes, None, minutes + MAX_BEGINNING),
            (Duration::ZERO, Some(seconds), Duration::ZERO),
            (Duration::MAX, Some(seconds), Duration::MAX),
        ] {
            assert_eq!(between_restarts(interval, take), expected, "{interval:?} and {take:?}");
        }
    }
}
