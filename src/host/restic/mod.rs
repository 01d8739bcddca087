//! The repository, through the restic program.
//!
//! Each method runs restic once (`init` up to three times) and says what came of it. Nothing is retried
//! here, nothing is decided, and no lock is taken for reading: a replica may have no right to write.
//! Debian 12 has restic 0.14, the oldest version this speaks to, and Debian 13 has 0.18.

mod access;
mod child;
mod failure;
mod said;

use std::fmt;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use self::access::Access;
use self::child::{End, Ended, Run};
use crate::config::{self, Location};
use crate::error::{Error, Kind, Result};
use crate::host::interrupt::Interrupt;
use crate::model::dump::MAX_DUMP;
use crate::model::snapshot::{Label, Listing, MARK, PATH, Snapshot, SnapshotId};

/// The longest listing that is read, in bytes; a snapshot takes about 600.
const MAX_LISTING: usize = 64 << 20;

/// The longest other answer that is read, in bytes. A backup reports its progress many times a second.
const MAX_ANSWER: usize = 16 << 20;

/// The repository as this host reaches it.
pub struct Restic {
    program: PathBuf,
    timeout: Duration,
    repository: Location,
    access: Access,
    interrupt: Interrupt,
}

impl Restic {
    /// Collects what restic needs to reach `repository` and creates the directory `cache`, which only
    /// this user may read. Does not run restic yet.
    ///
    /// # Errors
    /// [`Kind::PasswordMissing`]; [`Kind::Config`] for an environment file that cannot be used; or why the
    /// directory cannot be created.
    pub fn new(settings: &config::Restic, repository: &Location, cache: &Path, interrupt: Interrupt) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(cache)
            .map_err(|error| Error::io(format!("cannot create cache directory {}", cache.display()), error))?;
        Ok(Self {
            program: settings.program.clone(),
            timeout: settings.timeout,
            repository: repository.clone(),
            access: Access::find(settings, repository, cache)?,
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
    /// Any failure of restic.
    pub async fn look(&self) -> Result<Listing> {
        let what = format!("cannot look into repository {}", self.repository);
        let output = self.run(&what, ["snapshots", "--json", "--no-lock", "--tag", MARK], None, MAX_LISTING).await?;
        listing(&output).map_err(|error| Error::new(Kind::ResticFailed, what).because(error))
    }

    /// Brings the dump in snapshot `id` here. It is not verified yet.
    ///
    /// # Errors
    /// [`Kind::SnapshotGone`]; [`Kind::SnapshotDamaged`] if it has no dump, or one of more than
    /// [`MAX_DUMP`] bytes, or if data of it are gone; any other failure of restic.
    pub async fn fetch(&self, id: &SnapshotId) -> Result<Vec<u8>> {
        let what = format!("cannot fetch snapshot {} from repository {}", id.short(), self.repository);
        self.run(&what, ["dump", "--no-lock", id.to_string().as_str(), PATH], None, MAX_DUMP).await
    }

    /// Stores `dump` under `label` as published by `host`, and returns the id of the new snapshot, which
    /// is its short form with restic 0.14.
    ///
    /// # Errors
    /// Any failure of restic. After an [`Kind::Interrupted`] or a deadline the snapshot may exist all the
    /// same, but only as a whole.
    pub async fn publish(&self, dump: &[u8], label: &Label, host: &str) -> Result<SnapshotId> {
        let what = format!("cannot publish into repository {}", self.repository);
        let input = child::sealed(dump).map_err(|error| Error::io(what.clone(), error))?;
        let (filename, host, tags) =
            (format!("--stdin-filename={PATH}"), format!("--host={host}"), format!("--tag={}", label.tags().join(",")));
        let arguments = ["backup", "--json", "--stdin", &filename, &host, &tags];
        let output = self.run(&what, arguments, Some(input), MAX_ANSWER).await?;
        published(&output).map_err(|error| Error::new(Kind::ResticFailed, what).because(error))
    }

    /// Runs restic to a good end and returns what it wrote. `what` says what did not work otherwise.
    async fn run<const N: usize>(
        &self,
        what: &str,
        arguments: [&str; N],
        input: Option<OwnedFd>,
        limit: usize,
    ) -> Result<Vec<u8>> {
        if self.interrupt.happened() {
            return Err(interrupted(what));
        }
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.access.variables());
        let run = Run { command, input, limit, timeout: self.timeout };
        let ended = run.start_and_wait(&self.interrupt).await.map_err(|error| self.not_run(what, error))?;
        if matches!(ended.end, End::Exited(status) if status.success()) {
            return Ok(ended.output);
        }
        Err(self.failed(what, &ended))
    }

    fn not_run(&self, what: &str, error: std::io::Error) -> Error {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let cause = format!("cannot run {}: {error}", self.program.display());
        let missing = matches!(error.kind(), NotFound | PermissionDenied);
        Error::new(if missing { Kind::ResticMissing } else { Kind::ResticFailed }, what).because(cause)
    }

    fn failed(&self, what: &str, ended: &Ended) -> Error {
        let text = ended.said.text();
        let (kind, cause) = match ended.end {
            End::Interrupted => return interrupted(what),
            End::Exited(status) if is_stop(status) || failure::is_stop(&text) => return interrupted(what),
            End::TooLong => (Kind::SnapshotDamaged, "restic wrote more than is allowed".to_owned()),
            End::Hopeless(kind) => (kind, "restic was ended, for it only went on trying".to_owned()),
            End::Deadline => {
                (at_deadline(&text), format!("restic did not end within {} s", self.timeout.as_secs_f32()))
            }
            End::Exited(status) => (failure::classify(status.code(), &text), child::told(status)),
        };
        let (kind, cause) = if failure::is_gone(&text) && !matches!(ended.end, End::Deadline) {
            (Kind::SnapshotGone, "the snapshot is no longer in the repository".to_owned())
        } else {
            (kind, cause)
        };
        let said = ended.said.summary(self.access.secrets());
        let error = Error::new(kind, what).because(if said.is_empty() { cause } else { format!("{cause}: {said}") });
        if kind == Kind::RepositoryDenied && self.repository.secret().starts_with('/') {
            return error.hint(format!("check owner and mode of {} and of what is in it", self.repository));
        }
        error
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

/// Reads the answer of `restic snapshots --json`.
fn listing(output: &[u8]) -> Result<Listing, serde_json::Error> {
    #[derive(Deserialize)]
    struct Seen {
        id: SnapshotId,
        time: String,
        #[serde(default)]
        hostname: String,
        #[serde(default)]
        paths: Vec<String>,
        #[serde(default)]
        tags: Vec<String>,
    }
    let seen: Option<Vec<Seen>> = serde_json::from_slice(output)?;
    let mut listing = Listing::default();
    for Seen { id, time, hostname, paths, tags } in seen.unwrap_or_default() {
        if !paths.iter().any(|path| path == PATH) {
            continue;
        }
        let Some(label) = Label::from_tags(&tags) else { continue };
        let time = time.parse::<Timestamp>().map_err(|error| format!("its time is malformed: {error}"));
        match (label.map_err(|error| error.to_string()), time) {
            (Ok(label), Ok(time)) => listing.snapshots.push(Snapshot { id, time, host: hostname, label }),
            (Err(reason), _) | (_, Err(reason)) => listing.unreadable.push((id, reason)),
        }
    }
    Ok(listing)
}

/// Reads the id of the new snapshot out of the answer of `restic backup --json`.
fn published(output: &[u8]) -> Result<SnapshotId, String> {
    #[derive(Deserialize)]
    struct Message {
        message_type: String,
        snapshot_id: Option<SnapshotId>,
    }
    let messages = output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    messages
        .filter(|message| message.message_type == "summary")
        .find_map(|message| message.snapshot_id)
        .ok_or_else(|| "restic reported success but no snapshot".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{listing, published};

    const TAGS: [&str; 7] = [
        "kuma-replicator",
        "format=1",
        "main=0123456789abcdef0123456789abcdef",
        "epoch=1",
        "sequence=7",
        "digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "schema=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];

    fn seen(path: &str, time: &str, tags: &str) -> String {
        format!(
            r#"{{"time":"{time}","tree":"756f","paths":["{path}"],"hostname":"h","username":"root","tags":{tags},"id":"a4912d36b55740ba134d97546b2cbb5399ea7d830541a84564e1992d71957559","short_id":"a4912d36"}}"#
        )
    }

    #[test]
    fn lists_only_what_is_ours() {
        let time = "2026-11-23T08:00:22.669506791+01:00";
        let good = serde_json::to_string(&TAGS).expect("tags");
        let path = "/kuma-replicator.jsonl";
        // answer, readable, unreadable
        let cases = [
            ("[]".to_owned(), 0, 0),
            ("null".to_owned(), 0, 0),
            (format!("[{}]", seen(path, time, &good)), 1, 0),
            (format!("[{},{}]", seen(path, time, &good), seen(path, time, &good)), 2, 0),
            (format!("[{}]", seen("/etc", time, &good)), 0, 0),
            (format!("[{}]", seen(path, time, "[]")), 0, 0),
            (format!("[{}]", seen(path, time, r#"["format=1"]"#)), 0, 0),
            (format!("[{}]", seen(path, time, r#"["kuma-replicator"]"#)), 0, 1),
            (format!("[{}]", seen(path, time, &good.replace("epoch=1", "epoch=x"))), 0, 1),
            (format!("[{}]", seen(path, time, &good.replace("epoch=1\"", "epoch=1\",\"epoch=2\""))), 0, 1),
            (format!("[{}]", seen(path, "yesterday", &good)), 0, 1),
        ];
        for (answer, readable, unreadable) in cases {
            let found = listing(answer.as_bytes()).unwrap_or_else(|error| panic!("{answer}: {error}"));
            assert_eq!((found.snapshots.len(), found.unreadable.len()), (readable, unreadable), "{answer}");
        }
        let one = listing(format!("[{}]", seen(path, time, &good)).as_bytes()).expect("listing");
        let snapshot = one.snapshots.first().expect("snapshot");
        assert_eq!((snapshot.id.short(), snapshot.host.as_str()), ("a4912d36", "h"));
        assert_eq!(snapshot.label.place.sequence, 7);
        for answer in ["", "{}", "[{}]", "[", r#"[{"id":"x","time":"y"}]"#] {
            assert!(listing(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[test]
    fn finds_the_id_of_the_new_snapshot() {
        let status = r#"{"message_type":"status","percent_done":0,"total_files":1}"#;
        let cases = [
            (format!("{status}\n{{\"message_type\":\"summary\",\"snapshot_id\":\"899f56da\"}}\n"), Ok("899f56da")),
            ("noise\n{\"message_type\":\"summary\",\"snapshot_id\":\"899f56da\"}".to_owned(), Ok("899f56da")),
            (format!("{status}\n{{\"message_type\":\"summary\"}}\n"), Err(())),
            (format!("{status}\n"), Err(())),
            (String::new(), Err(())),
        ];
        for (answer, wanted) in cases {
            let found = published(answer.as_bytes()).map(|id| id.to_string());
            assert_eq!(found.as_deref().map_err(|_| ()), wanted, "{answer}");
        }
    }
}
