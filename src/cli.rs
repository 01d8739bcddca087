//! Every verb and flag with its help. Only types: what they do is in `command`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::config::DEFAULT_PATH;

/// Replicates the configuration of Uptime Kuma between hosts through a restic repository.
///
/// The main publishes its monitors, notifications, status pages and the like whenever they changed; every
/// replica takes them over and goes on monitoring by itself, with its own history. A systemd timer runs
/// the cycles: systemctl enable --now kuma-replicator.timer.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// The configuration file
    #[arg(long, short, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 ended as designed, also when held; 1 a bug; 2 usage; 3 an apply failed, the previous configuration is in \
force; 4 a person has to decide; 65 data or schema refused; 75 try again later; 77 not permitted; 78 configuration. \
/usr/share/doc/kuma-replicator/errors.md explains every kind of failure.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run one cycle: publish on a main, apply on a replica. This is what the timer calls
    Run {
        /// Publish even though more rows vanished than max-shrink allows, or all monitors did; on a replica, apply a
        /// first snapshot without monitors. Holds for this one cycle
        #[arg(long)]
        confirm_shrink: bool,
        /// Try the newest snapshot again now, although it was refused or is postponed. Only on a replica
        #[arg(long)]
        retry: bool,
    },
    /// Show what run would do now, row by row, with secrets masked. Changes nothing
    Plan(Printing),
    /// Show the role, the last cycle and what is in force here; fails if the last cycle failed or is overdue.
    /// Asks no network
    Status(Printing),
    /// List the snapshots of all mains in the repository, newest first
    Snapshots(Printing),
    /// Check configuration, rights, service, database and repository, and say what to do
    Check(Printing),
    /// Create the repository if there is none. Needed once, on the main
    Init,
    /// Write the configuration of this Uptime Kuma as a dump. Needs no repository, disturbs nothing
    Export {
        /// The database; by default that of the configured unit
        #[arg(long, value_name = "PATH")]
        database: Option<PathBuf>,
        /// Where to; - is standard output. A file is made readable by its owner only: dumps hold secrets
        #[arg(value_name = "FILE", default_value = "-")]
        file: PathBuf,
    },
    /// Write a dump into the database of a stopped Uptime Kuma, all or nothing, after showing the changes
    Import {
        /// The database; by default that of the configured unit
        #[arg(long, value_name = "PATH")]
        database: Option<PathBuf>,
        /// Only show the changes
        #[arg(long)]
        dry_run: bool,
        /// The dump; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put an earlier configuration back, all or nothing, after showing the changes, and hold the cycles here
    Restore {
        /// Only show the changes
        #[arg(long)]
        dry_run: bool,
        /// A snapshot's id, as snapshots shows it, or "previous": what was replaced here last
        #[arg(value_name = "SNAPSHOT|previous")]
        source: String,
    },
    /// Change nothing on this host, as during an upgrade of Uptime Kuma, until released or until the time is over
    Hold {
        /// For how long, such as 2h or 30m; without it until release
        #[arg(long = "for", value_name = "DURATION")]
        duration: Option<SignedDuration>,
        /// Why, for those who find it so
        #[arg(long, default_value = "no reason was given")]
        reason: String,
    },
    /// End a hold: the next cycle goes on
    Release,
    /// Make this replica the main: take the newest snapshot, raise the epoch, publish. Fences the former main
    Promote {
        /// Publish what is here, without taking over the newest snapshot first
        #[arg(long)]
        as_is: bool,
        /// With --as-is: also if more rows of the newest snapshot are missing here than max-shrink allows
        #[arg(long, requires = "as_is")]
        confirm_shrink: bool,
    },
    /// Make this main a replica: publish what changed, then follow the host that is promoted
    Demote {
        /// Do not publish what changed here; the next main's configuration replaces it
        #[arg(long)]
        as_is: bool,
    },
    /// Switch the alerts of this replica, now and for good, without a restart and without the repository
    Alerts {
        /// Whether it sends those that the main sends, or none, as a silent standby
        switch: Switch,
    },
    /// Start Uptime Kuma again if an interrupted cycle left it stopped. For ExecStopPost=
    #[command(hide = true)]
    Recover,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// How a document is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Printing {
    /// Print a JSON document with a version instead of text
    #[arg(long)]
    pub json: bool,
}
