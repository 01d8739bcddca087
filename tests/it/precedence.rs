//! Promise: an order that needs no repository does not wait for one that does not answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use kuma_replicator::host::store::Store;

/// A restic that never answers, and says that it runs.
const HANGING: &str = "#!/bin/sh\ntouch \"$(dirname \"$0\")/asked\"\nexec sleep 600\n";

/// A replica whose repository does not answer.
fn host(directory: &Path) -> impl Fn(&[&str]) -> Command {
    let restic = directory.join("restic");
    fs::write(&restic, HANGING).unwrap();
    fs::set_permissions(&restic, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(directory.join("password"), "secret").unwrap();
    let config = directory.join("config.toml");
    let text = format!(
        "role = \"replica\"\nrepository = \"/srv/r\"\n[restic]\nprogram = \"{}\"\npassword-file = \"{}\"\n",
        restic.display(),
        directory.join("password").display()
    );
    fs::write(&config, text).unwrap();
    let state = directory.join("state");
    move |arguments| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuma-replicator"));
        command.arg("--config").arg(&config).args(arguments);
        command.env("STATE_DIRECTORY", &state).env("CACHE_DIRECTORY", state.join("cache"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Starts it and returns once it waits for the repository.
fn waiting(directory: &Path, mut command: Command) -> Child {
    let asked = directory.join("asked");
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while !asked.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "restic was not started");
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_file(asked).unwrap();
    child
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_order_that_needs_no_repository_ends_the_wait_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(directory.path());
    for (verb, order) in [("run", &["hold"][..]), ("plan", &["demote", "--as-is"]), ("plan", &["release"])] {
        host(&["release"]).output().unwrap();
        let cycle = waiting(directory.path(), host(&[verb]));
        let ordered = host(order).output().unwrap();
        assert!(ordered.status.success(), "{order:?}: {}", said(&ordered));
        let cycle = cycle.wait_with_output().unwrap();
        assert_eq!(cycle.status.code(), Some(75), "{verb}: {}", said(&cycle));
        assert!(said(&cycle).contains("goes first"), "{verb}: {}", said(&cycle));
    }
}

/// Nothing but an order that waits ends it: not the file of one that is gone, not one that needs the repository itself.
#[test]
fn other_orders_wait_for_a_cycle() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(directory.path());
    assert!(host(&["hold"]).output().unwrap().status.success());
    assert!(host(&["release"]).output().unwrap().status.success());
    assert!(directory.path().join("state/waiting").exists());
    let mut cycle = waiting(directory.path(), host(&["run"]));
    let mut order = host(&["restore", "47799f22"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(cycle.try_wait().unwrap().is_none() && order.try_wait().unwrap().is_none());
    order.kill().unwrap();
    order.wait().unwrap();
    cycle.kill().unwrap();
    cycle.wait().unwrap();
    assert!(Store::lock(&directory.path().join("state")).is_ok());
}
