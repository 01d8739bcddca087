//! What came of a wish, for people.

use std::fmt;

/// What one wish came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    wish: String,
    /// How many rows of what; none if it is not about rows that it has to match.
    matched: Option<(usize, String)>,
}

impl Note {
    pub(super) fn new(wish: impl Into<String>) -> Self {
        Self { wish: wish.into(), matched: None }
    }

    pub(super) fn matched(wish: impl Into<String>, count: usize, what: impl Into<String>) -> Self {
        Self { wish: wish.into(), matched: Some((count, what.into())) }
    }

    /// Whether it was to match something, and matches nothing.
    pub fn is_idle(&self) -> bool {
        matches!(self.matched, Some((0, _)))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.matched {
            None => f.write_str(&self.wish),
            Some((count, what)) => write!(f, "{}: {count} {what}", self.wish),
        }
    }
}
