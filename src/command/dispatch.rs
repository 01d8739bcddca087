//! From a verb to its function, and from its result to an exit code.

use crate::cli::{Cli, Notify, Printing, Showing, Verb};
use crate::cycle::{Event, Options, Promotion};
use crate::error::{Error, Exit, Kind};
use crate::logging;
use crate::report::{self, FailureDocument};

use super::order::Forgetting;
use super::{check, invite, notify, order, plan, recover, repository, settings, setup, status, transfer};

/// Does what the command line says and gives the exit code.
pub async fn run(cli: &Cli) -> Exit {
    let result = match &cli.verb {
        Verb::Run { confirm_shrink, retry, look, printing } => {
            let options = Options { confirm_shrink: *confirm_shrink, retry: *retry, look: *look, ..Options::default() };
            return super::run::run(cli, options, printing.json).await;
        }
        Verb::Worker { identity } => return super::worker(identity.as_deref()),
        Verb::Recover => return recover::recover(cli).await,
        Verb::Plan(Printing { json }) => plan::show(cli, *json).await,
        Verb::Status(Showing { prometheus: true, .. }) => status::metrics(cli),
        Verb::Status(Showing { printing: Printing { json }, .. }) => status::show(cli, *json).await,
        Verb::Snapshots(Printing { json }) => repository::snapshots(cli, *json).await,
        Verb::Forget { dry_run, prune, printing } => {
            order::forget(cli, Forgetting { dry_run: *dry_run, prune: *prune, json: printing.json }).await
        }
        Verb::Restic { arguments } => repository::restic(cli, arguments),
        Verb::Check(checking) => check::check(cli, *checking).await,
        Verb::Config { example, schema } => settings::show(cli, *example, *schema),
        Verb::Setup(flags) => setup::setup(cli, flags).await,
        Verb::Invite(flags) => invite::invite(cli, flags),
        Verb::Init => repository::init(cli).await,
        Verb::Export { database, file } => transfer::export(cli, database.as_deref(), file).await,
        Verb::Restore { dry_run, source } => order::restore(cli, *dry_run, source).await,
        Verb::Hold { duration, reason } => order::hold(cli, *duration, reason).await,
        Verb::Release => order::release(cli).await,
        Verb::Promote { as_is, confirm_shrink } => {
            order::promote(cli, Promotion { as_is: *as_is, confirm_shrink: *confirm_shrink }).await
        }
        Verb::Alerts { switch } => order::alerts(cli, *switch).await,
        Verb::Notify { action: Notify::Test { steps, name } } => notify::test(cli, name.as_deref(), *steps).await,
        Verb::Demote { as_is } => order::demote(cli, *as_is).await,
        Verb::Import { database, dry_run, file } => transfer::import(cli, database.as_deref(), *dry_run, file).await,
    };
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            let exit = error.kind().exit();
            if cli.verb.prints_json() && !report::has_printed() {
                print_failure(&error);
            }
            // The journal records what was tried on this host, and no typing errors.
            if is_order(&cli.verb) && exit != Exit::Usage {
                logging::report(&Event::Failed { error, snapshot: None, last_success_age: None, again: false });
            } else {
                logging::error(&error);
            }
            exit
        }
    }
}

/// Says why the command line cannot be used, or what was asked for with --help or --version. Returns the exit code.
pub fn explain(error: &clap::Error) -> u8 {
    let is_json = std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if error.use_stderr() && is_json {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        print_failure(&Error::new(Kind::Usage, first.trim_start_matches("error: ")));
    }
    // If nobody reads it, the exit code says it.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code())
}

fn print_failure(error: &Error) {
    // The exit code says the same.
    let _ = report::print_json(&FailureDocument::new(error));
}

/// Whether a verb changes something on this host, or lets a cycle do so: the journal records who typed it.
pub fn is_order(verb: &Verb) -> bool {
    match verb {
        Verb::Run { .. }
        | Verb::Hold { .. }
        | Verb::Release
        | Verb::Promote { .. }
        | Verb::Demote { .. }
        | Verb::Alerts { .. } => true,
        Verb::Restore { dry_run, .. } | Verb::Forget { dry_run, .. } => !dry_run,
        _ => false,
    }
}
