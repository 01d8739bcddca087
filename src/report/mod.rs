//! What is printed: documents with one text form and one JSON form. The JSON is a contract
//! (`docs/format.md`): every document has a `version`, which rises when a field changes its meaning.
//!
//! One file per document, but for the two lists, which are here.

mod changes;
mod plan;
mod status;

use std::fmt;
use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::snapshot::{Listing, Snapshot};
use crate::text;

pub use plan::PlanDocument;
pub use status::{Clock, StatusDocument};

/// The version of all documents.
pub const VERSION: u32 = 1;

/// Prints `document` on standard output, as JSON or as text. A reader that has seen enough is no failure.
///
/// # Errors
/// If standard output cannot be written.
pub fn print<D: Serialize + fmt::Display>(document: &D, json: bool) -> Result<()> {
    if json {
        // Documents hold only strings, numbers and maps with string keys: this cannot fail.
        let text = serde_json::to_string_pretty(document).unwrap_or_default();
        write_line(&text::json(&text))
    } else {
        say(document)
    }
}

/// Prints one thing on standard output, on a line of its own.
///
/// # Errors
/// As for [`print`].
pub fn say(text: impl fmt::Display) -> Result<()> {
    // The documents keep their values to one line each; here nothing but line feeds passes, whoever wrote it.
    write_line(text::lines(&text.to_string()).trim_end())
}

fn write_line(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("write to standard output", error)),
        _ => Ok(()),
    }
}

/// The snapshots in the repository.
#[derive(Debug, Serialize)]
pub struct SnapshotsDocument {
    version: u32,
    snapshots: Vec<Snapshot>,
    unreadable: Vec<Unreadable>,
}

/// A snapshot with the mark of this program whose tags make no sense.
#[derive(Debug, Serialize)]
struct Unreadable {
    id: String,
    reason: String,
}

impl SnapshotsDocument {
    /// All snapshots of `listing`, newest first.
    pub fn new(listing: Listing) -> Self {
        let mut snapshots = listing.snapshots;
        snapshots.sort_by(|a, b| b.tags.place.order().cmp(&a.tags.place.order()).then(a.id.cmp(&b.id)));
        let unreadable = listing.unreadable.into_iter().map(|(id, reason)| Unreadable { id: id.to_string(), reason });
        Self { version: VERSION, snapshots, unreadable: unreadable.collect() }
    }
}

impl fmt::Display for SnapshotsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8}  {:20}  {:>5}  {:>8}  {:12}  {:12}  host",
            "id", "time", "epoch", "sequence", "digest", "main"
        )?;
        for Snapshot { id, time, host, tags } in &self.snapshots {
            let time = time.round(jiff::Unit::Second).unwrap_or(*time).to_string();
            let main: String = tags.place.main.to_string().chars().take(12).collect();
            let (epoch, sequence) = tags.place.order();
            write!(
                f,
                "\n{:8}  {time:20}  {epoch:>5}  {sequence:>8}  {:12}  {main:12}  {}",
                id.short(),
                tags.digest.short(),
                text::line(host)
            )?;
        }
        for Unreadable { id, reason } in &self.unreadable {
            write!(f, "\n{id:.8}  not readable: {}", text::line(reason))?;
        }
        Ok(())
    }
}

/// The results of `check`.
#[derive(Debug, Serialize)]
pub struct CheckDocument {
    version: u32,
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// `ok`, `warning` or `failed`.
    pub result: &'static str,
    /// What was found.
    pub message: String,
    /// What to do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl CheckDocument {
    /// A document of these checks.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { version: VERSION, checks }
    }
}

impl fmt::Display for CheckDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Check { name, result, message, hint }) in self.checks.iter().enumerate() {
            let line = if at > 0 { "\n" } else { "" };
            write!(f, "{line}{result:8} {name:14} {}", text::line(message))?;
            if let Some(hint) = hint {
                write!(f, "\n{:8} {:14} → {}", "", "", text::line(hint))?;
            }
        }
        Ok(())
    }
}

/// What `init` did.
#[derive(Debug, Serialize)]
pub struct InitDocument {
    /// Where the repository is, without credentials.
    pub repository: String,
    /// Whether it was created now.
    pub created: bool,
}

impl fmt::Display for InitDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, created } = self;
        if *created {
            write!(f, "created repository {repository}")
        } else {
            write!(f, "repository {repository} is there already")
        }
    }
}
