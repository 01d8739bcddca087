//! Promise: a replica gets what it customization for, and nothing else. What is wanted can be written into a real database
//! and is there then; wanted once more, nothing is to do; what is excluded or kept is never written; nothing leads
//! nowhere; and somebody can log in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod examples;
mod known;
mod properties;
