//! Which snapshot is the newest.

use crate::error::{Error, Kind, Result};
use crate::model::snapshot::{Listing, Snapshot};

/// The newest snapshot, if there is one.
///
/// # Errors
/// [`Kind::OutOfOrder`] if two snapshots with different content claim the newest place.
pub(super) fn single_newest(listing: &Listing) -> Result<Option<&Snapshot>> {
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
            "run kuma-replicator promote --as-is on the host that has to be the main, then kuma-replicator demote on \
             the other one",
        ));
    }
    Ok(newest.into_iter().min_by(|a, b| a.id.cmp(&b.id)))
}
