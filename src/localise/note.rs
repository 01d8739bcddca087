//! What a customization has changed, for people.

use std::fmt;

/// What one customization has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    what: String,
    /// How many rows of which kind it matches; none if it does not select rows.
    matched: Option<(usize, String)>,
}

impl Note {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), matched: None }
    }

    pub(super) fn matched(what: impl Into<String>, count: usize, rows: impl Into<String>) -> Self {
        Self { what: what.into(), matched: Some((count, rows.into())) }
    }

    /// Whether it selects rows and matches none.
    pub fn is_idle(&self) -> bool {
        matches!(self.matched, Some((0, _)))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.matched {
            None => f.write_str(&self.what),
            Some((count, rows)) => write!(f, "{}: {count} {rows}", self.what),
        }
    }
}
