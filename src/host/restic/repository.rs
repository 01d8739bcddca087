//! The repository, through the restic program.
//!
//! Each method runs restic once (`init` up to three times) and says what came of it. Nothing is retried
//! here, nothing is decided, and no lock is taken for reading: a replica may have no right to write.
//! Debian 12 has restic 0.14, the oldest version this speaks to, and Debian 13 has 0.18.

use std::fmt;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::credentials::Access;
use super::process::{End, Ended, Run};
use super::{answer, cache, failure, process};
use crate::config::{self, Location};
use crate::error::{Error, Kind, Result};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::users::{self, User};
use crate::model::dump::MAX_DUMP;
use crate::model::snapshot::{Listing, MARK, PATH, SnapshotId, Tags};

/// The longest listing that is read, in bytes: a snapshot takes about 600.
const MAX_LISTING: usize = 128 << 20;

/// The longest other answer that is read, in bytes. A backup reports its progress many times a second.
pub(super) const MAX_ANSWER: usize = 16 << 20;

/// The repository as this host reaches it.
pub struct Restic {
    program: PathBuf,
    timeout: Duration,
    pub(super) repository: Location,
    access: Access,
    cache: PathBuf,
    pub(super) user: Option<User>,
    interrupt: Interrupt,
}

impl Restic {
    /// Collects what restic needs to reach `repository` and creates the directory `cache`, which only
    /// this user may read. Does not run restic yet.
    ///
    /// If root types a command and the cache belongs to the user that the service runs as, restic runs as
    /// that user: what it leaves in the cache, or in a repository that is a folder, the service must be able
    /// to read.
    ///
    /// # Errors
    /// [`Kind::PasswordMissing`]; [`Kind::Config`] for an environment file that cannot be used; or why the
    /// directory cannot be created.
    pub fn new(settings: &config::Restic, repository: &Location, cache: &Path, interrupt: Interrupt) -> Result<Self> {
        let user = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(cache)
            .and_then(|()| users::to_become(cache))
            .map_err(|error| Error::io(format!("cannot create cache directory {}", cache.display()), error))?;
        Ok(Self {
            program: settings.program.clone(),
            timeout: settings.timeout,
            repository: repository.clone(),
            access: Access::find(settings, repository, cache)?,
            cache: cache.to_owned(),
            user,
            interrupt,
        })
    }

    /// The version of the program, such as `0.14.0`.
    ///
    /// # Errors
    /// [`Kind::ResticMissing`], or [`Kind::ResticFailed`] if it is something else than restic.
    pub async fn version(&self) -> Result<String> {
        let what = format!("cannot ask {} for its version", self.program.display());
        let output = self.run(&what, ["version"], None, MAX_ANSWER).await?;
        let text = String::from_utf8_lossy(&output);
        let mut words = text.split_whitespace();
        match (words.next(), words.next()) {
            (Some("restic"), Some(version)) => Ok(version.to_owned()),
            _ => Err(Error::new(Kind::ResticFailed, what).because("its answer is not that of restic")),
        }
    }

    /// Creates the repository; `false` if it was there already and can be read with this password.
    ///
    /// # Errors
    /// [`Kind::WrongPassword`] for a repository of somebody else, which is left alone; any other failure
    /// of restic.
    pub async fn init(&self) -> Result<bool> {
        match self.open().await {
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == Kind::RepositoryMissing => {}
            Err(error) => return Err(error),
        }
        let what = format!("cannot create repository {}", self.repository);
        match self.run(&what, ["init"], None, MAX_ANSWER).await {
            Ok(_) => Ok(true),
            // Another host was faster, perhaps.
            Err(error) if error.kind() == Kind::ResticFailed => self.open().await.map(|()| false).map_err(|_| error),
            Err(error) => Err(error),
        }
    }

    /// Proves that there is a repository which this password opens.
    async fn open(&self) -> Result<()> {
        let what = format!("cannot open repository {}", self.repository);
        self.run(&what, ["cat", "config", "--no-lock"], None, MAX_ANSWER).await.map(|_| ())
    }

    /// Lists the snapshots of this program; others in the same repository are not seen.
    ///
    /// # Errors
    /// [`Kind::SnapshotDamaged`] if one of the snapshots there cannot be read; any failure of restic.
    pub async fn look(&self) -> Result<Listing> {
        let what = format!("cannot look into repository {}", self.repository);
        let output = self.read(&what, ["snapshots", "--json", "--no-lock", "--tag", MARK], MAX_LISTING).await?;
        answer::listing(&output).map_err(|error| Error::new(Kind::ResticFailed, what).because(error))
    }

    /// Brings the dump in snapshot `id` here. It is not verified yet.
    ///
    /// # Errors
    /// [`Kind::SnapshotGone`]; [`Kind::SnapshotDamaged`] if it has no dump, or one of more than
    /// [`MAX_DUMP`] bytes, or if data of it are gone; any other failure of restic.
    pub async fn fetch(&self, id: &SnapshotId) -> Result<Vec<u8>> {
        let what = format!("cannot fetch snapshot {} from repository {}", id.short(), self.repository);
        self.read(&what, ["dump", "--no-lock", id.to_string().as_str(), PATH], MAX_DUMP).await
    }

    /// Stores `dump` under `tags` as published by `host`, and returns the id of the new snapshot, which
    /// is its short form with restic 0.14.
    ///
    /// # Errors
    /// Any failure of restic. After an [`Kind::Interrupted`] or a deadline the snapshot may exist all the
    /// same, but only as a whole.
    pub async fn publish(&self, dump: &[u8], tags: &Tags, host: &str) -> Result<SnapshotId> {
        let what = format!("cannot publish into repository {}", self.repository);
        let input = process::sealed(dump).map_err(|error| Error::io(what.clone(), error))?;
        let (filename, host, tags) = (
            format!("--stdin-filename={PATH}"),
            format!("--host={host}"),
            format!("--tag={}", tags.to_strings().join(",")),
        );
        let arguments = ["backup", "--json", "--stdin", &filename, &host, &tags];
        let output = self.run(&what, arguments, Some(input), MAX_ANSWER).await?;
        answer::published(&output).map_err(|error| Error::new(Kind::ResticFailed, what).because(error))
    }

    /// Runs a restic that only reads.
    ///
    /// What is damaged may be no more than this host's copy: 0.14 keeps what a bad transfer brought in its cache,
    /// and believes it ever after. So damage counts if it is there without a cache.
    async fn read<const N: usize>(&self, what: &str, arguments: [&str; N], limit: usize) -> Result<Vec<u8>> {
        let mut ended = self.hear(what, arguments, None, limit).await?;
        let damaged = matches!(self.judge(what, &ended, limit), Err(error) if error.kind() == Kind::SnapshotDamaged);
        if damaged && !matches!(ended.end, End::TooLong) && cache::forget(&self.cache) {
            ended = self.hear(what, arguments, None, limit).await?;
        }
        self.judge(what, &ended, limit).map(|()| ended.output)
    }

    /// Runs restic to a good end and returns what it wrote. `what` says what did not work otherwise.
    pub(super) async fn run<const N: usize>(
        &self,
        what: &str,
        arguments: [&str; N],
        input: Option<OwnedFd>,
        limit: usize,
    ) -> Result<Vec<u8>> {
        let ended = self.hear(what, arguments, input, limit).await?;
        self.judge(what, &ended, limit).map(|()| ended.output)
    }

    async fn hear<const N: usize>(
        &self,
        what: &str,
        arguments: [&str; N],
        input: Option<OwnedFd>,
        limit: usize,
    ) -> Result<Ended> {
        if self.interrupt.happened() {
            return Err(interrupted(what));
        }
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.access.variables());
        if let Some(User { uid, gid, home }) = &self.user {
            command.uid(*uid).gid(*gid).env("HOME", home);
        }
        let run = Run { command, input, limit, timeout: self.timeout };
        run.start_and_wait(&self.interrupt).await.map_err(|error| self.not_run(what, error))
    }

    /// Whether it ended well.
    fn judge(&self, what: &str, ended: &Ended, limit: usize) -> Result<()> {
        if !matches!(ended.end, End::Exited(status) if status.success()) {
            return Err(self.failed(what, ended, limit));
        }
        // restic leaves out of a list what it cannot read, and calls that success. But it may be the newest.
        let text = ended.said.text();
        let Some((kind, line)) = failure::left_out(&text) else { return Ok(()) };
        let error = Error::new(kind, what).because(self.access.secrets().mask(line));
        Err(match kind {
            Kind::SnapshotDamaged => error.with_hint("if it stays so, restic check shows what is damaged"),
            _ => error,
        })
    }

    fn not_run(&self, what: &str, error: std::io::Error) -> Error {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let cause = format!("cannot run {}: {error}", self.program.display());
        let missing = matches!(error.kind(), NotFound | PermissionDenied);
        Error::new(if missing { Kind::ResticMissing } else { Kind::ResticFailed }, what).because(cause)
    }

    fn failed(&self, what: &str, ended: &Ended, limit: usize) -> Error {
        let text = ended.said.text();
        let (kind, cause) = match ended.end {
            End::Interrupted => return interrupted(what),
            End::Exited(status) if is_stop(status) || failure::is_stop(&text) => return interrupted(what),
            End::TooLong => {
                let kind = if limit == MAX_DUMP { Kind::SnapshotDamaged } else { Kind::ResticFailed };
                (kind, format!("restic wrote more than {limit} bytes"))
            }
            End::Hopeless(kind) => (kind, "restic was ended, for it only went on trying".to_owned()),
            End::Deadline => {
                (at_deadline(&text), format!("restic did not end within {} s", self.timeout.as_secs_f32()))
            }
            End::Exited(status) => (failure::classify(status.code(), &text), process::told(status)),
        };
        let (kind, cause) = if failure::is_gone(&text) && !matches!(ended.end, End::Deadline) {
            (Kind::SnapshotGone, "the snapshot is no longer in the repository".to_owned())
        } else {
            (kind, cause)
        };
        let said = ended.said.summary(self.access.secrets());
        let error = Error::new(kind, what).because(if said.is_empty() { cause } else { format!("{cause}: {said}") });
        if kind == Kind::RepositoryDenied && self.repository.secret().starts_with('/') {
            return error.with_hint(format!("check owner and mode of {} and of what is in it", self.repository));
        }
        match failure::hint(&text) {
            Some(hint) if kind == Kind::RepositoryUnreachable => error.with_hint(hint),
            _ => error,
        }
    }
}

impl fmt::Debug for Restic {
    /// Without the environment, which carries secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restic")
            .field("program", &self.program)
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}

fn interrupted(what: &str) -> Error {
    Error::new(Kind::Interrupted, what).because("told to stop")
}

/// Whether restic was told to stop as well: at a shutdown the service manager tells every process of the
/// unit, and restic may be gone before this process reads its own signal.
fn is_stop(status: std::process::ExitStatus) -> bool {
    const SIGINT: i32 = 2;
    const SIGTERM: i32 = 15;
    const INTERRUPTED: i32 = 130;
    matches!(status.signal(), Some(SIGINT | SIGTERM)) || status.code() == Some(INTERRUPTED)
}

/// What a restic meant that was still trying at its deadline.
fn at_deadline(text: &str) -> Kind {
    match failure::classify(None, text) {
        Kind::ResticFailed => Kind::RepositoryUnreachable,
        kind => kind,
    }
}
