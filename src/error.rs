//! What can go wrong, in one list: each kind has one exit code and one hint.
//!
//! An [`Error`] names the operation and the object, keeps its cause as `source`, and tells the next
//! thing to type or to look at. It is printed once, by `logging`. Nothing here does I/O.

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

            /// The exit code that a failure of this kind leads to.
            pub fn exit(self) -> Exit { match self { $(Kind::$kind => Exit::$exit,)* } }

            /// The next thing to do where the error itself has nothing more exact to say.
            pub fn hint(self) -> &'static str { match self { $(Kind::$kind => $hint,)* } }
        }
    };
}

kinds! {
    /// A broken promise of this program.
    Bug "bug" Bug "this is a bug in kuma-replicator; please report it with the lines above";
    /// The command line cannot be used.
    Usage "usage" Usage "see kuma-replicator --help";
    /// Uptime Kuma did not come back with the new configuration; the previous one was put back.
    RolledBack "rolled-back" RolledBack "read the journal of the unit; the snapshot is refused from now on, a newer one will be tried";
    /// The rows could not be written or did not read back as wanted; nothing was changed.
    WriteFailed "write-failed" RolledBack "nothing was changed; read the cause, then run kuma-replicator plan";
    /// Uptime Kuma did not come back, not even with the previous configuration.
    RollbackFailed "rollback-failed" NeedsPerson "start Uptime Kuma by hand; the previous configuration is in previous.dump in the state directory";
    /// Another main publishes into the same repository.
    Fenced "fenced" NeedsPerson "run kuma-replicator demote on the host that is not to be the main, or kuma-replicator promote on the one that is";
    /// The newest snapshot is older than the one applied last, or two claim the same place.
    OutOfOrder "out-of-order" NeedsPerson "run kuma-replicator snapshots and find out who went back";
    /// A person ordered this host to change nothing.
    OnHold "on-hold" NeedsPerson "kuma-replicator release ends the hold";
    /// No cycle of this host has ended well for longer than `overdue-after`.
    Overdue "overdue" NeedsPerson "systemctl list-timers kuma-replicator.timer and journalctl -u kuma-replicator show why";
    /// An export, or a first snapshot, that lost everything, or more rows than `max-shrink` allows.
    Shrunk "shrunk" NeedsPerson "if the rows were removed on purpose, give --confirm-shrink once, as in kuma-replicator run --confirm-shrink";
    /// The state file cannot be read as one this version knows.
    StateDamaged "state-damaged" NeedsPerson "the file was kept; repair it, or move it away to start anew by comparing contents";
    /// A dump or a snapshot is not what it says it is.
    SnapshotDamaged "snapshot-damaged" Refused "change something on the main, so that it publishes a new one";
    /// The snapshot was removed from the repository before it was fetched.
    SnapshotGone "snapshot-gone" TryAgain "the next cycle looks again";
    /// A snapshot that Uptime Kuma did not start with once.
    SnapshotRejected "snapshot-rejected" Refused "correct the configuration on the main; its next snapshot will be tried. If the cause was on this host and is gone: kuma-replicator run --retry";
    /// Rows that break a rule of the database here: a constraint, or a reference to nothing.
    Unwritable "unwritable" Refused "nothing was changed; correct the named row on the main";
    /// The dump format is newer than this program.
    FormatUnknown "format-unknown" Refused "upgrade kuma-replicator on this host";
    /// Dump and database have different schemas.
    SchemaDiffers "schema-differs" Refused "bring Uptime Kuma to the same version on both hosts";
    /// The database is not one of an Uptime Kuma this program knows.
    SchemaUnknown "schema-unknown" Refused "start Uptime Kuma once so that it creates its database; /usr/share/doc/kuma-replicator/installing.md names the supported versions";
    /// A configuration without a user who could log in; without any, the set-up page is open to the first visitor.
    NoUser "no-user" Refused "finish the set-up of Uptime Kuma on the main first";
    /// The database is damaged.
    DatabaseCorrupt "database-corrupt" Refused "stop Uptime Kuma and restore its database; nothing is repaired automatically";
    /// There is no database where it should be.
    DatabaseMissing "database-missing" Config "start Uptime Kuma once and choose SQLite, or set data-directory in [uptime-kuma]";
    /// Somebody else has the database locked or open.
    DatabaseBusy "database-busy" TryAgain "see who has it open: fuser -v on the file; the next cycle tries again";
    /// Another cycle or command is at work on this host.
    AlreadyRunning "already-running" TryAgain "wait for it to end: systemctl status kuma-replicator";
    /// An apply failed after Uptime Kuma was stopped, and the snapshot waits before it is tried again.
    Backoff "backoff" TryAgain "remove the cause; it is tried again by itself, or at once with kuma-replicator run --retry";
    /// The repository did not answer.
    RepositoryUnreachable "repository-unreachable" TryAgain "check network, name resolution, clock and the address; the next cycle tries again";
    /// Another restic holds an exclusive lock.
    RepositoryLocked "repository-locked" TryAgain "wait for the other restic (a prune?) to end; restic unlock removes a stale lock";
    /// restic failed in a way that has no kind of its own.
    ResticFailed "restic-failed" TryAgain "the cause above is what restic said last";
    /// There is no repository at the configured place.
    RepositoryMissing "repository-missing" Config "check repository in the configuration, or create it with kuma-replicator init";
    /// The repository has another password.
    WrongPassword "wrong-password" Config "check password-file in [restic]; main and replicas need the same one";
    /// No password is configured, or its file cannot be read.
    PasswordMissing "password-missing" Config "write the repository password to /etc/kuma-replicator/restic-password, mode 0600";
    /// The repository refused this host's credentials.
    RepositoryDenied "repository-denied" NotPermitted "check the credentials in environment-file in [restic]";
    /// The restic program is not there.
    ResticMissing "restic-missing" Config "apt install restic, or set program in [restic]";
    /// systemd does not know the unit.
    ServiceMissing "service-missing" Config "set unit in [uptime-kuma]; systemctl list-units '*kuma*' shows candidates";
    /// Uptime Kuma is starting or migrating, and must not be stopped now.
    ServiceBusy "service-busy" TryAgain "wait until Uptime Kuma answers; the next cycle tries again";
    /// The stop job did not end as it should; the database was not touched.
    StopFailed "stop-failed" TryAgain "read systemctl status of the unit; the next cycle tries again";
    /// Uptime Kuma could not be started.
    StartFailed "start-failed" NeedsPerson "read systemctl status of the unit and its journal";
    /// Uptime Kuma was started but does not answer.
    Unhealthy "unhealthy" NeedsPerson "read the journal of the unit";
    /// The system bus or systemd cannot be reached.
    BusUnavailable "bus-unavailable" TryAgain "check systemctl status dbus";
    /// systemd or the file system refused access.
    NotPermitted "not-permitted" NotPermitted "run it as root, or see /usr/share/doc/kuma-replicator/unprivileged.md for the rights it needs";
    /// The disk is full.
    DiskFull "disk-full" TryAgain "free some space; the next cycle tries again";
    /// Reading or writing a file failed.
    Files "files" TryAgain "the cause above names the reason";
    /// The agent was told to stop, and had nothing stopped yet.
    Interrupted "interrupted" TryAgain "nothing was changed; the next cycle tries again";
    /// The configuration file cannot be used.
    Config "config" Config "see /usr/share/doc/kuma-replicator and the comments in the shipped config.toml";
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
    /// A failure without a deeper cause. `what` names the operation and the object.
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

    /// A failed file operation; a full disk, missing rights and a read-only file system get their own kinds.
    pub fn io(what: impl Into<String>, cause: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match cause.kind() {
            Io::StorageFull | Io::QuotaExceeded => Kind::DiskFull,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Kind::NotPermitted,
            _ => Kind::Files,
        };
        Self::new(kind, what).because(cause)
    }

    /// The kind of this failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.kind.hint())
    }

    /// The failure and its causes without the hint, cut if somebody else's words make it long.
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
