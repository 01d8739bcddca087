//! Arguments, logging, command, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use kuma_replicator::cli::{Cli, Verb};
use kuma_replicator::{command, logging};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(command::explain(&error)),
    };
    // What this program writes has its mode said with it. This is for what others make on its behalf, such as
    // restic in its cache.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // The worker opens nothing, and starts no thread, before it has given its rights up.
    if let Verb::Worker { identity } = &cli.verb {
        return ExitCode::from(command::worker(identity.as_deref()) as u8);
    }
    logging::init(command::is_order(&cli.verb));
    let exit = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command::run(&cli)),
        Err(error) => {
            logging::error(&kuma_replicator::error::Error::io("start the runtime", error));
            kuma_replicator::error::Exit::TryAgain
        }
    };
    ExitCode::from(exit as u8)
}
