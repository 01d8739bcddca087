//! Which snapshots `forget` removes, and why the others stay.

use std::fmt;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::snapshots::Unreadable;
use super::{Shaped, VERSION};
use crate::model::retention::{Kept, Reason, Retained};
use crate::model::snapshot::Snapshot;
use crate::terminal::{Shape, Tone, columns};
use crate::text;

/// The snapshots in the repository, and what becomes of them.
#[derive(Debug, Serialize)]
pub struct ForgetDocument {
    version: u32,
    /// Whether nothing is removed.
    dry_run: bool,
    /// Whether the repository is pruned as well.
    prune: bool,
    /// Newest first.
    snapshots: Vec<Entry>,
    /// With the mark of this program and tags that cannot be read: they stay.
    unreadable: Vec<Unreadable>,
    /// How many snapshots of other programs lie in the same repository: they stay.
    others: usize,
    #[serde(skip)]
    zone: TimeZone,
}

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// Whether it goes.
    forget: bool,
    /// Why it stays.
    reasons: Vec<&'static str>,
}

impl ForgetDocument {
    /// What becomes of the snapshots. The text has times in `zone`.
    pub fn new(retained: Retained, dry_run: bool, prune: bool, zone: TimeZone) -> Self {
        let Retained { kept, unreadable, others } = retained;
        let entry = |kept: Kept| Entry {
            forget: kept.goes(),
            snapshot: kept.snapshot,
            reasons: kept.reasons.into_iter().map(Reason::name).collect(),
        };
        let snapshots = kept.into_iter().map(entry).collect();
        let unreadable = Unreadable::all(unreadable);
        Self { version: VERSION, dry_run, prune, snapshots, unreadable, others, zone }
    }
}

impl Shaped for ForgetDocument {
    fn shape(line: &str) -> Shape {
        let tone = match () {
            () if line.starts_with("id ") => Tone::Heading,
            () if line.ends_with("  goes") => Tone::Bad,
            () if line.get(8..).is_some_and(|rest| rest.starts_with("  stays: unreadable: ")) => Tone::Warning,
            () => Tone::Plain,
        };
        Shape { tone, painted: line.len(), indent: 10 }
    }
}

impl fmt::Display for ForgetDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = self.snapshots.iter().map(|entry| text::time(entry.snapshot.time, &self.zone));
        let times: Vec<String> = times.collect();
        // A zone without a name has its offset.
        let wide = times.iter().map(|time| columns(time)).max().unwrap_or_default().max("time".len());
        writeln!(f, "{:8}  {:wide$}  {:>5}  {:>8}  {:16}  why it stays", "id", "time", "epoch", "sequence", "host")?;
        for (Entry { snapshot: Snapshot { id, host, tags, .. }, forget, reasons }, time) in
            self.snapshots.iter().zip(&times)
        {
            let host = text::line(host);
            let (epoch, sequence) = tags.place.order();
            let reasons = if *forget { "goes".to_owned() } else { reasons.join(", ") };
            writeln!(f, "{:8}  {time:wide$}  {epoch:>5}  {sequence:>8}  {host:16}  {reasons}", id.short())?;
        }
        for Unreadable { id, reason } in &self.unreadable {
            writeln!(f, "{id:.8}  stays: unreadable: {}", text::line(reason))?;
        }
        let goes = self.snapshots.iter().filter(|entry| entry.forget).count();
        let stay = self.snapshots.len() - goes + self.unreadable.len();
        let would = if self.dry_run { "would go" } else { "to forget" };
        write!(f, "{} {would}, {stay} stay", text::count(goes as u64, "snapshot"))?;
        if self.others > 0 {
            write!(f, "; {} of other programs", text::count(self.others as u64, "snapshot"))?;
        }
        Ok(())
    }
}
