//! Promise: an order that needs no repository does not wait for one that does not answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use kuma_replicator::host::store::{MAX_WAIT, Store};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

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
    until("restic was started", || asked.exists());
    fs::remove_file(asked).unwrap();
    child
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the kernel has it wait for a lock, as /proc/locks shows.
fn waits_for_lock(child: &Child) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let pid = child.id().to_string();
    locks.lines().any(|line| line.contains(" -> FLOCK") && line.split_whitespace().any(|word| word == pid))
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

/// The file of an order that was suspended stays locked; that it waits does not count for ever.
#[test]
fn a_suspended_order_keeps_no_cycle_from_the_repository() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(directory.path());
    let store = Store::lock(&directory.path().join("state")).unwrap();
    let mut order = host(&["hold"]).spawn().unwrap();
    until("the order waits", || waits_for_lock(&order));
    let pid = Pid::from_child(&order);
    kill_process(pid, Signal::STOP).unwrap();
    assert!(waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap().1.stopped());
    drop(store);
    let file = directory.path().join("state/waiting");
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - MAX_WAIT - Duration::from_secs(1)).unwrap();
    let mut cycle = waiting(directory.path(), host(&["run"]));
    std::thread::sleep(Duration::from_secs(1));
    assert!(cycle.try_wait().unwrap().is_none(), "it waits for the repository");
    // One that has just begun does count.
    file.set_modified(SystemTime::now()).unwrap();
    assert_eq!(cycle.wait().unwrap().code(), Some(75));
    kill_process(pid, Signal::CONT).unwrap();
    assert!(order.wait().unwrap().success());
}

/// The timer must not be kept away by a command that is typed, or that monitoring runs, again and again.
#[test]
fn a_cycle_waits_for_a_command_at_work() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(directory.path());
    let mut plan = waiting(directory.path(), host(&["plan"]));
    let mut cycle = host(&["run"]).spawn().unwrap();
    until("the cycle waits", || waits_for_lock(&cycle));
    plan.kill().unwrap();
    plan.wait().unwrap();
    until("the cycle is at work", || directory.path().join("asked").exists());
    // Another one gives up, and says why.
    let other = host(&["run"]).output().unwrap();
    assert_eq!(other.status.code(), Some(75));
    assert!(said(&other).contains("another kuma-replicator is at work"), "{}", said(&other));
    // So does what starts Uptime Kuma again after a cycle that was killed. A signal ends a wait.
    for verb in ["run", "recover"] {
        let mut third = host(&[verb]).spawn().unwrap();
        until("the third one waits", || waits_for_lock(&third));
        kill_process(Pid::from_child(&third), Signal::TERM).unwrap();
        assert_eq!(third.wait().unwrap().signal(), Some(Signal::TERM.as_raw()), "{verb}");
    }
    cycle.kill().unwrap();
    cycle.wait().unwrap();
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
