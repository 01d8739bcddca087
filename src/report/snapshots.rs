//! The list of snapshots.

use std::fmt;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::VERSION;
use crate::model::snapshot::{Listing, Snapshot};
use crate::text;

/// The snapshots in the repository.
#[derive(Debug, Serialize)]
pub struct SnapshotsDocument {
    version: u32,
    snapshots: Vec<Snapshot>,
    unreadable: Vec<Unreadable>,
    #[serde(skip)]
    zone: TimeZone,
}

/// A snapshot with the mark of this program and tags that cannot be read.
#[derive(Debug, Serialize)]
struct Unreadable {
    id: String,
    reason: String,
}

impl SnapshotsDocument {
    /// All snapshots of `listing`, newest first. The text has times in the zone of this host.
    pub fn new(listing: Listing) -> Self {
        let mut snapshots = listing.snapshots;
        snapshots.sort_by(|a, b| b.tags.place.order().cmp(&a.tags.place.order()).then(a.id.cmp(&b.id)));
        let unreadable = listing.unreadable.into_iter().map(|(id, reason)| Unreadable { id: id.to_string(), reason });
        Self { version: VERSION, snapshots, unreadable: unreadable.collect(), zone: TimeZone::system() }
    }
}

impl fmt::Display for SnapshotsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8}  {:24}  {:>5}  {:>8}  {:12}  {:12}  host",
            "id", "time", "epoch", "sequence", "digest", "main"
        )?;
        for Snapshot { id, time, host, tags } in &self.snapshots {
            let time = text::time(*time, &self.zone);
            let main: String = tags.place.main.to_string().chars().take(12).collect();
            let (epoch, sequence) = tags.place.order();
            write!(
                f,
                "\n{:8}  {time:24}  {epoch:>5}  {sequence:>8}  {:12}  {main:12}  {}",
                id.short(),
                tags.digest.short(),
                text::line(host)
            )?;
        }
        for Unreadable { id, reason } in &self.unreadable {
            write!(f, "\n{id:.8}  unreadable: {}", text::line(reason))?;
        }
        Ok(())
    }
}
