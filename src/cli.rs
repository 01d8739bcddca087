//! Every verb and flag with its help. Only types: what they do is in `command`.
//!
//! The manual pages and the shell completions are made from these types: see `packaging/manual/main.rs`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::config::{DEFAULT_PATH, Role};
use crate::error::Exit;

/// Keep the configuration of Uptime Kuma in sync between hosts through a restic repository
///
/// The main publishes its monitors, notifications, status pages and the like whenever they change. Every replica takes
/// them over and keeps monitoring on its own, with its own history.
///
/// A systemd timer runs the cycles: systemctl enable --now kuma-replicator.timer.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = exit_codes(),
    subcommand_help_heading = "Verbs",
    subcommand_value_name = "VERB"
)]
pub struct Cli {
    /// The configuration file
    #[arg(long, short, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// The exit codes as the end of `--help`.
fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>2}  {}\n", exit.code(), exit.meaning()));
    }
    text + "\n/usr/share/doc/kuma-replicator/errors.md explains every kind of failure."
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Open the files of Uptime Kuma for another process of this program, which speaks to it over a pipe
    #[command(hide = true)]
    Worker {
        /// The ids to act with
        #[arg(long = "as", value_name = "UID:GID[:GID,GID…]")]
        identity: Option<String>,
    },
    /// Run one cycle: publish on a main, apply on a replica. The timer calls this
    Run {
        /// Publish even if more rows vanished than max-shrink allows, or if all monitors did. On a replica, apply a
        /// first snapshot without monitors. Counts for this one cycle
        #[arg(long)]
        confirm_shrink: bool,
        /// Try the newest snapshot again now, although it was rejected or is in backoff. Only on a replica
        #[arg(long)]
        retry: bool,
        /// Look into the repository even if nothing changed. A replica does so in every cycle
        #[arg(long)]
        look: bool,
        /// How the end of the cycle is printed
        #[command(flatten)]
        printing: Printing,
    },
    /// Show what run would do now, row by row, with secrets masked. Changes nothing
    ///
    /// Also names rows that would break a rule of the database on this host.
    Plan(Printing),
    /// Show the role, the last cycle and the configuration in force on this host
    ///
    /// Ends with the exit code of the last cycle if that failed, and with 4 if no cycle has ended well for longer than
    /// overdue-after. Makes no network requests.
    Status(Showing),
    /// List the snapshots of all mains in the repository, newest first
    Snapshots(Printing),
    /// Remove old snapshots from the repository, by keep in [main], after showing which. Only on the main
    ///
    /// A main does so by itself, once a day. No snapshot goes that shows which host is the main, none of another fleet, and none
    /// of another program.
    Forget {
        /// Only show which snapshots would go, and why the others stay
        #[arg(long)]
        dry_run: bool,
        /// Also prune the repository: remove the data that no snapshot needs, those of other programs included
        #[arg(long)]
        prune: bool,
        /// How the snapshots are printed
        #[command(flatten)]
        printing: Printing,
    },
    /// Run restic with the repository, the credentials and the options of this host
    ///
    /// Such as: kuma-replicator restic -- stats. Ends with the exit code of restic.
    Restic {
        /// What restic is told to do
        #[arg(required = true, trailing_var_arg = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Check configuration, permissions, service, database and repository, and say what to do
    ///
    /// Root's checks run as the service would, if it is installed: in its sandbox, as its user, with its credentials.
    Check(Checking),
    /// Show the settings in force, each with the line that it comes from
    Config {
        /// Print the documented configuration file instead, in which every key is a comment with its default
        #[arg(long, conflicts_with = "schema")]
        example: bool,
        /// Print the JSON schema of the configuration file instead, for an editor
        #[arg(long)]
        schema: bool,
    },
    /// Set this host up: find Uptime Kuma, write the configuration, try the repository, check, enable the timer
    ///
    /// Asks on a terminal for what no flag says. Typed again, it leaves alone what is right, and goes on where it was
    /// interrupted. It changes neither the role of a host, nor a repository or a secret that is there.
    Setup(Box<Setup>),
    /// Print the line with which setup replica sets a replica up: the repository and its secrets. Needed on the main
    Invite(Inviting),
    /// Create the repository if there is none. setup does so; needed only without it, once, on the main
    Init,
    /// Write the configuration of this Uptime Kuma to a dump. Needs no repository
    ///
    /// Does not disturb the service. A dump contains secrets: a new file gets mode 0600, and a symbolic link is refused.
    Export {
        /// The database; by default that of the configured unit
        #[arg(long, value_name = "PATH")]
        database: Option<PathBuf>,
        /// The file, device or pipe to write to; - is standard output
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
    /// Put an earlier configuration back, all or nothing, after showing the changes, and hold this host
    ///
    /// Stops and starts Uptime Kuma as a cycle does. The host stays on hold until release.
    Restore {
        /// Only show the changes
        #[arg(long)]
        dry_run: bool,
        /// A snapshot id from snapshots, or "previous": the configuration before the last apply, restore or import
        #[arg(value_name = "SNAPSHOT|previous")]
        source: String,
    },
    /// Change nothing on this host, as during an upgrade of Uptime Kuma, until release or until the time is over
    Hold {
        /// How long, such as 2h or 30m; by default until release
        #[arg(long = "for", value_name = "DURATION", allow_hyphen_values = true)]
        duration: Option<SignedDuration>,
        /// The reason, shown by status
        #[arg(long, value_name = "TEXT", default_value = "no reason was given", value_parser = reason)]
        reason: String,
    },
    /// End a hold: the next cycle goes on
    ///
    /// A main then publishes its configuration. A replica takes the newest snapshot, also in place of a restored
    /// configuration.
    Release,
    /// Make this replica the main: take the newest snapshot, raise the epoch, publish. Fences the former main
    ///
    /// Also writes the role into the configuration file.
    Promote {
        /// Publish the configuration of this host, without taking over the newest snapshot first
        #[arg(long)]
        as_is: bool,
        /// With --as-is: also if more rows of the newest snapshot are missing here than max-shrink allows
        #[arg(long, requires = "as_is")]
        confirm_shrink: bool,
    },
    /// Make this main a replica: publish what changed, then follow the host that is promoted
    ///
    /// Also writes the role into the configuration file.
    Demote {
        /// Do not publish what changed here; the next main's configuration replaces it
        #[arg(long)]
        as_is: bool,
    },
    /// Switch the alerts of this replica on or off, without a restart and without the repository
    ///
    /// With off, the replica keeps monitoring and sends no alerts: a silent standby. Also writes the choice into the
    /// configuration file.
    Alerts {
        /// Whether this replica sends the main's alerts
        switch: Switch,
    },
    /// Receivers of messages: those of the tables [notify.NAME] in the configuration file
    Notify {
        /// What to do with them
        #[command(subcommand)]
        action: Notify,
    },
    /// Start Uptime Kuma again if an interrupted cycle left it stopped. For ExecStopPost=
    #[command(hide = true)]
    Recover,
}

impl Verb {
    /// Whether a JSON document is asked for.
    pub fn prints_json(&self) -> bool {
        match self {
            Self::Run { printing, .. } | Self::Plan(printing) | Self::Snapshots(printing) => printing.json,
            Self::Status(showing) => showing.printing.json,
            Self::Check(checking) => checking.printing.json,
            Self::Forget { printing, .. } => printing.json,
            _ => false,
        }
    }
}

/// The longest reason of a hold, in characters.
const LONGEST_REASON: usize = 500;

/// A reason that fits on a line of `status`.
fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty; leave --reason out, or say why this host is on hold".to_owned()),
        text if text.chars().any(char::is_control) => {
            Err("it has to be one line without control characters".to_owned())
        }
        text if text.chars().count() > LONGEST_REASON => Err(format!("it is longer than {LONGEST_REASON} characters")),
        text => Ok(text.to_owned()),
    }
}

/// What can be done with receivers.
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Send each receiver a test message, and print what becomes of it
    Test {
        /// Print each result as a line of JSON, for another process of this program
        #[arg(long, hide = true)]
        steps: bool,
        /// Only this one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// What `setup` is told.
#[derive(Debug, Clone, Args)]
pub struct Setup {
    /// The role of this host. The main is the one whose configuration all hosts have
    pub role: SetupRole,
    /// The restic repository: /srv/kuma, sftp:user@host:/path, s3:https://host/bucket and so on; - reads it from standard
    /// input, for an address with a password in it
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "invite_file")]
    pub repository: Option<String>,
    /// On a replica: a file with the line that kuma-replicator invite printed; - is standard input
    #[arg(long, value_name = "FILE")]
    pub invite_file: Option<PathBuf>,
    /// A file with the password of the repository; - is standard input. Without it, a main makes a password
    #[arg(long, value_name = "FILE", conflicts_with = "invite_file")]
    pub password_file: Option<PathBuf>,
    /// A file of NAME=value lines for restic, such as AWS_ACCESS_KEY_ID; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "invite_file")]
    pub credentials_file: Option<PathBuf>,
    /// The systemd unit of Uptime Kuma, where it is not found
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// The directory of kuma.db, where it is not found
    #[arg(long, value_name = "DIRECTORY")]
    pub data_directory: Option<PathBuf>,
    /// Put another repository, password or credentials in the place of those that this host has
    #[arg(long)]
    pub replace: bool,
    /// Answer every question of yes or no with yes
    #[arg(long, short)]
    pub yes: bool,
}

/// The role that `setup` gives a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SetupRole {
    /// It publishes its configuration.
    Main,
    /// It takes the main's configuration.
    Replica,
}

impl From<SetupRole> for Role {
    fn from(role: SetupRole) -> Self {
        match role {
            SetupRole::Main => Self::Main,
            SetupRole::Replica => Self::Replica,
        }
    }
}

/// What goes into an invite.
#[derive(Debug, Clone, Args)]
pub struct Inviting {
    /// The repository as replicas reach it, if that is not the address in the configuration; - reads it from standard input
    #[arg(long, value_name = "REPOSITORY")]
    pub repository: Option<String>,
    /// A file of NAME=value lines with credentials for replicas, which should only read; - is standard input. Without it,
    /// replicas get those of the main
    #[arg(long, value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,
    /// A private ssh key for replicas, without a passphrase, for a repository over SFTP
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Send the alerts that the main sends.
    On,
    /// Send none.
    Off,
}

/// How `check` looks, and tells.
#[derive(Debug, Clone, Copy, Args)]
pub struct Checking {
    /// Run the checks as the service would, also with --config, and fail if that is not possible
    #[arg(long)]
    pub as_service: bool,
    /// Print each result as a line of JSON, for another process of this program
    #[arg(long, hide = true)]
    pub steps: bool,
    /// How the results are printed
    #[command(flatten)]
    pub printing: Printing,
}

/// How `status` is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Showing {
    /// Print the metrics of this host for Prometheus instead of text, as metrics-file has them. Ends with 0
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,
    /// How it is printed otherwise
    #[command(flatten)]
    pub printing: Printing,
}

/// How a document is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Printing {
    /// Print a versioned JSON document instead of text
    #[arg(long)]
    pub json: bool,
}
