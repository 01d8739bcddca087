//! Dump format 1: the canonical bytes of a configuration (`docs/format.md`).
//!
//! The same content gives the same bytes on every machine. The digest covers the body: every line except the first and
//! the last. A dump is accepted only if rendering what was read gives the same bytes again, so no two readers can
//! understand it differently.

mod body;
mod fault;
mod lines;
mod parse;
mod render;
mod row;

pub use super::limits::{MAX_DUMP, MAX_FILE};
pub use super::manifest::FORMAT;
pub use body::{parse as parse_body, parse_beside as parse_body_beside};
pub use fault::Fault;
pub use parse::{Dump, describes, parse, parse_beside};
pub use render::{body, render, write_file, write_table};
