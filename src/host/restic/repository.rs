//! What can be done with the repository.
//!
//! Each method runs restic once, except [`Restic::init`] and [`Restic::names`], and returns its result. It retries and
//! decides nothing. Reading takes no lock, since a replica may have no right to write. The oldest supported restic is 0.14 of Debian 12;
//! Debian 13 has 0.18, Debian testing 0.19.

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::credentials::Credentials;
use super::names::Source;
use super::process::End;
use super::run::Output;
use super::{answers, failure, process};
use crate::config::{self, Location};
use crate::error::{Error, Kind, Result};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::users::{self, User};
use crate::model::looked::{LookCost, Looked, Names};
use crate::model::snapshot::{Listing, PATH, SnapshotId, Tags};

/// The repository as this host reaches it.
pub struct Restic {
    pub(super) program: PathBuf,
    pub(super) timeout: Duration,
    pub(super) repository: Location,
    pub(super) credentials: Credentials,
    pub(super) cache: PathBuf,
    source: Option<Source>,
    pub(super) options: Vec<String>,
    /// The user that restic runs as, if that is not the user of this process.
    pub(super) user: Option<User>,
    pub(super) interrupt: Interrupt,
    pub(super) unsaved_token: OnceLock<String>,
}

impl Restic {
    /// Collects what restic needs to reach `repository`, and makes the private directory `cache`. Does not run restic.
    ///
    /// If this process runs as root and the cache belongs to the user that the service runs as, restic runs as that
    /// user: the service must be able to read what restic leaves in the cache, or in a repository that is a folder.
    ///
    /// # Errors
    /// [`Kind::PasswordMissing`]; [`Kind::Config`] for an environment file that cannot be used; or why the directory
    /// cannot be made.
    pub fn new(settings: &config::Restic, repository: &Location, cache: &Path, interrupt: Interrupt) -> Result<Self> {
        let user = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(cache)
            .and_then(|()| users::to_become(cache))
            .map_err(|error| Error::io(format!("create cache directory {}", cache.display()), error))?;
        let credentials = Credentials::find(settings, repository, cache, user.as_ref())?;
        // What restic reads as another user is not read as root.
        let source = Source::find(repository, &settings.options, |name| credentials.variable(name));
        let source = source.filter(|_| user.is_none());
        Ok(Self {
            program: settings.program.clone(),
            timeout: settings.timeout,
            repository: repository.clone(),
            credentials,
            source,
            options: settings.options.clone(),
            cache: cache.to_owned(),
            user,
            interrupt,
            unsaved_token: OnceLock::new(),
        })
    }

    /// What rclone said if, in a restic that ran before, it could not save a token that it had renewed.
    pub fn unsaved_token(&self) -> Option<&str> {
        self.unsaved_token.get().map(String::as_str)
    }

    /// The version of the program, such as `0.14.0`.
    ///
    /// # Errors
    /// [`Kind::ResticMissing`], or [`Kind::ResticFailed`] if the program is not restic.
    pub async fn version(&self) -> Result<String> {
        let what = format!("cannot read the version of {}", self.program.display());
        let output = self.run(&what, ["version"], None, Output::Answer).await?;
        let text = String::from_utf8_lossy(&output);
        let mut words = text.split_whitespace();
        match (words.next(), words.next()) {
            (Some("restic"), Some(version)) => Ok(version.to_owned()),
            _ => Err(Error::new(Kind::ResticFailed, what).because("its answer is not that of restic")),
        }
    }

    /// Creates the repository; `false` if it exists and this password opens it.
    ///
    /// # Errors
    /// [`Kind::WrongPassword`] for a repository with another password, which stays as it is; any other failure of
    /// restic.
    pub async fn init(&self) -> Result<bool> {
        match self.open().await {
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == Kind::RepositoryMissing => {}
            Err(error) => return Err(error),
        }
        let what = format!("cannot create repository {}", self.repository);
        match self.run(&what, ["init"], None, Output::Answer).await {
            Ok(_) => Ok(true),
            // Another host may have created it in the meantime.
            Err(error) if error.kind() == Kind::ResticFailed => self.open().await.map(|()| false).map_err(|_| error),
            Err(error) => Err(error),
        }
    }

    /// The password of the repository.
    ///
    /// # Errors
    /// [`Kind::PasswordMissing`] if a command prints it, or its file cannot be read.
    pub fn password(&self) -> Result<String> {
        self.credentials.password()
    }

    /// Proves that the repository exists and that this password opens it.
    ///
    /// # Errors
    /// [`Kind::RepositoryMissing`], [`Kind::WrongPassword`], and any other failure of restic.
    pub async fn open(&self) -> Result<()> {
        let what = format!("cannot open repository {}", self.repository);
        self.run(&what, ["cat", "config", "--no-lock"], None, Output::Answer).await.map(|_| ())
    }

    /// Lists the snapshots of this program, and no others in the same repository.
    ///
    /// # Errors
    /// [`Kind::SnapshotDamaged`] if one of the snapshots in the repository cannot be read; any failure of restic.
    pub async fn look(&self) -> Result<Listing> {
        self.look_at_all().await.map(|looked| looked.listing)
    }

    /// The same, with the names of all snapshots that restic read for it, those of other programs among them.
    ///
    /// # Errors
    /// As for [`Restic::look`].
    pub async fn look_at_all(&self) -> Result<Looked> {
        let what = format!("cannot look into repository {}", self.repository);
        let output = self.read(&what, ["snapshots", "--json", "--no-lock"], Output::Listing).await?;
        answers::looked(&output).map_err(|error| Error::new(Kind::ResticFailed, what).because(error))
    }

    /// The names of all snapshots in the repository, without restic: a request to a server, or the directory of a folder.
    /// `None` if restic has to look: for another kind of repository, and if anything is not as expected.
    pub async fn names(&self) -> Option<Names> {
        let names = self.source.as_ref()?.names();
        tokio::select! {
            names = names => names,
            () = self.interrupt.wait() => None,
        }
    }

    /// What [`Restic::names`] costs. `None` if it does not know the kind of repository.
    pub fn cost_of_names(&self) -> Option<LookCost> {
        self.source.as_ref().map(Source::cost)
    }

    /// Returns the dump in snapshot `id`, which is not verified yet.
    ///
    /// # Errors
    /// [`Kind::SnapshotGone`]; [`Kind::SnapshotDamaged`] if the snapshot has no dump, one that is too large, or data of
    /// it are lost; any other failure of restic.
    pub async fn fetch(&self, id: &SnapshotId) -> Result<Vec<u8>> {
        let what = format!("cannot fetch snapshot {} from repository {}", id.short(), self.repository);
        self.read(&what, ["dump", "--no-lock", id.to_string().as_str(), PATH], Output::Dump).await
    }

    /// Stores `dump` under `tags` as published by `host`.
    ///
    /// # Errors
    /// Any failure of restic. After [`Kind::Interrupted`] or a missed deadline the snapshot may exist all the same, but
    /// only as a whole.
    pub async fn publish(&self, dump: &[u8], tags: &Tags, host: &str) -> Result<Published> {
        let what = format!("cannot publish into repository {}", self.repository);
        let input = || {
            let sealed = process::sealed(dump);
            sealed.map_err(|error| Error::io(format!("publish into repository {}", self.repository), error)).map(Some)
        };
        let (filename, host, tags) = (
            format!("--stdin-filename={PATH}"),
            format!("--host={host}"),
            format!("--tag={}", tags.to_strings().join(",")),
        );
        let arguments = ["backup", "--json", "--stdin", &filename, &host, &tags];
        let mut finished = self.finish(&what, arguments, input()?, Output::Answer).await?;
        if matches!(finished.end, End::Hopeless(Kind::ResticFailed)) {
            // Another host removed its lock, or an index, while restic read it. restic has not begun then.
            finished = self.finish(&what, arguments, input()?, Output::Answer).await?;
        }
        let id = answers::published(&finished.output);
        // restic reports the snapshot when it is stored, and then removes its lock.
        let text = finished.messages.text();
        let lock_left = failure::left_lock(&text).map(|line| self.credentials.secrets().mask(line));
        if id.is_err() || lock_left.is_none() {
            self.check(&what, &finished, Output::Answer)?;
        }
        let id = id.map_err(|error| Error::new(Kind::ResticFailed, what).because(error))?;
        Ok(Published { id, lock_left })
    }
}

/// A snapshot that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id, which is its short form with restic 0.14.
    pub id: SnapshotId,
    /// Why the lock of this publish stays in the repository, if it does: its storage may refuse to remove anything.
    pub lock_left: Option<String>,
}

impl fmt::Debug for Restic {
    /// Without the environment, which contains secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restic")
            .field("program", &self.program)
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}
