//! Hosts for the system tests: real systemd, real Uptime Kuma, real restic, on one machine.
//!
//! A test includes this module with `#[path = "../testbed/mod.rs"] mod testbed;`, asks
//! [`available`], boots a [`Machine`] or two and talks to their servers through [`Kuma`].
//! `provision`, beside this file, prepares the machine for it. All a test makes here ends with the
//! test, even with one that is killed: hosts and networks are namespaces whose first process reads
//! a pipe from us and ends when it closes.
//!
//! It must know nothing of the program under test: what is installed and run on a host is the
//! test's business.

#![allow(dead_code, unused_imports, reason = "each binary compiles this module for itself and uses another part of it")]

mod kuma;
mod machine;
mod network;
mod page;
mod peaks;
mod power;
mod prepared;
mod process;
mod proxy;
mod quick_key;
mod repository;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use kuma::Kuma;
pub(crate) use machine::{Machine, Options};
pub(crate) use network::Network;
pub(crate) use page::Page;
pub(crate) use peaks::Peaks;
pub(crate) use prepared::Prepared;
pub(crate) use proxy::{Fault, Proxy};
pub(crate) use quick_key::make_quick;
pub(crate) use repository::{FolderRepository, RestServer, S3Server};
pub(crate) use watch::{Watch, signal};

/// What everything here returns: an error says what was tried and how it failed.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Its error.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A part that only some tests need is not there: such a test counts as skipped.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Longer than anything on a host takes, its slowest stop included, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(300);

/// Whether hosts can be booted here, or the reason why a test must count as skipped.
pub(crate) fn available() -> std::result::Result<(), String> {
    // The owner of our own entry in /proc is the effective user of this process.
    let root = std::fs::metadata("/proc/self").is_ok_and(|entry| std::os::unix::fs::MetadataExt::uid(&entry) == 0);
    if !root {
        return Err("booting hosts needs root".into());
    }
    for tool in ["systemd-nspawn", "nsenter", "ip", "node", "restic"] {
        if !Command::new("which").arg(tool).output().is_ok_and(|which| which.status.success()) {
            return Err(format!("{tool} is missing: run tests/testbed/provision"));
        }
    }
    for part in ["base", "kuma", "node", "s3", "prometheus"] {
        let path = cache().join(part);
        if !path.is_dir() {
            return Err(format!("{} is missing: run tests/testbed/provision", path.display()));
        }
    }
    Ok(())
}

/// Asks `probe` until it answers with a value, and fails after `limit`, saying `what` was waited for. An error of the
/// probe ends the wait at once. The pause between two probes is 50 ms, or as long as a probe takes, so that probes do
/// not take the processor from what they wait for.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let begin = Instant::now();
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            return Err(format!("{what}: not after {} s", limit.as_secs()).into());
        }
        // A probe may start programs: most of the time is left to what is waited for.
        thread::sleep((begin.elapsed() * 3).clamp(Duration::from_millis(100), Duration::from_secs(1)));
    }
}

/// The Uptime Kuma that hosts run: that of `provision`, or the one installed in `$KUMA_REPLICATOR_KUMA`. For that one, hosts
/// have the Node.js of this machine, with which it was installed.
fn kuma() -> Result<PathBuf> {
    let path = another_kuma().unwrap_or_else(|| cache().join("kuma"));
    Ok(path.canonicalize().map_err(|error| format!("Uptime Kuma in {}: {error}", path.display()))?)
}

/// The Node.js that hosts run it with.
fn node() -> Result<PathBuf> {
    let path = if another_kuma().is_some() { "/usr/bin/node".into() } else { cache().join("node/node") };
    Ok(path.canonicalize().map_err(|error| format!("Node.js in {}: {error}", path.display()))?)
}

/// The Uptime Kuma in `$KUMA_REPLICATOR_KUMA`.
fn another_kuma() -> Option<PathBuf> {
    std::env::var_os("KUMA_REPLICATOR_KUMA").map(PathBuf::from)
}

/// What `provision` made: `$KUMA_REPLICATOR_TESTBED`, or `target/testbed` in the checkout.
fn cache() -> PathBuf {
    match std::env::var_os("KUMA_REPLICATOR_TESTBED") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testbed"),
    }
}

/// The packages of Prometheus and its node_exporter, and promtool.
pub(crate) fn prometheus() -> Result<PathBuf> {
    let path = cache().join("prometheus");
    Ok(path.canonicalize().map_err(|error| format!("Prometheus in {}: {error}", path.display()))?)
}

/// A part that `provision` made.
///
/// # Errors
/// What to do if it is missing.
#[allow(dead_code, reason = "not every target needs one")]
pub(crate) fn part(name: &str) -> std::result::Result<PathBuf, String> {
    let path = cache().join(name);
    if path.is_dir() { Ok(path) } else { Err(format!("there is no {}: run tests/testbed/provision", path.display())) }
}

/// This directory, which contains the scripts.
fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testbed"))
}

/// Where hosts and what they share are while a test runs. Every name there ends in the process id
/// of its test, by which `host` knows what to clear away.
fn hosts() -> Result<PathBuf> {
    let path = cache().join("hosts");
    std::fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
    Ok(path.canonicalize()?)
}
