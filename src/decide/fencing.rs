//! Who is the main: epochs, former mains, and hosts that claim to be the main. Order is (epoch, sequence); no
//! clock and no lock decides anything.

use jiff::tz::TimeZone;

use crate::error::{Error, Kind};
use crate::model::content::Content;
use crate::model::manifest::Place;
use crate::model::snapshot::{Listing, MainId, Snapshot};
use crate::model::state::{Applied, Fenced, MainState, State};
use crate::text;

/// Whether `main` remembers nothing of what it did: it is new, or has lost its state.
pub(super) fn has_lost_state(main: &MainState) -> bool {
    main.published.is_none() && main.publishing.is_none() && main.fenced.is_none()
}

/// The epoch that `main` publishes in: one that has lost its state continues with its own epoch in the repository.
pub fn epoch(listing: &Listing, main: &MainState) -> u64 {
    let own = |newest: &&Snapshot| has_lost_state(main) && newest.tags.place.main == main.id;
    listing.newest().into_iter().find(own).map_or(main.epoch, |newest| main.epoch.max(newest.tags.place.epoch))
}

/// The snapshot of a higher epoch, which fences `main`, if there is one.
pub fn succeeded<'a>(listing: &'a Listing, main: &MainState) -> Option<&'a Snapshot> {
    listing.newest().into_iter().find(|newest| newest.tags.place.epoch > main.epoch)
}

/// The newest snapshot of a host that is not the main: of a former one that published after another was promoted,
/// its sequence being not below the first one of the newest epoch, or of another one in the newest epoch. Clocks
/// prove nothing here.
pub fn stray(listing: &Listing) -> Option<&Snapshot> {
    let place = |snapshot: &Snapshot| snapshot.tags.place.order();
    let newest = listing.newest();
    let newest = *newest.first()?;
    let (epoch, _) = place(newest);
    let promoted = listing.snapshots.iter().map(place).filter(|(other, _)| *other == epoch).min()?.1;
    let late = |snapshot: &&Snapshot| {
        let (other, sequence) = place(snapshot);
        if other < epoch {
            sequence >= promoted
        } else {
            snapshot.tags.place.main != newest.tags.place.main && place(snapshot) < place(newest)
        }
    };
    listing.snapshots.iter().filter(late).max_by_key(|snapshot| place(snapshot))
}

/// The newest snapshot of an epoch that ends when `content` is published at `place`, if its rows are lost by that:
/// they are neither published again nor were they `applied` here.
pub fn overruled<'a>(
    listing: &'a Listing,
    place: &Place,
    content: Content,
    applied: Option<&Applied>,
) -> Option<&'a Snapshot> {
    let taken = |newest: &Snapshot| applied.is_some_and(|applied| applied.snapshot.same(&newest.id));
    listing
        .newest()
        .into_iter()
        .find(|newest| newest.tags.place.epoch < place.epoch && newest.tags.digest != content.digest && !taken(newest))
}

/// The epoch of a host that becomes the main: above every epoch that it knows of.
pub fn next_epoch(listing: &Listing, state: &State) -> u64 {
    let newest = listing.newest().first().map(|newest| newest.tags.place.epoch);
    let own = state.main.as_ref().map(|main| main.epoch);
    let fenced = state.main.as_ref().and_then(|main| main.fenced.as_ref()).map(|fenced| fenced.place.epoch);
    let applied = state.replica.applied.as_ref().map(|applied| applied.place.epoch);
    [newest, own, fenced, applied].into_iter().flatten().max().unwrap_or(0).saturating_add(1)
}

/// The failure of a former main: another host was promoted.
pub fn fenced_since(Fenced { snapshot, place, host, at }: &Fenced, zone: &TimeZone) -> Error {
    let Place { main, epoch, sequence } = place;
    let what = format!(
        "host {host} (main {main}) was promoted to main: snapshot {} (epoch {epoch}, sequence {sequence}), found at {}; \
         this host publishes nothing",
        snapshot.short(),
        text::time(*at, zone)
    );
    Error::new(Kind::Fenced, what)
}

/// The failure of a main when another host, or a copy of this one, publishes.
pub(super) fn fenced(newest: &Snapshot, me: &MainId) -> Error {
    let Place { main, epoch, sequence } = &newest.tags.place;
    let who = if main == me { "a copy of this main".to_owned() } else { format!("main {main}") };
    Error::new(
        Kind::Fenced,
        format!(
            "{who} on host {} published snapshot {} (epoch {epoch}, sequence {sequence}); this main {me} publishes nothing",
            newest.host,
            newest.id.short()
        ),
    )
}

/// The failure of a host that lost its state, and whose rows are not those that were last published in its name.
pub(super) fn unknown_rows(newest: &Snapshot, me: &MainId) -> Error {
    let Place { epoch, sequence, .. } = &newest.tags.place;
    let what = format!(
        "this main {me} remembers nothing, and its rows are not those of snapshot {} (epoch {epoch}, sequence \
         {sequence}), which host {} published in its name; nothing is published",
        newest.id.short(),
        newest.host
    );
    Error::new(Kind::Fenced, what).with_hint(
        "kuma-replicator promote takes that snapshot and goes on from there; with --as-is it publishes what is here",
    )
}
