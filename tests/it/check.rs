//! Promise: `check` tells each result when it is known, and people at a terminal what it waits for.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kuma-replicator");

/// A host with a restic that waits, each time, until the other end of the pipe `gate` is opened, and then fails. Returns
/// its configuration file.
pub(crate) fn host(directory: &Path) -> String {
    let file = |name: &str| directory.join(name);
    rustix::fs::mknodat(CWD, file("gate"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::write(file("restic"), format!("#!/bin/sh\nread go <{}\nexit 1\n", file("gate").display())).unwrap();
    fs::set_permissions(file("restic"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(file("password"), "secret").unwrap();
    let text = format!(
        "role = \"main\"\nrepository = \"/srv/nowhere\"\n[restic]\nprogram = {:?}\npassword-file = {:?}\n",
        file("restic"),
        file("password")
    );
    fs::write(file("config.toml"), text).unwrap();
    file("config.toml").display().to_string()
}

/// The program, or a shell around it, with directories and a bus of its own.
pub(crate) fn command(directory: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("STATE_DIRECTORY", directory.join("state"))
        .env("CACHE_DIRECTORY", directory.join("cache"))
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", directory.join("no-bus").display()))
        .stdin(Stdio::null());
    command
}

/// The command `check`, whose results are read while it runs.
fn check(directory: &Path, program: &str) -> Command {
    let mut command = command(directory, program);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[test]
fn each_result_is_told_while_the_next_one_is_not_known() {
    let directory = tempfile::tempdir().unwrap();
    let config = host(directory.path());
    let mut child = check(directory.path(), PROGRAM).args(["--config", &config, "check"]).spawn().unwrap();
    let mut said = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("ok       password") {
        assert!(output.read_line(&mut said).unwrap() > 0, "it ended early: {said}");
    }
    // Its restic waits.
    assert!(child.try_wait().unwrap().is_none());
    assert!(said.contains("ok       configuration") && said.contains("failed   service"), "{said}");
    fs::write(directory.path().join("gate"), "go\n").unwrap();
    while output.read_line(&mut said).unwrap() > 0 {}
    assert!(said.contains("failed   restic"), "{said}");
    assert!(!said.contains('\u{1b}'), "this is no terminal: {said}");
    assert_eq!(child.wait().unwrap().code(), Some(75));
}
