//! What can go wrong, in one list: each kind has one exit code and one hint.
//!
//! An [`Error`] names the operation and the object, keeps its cause as `source`, and has a hint: the next thing to
//! type or to look at. `logging` prints it once. Nothing here does I/O.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text;

/// Result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $exit:ident $hint:literal;)*) => {
        /// The kinds of failure. `docs/errors.md` explains each of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All kinds, in the order of the documentation.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// The stable name used in JSON, in the journal and in the documentation.
            pub fn name(self) -> &'static str { match self { $(Kind::$kind => $name,)* } }

            /// The exit code of a failure of this kind.
            pub fn exit(self) -> Exit { match self { $(Kind::$kind => Exit::$exit,)* } }

            /// The next thing to do, unless the error itself has a more exact hint.
            pub fn hint(self) -> &'static str { match self { $(Kind::$kind => $hint,)* } }
        }
    };
}

kinds! {
    /// A fault in this program.
    Bug "bug" Bug "this is a bug in kuma-replicator; please report it with the lines above";
    /// The command line cannot be used.
    Usage "usage" Usage "see kuma-replicator --help";
    /// Uptime Kuma did not start with the new configuration; the previous one was written back.
    RolledBack "rolled-back" RolledBack "read the journal of the unit; this snapshot is now rejected, and the next one will be tried";
    /// The rows could not be written, or did not read back as written; nothing was changed.
    WriteFailed "write-failed" RolledBack "nothing was changed; read the cause, then run kuma-replicator plan";
    /// Uptime Kuma started neither with the new configuration nor with the previous one.
    RollbackFailed "rollback-failed" NeedsPerson "start Uptime Kuma by hand; the previous configuration is kept in previous.dump in the state directory";
    /// Another main publishes into the same repository.
    Fenced "fenced" NeedsPerson "decide which host is the main: run kuma-replicator promote on it, or kuma-replicator demote on the other one";
    /// The newest snapshot in the repository is that of another fleet.
    OtherFleet "other-fleet" NeedsPerson "correct repository in config.toml; for this host to join that fleet, set role = \"replica\" and remove state.json";
    /// The newest snapshot is older than the one applied last, or two claim the same place.
    OutOfOrder "out-of-order" NeedsPerson "run kuma-replicator snapshots to find the host that published out of order";
    /// A person ordered this host to change nothing.
    OnHold "on-hold" NeedsPerson "run kuma-replicator release to end the hold";
    /// `setup` asked for a yes and got none.
    NotConfirmed "not-confirmed" NeedsPerson "type the same line again and answer yes, or add --yes";
    /// The last success of this host is older than `overdue-after`.
    Overdue "overdue" NeedsPerson "run systemctl list-timers kuma-replicator.timer and journalctl -u kuma-replicator to see why";
    /// An export, or a first snapshot, that lost everything, or more rows than `max-shrink` allows.
    Shrunk "shrunk" NeedsPerson "if the rows were removed on purpose, confirm it once: kuma-replicator run --confirm-shrink";
    /// The state file cannot be read as one this version knows.
    StateDamaged "state-damaged" NeedsPerson "the file was kept; repair it, or move it away: the next cycle then compares the rows instead";
    /// A dump is damaged, or is not the one that the tags of its snapshot promise.
    SnapshotDamaged "snapshot-damaged" Refused "change something on the main so that it publishes a new snapshot";
    /// The snapshot was removed from the repository before it was fetched.
    SnapshotGone "snapshot-gone" TryAgain "the next cycle looks again";
    /// The snapshot was tried before and rejected.
    SnapshotRejected "snapshot-rejected" Refused "correct the configuration on the main: its next snapshot will be tried; if the cause was on this host and is fixed, run kuma-replicator run --retry";
    /// Rows that break a rule of the database on this host: a constraint, or a reference to a missing row.
    Unwritable "unwritable" Refused "nothing was changed; correct the named row on the main";
    /// The dump format is newer than this program.
    FormatUnknown "format-unknown" Refused "upgrade kuma-replicator on this host";
    /// Dump and database have different schemas.
    SchemaDiffers "schema-differs" Refused "upgrade Uptime Kuma to the same version on both hosts";
    /// The database does not belong to a version of Uptime Kuma that this program supports.
    SchemaUnknown "schema-unknown" Refused "start Uptime Kuma once so that it creates its database; /usr/share/doc/kuma-replicator/installing.md lists the supported versions";
    /// A configuration without a user who can log in: Uptime Kuma would show its setup page to the first visitor.
    NoUser "no-user" Refused "finish the setup of Uptime Kuma on the main first";
    /// The database is damaged.
    DatabaseCorrupt "database-corrupt" Refused "stop Uptime Kuma and restore its database; nothing is repaired automatically";
    /// The database does not exist.
    DatabaseMissing "database-missing" Config "start Uptime Kuma once and choose SQLite, or set data-directory in [uptime-kuma]";
    /// The running Uptime Kuma has another database open than the one that was found.
    DatabaseNotInUse "database-not-in-use" Config "find the data directory with lsof -p of the server's process, and set data-directory in [uptime-kuma]";
    /// Another process has the database locked or open.
    DatabaseBusy "database-busy" TryAgain "run fuser -v on the file to see which process has it open; the next cycle tries again";
    /// Another cycle or command is running on this host.
    AlreadyRunning "already-running" TryAgain "wait until it ends: systemctl status kuma-replicator";
    /// An apply failed after Uptime Kuma was stopped, for a reason of this host: the snapshot is tried again later.
    Backoff "backoff" TryAgain "fix the cause; the next attempt is automatic, or immediate with kuma-replicator run --retry";
    /// The repository did not answer.
    RepositoryUnreachable "repository-unreachable" TryAgain "check the network, name resolution, the clock and the address; the next cycle tries again";
    /// Another restic process holds an exclusive lock.
    RepositoryLocked "repository-locked" TryAgain "wait until the other restic ends, such as a prune; restic unlock removes a stale lock";
    /// restic failed for a reason without a kind of its own.
    ResticFailed "restic-failed" TryAgain "the cause above is the last message of restic; the next cycle tries again";
    /// There is no repository at the configured place.
    RepositoryMissing "repository-missing" Config "check repository in config.toml, or create it with kuma-replicator init";
    /// The repository has another password.
    WrongPassword "wrong-password" Config "check password-file in [restic]; the main and its replicas need the same password";
    /// No password is configured, or its file cannot be read.
    PasswordMissing "password-missing" Config "write the repository password to /etc/kuma-replicator/restic-password, mode 0600";
    /// The repository refused this host's credentials.
    RepositoryDenied "repository-denied" NotPermitted "check the credentials in environment-file in [restic]";
    /// The restic program does not exist.
    ResticMissing "restic-missing" Config "install it with apt install restic, or set program in [restic]";
    /// The process that opens the files of Uptime Kuma ended, did not answer in time, or sent what it should not.
    WorkerFailed "worker-failed" TryAgain "see journalctl -k for a process that was killed for want of memory; the next cycle tries again";
    /// systemd does not know the unit.
    ServiceMissing "service-missing" Config "set unit in [uptime-kuma]; systemctl list-units '*kuma*' lists candidates";
    /// A receiver did not take a message. A cycle never fails for it.
    NotifyFailed "notify-failed" TryAgain "check its address and token in [notify], and whether this host can reach it";
    /// Uptime Kuma is starting or migrating, and must not be stopped now.
    ServiceBusy "service-busy" TryAgain "wait until Uptime Kuma answers; the next cycle tries again";
    /// The stop job failed; the database was not touched.
    StopFailed "stop-failed" TryAgain "see systemctl status of the unit; the next cycle tries again";
    /// A person stopped Uptime Kuma while the agent waited for its answer: it stays stopped.
    ServiceStopped "service-stopped" TryAgain "the rows are written; start Uptime Kuma when you are done, or leave it stopped";
    /// Uptime Kuma could not be started.
    StartFailed "start-failed" NeedsPerson "see systemctl status of the unit, and its journal";
    /// Uptime Kuma was started but does not answer.
    Unhealthy "unhealthy" NeedsPerson "read the journal of the unit";
    /// The system bus or systemd cannot be reached.
    BusUnavailable "bus-unavailable" TryAgain "check systemctl status dbus";
    /// systemd or the file system refused access.
    NotPermitted "not-permitted" NotPermitted "run it as root; /usr/share/doc/kuma-replicator/security.md lists the permissions it needs otherwise";
    /// The disk is full.
    DiskFull "disk-full" TryAgain "free some disk space; the next cycle tries again";
    /// Reading or writing a file failed.
    Files "files" TryAgain "fix the cause above; the next cycle tries again";
    /// A signal ended the agent before it had stopped Uptime Kuma.
    Interrupted "interrupted" TryAgain "nothing was changed; the next cycle tries again";
    /// The configuration file cannot be used.
    Config "config" Config "kuma-replicator config --example shows all keys, and /usr/share/doc/kuma-replicator explains them";
}

impl Kind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<Kind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl From<Kind> for &'static str {
    fn from(kind: Kind) -> Self {
        kind.name()
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        Self::named(&name).ok_or_else(|| format!("'{}' is not a kind of failure", text::short(&name)))
    }
}

macro_rules! exits {
    ($($exit:ident $code:literal $meaning:literal;)*) => {
        /// The exit codes, a contract. 64 and above follow sysexits(3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Exit { $(#[doc = $meaning] $exit = $code,)* }

        impl Exit {
            /// All exit codes in ascending order.
            pub const ALL: &'static [Exit] = &[$(Exit::$exit,)*];

            /// The meaning, as `--help`, the manual page and the tables in the documents give it.
            pub fn meaning(self) -> &'static str { match self { $(Exit::$exit => $meaning,)* } }
        }
    };
}

exits! {
    Success 0 "ended as designed: unchanged, published, up to date, applied, on hold, blocked or deferred";
    Bug 1 "a bug in kuma-replicator";
    Usage 2 "the command line cannot be used";
    RolledBack 3 "an apply failed; the previous configuration is in force";
    NeedsPerson 4 "a person has to decide";
    Refused 65 "data or schema refused; nothing was changed";
    TryAgain 75 "locked, unreachable or busy; the next cycle tries again";
    NotPermitted 77 "not permitted";
    Config 78 "the configuration, or something it names, is wrong";
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// A failure: what was tried on what, why it did not work, and what to do next.
pub struct Error {
    kind: Kind,
    what: String,
    hint: Option<String>,
    cause: Option<Cause>,
}

impl Error {
    /// A failure without a cause. `what` names the operation and the object.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, cause: None }
    }

    /// Replaces the kind's own hint by a more exact one.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Keeps `cause` as the source of this failure.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// A failed file operation, `what` in the infinitive: "write /etc/hosts". A full disk, missing rights and a
    /// read-only file system get their own kinds.
    pub fn io(what: impl fmt::Display, cause: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match cause.kind() {
            Io::StorageFull | Io::QuotaExceeded => Kind::DiskFull,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Kind::NotPermitted,
            _ => Kind::Files,
        };
        Self::new(kind, format!("cannot {what}")).because(cause)
    }

    /// The kind of this failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.kind.hint())
    }

    /// What failed, without its causes.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The causes, the nearest first, each cut if the message of another program makes it long.
    pub fn causes(&self) -> Vec<String> {
        let first = std::error::Error::source(self);
        std::iter::successors(first, |cause| cause.source()).map(|cause| text::limit(cause.to_string())).collect()
    }

    /// The failure and its causes without the hint, cut if the message of another program makes it long.
    pub fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            next = cause.source();
        }
        text::limit(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}; {}]", self.chain(), self.kind.name(), self.hint())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
