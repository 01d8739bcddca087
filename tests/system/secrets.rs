//! Secrets that are planted where a host needs them, and looked for everywhere else.

use crate::testbed::{Machine, Result};
use crate::world::{PASSWORD, says};

/// What the hosts of a test know and must not show.
pub const PLANTED: [&str; 4] = [PASSWORD, ACCESS_KEY, SECRET_KEY, URL_SECRET];

pub const ACCESS_KEY: &str = "AKIAPLANTEDPLANTED";
pub const SECRET_KEY: &str = "planted/Secret+Key=of/S3";
/// The password in the address of a repository.
pub const URL_SECRET: &str = "planted-url-secret";

/// Writes down the arguments of restic and of the process that called it, and then runs restic.
const RECORDER: &str = r#"#!/bin/sh
{ tr '\0' ' ' <"/proc/$PPID/cmdline"; echo; printf '%s\n' "$@"; } >>/var/lib/kuma-replicator/recorded
exec restic "$@"
"#;

/// Where it is.
pub const PROGRAM: &str = "/usr/local/bin/recording-restic";

/// Puts it on a host.
pub fn install(machine: &Machine) -> Result<()> {
    std::fs::write(machine.root().join(PROGRAM.trim_start_matches('/')), RECORDER)?;
    machine.run(&["chmod", "755", PROGRAM]).map(drop)
}

/// Fails if a host shows a secret: in an argument of a process that runs or of any restic that ran, in the journal,
/// in the state, or in what a command prints.
pub fn scan(machine: &Machine) -> Result<()> {
    let places: [(&str, &[&str]); 7] = [
        ("arguments of processes", &["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]),
        ("arguments of restic", &["sh", "-c", "cat /var/lib/kuma-replicator/recorded 2>/dev/null"]),
        ("journal", &["journalctl", "--output=export", "--all", "--no-pager", "--quiet"]),
        ("state", &["cat", "/var/lib/kuma-replicator/state.json"]),
        ("status", &["kuma-replicator", "status"]),
        ("status --json", &["kuma-replicator", "status", "--json"]),
        ("unit", &["systemctl", "status", "--no-pager", "--full", "kuma-replicator"]),
    ];
    for (place, command) in places {
        find(machine, place, &says(machine, command)?)?;
    }
    Ok(())
}

/// The same for the commands that ask the repository, and so may print what it says.
pub fn scan_commands(machine: &Machine) -> Result<()> {
    for verb in ["snapshots", "check", "plan"] {
        let output = machine.output(&["kuma-replicator", verb, "--json"])?;
        find(machine, verb, &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()))?;
    }
    Ok(())
}

fn find(machine: &Machine, place: &str, text: &str) -> Result<()> {
    // As a whole, and as it is written in an address.
    let encoded = SECRET_KEY.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    match PLANTED.into_iter().chain([encoded.as_str()]).find(|secret| text.contains(secret)) {
        Some(secret) => Err(format!("{}: {place}: {secret} is in {text}", machine.name()).into()),
        None => Ok(()),
    }
}
