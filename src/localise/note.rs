//! What a customization has changed, for people.

use std::fmt;

use crate::text;

/// What one customization has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    what: String,
    rows: Option<Rows>,
    selects: bool,
}

/// Rows that a customization has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rows {
    count: usize,
    /// What such a row is called, as `monitor` or `row`.
    noun: &'static str,
    /// ` of ` and a table, or nothing.
    of: String,
}

impl Note {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), rows: None, selects: false }
    }

    /// `what` selects monitors, and has selected so many.
    pub(super) fn monitors(what: impl Into<String>, count: usize) -> Self {
        let rows = Rows { count, noun: "monitor", of: String::new() };
        Self { what: what.into(), rows: Some(rows), selects: true }
    }

    /// `what` selects rows of a table, and has selected so many.
    pub(super) fn rows(what: impl Into<String>, count: usize, table: &str) -> Self {
        let rows = Rows { count, noun: "row", of: format!(" of {table}") };
        Self { what: what.into(), rows: Some(rows), selects: true }
    }

    /// The same for a customization that may well select none.
    pub(super) fn expecting_none(self) -> Self {
        Self { selects: false, ..self }
    }

    /// Whether it selects rows and has found none.
    pub fn is_idle(&self) -> bool {
        self.selects && self.rows.as_ref().is_some_and(|rows| rows.count == 0)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let Some(Rows { count, noun, of }) = &self.rows else { return Ok(()) };
        write!(f, ": {}{of}", text::count(*count as u64, noun))
    }
}
