//! Which snapshots a main forgets, and when it forgets and prunes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::{Keep, Prune};
use crate::error::{Error, Exit, Kind, Result};
use crate::model::retention::{Kept, Reason, Retained};
use crate::model::snapshot::{Listing, MainId, Snapshot, SnapshotId, Tags};
use crate::model::state::{Attempted, MainState, Retention, State};

use super::fencing::{fenced, plausible};
use super::newest::single_newest;

/// The time from one forget to the next.
const BETWEEN_FORGETS: SignedDuration = SignedDuration::from_hours(24);

/// The time from one prune to the next.
const BETWEEN_PRUNES: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The time until another attempt at what the repository refuses for good, as an append-only one does.
const AFTER_REFUSAL: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The time until another attempt at a forget that may succeed by itself, as one beside a backup of another program.
const FORGET_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// The same for a prune, which may take long.
const PRUNE_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// Which snapshots of `listing` stay, newest first. Without `keep` all of them do.
///
/// `keep` counts the snapshots of all mains of `fleet` together, in their order, with the rules of restic since 0.16
/// ("Removing snapshots according to a policy" in its manual): the calendar is that of `zone`, and where fewer periods have
/// snapshots than are kept, the oldest one stays, too.
pub fn retention(listing: &Listing, keep: Option<&Keep>, fleet: &MainId, zone: &TimeZone) -> Vec<Kept> {
    let mut all: Vec<Kept> = listing
        .snapshots
        .iter()
        .map(|snapshot| Kept { snapshot: snapshot.clone(), reasons: foreign(snapshot, fleet) })
        .collect();
    all.sort_by(|a, b| {
        b.snapshot.tags.place.order().cmp(&a.snapshot.tags.place.order()).then(a.snapshot.id.cmp(&b.snapshot.id))
    });
    let fencing = fencing(listing);
    let mut own: Vec<&mut Kept> = all.iter_mut().filter(|kept| kept.reasons.is_empty()).collect();
    for kept in own.iter_mut().filter(|kept| fencing.contains(&kept.snapshot.id)) {
        kept.reasons.insert(Reason::Fences);
    }
    match keep {
        Some(keep) => count(&mut own, keep, zone),
        None => own.iter_mut().for_each(|kept| kept.reasons.extend([Reason::All])),
    }
    if !stays_plausible(listing, &all) {
        all.iter_mut().filter(|kept| kept.reasons.is_empty()).for_each(|kept| kept.reasons.extend([Reason::Fences]));
    }
    all
}

/// Why a snapshot is not this fleet's to forget.
fn foreign(snapshot: &Snapshot, fleet: &MainId) -> BTreeSet<Reason> {
    let other = (snapshot.tags.fleet != *fleet).then_some(Reason::OtherFleet);
    other.into_iter().chain((!snapshot.tags.readable()).then_some(Reason::Unreadable)).collect()
}

/// The snapshots from which hosts conclude more than what a configuration was: the newest of each main in each epoch, and
/// the first of the newest epoch, which tells what former mains published after its beginning.
fn fencing(listing: &Listing) -> BTreeSet<SnapshotId> {
    let of_main = |tags: &Tags| (tags.place.epoch, tags.place.main.clone(), tags.format, tags.fleet.clone());
    let (mut newest, mut first) = (BTreeMap::new(), BTreeMap::new());
    for Snapshot { tags, .. } in &listing.snapshots {
        let (epoch, sequence) = tags.place.order();
        let last = newest.entry(of_main(tags)).or_insert(sequence);
        *last = sequence.max(*last);
        let begun = first.entry(epoch).or_insert(sequence);
        *begun = sequence.min(*begun);
    }
    // Before the first epoch nobody published.
    let begun = if first.len() > 1 { first.pop_last() } else { None };
    let fences = |Snapshot { tags, .. }: &&Snapshot| {
        newest.get(&of_main(tags)) == Some(&tags.place.sequence) || begun == Some(tags.place.order())
    };
    listing.snapshots.iter().filter(fences).map(|snapshot| snapshot.id.clone()).collect()
}

/// Adds the reasons by `keep` to the snapshots, which are in order.
fn count(own: &mut [&mut Kept], keep: &Keep, zone: &TimeZone) {
    let rules = [
        (Reason::Last, keep.last),
        (Reason::Daily, keep.daily),
        (Reason::Weekly, keep.weekly),
        (Reason::Monthly, keep.monthly),
        (Reason::Yearly, keep.yearly),
    ];
    let oldest = own.len().checked_sub(1);
    for (reason, mut left) in rules {
        let mut seen = BTreeSet::new();
        for (number, kept) in own.iter_mut().enumerate() {
            let date = zone.to_datetime(kept.snapshot.time).date();
            let is_first = left > 0 && seen.insert(period(reason, date).unwrap_or((0, number)));
            if is_first || left > 0 && Some(number) == oldest {
                kept.reasons.insert(reason);
                left -= 1;
            }
        }
    }
}

/// The period of the calendar that `date` is in, for a rule that goes by the calendar.
fn period(reason: Reason, date: Date) -> Option<(i16, usize)> {
    let part = |number: i16| usize::try_from(number).unwrap_or_default();
    match reason {
        Reason::Daily => Some((date.year(), part(date.day_of_year()))),
        Reason::Weekly => {
            let week = date.iso_week_date();
            Some((week.year(), part(week.week().into())))
        }
        Reason::Monthly => Some((date.year(), part(date.month().into()))),
        Reason::Yearly => Some((date.year(), 0)),
        _ => None,
    }
}

/// Whether a host that remembers nothing takes each snapshot that stays for one of its fleet, as it does now. Snapshots in
/// between may be the reason why a far number is believed.
fn stays_plausible(listing: &Listing, all: &[Kept]) -> bool {
    let believed = |snapshots: Vec<Snapshot>| {
        let listing = Listing { snapshots, ..Listing::default() };
        let believed = plausible(listing, &State::default()).snapshots;
        believed.into_iter().map(|snapshot| snapshot.id).collect::<BTreeSet<SnapshotId>>()
    };
    let stays = |kept: &&Kept| !kept.reasons.is_empty();
    let staying: Vec<Snapshot> = all.iter().filter(stays).map(|kept| kept.snapshot.clone()).collect();
    let ids: BTreeSet<SnapshotId> = staying.iter().map(|snapshot| snapshot.id.clone()).collect();
    let before = believed(listing.snapshots.clone());
    believed(staying) == before.intersection(&ids).cloned().collect()
}

/// Fails unless it is sure that `main` is the main: the newest snapshot is the one that it published last.
///
/// # Errors
/// [`Kind::Fenced`]; [`Kind::OutOfOrder`]; [`Kind::Usage`] for one that has published nothing since it became the main.
pub fn confirmed(listing: &Listing, main: &MainState) -> Result<()> {
    let newest = single_newest(listing)?;
    let published = main.published.as_ref();
    let is_own = |newest: &&Snapshot| {
        let place = &newest.tags.place;
        published.is_some_and(|published| published.sequence == place.sequence && published.snapshot.same(&newest.id))
            && (place.epoch, &place.main) == (main.epoch, &main.id)
    };
    match newest {
        Some(newest) if is_own(&newest) => Ok(()),
        Some(newest) if published.is_some() && newest.tags.place.epoch >= main.epoch => Err(fenced(newest, &main.id)),
        _ => {
            let what = "it is not sure that this host is the main: the newest snapshot is not one that it remembers";
            Err(Error::new(Kind::Usage, what).with_hint("let it publish first: kuma-replicator run"))
        }
    }
}

/// Whether snapshots may be forgotten now.
pub fn forget_is_due(retention: &Retention, now: Timestamp) -> bool {
    retention.forget.as_ref().is_none_or(|last| is_over(last, now, BETWEEN_FORGETS, FORGET_AGAIN))
}

/// Whether the repository is pruned now. A main that does not remember a prune counts from its next forget.
pub fn prune_is_due(retention: &Retention, prune: Prune, retained: &Retained, now: Timestamp) -> bool {
    let allowed = match prune {
        Prune::Auto => !retained.is_shared(),
        Prune::Always => true,
        Prune::Never => false,
    };
    let over = |last: &Attempted| is_over(last, now, BETWEEN_PRUNES, PRUNE_AGAIN);
    allowed && retention.unpruned > 0 && retention.prune.as_ref().is_some_and(over)
}

fn is_over(last: &Attempted, now: Timestamp, usual: SignedDuration, again: SignedDuration) -> bool {
    let wait = match &last.failure {
        None => usual,
        Some(failure) if failure.kind.exit() == Exit::TryAgain => again,
        Some(_) => AFTER_REFUSAL,
    };
    let age = now.duration_since(last.at);
    // A clock that went back proves nothing.
    age.is_negative() || age >= wait
}
