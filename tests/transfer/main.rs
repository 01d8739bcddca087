//! Promise: `export` and `import` move a configuration between real SQLite databases whole or not at all,
//! leave history and everything local as it was, and disturb nobody.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod awkward;
mod digest;
mod export;
mod interrupted;
mod live;
mod local;
mod private;
mod program;
mod quiet;
mod refusals;
mod schema;
mod unusable;
mod uploads;
mod whole;
