//! One run of restic: its command, and whether it succeeded.

use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use super::process::{End, Finished, Process};
use super::repository::Restic;
use super::{cache, failure, process};
use crate::error::{Error, Kind, Result};
use crate::host::system::users::User;
use crate::model::dump::MAX_DUMP;

/// What restic writes on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// A dump.
    Dump,
    /// A listing, in which a snapshot takes about 600 bytes.
    Listing,
    /// Any other answer. A backup reports its progress many times a second.
    Answer,
}

impl Output {
    /// The longest output that is read, in bytes.
    fn limit(self) -> usize {
        match self {
            Self::Dump => MAX_DUMP,
            Self::Listing => 128 << 20,
            Self::Answer => 16 << 20,
        }
    }

    /// What it means if the output is longer.
    fn too_long(self) -> Kind {
        match self {
            Self::Dump => Kind::SnapshotDamaged,
            Self::Listing | Self::Answer => Kind::ResticFailed,
        }
    }
}

/// Why a restic was ended early.
const HOPELESS: &str = "restic was ended, because its retries were hopeless";

impl Restic {
    /// Runs a restic that only reads.
    ///
    /// The damage may be in the cache of this host only: 0.14 keeps what a broken transfer brought, and does not load it
    /// again. So damage counts only if it is still found without a cache.
    pub(super) async fn read<const N: usize>(
        &self,
        what: &str,
        arguments: [&str; N],
        output: Output,
    ) -> Result<Vec<u8>> {
        let mut finished = self.finish(what, arguments, None, output).await?;
        let damaged = matches!(
            self.check(what, &finished, output),
            Err(error) if error.kind() == Kind::SnapshotDamaged
        );
        if damaged && !matches!(finished.end, End::TooLong) && cache::clear(&self.cache) {
            finished = self.finish(what, arguments, None, output).await?;
        }
        self.check(what, &finished, output).map(|()| finished.output)
    }

    /// Runs restic and returns its output. `what` is the message if it fails.
    pub(super) async fn run<const N: usize>(
        &self,
        what: &str,
        arguments: [&str; N],
        input: Option<OwnedFd>,
        output: Output,
    ) -> Result<Vec<u8>> {
        let finished = self.finish(what, arguments, input, output).await?;
        self.check(what, &finished, output).map(|()| finished.output)
    }

    /// Runs restic to its end, whatever that is.
    pub(super) async fn finish<const N: usize>(
        &self,
        what: &str,
        arguments: [&str; N],
        input: Option<OwnedFd>,
        output: Output,
    ) -> Result<Finished> {
        let process = Process { input, ..self.process(&arguments, output) };
        self.finish_process(what, process, self.interrupt.wait()).await
    }

    /// A restic with these arguments.
    pub(super) fn process(&self, arguments: &[&str], output: Output) -> Process {
        let mut command = self.command();
        command.args(arguments);
        let (limit, timeout, patience) = (output.limit(), self.timeout, process::END_TIMEOUT);
        Process { command, input: None, limit, timeout, patience }
    }

    /// The program with its options, environment and user, and no arguments.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.credentials.variables());
        for option in &self.options {
            command.args(["-o", option]);
        }
        if let Some(User { uid, gid, .. }) = &self.user {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Runs a restic to its end, which `stopped` brings early.
    pub(super) async fn finish_process(
        &self,
        what: &str,
        process: Process,
        stopped: impl Future<Output = ()>,
    ) -> Result<Finished> {
        if self.interrupt.happened() {
            return Err(interrupted(what));
        }
        let finished = process.run(stopped).await.map_err(|error| self.not_run(what, error))?;
        if let Some(line) = failure::unsaved_token(&finished.messages.text()) {
            self.unsaved_token.get_or_init(|| self.credentials.secrets().mask(line));
        }
        Ok(finished)
    }

    /// Fails unless restic succeeded.
    pub(super) fn check(&self, what: &str, finished: &Finished, output: Output) -> Result<()> {
        if !matches!(finished.end, End::Exited(status) if status.success()) {
            return Err(self.failed(what, finished, output));
        }
        // restic leaves snapshots that it cannot read out of a listing, and exits with 0. One may be the newest.
        let text = finished.messages.text();
        let Some((kind, line)) = failure::left_out(&text) else { return Ok(()) };
        let error = Error::new(kind, what).because(self.credentials.secrets().mask(line));
        Err(match kind {
            Kind::SnapshotDamaged => error.with_hint("if it happens again, restic check shows the damage"),
            _ => error,
        })
    }

    pub(super) fn not_run(&self, what: &str, error: std::io::Error) -> Error {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let cause = format!("cannot run {}: {error}", self.program.display());
        let missing = matches!(error.kind(), NotFound | PermissionDenied);
        Error::new(if missing { Kind::ResticMissing } else { Kind::ResticFailed }, what).because(cause)
    }

    fn failed(&self, what: &str, finished: &Finished, output: Output) -> Error {
        let text = finished.messages.text();
        let (kind, cause) = match finished.end {
            End::Interrupted if !self.interrupt.happened() => {
                return Error::new(Kind::Interrupted, what).because("an order on this host goes first");
            }
            End::Interrupted => return interrupted(what),
            End::Exited(status) if was_interrupted(status) || failure::is_interrupted(&text) => {
                return interrupted(what);
            }
            End::TooLong => (output.too_long(), format!("restic wrote more than {} bytes", output.limit())),
            // A message over several lines says more than its first one.
            End::Hopeless(Kind::ResticFailed) => (failure::classify(None, &text), HOPELESS.to_owned()),
            End::Hopeless(kind) => (kind, HOPELESS.to_owned()),
            End::Deadline => {
                (at_deadline(&text), format!("restic did not end within {} s", self.timeout.as_secs_f32()))
            }
            End::Exited(status) => (failure::classify(status.code(), &text), process::describe(status)),
        };
        let (kind, cause) = if failure::is_gone(&text) && !matches!(finished.end, End::Deadline) {
            (Kind::SnapshotGone, "the snapshot is no longer in the repository".to_owned())
        } else {
            (kind, cause)
        };
        let messages = finished.messages.summary(self.credentials.secrets());
        let cause = if messages.is_empty() { cause } else { format!("{cause}: {messages}") };
        let error = Error::new(kind, what).because(cause);
        match failure::advice(kind, &text, &self.repository) {
            Some(advice) => error.with_hint(advice),
            None => error,
        }
    }
}

fn interrupted(what: &str) -> Error {
    Error::new(Kind::Interrupted, what).because("received a signal to stop")
}

/// Whether restic received a signal to stop as well: at a shutdown the service manager sends one to every process of
/// the unit, and restic may end before this process reads its own.
fn was_interrupted(status: ExitStatus) -> bool {
    const SIGINT: i32 = 2;
    const SIGTERM: i32 = 15;
    /// What a shell, and restic, exits with after a SIGINT.
    const INTERRUPTED: i32 = 130;
    matches!(status.signal(), Some(SIGINT | SIGTERM)) || status.code() == Some(INTERRUPTED)
}

/// The kind of the failure of a restic that still retried at its deadline.
fn at_deadline(text: &str) -> Kind {
    match failure::classify(None, text) {
        Kind::ResticFailed => Kind::RepositoryUnreachable,
        kind => kind,
    }
}
