//! What kuma-replicator promises, as far as neither root nor a network is needed to show it: one module per promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod alarm;
mod check;
mod config;
mod costs;
mod customization;
mod cycle;
mod docs;
mod dump;
mod errors;
mod imports;
mod invite;
mod label;
mod live;
mod localise;
mod manual;
mod metrics;
mod notify;
mod orders;
mod plan;
mod precedence;
mod preview;
mod receivers;
mod reliability;
mod retention;
mod roles;
mod run;
mod samples;
mod schedule;
mod seen;
mod settings;
mod standby;
mod state;
mod strategies;
mod terminal;
mod told;
mod transfer;
mod worker;
mod zones;
