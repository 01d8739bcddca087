//! Which snapshots stay, for random histories of several mains.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kuma_replicator::config::Keep;
use kuma_replicator::decide::{self, retention};
use kuma_replicator::error::{Kind, Result};
use kuma_replicator::model::content::Content;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::manifest::{FORMAT, Place};
use kuma_replicator::model::retention::{Kept, Reason};
use kuma_replicator::model::snapshot::{Listing, MainId, Snapshot, SnapshotId, Tags};
use kuma_replicator::model::state::{Applied, LocalRows, MainState, Published, ReplicaState, Retention, State};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::host::main_id;

fn fleet() -> MainId {
    main_id('a')
}

fn at(seconds: i64) -> Timestamp {
    "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn snapshot(number: usize, place: Place, time: Timestamp) -> Snapshot {
    let digest = Digest::of(format!("{}", number % 5).as_bytes());
    let tags = Tags { format: FORMAT, place, fleet: fleet(), digest, schema: Digest::of(b"schema") };
    let id = Digest::of(format!("snapshot {number}").as_bytes()).hex().parse().unwrap();
    Snapshot { id, time, host: "alpha".to_owned(), tags }
}

/// A history of one main that publishes after so many hours each.
fn plain(hours: &[i64]) -> Listing {
    let mut time = at(0);
    let publish = |(number, hours): (usize, &i64)| {
        time += SignedDuration::from_hours(*hours);
        snapshot(number, Place { main: fleet(), epoch: 1, sequence: number as u64 + 1 }, time)
    };
    Listing { snapshots: hours.iter().enumerate().map(publish).collect(), ..Listing::default() }
}

fn kept(listing: &Listing, keep: &Keep) -> Vec<Kept> {
    retention(listing, Some(keep), &fleet(), &TimeZone::UTC)
}

const NONE: Keep = Keep { last: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

/// The sequences of those that stay, oldest first, for this reason.
fn staying(listing: &Listing, keep: &Keep, reason: Reason) -> Vec<u64> {
    let mut kept = kept(listing, keep);
    kept.retain(|kept| kept.reasons.contains(&reason));
    kept.iter().rev().map(|kept| kept.snapshot.tags.place.sequence).collect()
}

#[test]
fn each_rule_keeps_what_it_says() {
    // Sequences 1 to 8: 1 January 12:00 and 18:00, 2 January 00:00, 5, 11, 12 and 31 January, 1 February.
    let listing = plain(&[0, 6, 6, 75, 144, 24, 456, 24]);
    let keep = |change: fn(&mut Keep)| {
        let mut keep = NONE;
        change(&mut keep);
        keep
    };
    let cases: [(Reason, Keep, &[u64]); 9] = [
        (Reason::Last, keep(|keep| keep.last = 3), &[6, 7, 8]),
        (Reason::Last, keep(|keep| keep.last = 90), &[1, 2, 3, 4, 5, 6, 7, 8]),
        (Reason::Daily, keep(|keep| keep.daily = 5), &[4, 5, 6, 7, 8]),
        // The oldest stays where fewer days have snapshots than are kept.
        (Reason::Daily, keep(|keep| keep.daily = 9), &[1, 2, 3, 4, 5, 6, 7, 8]),
        (Reason::Weekly, keep(|keep| keep.weekly = 2), &[6, 8]),
        (Reason::Weekly, keep(|keep| keep.weekly = 3), &[5, 6, 8]),
        (Reason::Monthly, keep(|keep| keep.monthly = 2), &[7, 8]),
        (Reason::Monthly, keep(|keep| keep.monthly = 3), &[1, 7, 8]),
        (Reason::Yearly, keep(|keep| keep.yearly = 1), &[8]),
    ];
    for (reason, keep, sequences) in cases {
        assert_eq!(staying(&listing, &keep, reason), sequences, "{reason:?}, {keep:?}");
    }
    // The days are those of the host.
    let zone = TimeZone::fixed(jiff::tz::offset(10));
    let days = |zone: &TimeZone| {
        let kept = retention(&plain(&[0, 1, 2]), Some(&Keep { daily: 1, ..NONE }), &fleet(), zone);
        kept.iter().filter(|kept| kept.reasons.contains(&Reason::Daily)).count()
    };
    assert_eq!((days(&TimeZone::UTC), days(&zone)), (1, 1));
    let all = retention(&listing, None, &fleet(), &TimeZone::UTC);
    assert!(all.iter().all(|kept| kept.reasons.contains(&Reason::All)));
}

#[test]
fn what_fences_stays_and_what_is_anothers_too() {
    let mut listing = Listing::default();
    let mut add = |main: char, epoch: u64, sequence: u64| {
        let number = listing.snapshots.len();
        let place = Place { main: main_id(main), epoch, sequence };
        listing.snapshots.push(snapshot(number, place, at(60 * number as i64)));
        number
    };
    let (first, second) = (add('a', 1, 1), add('a', 1, 2));
    // Promoted, while the former main published once more.
    let (promoted, stray, later, newest) = (add('b', 2, 3), add('a', 1, 3), add('b', 2, 4), add('b', 2, 5));
    let (foreign, newer, theirs) = (add('c', 1, 1), add('a', 1, 4), add('b', 2, 2));
    listing.snapshots[foreign].tags.fleet = main_id('c');
    listing.snapshots[newer].tags.format = FORMAT + 1;
    listing.snapshots[theirs].tags.place.main = main_id('d');
    let kept = kept(&listing, &Keep { last: 1, ..NONE });
    let of = |number: usize| {
        let id = &listing.snapshots[number].id;
        kept.iter().find(|kept| kept.snapshot.id == *id).unwrap().reasons.iter().copied().collect::<Vec<_>>()
    };
    assert_eq!(of(newest), [Reason::Last, Reason::Fences]);
    assert_eq!(of(stray), [Reason::Fences], "the newest of the epoch before");
    assert_eq!(of(theirs), [Reason::Fences], "the first of the newest epoch, and the newest of another main in it");
    assert_eq!((of(foreign), of(newer)), (vec![Reason::OtherFleet], vec![Reason::Unreadable]));
    assert_eq!((of(first), of(second), of(promoted), of(later)), (vec![], vec![], vec![], vec![]));
    let order: Vec<_> = kept.iter().map(|kept| kept.snapshot.tags.place.order()).collect();
    assert!(order.is_sorted_by(|one, next| one >= next), "{order:?}");
}

/// A repository that several mains have published into, some at the same time, and other fleets and versions, too.
fn histories() -> impl Strategy<Value = Listing> {
    let step = (select(vec!['a', 'b', 'c']), 0..12_u8, -3..200_i64, 0..3_u64);
    vec(step, 1..60).prop_map(|steps| {
        let (mut epoch, mut sequence, mut time) = (1, 0_u64, at(0));
        let mut listing = Listing::default();
        for (number, (main, what, hours, back)) in steps.into_iter().enumerate() {
            time += SignedDuration::from_hours(hours);
            sequence += 1;
            let mut place = Place { main: main_id(main), epoch, sequence };
            match what {
                // A promotion.
                0 => {
                    epoch += 1;
                    place.epoch = epoch;
                }
                // A former main, or one that lost a race.
                1 => place.epoch = epoch.saturating_sub(back).max(1),
                2 => place.sequence = sequence.saturating_sub(back).max(1),
                // A number far away, believed or not.
                3 if back == 0 => {
                    sequence += 1 << 31;
                    place.sequence = sequence;
                }
                4 if back == 0 => place.sequence = sequence + (1 << 40),
                _ => {}
            }
            let mut one = snapshot(number, place, time);
            match what {
                5 if back == 0 => one.tags.fleet = main_id('f'),
                6 if back == 0 => one.tags.format = FORMAT + 1,
                _ => {}
            }
            listing.snapshots.push(one);
        }
        listing
    })
}

fn keeps() -> impl Strategy<Value = Keep> {
    (1..4_u32, 0..4_u32, 0..3_u32, 0..3_u32, 0..2_u32).prop_map(|(last, daily, weekly, monthly, yearly)| Keep {
        last,
        daily,
        weekly,
        monthly,
        yearly,
    })
}

fn ids<'a>(snapshots: impl IntoIterator<Item = &'a Snapshot>) -> BTreeSet<SnapshotId> {
    snapshots.into_iter().map(|snapshot| snapshot.id.clone()).collect()
}

/// What a host decides, without the text of an error.
fn verdict<T>(result: Result<T>) -> std::result::Result<T, Kind> {
    result.map_err(|error| error.kind())
}

/// Mains that come back: at each place that was ever published, and new ones.
fn mains(listing: &Listing) -> Vec<MainState> {
    let of = |place: &Place, published: Option<Published>| MainState {
        id: place.main.clone(),
        epoch: place.epoch,
        published,
        publishing: None,
        looked: None,
        repository: None,
        fenced: None,
        retention: Retention::default(),
    };
    let published = |snapshot: &Snapshot| Published {
        snapshot: snapshot.id.clone(),
        sequence: snapshot.tags.place.sequence,
        content: snapshot.tags.content(),
        counts: [].into(),
        at: snapshot.time,
    };
    let there = listing.snapshots.iter();
    there.flat_map(|one| [of(&one.tags.place, Some(published(one))), of(&one.tags.place, None)]).collect()
}

fn replicas(listing: &Listing) -> Vec<ReplicaState> {
    let applied = |snapshot: &Snapshot| {
        let applied = Applied {
            snapshot: snapshot.id.clone(),
            place: snapshot.tags.place.clone(),
            digest: snapshot.tags.digest,
            at: snapshot.time,
            customization: None,
            rows: LocalRows::AsApplied { baseline: snapshot.tags.content() },
        };
        ReplicaState { applied: Some(applied), ..ReplicaState::default() }
    };
    listing.snapshots.iter().map(applied).chain([ReplicaState::default()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_host_decides_otherwise_after_a_forget(listing in histories(), keep in keeps()) {
        let remembers = State { fleet: Some(fleet()), ..State::default() };
        // A main whose repository is another fleet's forgets nothing.
        let Ok(before) = decide::of_fleet(listing, &remembers) else { return Ok(()) };
        let kept = kept(&before, &keep);
        prop_assert_eq!(ids(kept.iter().map(|kept| &kept.snapshot)), ids(&before.snapshots));
        let mut after = before.clone();
        let going = ids(kept.iter().filter(|kept| kept.goes()).map(|kept| &kept.snapshot));
        after.snapshots.retain(|snapshot| !going.contains(&snapshot.id));

        for one in before.snapshots.iter().filter(|one| going.contains(&one.id)) {
            prop_assert!(one.tags.fleet == fleet() && one.tags.readable(), "{:?} is another's", one);
        }
        prop_assert_eq!(before.newest(), after.newest());
        let stray = |listing: &Listing| decide::stray(listing).map(|stray| stray.id.clone());
        if let Some(id) = stray(&before).filter(|id| !going.contains(id)) {
            prop_assert_eq!(stray(&after), Some(id));
        } else {
            prop_assert!(stray(&after).is_none_or(|id| ids(&before.snapshots).contains(&id)));
        }
        for state in [State::default(), remembers] {
            let before = decide::of_fleet(before.clone(), &state).map(|listing| ids(&listing.snapshots));
            let after = decide::of_fleet(after.clone(), &state).map(|listing| ids(&listing.snapshots));
            let left = before.map(|before| before.difference(&going).cloned().collect::<BTreeSet<_>>());
            prop_assert_eq!(verdict(left), verdict(after));
        }
        let contents = before.snapshots.iter().map(|one| one.tags.content());
        let contents: BTreeSet<_> = contents.map(|content| (content.digest, content.schema)).collect();
        for main in mains(&before) {
            let succeeded = |listing| decide::succeeded(listing, &main).map(|one| one.id.clone());
            prop_assert_eq!(succeeded(&before), succeeded(&after));
            prop_assert_eq!(decide::epoch(&before, &main), decide::epoch(&after, &main));
            for (digest, schema) in &contents {
                let content = Content { digest: *digest, schema: *schema };
                let step = |listing| verdict(decide::publish(listing, &main, content)).map(|step| format!("{step:?}"));
                prop_assert_eq!(step(&before), step(&after));
            }
            prop_assert_eq!(verdict(decide::confirmed(&before, &main)), verdict(decide::confirmed(&after, &main)));
        }
        for replica in replicas(&before) {
            let newest = |listing| verdict(decide::newest(listing, &replica)).map(|newest| format!("{newest:?}"));
            prop_assert_eq!(newest(&before), newest(&after));
        }
        // Nothing is left to forget.
        prop_assert_eq!(after.snapshots.len(), kept.iter().filter(|kept| !kept.goes()).count());
        let again = self::kept(&after, &keep);
        prop_assert!(again.iter().all(|kept| !kept.goes()), "{:?}", again);
    }

    /// Even if the newest epoch is removed from the repository by a person: the one before still fences.
    #[test]
    fn each_epoch_keeps_its_fence(listing in histories(), keep in keeps()) {
        let kept = kept(&listing, &keep);
        let epochs = |snapshots: &mut dyn Iterator<Item = &Snapshot>| {
            snapshots.map(|one| (one.tags.place.epoch, one.tags.place.main.clone())).collect::<BTreeSet<_>>()
        };
        let left = epochs(&mut kept.iter().filter(|kept| !kept.goes()).map(|kept| &kept.snapshot));
        prop_assert_eq!(epochs(&mut listing.snapshots.iter()), left);
    }
}
