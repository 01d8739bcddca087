//! Other programs that use the repository or meet restic: prunes, locks, helpers, kills.

use serde_json::json;

use crate::Test;
use crate::remote::has_restic;
use crate::repository::suffers;
use crate::snapshots::restic;
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{Pair, SOON, Setup, digest, events, expect, says, state};

pub const TESTS: &[Test] = &[("prunes_locks_and_kills_cost_neither_data_nor_a_stop", interference)];

const UNIT: &str = "kuma-replicator.service";

/// Its restic first runs the commands in a file.
const CONFIG: &str = "[restic]\nprogram = \"/usr/local/bin/restic-here\"\ntimeout = \"15s\"\n";

/// Lets a host's restic do something first; nothing if that is empty.
fn first(machine: &Machine, script: &str) -> Result<()> {
    let root = machine.root();
    std::fs::write(root.join("etc/restic-here"), script)?;
    std::fs::write(root.join("usr/local/bin/restic-here"), "#!/bin/sh\n. /etc/restic-here\nexec restic \"$@\"\n")?;
    machine.run(&["chmod", "755", "/usr/local/bin/restic-here"]).map(drop)
}

/// Removes the snapshot that is about to be fetched.
const PRUNE: &str = "mark=/var/lib/kuma-replicator/pruned\n\
    if [ \"$1\" = dump ] && [ ! -e $mark ]; then touch $mark; restic forget -q --prune \"$3\" >&2; fi\n";

/// A publish stops when it has its lock.
const STUCK: &str = "if [ \"$1\" = backup ]; then restic \"$@\" <&0 &\n\
    until ls /srv/repository/locks/* >/dev/null 2>&1; do sleep 0.02; done\n\
    kill -STOP $!; touch /var/lib/kuma-replicator/stuck; sleep 1000; fi\n";

/// Everything in the repository, with times: every write changes it, if only for a moment.
fn inventory(machine: &Machine) -> Result<String> {
    machine.sh("find /srv/repository -printf '%p %T@ %s\\n' | sort")
}

fn interference() -> Result<()> {
    Pair::test(&Setup { replica_config: CONFIG, ..Setup::default() }, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        first(main, "")?;
        main.sh(&format!("printf '{}' >> /etc/kuma-replicator/config.toml", CONFIG.replace('\n', "\\n")))?;
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        let mut number = 0;
        let mut change = || {
            number += 1;
            kuma.call("changeMonitor", json!([monitor, { "name": format!("web {number}") }])).map(drop)
        };

        // A prune between the look and the fetch: the one before it is the newest then, within the same cycle.
        expect(main, 0, "published")?;
        change()?;
        expect(main, 0, "published")?;
        first(replica, PRUNE)?;
        expect(replica, 0, "applied")?;
        assert_eq!(state(replica)?["replica"]["applied"]["place"]["sequence"], 1);
        assert_eq!(events(replica)?.iter().filter(|event| *event == "stopping").count(), 1);
        first(replica, "")?;

        // A restic that is stopped, and one that is killed.
        change()?;
        expect(main, 0, "published")?;
        first(replica, "kill -STOP $$\n")?;
        suffers(replica, "stopped", 75, "repository-unreachable")?;
        first(replica, "kill -KILL $$\n")?;
        suffers(replica, "killed", 75, "restic-failed")?;
        first(replica, "")?;
        helpers_end_with_the_agent(replica)?;

        // A replica that can only read, and never takes a lock.
        replica.run(&["mount", "-o", "remount,bind,ro", "/srv/repository"])?;
        assert!(!replica.output(&["touch", "/srv/repository/x"])?.status.success());
        let before = inventory(main)?;
        expect(replica, 0, "applied")?;
        expect(replica, 0, "up to date")?;
        assert_eq!(before, inventory(main)?, "a replica wrote into the repository");
        replica.run(&["mount", "-o", "remount,bind,rw", "/srv/repository"])?;

        under_an_exclusive_lock(pair, &mut change)?;
        killed_in_a_publish(pair, &mut change)
    })
}

/// A restic of another host has the repository for itself, and then dies.
fn under_an_exclusive_lock(pair: &Pair, change: &mut impl FnMut() -> Result<()>) -> Result<()> {
    let (main, replica) = (&pair.main, &pair.replica);
    change()?;
    expect(main, 0, "published")?;
    // In a session of its own: a stopped process whose group is left alone when its shell ends would go on, where
    // SIGHUP is ignored.
    let checker = restic(
        replica,
        "setsid restic check >/dev/null 2>&1 & \
         until ls /srv/repository/locks | grep -qxE '[0-9a-f]{64}'; do kill -0 $!; done; kill -STOP $!; echo $!",
    )?;
    let locks = || says(main, &["sh", "-c", "ls /srv/repository/locks"]);
    let lock = locks()?;
    assert_eq!(lock.lines().count(), 1, "{lock}");
    // Replicas are not bothered.
    expect(replica, 0, "applied")?;
    change()?;
    suffers(main, "locked", 75, "repository-locked")?;
    replica.run(&["kill", "-KILL", checker.trim()])?;
    // Not this host's to remove, however dead its owner is.
    suffers(main, "locked by the dead", 75, "repository-locked")?;
    assert_eq!(lock, locks()?);
    restic(replica, "restic unlock -q")?;
    expect(main, 0, "published")?;
    expect(replica, 0, "applied")
}

/// The lock that a killed publish leaves blocks nobody, and no replica takes what it has stored.
fn killed_in_a_publish(pair: &Pair, change: &mut impl FnMut() -> Result<()>) -> Result<()> {
    let (main, replica) = (&pair.main, &pair.replica);
    change()?;
    first(main, STUCK)?;
    main.run(&["systemctl", "start", "--no-block", UNIT])?;
    wait_for("a publish has its lock", SOON, || {
        Ok(main.output(&["test", "-e", "/var/lib/kuma-replicator/stuck"])?.status.success().then_some(()))
    })?;
    kill_agent(main)?;
    assert!(!has_restic(main)?, "a killed agent left a restic behind");
    assert_eq!(says(main, &["sh", "-c", "ls /srv/repository/locks | wc -l"])?, "1");
    expect(replica, 0, "up to date")?;
    first(main, "")?;
    expect(main, 0, "published")?;
    expect(replica, 0, "applied")?;
    // It is too young to be removed: its owner may still run.
    expect(main, 0, "unchanged")?;
    assert_eq!(says(main, &["sh", "-c", "ls /srv/repository/locks | wc -l"])?, "1");
    assert_eq!(digest(main)?, digest(replica)?);
    Ok(())
}

/// restic starts helpers of its own; this one does not end when it is asked to.
fn helpers_end_with_the_agent(machine: &Machine) -> Result<()> {
    let helper = "#!/bin/sh\ntrap '' INT TERM HUP PIPE\nwhile :; do sleep 1000; done\n";
    std::fs::write(machine.root().join("usr/local/bin/rclone"), helper)?;
    machine.sh("chmod 755 /usr/local/bin/rclone; cd /etc/kuma-replicator; cp config.toml /root; \
         sed -i 's,^repository.*,repository = \"rclone:nowhere:x\",' config.toml")?;
    let runs = |name: &str| Ok::<_, crate::testbed::Error>(!says(machine, &["pgrep", "-x", name])?.is_empty());
    suffers(machine, "a helper that hangs", 75, "repository-unreachable")?;
    assert!(!runs("rclone")? && !runs("sleep")?, "a helper is left after the deadline");
    machine.run(&["systemctl", "start", "--no-block", UNIT])?;
    wait_for("a helper", SOON, || Ok(runs("rclone")?.then_some(())))?;
    kill_agent(machine)?;
    assert!(!has_restic(machine)? && !runs("rclone")? && !runs("sleep")?, "a killed agent left helpers behind");
    machine.run(&["cp", "/root/config.toml", "/etc/kuma-replicator/config.toml"]).map(drop)
}

/// Kills the agent, and it alone, while a cycle runs, and waits until the unit has come to rest.
pub fn kill_agent(machine: &Machine) -> Result<()> {
    machine.run(&["systemctl", "kill", "--signal=KILL", "--kill-who=main", UNIT])?;
    wait_for("the unit comes to rest", SOON, || {
        Ok((says(machine, &["systemctl", "is-active", UNIT])? == "failed").then_some(()))
    })
}
