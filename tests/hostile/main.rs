//! Promise: whatever is written in a dump, in the tags and listings of a repository, in the state, in the settings, in
//! the unit of Uptime Kuma or in the pipe to the worker, nothing panics, nothing takes more memory than is documented, and it is either
//! refused by a kind of failure that says so or means what it says. Valid documents are broken at random, piece by piece.
//!
//! A smoke of it runs with all tests. With `KUMA_REPLICATOR_SOAK_MINUTES` set it goes on for that long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod budget;
mod dumps;
mod limits;
mod listings;
mod memory;
mod mutation;
mod requests;
mod settings;
mod shown;
mod states;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use budget::Budget;

#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

/// A promise that holds for any input: its name, and what tries to break it.
type Property = (&'static str, fn(Budget));

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The time of a soak is shared out between them.
    arguments.test_threads = arguments.test_threads.or(Some(budget::THREADS));
    let searched = [
        dumps::PROPERTIES,
        listings::PROPERTIES,
        requests::PROPERTIES,
        settings::PROPERTIES,
        states::PROPERTIES,
        shown::PROPERTIES,
    ]
    .concat();
    let budget = Budget::share_of(searched.len());
    let properties = [&searched, limits::FIXED, listings::FIXED, states::FIXED].concat();
    let trial = |(name, property): Property| {
        Trial::test(name, move || {
            property(budget);
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, properties.into_iter().map(trial).collect()).exit_code()
}
