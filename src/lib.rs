//! kuma-replicator keeps the configuration of several Uptime Kuma instances in sync.
//!
//! ```text
//!         cli ─ command ─ report ─ metrics   what people type and see, and Prometheus
//!                 │
//!               cycle                        prepare → ready → carry out; plan prints what is ready
//!             /  │  \        │
//!       decide localise plan │ four traits   Repository · Kuma (with Claim) · Store · Surroundings
//!             \  │  /        │
//!              model         │               plain values and formats
//!                           host             restic · kuma · notify · store · system
//! ```
//!
//! Imports point down and inward, and `tests/it/imports.rs` keeps it so: `host` implements traits that `cycle` owns, and
//! `cycle` does not know `host`. `model`, `decide`, `localise` and `plan` do no I/O, read no clock and are not async.
//! A `mod.rs` is an index: it declares and re-exports, and has no logic.
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | every verb and flag with its help |
//! | [`command`] | one function per verb |
//! | [`config`] | the configuration file, as written and as checked |
//! | [`error`] | every kind of failure with its exit code and hint |
//! | [`report`] | what is printed: text and JSON |
//! | [`metrics`] | what a host tells Prometheus |
//! | [`logging`] | events to the journal, or to standard error |
//! | [`terminal`] | colours, lines broken at the width of a terminal, and what is waited for |
//! | [`text`] | text from elsewhere made harmless for terminals and logs, times and counts for people |
//! | [`model`] | plain values and formats |
//! | [`decide`] | whether to go on |
//! | [`localise`] | from the configuration of the main to the one that this replica wants |
//! | [`plan`] | the row changes |
//! | [`cycle`] | what a cycle does, and the traits of everything outside |
//! | [`host`] | everything outside: SQLite, restic, systemd, HTTP, files |

// Tables of cases in the tests may be longer.
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod cli;
pub mod command;
pub mod config;
pub mod cycle;
pub mod decide;
pub mod error;
pub mod host;
pub mod localise;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod plan;
pub mod report;
pub mod terminal;
pub mod text;
