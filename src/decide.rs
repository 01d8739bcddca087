//! Whether to go on: from what is newest, what is remembered and what is configured. Each function
//! gives a decision or says why not; none of them does anything.

mod fencing;
mod guard;
mod versions;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Kind, Result};
use crate::model::digest::Digest;
use crate::model::manifest::Place;
use crate::model::snapshot::{Listing, Snapshot};
use crate::model::state::{Hold, LastCycle, MainState, Published, Refused, ReplicaState, Setback, State};

pub use fencing::{epoch, fenced_since, next_epoch, overruled, stray, succeeded};
use fencing::{fenced, has_lost_state, unknown_rows};

pub use guard::{first_contact, shrink};
pub use versions::{schema_gate, still_held, unwritable};

/// What a main would publish: the digest of its configuration and the fingerprint of its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The digest of the configuration.
    pub digest: Digest,
    /// The fingerprint of the schema: migrations may change it without touching a row.
    pub schema: Digest,
}

/// Whether a main with `content` may end its cycle without looking into the repository. Not after a boot: while it was
/// off, another host may have been promoted.
pub fn unchanged(main: &MainState, content: Content, now: Timestamp, booted: Timestamp, look_every: Duration) -> bool {
    let same = |published: &Published| published.digest == content.digest && published.schema == content.schema;
    let published = main.published.as_ref().is_some_and(same);
    let due = main.looked.is_none_or(|looked| {
        // A clock that went back makes a look due: the remembered time proves nothing.
        let age = now.duration_since(looked);
        looked < booted
            || age.is_negative()
            || age >= SignedDuration::try_from(look_every).unwrap_or(SignedDuration::MAX)
    });
    published && !due && main.publishing.is_none()
}

/// What a main does after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish<'a> {
    /// The newest snapshot is this configuration already.
    AlreadyThere(&'a Snapshot),
    /// Publish at this place.
    At(Place),
}

/// Where a main publishes next, if it may.
///
/// # Errors
/// [`Kind::Fenced`] if another host is the main, [`Kind::OutOfOrder`] if two snapshots claim the newest place.
pub fn publish<'a>(listing: &'a Listing, main: &MainState, content: Content) -> Result<Publish<'a>> {
    let last = main.published.as_ref().map_or(0, |published| published.sequence);
    let after = |sequence: u64| {
        let sequence = sequence.max(last).saturating_add(1);
        Publish::At(Place { main: main.id.clone(), epoch: main.epoch, sequence })
    };
    let (epoch, sequence) = listing.newest().first().map_or((0, 0), |newest| newest.tags.place.order());
    if epoch < main.epoch {
        // This host was promoted, or the repository has lost what it had. The next snapshot ends the epoch before,
        // whatever stands there, and also if the rows are the same.
        return Ok(after(sequence));
    }
    let Some(newest) = single_newest(listing)? else { return Ok(after(0)) };
    let place = &newest.tags.place;
    if place.epoch > main.epoch || place.main != main.id {
        return Err(fenced(newest, &main.id));
    }
    let begun = main.publishing.as_ref().map(|attempt| (attempt.sequence, attempt.digest));
    let found = Some((place.sequence, newest.tags.digest));
    let Content { digest, schema } = content;
    if newest.tags.digest == digest && newest.tags.schema == schema && newest.tags.readable() {
        return Ok(Publish::AlreadyThere(newest));
    }
    if has_lost_state(main) && newest.tags.digest != digest {
        // Edits since then, an old backup and a clone look alike from here.
        return Err(unknown_rows(newest, &main.id));
    }
    // A newer snapshot under this identity that this host does not remember was published by a copy of it.
    let ahead = main.published.is_some() && place.sequence > last && found != begun;
    if ahead {
        return Err(fenced(newest, &main.id));
    }
    Ok(after(place.sequence))
}

/// What a replica does after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apply<'a> {
    /// Nothing has been published yet.
    Nothing,
    /// The newest snapshot was applied.
    UpToDate(&'a Snapshot),
    /// It waits: the newest snapshot is written in a format of a newer version.
    Unreadable(&'a Snapshot),
    /// Fetch this one.
    Fetch(&'a Snapshot),
}

/// What a replica does with what a look found.
///
/// # Errors
/// [`Kind::SnapshotRejected`], [`Kind::Fenced`] or [`Kind::OutOfOrder`].
pub fn apply<'a>(listing: &'a Listing, replica: &ReplicaState) -> Result<Apply<'a>> {
    let Some(newest) = single_newest(listing)? else {
        return match &replica.applied {
            None => Ok(Apply::Nothing),
            Some(applied) => Err(Error::new(
                Kind::OutOfOrder,
                format!("the repository has no snapshot any more, but {} was applied here", applied.snapshot.short()),
            )),
        };
    };
    if let Some(applied) = &replica.applied {
        let (old, new) = (&applied.place, &newest.tags.place);
        // The same dump may stand under another id: copied to another repository, tagged, published twice.
        let same = applied.snapshot.same(&newest.id) || (old == new && applied.digest == newest.tags.digest);
        if same && replica.restored.is_none() {
            return Ok(Apply::UpToDate(newest));
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
    }
    not_refused(replica, newest)?;
    Ok(if newest.tags.readable() { Apply::Fetch(newest) } else { Apply::Unreadable(newest) })
}

/// Whether `snapshot` may be tried.
///
/// # Errors
/// [`Kind::SnapshotRejected`], with the reason of the attempt.
pub fn not_refused(replica: &ReplicaState, snapshot: &Snapshot) -> Result<()> {
    match replica.refused.as_ref().filter(|refused| refused.snapshot.same(&snapshot.id)) {
        None => Ok(()),
        Some(Refused { at, reason, .. }) => {
            let what = format!("snapshot {} is refused since {at}: {reason}", snapshot.id.short());
            Err(Error::new(Kind::SnapshotRejected, what))
        }
    }
}

/// What keeps a cycle from changing anything: a person's order, if it has not ended.
pub fn on_hold(hold: Option<&Hold>, now: Timestamp) -> Option<String> {
    let hold = hold.filter(|hold| hold.until.is_none_or(|until| now < until))?;
    let end = hold.until.map_or_else(|| "until it is released".to_owned(), |until| format!("until {until}"));
    Some(format!("on hold since {} {end}: {}", hold.since, hold.reason))
}

/// Seconds since the last success; none if there was none, or the clock went back.
pub fn last_success_age(last_success: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    u64::try_from(now.duration_since(last_success?).as_secs()).ok()
}

/// Tells that somebody should look at this host: its last cycle failed, or none has ended well for longer than
/// `overdue_after`, because none runs or because they are held. A hold with an end is no reason before that end.
///
/// # Errors
/// The kind that the last cycle failed with, or [`Kind::Overdue`].
pub fn alarm(state: &State, now: Timestamp, overdue_after: Duration) -> Result<()> {
    let success = state
        .last_success
        .map_or_else(|| "none has ended well yet".to_owned(), |at| format!("the last that ended well did so {at}"));
    if let Some(LastCycle { error: Some(error), outcome, message, at }) = &state.last {
        // A kind that only another version of this program knows needs a person in any case.
        let kind = Kind::named(error).unwrap_or(Kind::Overdue);
        return Err(
            Error::new(kind, format!("the last cycle ended {at}, {outcome}; {success}")).because(message.clone())
        );
    }
    let last = state.last.as_ref().map(|last| last.at);
    let seen = match state.hold.as_ref().and_then(|hold| hold.until) {
        Some(until) if now < until => last,
        until => state.last_success.max(until),
    };
    // A time far in the future was taken from a wrong clock, and proves no more than none.
    let limit = SignedDuration::try_from(overdue_after).unwrap_or(SignedDuration::MAX);
    if seen.is_some_and(|at| now.duration_since(at).abs() <= limit) {
        return Ok(());
    }
    let why = match &state.last {
        None => "no cycle has run on this host yet".to_owned(),
        Some(LastCycle { outcome, message, at, .. }) if message.is_empty() => {
            format!("the last cycle ended {at}, {outcome}")
        }
        Some(LastCycle { outcome, message, at, .. }) => format!("the last cycle ended {at}, {outcome}: {message}"),
    };
    Err(Error::new(Kind::Overdue, format!("cycles are overdue; {success}")).because(why))
}

/// Refuses to try a snapshot again right after an attempt that stopped Uptime Kuma for nothing: the first
/// wait is one minute, each further one twice as long, the longest an hour.
///
/// # Errors
/// [`Kind::Backoff`], with the reason of the last attempt.
pub fn postponed(setback: Option<&Setback>, snapshot: &Snapshot, now: Timestamp) -> Result<()> {
    let Some(setback) = setback.filter(|setback| setback.snapshot.same(&snapshot.id)) else { return Ok(()) };
    let minutes = 1_i64 << setback.attempts.saturating_sub(1).min(6);
    let wait = SignedDuration::from_mins(minutes.min(60));
    let since = now.duration_since(setback.at);
    // A clock that went back proves nothing, and waiting for it could take years.
    if since.is_negative() || since >= wait {
        return Ok(());
    }
    let what = format!(
        "snapshot {} is tried again in {} s; attempt {} failed: {}",
        snapshot.id.short(),
        (wait - since).as_secs() + 1,
        setback.attempts,
        setback.reason
    );
    Err(Error::new(Kind::Backoff, what))
}

/// Until when Uptime Kuma is left alone, if it was stopped for an apply less than `interval` ago. Changes of the
/// main that come in the meantime are applied together.
pub fn resting(stopped: Option<Timestamp>, now: Timestamp, interval: Duration) -> Option<Timestamp> {
    let since = now.duration_since(stopped?);
    let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
    // A clock that went back proves nothing.
    if since.is_negative() || since >= interval { None } else { stopped?.checked_add(interval).ok() }
}

/// The newest snapshot. Two with different content at the newest place are nobody's truth.
fn single_newest(listing: &Listing) -> Result<Option<&Snapshot>> {
    let newest = listing.newest();
    let Some(first) = newest.first() else { return Ok(None) };
    if let Some(other) = newest.iter().find(|other| other.tags != first.tags) {
        return Err(Error::new(
            Kind::OutOfOrder,
            format!(
                "snapshots {} (host {}) and {} (host {}) both claim epoch {}, sequence {}",
                first.id.short(),
                first.host,
                other.id.short(),
                other.host,
                first.tags.place.epoch,
                first.tags.place.sequence
            ),
        )
        .with_hint(
            "run kuma-replicator promote --as-is on the host that is to be the main, then kuma-replicator demote on the \
             other one",
        ));
    }
    Ok(newest.into_iter().min_by(|a, b| a.id.cmp(&b.id)))
}
