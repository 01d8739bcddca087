//! Places that several hosts share, for restic repositories: a directory, an S3 server, and a REST server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

use super::process::run;
use super::{Network, Prepared, Result, cache, hosts, wait_for};

/// A directory that every host sees at [`FolderRepository::PATH`], and everybody there may write
/// to.
pub(crate) struct FolderRepository {
    directory: TempDir,
}

impl FolderRepository {
    /// Its path on every host.
    pub(crate) const PATH: &str = "/srv/repository";

    /// Makes an empty one.
    pub(crate) fn new() -> Result<Self> {
        let suffix = format!("-{}", std::process::id());
        let directory = tempfile::Builder::new().prefix("repository-").suffix(&suffix).tempdir_in(hosts()?)?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777))?;
        Ok(FolderRepository { directory })
    }

    /// Makes one that begins as a copy of a repository.
    pub(crate) fn copy_of(template: &Prepared) -> Result<Self> {
        let repository = Self::new()?;
        run(Command::new("cp").arg("-a").arg(template.path().join(".")).arg(repository.path()))?;
        fs::set_permissions(repository.path(), Permissions::from_mode(0o777))?;
        Ok(repository)
    }

    /// Its path as seen from outside.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// For [`super::Options::binds`].
    pub(crate) fn bind(&self) -> (&Path, &'static str) {
        (self.path(), Self::PATH)
    }
}

/// An S3 server on a [`Network`]. It counts what it is asked.
pub(crate) struct S3Server<'a> {
    network: &'a Network,
    server: Child,
    log: NamedTempFile,
    buckets: AtomicUsize,
}

impl<'a> S3Server<'a> {
    const PORT: u16 = 5000;

    /// What clients have to have in their environment. The server takes any key.
    pub(crate) const ENVIRONMENT: [(&'static str, &'static str); 2] =
        [("AWS_ACCESS_KEY_ID", "testbed"), ("AWS_SECRET_ACCESS_KEY", "testbed-secret")];

    /// Starts one and waits until it listens. A network has room for one.
    pub(crate) fn start(network: &'a Network) -> Result<Self> {
        let log = NamedTempFile::new()?;
        let python = cache().join("s3/bin/python");
        let server = network
            .command(&python.to_string_lossy())?
            .args(["-m", "moto.server", "-H", Network::ADDRESS, "-p", &Self::PORT.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen()?)
            .spawn()
            .map_err(|error| format!("cannot start the S3 server: {error}"))?;
        let s3 = S3Server { network, server, log, buckets: AtomicUsize::new(0) };
        wait_for("the S3 server listens", Duration::from_secs(60), || {
            Ok(s3.log()?.contains("Running on").then_some(()))
        })?;
        Ok(s3)
    }

    /// Makes an empty bucket and returns its address for restic.
    pub(crate) fn new_bucket(&self) -> Result<String> {
        let bucket = self.buckets.fetch_add(1, Ordering::Relaxed);
        let server = format!("http://{}:{}", Network::ADDRESS, Self::PORT);
        let url = format!("{server}/bucket-{bucket}");
        run(self.network.command("curl")?.args(["-sSf", "--noproxy", "*", "-X", "PUT", &url]))?;
        Ok(format!("s3:{url}"))
    }

    /// How many requests it has had so far, those of [`S3Server::new_bucket`] included.
    pub(crate) fn requests(&self) -> Result<usize> {
        Ok(self.log()?.lines().filter(|line| line.contains(" HTTP/1.")).count())
    }

    fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.log.path())?).into_owned())
    }
}

impl Drop for S3Server<'_> {
    fn drop(&mut self) {
        // A server that has gone by itself is as good.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A REST server on a [`Network`].
pub(crate) struct RestServer {
    server: Child,
    // Dropped after the server.
    _data: TempDir,
}

impl RestServer {
    const PORT: u16 = 8000;

    /// Starts one and waits until it listens. A network has room for one.
    pub(crate) fn start(network: &Network) -> Result<Self> {
        let (data, log) = (tempfile::tempdir()?, NamedTempFile::new()?);
        let server = network
            .command("rclone")?
            .args(["serve", "restic", "--addr", &Self::address()])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen()?)
            .spawn()
            .map_err(|error| format!("cannot start the REST server: {error}"))?;
        let rest = RestServer { server, _data: data };
        wait_for("the REST server listens", Duration::from_secs(60), || {
            Ok(fs::read_to_string(log.path())?.contains("Serving restic REST API").then_some(()))
        })?;
        Ok(rest)
    }

    /// Where it listens.
    pub(crate) fn address() -> String {
        format!("{}:{}", Network::ADDRESS, Self::PORT)
    }
}

impl Drop for RestServer {
    fn drop(&mut self) {
        // A server that has gone by itself is as good.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
