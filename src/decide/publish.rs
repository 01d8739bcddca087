//! Whether a main publishes, and at which place.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::error::Result;
use crate::model::content::Content;
use crate::model::manifest::Place;
use crate::model::snapshot::{Listing, Snapshot};
use crate::model::state::{MainState, Published};

use super::fencing::{fenced, has_lost_state, unknown_rows};
use super::newest::single_newest;

/// Whether a main with `content` may end its cycle without looking into the repository. It looks after each boot: while
/// it was off, another host may have been promoted.
pub fn unchanged(main: &MainState, content: Content, now: Timestamp, booted: Timestamp, look_every: Duration) -> bool {
    let same = |published: &Published| published.content == content;
    let published = main.published.as_ref().is_some_and(same);
    let due = main.looked.is_none() || is_overdue(main, now, booted, look_every);
    published && !due && main.publishing.is_none()
}

/// Whether the last look of a main, if it remembers one, was too long ago, or before it was booted.
pub fn is_overdue(main: &MainState, now: Timestamp, booted: Timestamp, look_every: Duration) -> bool {
    main.looked.is_some_and(|looked| {
        // A clock that went back makes a look due: the remembered time proves nothing.
        let age = now.duration_since(looked);
        looked < booted
            || age.is_negative()
            || age >= SignedDuration::try_from(look_every).unwrap_or(SignedDuration::MAX)
    })
}

/// What a main does after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish<'a> {
    /// The newest snapshot has this configuration already.
    AlreadyThere(&'a Snapshot),
    /// Publish at this place.
    At(Place),
}

/// Where a main publishes next, if it may.
///
/// # Errors
/// [`Kind::Fenced`](crate::error::Kind::Fenced) if another host is the main,
/// [`Kind::OutOfOrder`](crate::error::Kind::OutOfOrder) if two snapshots claim the newest place.
pub fn publish<'a>(listing: &'a Listing, main: &MainState, content: Content) -> Result<Publish<'a>> {
    let last = main.published.as_ref().map_or(0, |published| published.sequence);
    let after = |sequence: u64| {
        let sequence = sequence.max(last).saturating_add(1);
        Publish::At(Place { main: main.id.clone(), epoch: main.epoch, sequence })
    };
    let (epoch, sequence) = listing.newest().first().map_or((0, 0), |newest| newest.tags.place.order());
    if epoch < main.epoch {
        // This host was promoted, or the repository lost snapshots. The next snapshot ends the older epoch, whatever
        // it contains, and even if the rows are the same.
        return Ok(after(sequence));
    }
    let Some(newest) = single_newest(listing)? else { return Ok(after(0)) };
    let place = &newest.tags.place;
    if place.epoch > main.epoch || place.main != main.id {
        return Err(fenced(newest, &main.id));
    }
    let begun = main.publishing.as_ref().map(|attempt| (attempt.sequence, attempt.digest));
    let found = Some((place.sequence, newest.tags.digest));
    if newest.tags.content() == content && newest.tags.readable() {
        return Ok(Publish::AlreadyThere(newest));
    }
    if has_lost_state(main) && newest.tags.digest != content.digest {
        // Recent edits, an old backup and a clone look alike from here.
        return Err(unknown_rows(newest, &main.id));
    }
    // A newer snapshot under this identity that this host does not remember was published by a copy of it.
    let ahead = main.published.is_some() && place.sequence > last && found != begun;
    if ahead {
        return Err(fenced(newest, &main.id));
    }
    Ok(after(place.sequence))
}
