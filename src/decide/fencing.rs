//! Who is the main: epochs, former mains, and hosts that claim to be the main. Order is (epoch, sequence); no
//! clock and no lock decides anything.

use jiff::tz::TimeZone;

use crate::error::{Error, Kind, Result};
use crate::model::content::Content;
use crate::model::manifest::Place;
use crate::model::snapshot::{Listing, MainId, Snapshot};
use crate::model::state::{Applied, Fenced, MainState, State};
use crate::text;

/// How far an epoch or a sequence may be above the next one below it. A fleet that publishes each second gets there in
/// 136 years.
const MAX_STEP: u64 = 1 << 32;

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
///
/// # Errors
/// [`Kind::OutOfOrder`] if there is none above.
pub fn next_epoch(listing: &Listing, state: &State) -> Result<u64> {
    let newest = listing.newest().first().map_or(0, |newest| newest.tags.place.epoch);
    newest.max(known(state).0).checked_add(1).ok_or_else(|| {
        let what = "no epoch is left above that of the last main";
        Error::new(Kind::OutOfOrder, what).with_hint("begin anew: another repository, and no state.json on any host")
    })
}

/// The highest epoch and the highest sequence that this host has seen.
fn known(state: &State) -> (u64, u64) {
    let main = state.main.as_ref();
    let fenced = main.and_then(|main| main.fenced.as_ref()).map(|fenced| &fenced.place);
    let places = fenced.into_iter().chain(state.replica.applied.as_ref().map(|applied| &applied.place));
    let published = main.and_then(|main| main.published.as_ref()).map_or(0, |published| published.sequence);
    let own = (main.map_or(0, |main| main.epoch), published);
    places.map(Place::order).fold(own, |top, place| (top.0.max(place.0), top.1.max(place.1)))
}

/// The listing without snapshots whose epoch or sequence is too far above all others to be that of a main of this fleet:
/// they count as unreadable. Such a number, made by mistake or on purpose, would leave no room for a later main.
#[must_use]
pub(super) fn plausible(listing: Listing, state: &State) -> Listing {
    let Listing { snapshots, mut unreadable, others: foreign } = listing;
    let reach = |known: u64, number: fn(&Snapshot) -> u64| {
        let mut numbers: Vec<u64> = snapshots.iter().map(number).collect();
        numbers.sort_unstable();
        numbers.into_iter().fold(known, |top, next| if next > top && next - top <= MAX_STEP { next } else { top })
    };
    let (epoch, sequence) = known(state);
    let epoch = reach(epoch, |snapshot| snapshot.tags.place.epoch);
    let sequence = reach(sequence, |snapshot| snapshot.tags.place.sequence);
    let (plausible, others): (Vec<_>, Vec<_>) = snapshots
        .into_iter()
        .partition(|snapshot| snapshot.tags.place.epoch <= epoch && snapshot.tags.place.sequence <= sequence);
    unreadable.extend(others.into_iter().map(|snapshot| {
        let Place { epoch, sequence, .. } = snapshot.tags.place;
        (snapshot.id, format!("no main of this fleet can be at epoch {epoch}, sequence {sequence}"))
    }));
    Listing { snapshots: plausible, unreadable, others: foreign }
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

/// What a host with this `state` goes by of a `listing`: what is plausible, of its own fleet. That the newest snapshot is of
/// another one is a mistake in `repository`, or two fleets share it: after a promotion, and in a new repository, a main still
/// publishes for its fleet.
///
/// # Errors
/// [`Kind::OtherFleet`].
pub fn of_fleet(listing: Listing, state: &State) -> Result<Listing> {
    let listing = plausible(listing, state);
    let Some(fleet) = &state.fleet else { return Ok(listing) };
    let newest = listing.newest().into_iter().find(|newest| newest.tags.fleet != *fleet);
    let Some(Snapshot { id, host, tags, .. }) = newest else { return Ok(listing) };
    let what = format!(
        "the repository is that of another fleet: host {host} published snapshot {} for fleet {}, and this host belongs to \
         fleet {fleet}; nothing is published or applied",
        id.short(),
        tags.fleet
    );
    Err(Error::new(Kind::OtherFleet, what))
}

/// The fleet of a `main` that knows none yet: that of the newest snapshot. The first main of a repository begins one.
pub fn fleet(listing: &Listing, main: &MainState) -> MainId {
    listing.newest().first().map_or_else(|| main.id.clone(), |newest| newest.tags.fleet.clone())
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
