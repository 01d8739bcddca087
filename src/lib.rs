//! kuma-replicator keeps the configuration of several Uptime Kuma instances equal.
//!
//! ```text
//!         cli ─ command ─ report             what people type and see
//!                  │
//!                cycle ─────────┐           the two sequences, readable top to bottom
//!               /  │  \         │ Host      one trait: everything outside
//!         decide localise plan  │
//!               \  │  /         │
//!                model          │           plain values and formats
//!                             host          one file per thing outside
//! ```
//!
//! Imports point down and inward, and `tests/imports.rs` keeps it so: `host` implements a trait that
//! `cycle` owns, and `cycle` has never heard of `host`. `model`, `decide`, `localise` and `plan` do no
//! I/O, ask no clock and are not async.
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | every verb and flag with its help |
//! | [`command`] | one function per verb |
//! | [`config`] | the configuration file, as written and as checked |
//! | [`error`] | every kind of failure with its exit code and hint |
//! | [`report`] | what is printed: text and JSON |
//! | [`logging`] | events to the journal, or to standard error |
//! | [`text`] | text from elsewhere, made harmless for terminals and logs |
//! | [`model`] | plain values and formats |
//! | [`decide`] | whether to go on |
//! | [`localise`] | what this replica wants of what the main has |
//! | [`plan`] | the row changes |
//! | [`cycle`] | publish and apply, and the trait behind which everything outside lies |
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
pub mod model;
pub mod plan;
pub mod report;
pub mod text;
