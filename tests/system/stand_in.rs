//! A quick server in the place of a replica's Uptime Kuma, over the database that the real one has made, and
//! gates at which it waits.

use std::path::PathBuf;

use crate::testbed::{Machine, Result, wait_for};
use crate::world::SOON;

/// Where gates are, from the root of a host.
const GATES: &str = "var/lib/gates";

/// A restic that waits at gates named after its commands, before and after it does its work.
const RESTIC: &str = r#"#!/bin/sh
gate() { while test -e "/var/lib/gates/$1"; do sleep 0.1; done; }
for word in "$@"; do case $word in snapshots | dump | backup) command=$word ;; esac; done
touch "/var/lib/gates/at-$command"
gate "before-$command"
restic "$@"
status=$?
touch "/var/lib/gates/done-$command"
gate "after-$command"
exit $status
"#;

const UNIT: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=no\n\
    ExecStartPre=/bin/sh -c 'while test -e /var/lib/gates/start; do sleep 0.1; done'\n\
    ExecStart=\nExecStart=/usr/bin/node /usr/local/lib/stand-in.js\n";

/// Puts the stand-in in the place of the Uptime Kuma that runs on a host.
pub fn put_in_place(machine: &Machine) -> Result<()> {
    machine.kuma()?;
    let root = machine.root();
    std::fs::create_dir_all(root.join(GATES))?;
    std::fs::write(root.join("usr/local/lib/stand-in.js"), include_str!("stand-in.js"))?;
    drop_in(machine, "uptime-kuma", UNIT)?;
    machine.sh("systemctl daemon-reload; systemctl restart uptime-kuma")?;
    wait_for("the stand-in answers", SOON, || Ok(machine.kuma_ready()?.then_some(())))
}

/// Lets the agent of a host run a restic that waits at gates: `before-` and `after-` with `snapshots`, `dump` or
/// `backup`.
pub fn gate_restic(machine: &Machine) -> Result<()> {
    std::fs::create_dir_all(machine.root().join(GATES))?;
    std::fs::write(machine.root().join("usr/local/lib/restic"), RESTIC)?;
    machine.sh("chmod 755 /usr/local/lib/restic; \
         printf '[restic]\\nprogram = \"/usr/local/lib/restic\"\\n' >> /etc/kuma-replicator/config.toml")?;
    Ok(())
}

/// Waits until a process is at a gate that `gate_restic` made: `at-` or `done-` with the command.
pub fn wait_at(machine: &Machine, mark: &str) -> Result<()> {
    wait_for(&format!("restic is {mark}"), SOON, || Ok(path(machine, mark).exists().then_some(())))
}

/// Opens all gates, and forgets who was at one.
pub fn open_all(machine: &Machine) -> Result<()> {
    // A host without a stand-in has none.
    for entry in std::fs::read_dir(machine.root().join(GATES)).into_iter().flatten() {
        std::fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Writes a drop-in for a unit, without a reload of the service manager.
pub fn drop_in(machine: &Machine, unit: &str, text: &str) -> Result<()> {
    let directory = machine.root().join(format!("etc/systemd/system/{unit}.service.d"));
    std::fs::create_dir_all(&directory)?;
    Ok(std::fs::write(directory.join("stand-in.conf"), text)?)
}

/// What waits at a gate that is closed: the end of the stand-in (`stop`), its start job (`start`), its answers
/// (`answer`), its death over a monitor named poison (`die`). See `gate_restic` for those of restic.
pub fn close(machine: &Machine, gate: &str) -> Result<()> {
    // Who was there before does not count.
    if let Some((when, command)) = gate.split_once('-') {
        open(machine, &format!("{}-{command}", if when == "before" { "at" } else { "done" }));
        // Without what it has kept, the agent looks with restic.
        if command == "snapshots" {
            let _ = std::fs::remove_file(machine.root().join("var/lib/kuma-replicator/listing.json"));
        }
    }
    Ok(std::fs::write(path(machine, gate), "")?)
}

/// Opens a gate; it may be open already.
pub fn open(machine: &Machine, gate: &str) {
    // If a gate cannot be opened, the process that waits at it makes the test fail.
    let _ = std::fs::remove_file(path(machine, gate));
}

fn path(machine: &Machine, gate: &str) -> PathBuf {
    machine.root().join(GATES).join(gate)
}
