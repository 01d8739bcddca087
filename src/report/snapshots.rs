//! The list of snapshots.

use std::fmt;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Shaped, VERSION};
use crate::model::snapshot::{Listing, Snapshot, SnapshotId};
use crate::terminal::{Shape, Tone, columns};
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
pub(super) struct Unreadable {
    pub(super) id: String,
    pub(super) reason: String,
}

impl Unreadable {
    /// All of a listing.
    pub(super) fn all(unreadable: Vec<(SnapshotId, String)>) -> Vec<Self> {
        unreadable.into_iter().map(|(id, reason)| Self { id: id.to_string(), reason }).collect()
    }
}

impl SnapshotsDocument {
    /// All snapshots of `listing`, newest first. The text has times in `zone`.
    pub fn new(listing: Listing, zone: TimeZone) -> Self {
        let mut snapshots = listing.snapshots;
        snapshots.sort_by(|a, b| b.tags.place.order().cmp(&a.tags.place.order()).then(a.id.cmp(&b.id)));
        let unreadable = Unreadable::all(listing.unreadable);
        Self { version: VERSION, snapshots, unreadable, zone }
    }
}

impl Shaped for SnapshotsDocument {
    fn shape(line: &str) -> Shape {
        let (tone, painted) = if line.starts_with("id ") {
            (Tone::Heading, line.len())
        } else if line.get(8..).is_some_and(|rest| rest.starts_with("  unreadable: ")) {
            (Tone::Warning, line.len())
        } else {
            (Tone::Plain, 0)
        };
        Shape { tone, painted, indent: 10 }
    }
}

impl fmt::Display for SnapshotsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times: Vec<String> = self.snapshots.iter().map(|snapshot| text::time(snapshot.time, &self.zone)).collect();
        // A zone without a name has its offset.
        let wide = times.iter().map(|time| columns(time)).max().unwrap_or_default().max("time".len());
        let line = |[id, time, epoch, sequence, digest, main, host]: [&str; 7]| {
            format!("{id:8}  {time:wide$}  {epoch:>5}  {sequence:>8}  {digest:12}  {main:12}  {host}")
        };
        f.write_str(&line(["id", "time", "epoch", "sequence", "digest", "main", "host"]))?;
        for (Snapshot { id, host, tags, .. }, time) in self.snapshots.iter().zip(&times) {
            let main: String = tags.place.main.to_string().chars().take(12).collect();
            let (epoch, sequence) = tags.place.order();
            let (epoch, sequence) = (epoch.to_string(), sequence.to_string());
            let (digest, host) = (tags.digest.short(), text::line(host));
            write!(f, "\n{}", line([id.short(), time, &epoch, &sequence, &digest, &main, &host]))?;
        }
        for Unreadable { id, reason } in &self.unreadable {
            write!(f, "\n{id:.8}  unreadable: {}", text::line(reason))?;
        }
        Ok(())
    }
}
