//! Why bytes are not a dump.

use crate::model::manifest::FORMAT;

/// Why bytes are not a dump that this version reads.
#[derive(Debug)]
pub enum Fault {
    /// Written in another format.
    Format(u64),
    /// Not a complete, well-formed dump; the text says where and why.
    Damaged(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(format) => write!(f, "it is written in format {format}; this version reads format {FORMAT}"),
            Self::Damaged(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Fault {}

pub(super) fn damaged(reason: impl Into<String>) -> Fault {
    Fault::Damaged(reason.into())
}
