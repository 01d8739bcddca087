//! System tests: two real systemd hosts with real Uptime Kuma and the real package.
//!
//! Each test boots what it needs and says in its name what an operator may rely on. A test that cannot run
//! counts as ignored, with the reason, and fails under CI.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, reason = "modules of a test have no outside")]

#[path = "../testbed/mod.rs"]
mod testbed;

mod again;
mod apply;
mod as_service;
mod attack;
mod chance;
mod customization;
mod database;
mod disk;
mod edits;
mod faults;
mod guards;
mod kill;
mod live;
mod mains;
mod manual;
mod memory;
mod metrics;
mod news;
mod operate;
mod others;
mod own;
mod package;
mod power;
mod proof;
mod publish;
mod receivers;
mod remote;
mod replication;
mod repository;
mod retention;
mod rights;
mod secrets;
mod service;
mod settings;
mod setup;
mod setup_at_home;
mod silence;
mod snapshots;
mod stand_in;
mod steps;
mod strategies;
mod surroundings;
mod target;
mod terminal;
mod told;
mod upgrades;
mod uploads;
mod voices;
mod world;
mod zones;

use std::num::NonZero;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use testbed::{Missing, Result};

/// A test: its name and what it does.
type Test = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each test boots two hosts and waits for them more than half of the time: for systemd, and for stops of Uptime Kuma,
    // which take four seconds.
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get) * 3;
    arguments.test_threads = arguments.test_threads.or(Some(threads));
    let missing = testbed::available().and_then(|()| world::package().map(drop)).err();
    // Those with many rounds first: nothing is left to wait for them alone at the end.
    let tests = [
        kill::TESTS,
        steps::TESTS,
        power::TESTS,
        publish::TESTS,
        uploads::TESTS,
        again::TESTS,
        replication::TESTS,
        apply::TESTS,
        as_service::TESTS,
        attack::TESTS,
        proof::TESTS,
        strategies::TESTS,
        live::TESTS,
        told::TESTS,
        customization::TESTS,
        own::TESTS,
        voices::TESTS,
        operate::TESTS,
        mains::TESTS,
        manual::TESTS,
        memory::TESTS,
        metrics::TESTS,
        faults::TESTS,
        database::TESTS,
        disk::TESTS,
        guards::TESTS,
        others::TESTS,
        package::TESTS,
        receivers::TESTS,
        repository::TESTS,
        retention::TESTS,
        rights::TESTS,
        service::TESTS,
        settings::TESTS,
        setup::TESTS,
        setup_at_home::TESTS,
        silence::TESTS,
        snapshots::TESTS,
        surroundings::TESTS,
        terminal::TESTS,
        upgrades::TESTS,
        zones::TESTS,
    ]
    .concat();
    let without_shells = missing.clone().or(testbed::part("shells").err());
    let in_shells = terminal::IN_OTHER_SHELLS.iter().map(|test| (*test, without_shells.clone()));
    let tests = tests.into_iter().map(|test| (test, missing.clone())).chain(in_shells);
    let trials = tests.map(|((name, test), missing)| Trial::ignorable_test(name, move || run(test, missing)));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    world::clean_up();
    conclusion.exit_code()
}

fn run(test: fn() -> Result<()>, missing: Option<String>) -> std::result::Result<Completion, Failed> {
    match missing {
        Some(reason) if std::env::var_os("CI").is_some() => Err(format!("cannot run: {reason}").into()),
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => match test() {
            Err(error) if error.is::<Missing>() && std::env::var_os("CI").is_none() => {
                Ok(Completion::ignored_with(error.to_string()))
            }
            result => result.map(|()| Completion::Completed).map_err(|error| error.to_string().into()),
        },
    }
}
