//! Disks that are full or read-only, and files of the wrong owner: reported before Uptime Kuma is stopped, and
//! survived if they occur later.

use crate::Test;
use crate::testbed::{FolderRepository, Machine, Result};
use crate::world::{
    Pair, Setup, digest, drop_in, end_wait, events, expect, fails, footing, invocation, logged_in, says, sql, state,
};

pub const TESTS: &[Test] = &[
    ("a_full_disk_stops_nothing_and_publishes_nothing", full),
    ("a_disk_that_fills_up_while_uptime_kuma_is_stopped_is_survived", fills_up),
    ("read_only_disks_and_wrong_owners_are_refused_without_a_stop", read_only),
];

const DATA: &str = "/var/lib/uptime-kuma";
const STATE: &str = "/var/lib/kuma-replicator";
const CACHE: &str = "/var/cache/kuma-replicator";

/// Moves a directory of a host to a small disk of its own.
fn own_disk(machine: &Machine, directory: &str, size: &str) -> Result<()> {
    machine
        .sh(&format!(
            "mkdir -p {directory}; cp -a {directory} /root/moved; mount -t tmpfs -o size={size} tmpfs {directory}; \
             cp -a /root/moved/. {directory}/; chown --reference=/root/moved {directory}; \
             chmod --reference=/root/moved {directory}; rm -r /root/moved"
        ))
        .map(drop)
}

/// The same for the data of Uptime Kuma, which runs before and after.
fn own_data_disk(machine: &Machine, size: &str) -> Result<()> {
    machine.run(&["systemctl", "stop", "uptime-kuma"])?;
    own_disk(machine, DATA, size)?;
    machine.run(&["systemctl", "start", "uptime-kuma"])?;
    machine.kuma().map(drop)
}

fn fill(machine: &Machine, directory: &str) -> Result<()> {
    machine.sh(&format!("! cat /dev/zero > {directory}/fill 2> /dev/null")).map(drop)
}

fn free(machine: &Machine, directory: &str) -> Result<()> {
    machine.run(&["rm", &format!("{directory}/fill")]).map(drop)
}

fn full() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        pair.offer("web")?;
        own_disk(replica, STATE, "24m")?;
        own_disk(replica, CACHE, "24m")?;
        own_data_disk(replica, "64m")?;
        let before = footing(replica)?;
        for (directory, said) in [(STATE, "/var/lib/kuma-replicator has room for"), (DATA, "uptime-kuma has room for")]
        {
            fill(replica, directory)?;
            fails(replica, 75, "disk-full", said)?;
            free(replica, directory)?;
            assert_eq!(footing(replica)?, before, "{directory}");
        }
        assert!(!events(replica)?.iter().any(|event| event == "stopping"));
        // restic does without its cache.
        fill(replica, CACHE)?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        expect(replica, 0, "up to date")?;
        logged_in(replica)?;

        // A main whose repository, or whose memory, has no room.
        let before = footing(main)?;
        let snapshots = || main.run(&["kuma-replicator", "snapshots"]);
        main.sh("mkdir /srv/small; mount -t tmpfs -o size=4m tmpfs /srv/small")?;
        main.run(&["sed", "-i", "s,/srv/repository,/srv/small,", "/etc/kuma-replicator/config.toml"])?;
        main.run(&["kuma-replicator", "init"])?;
        expect(main, 0, "published")?;
        let stored = snapshots()?;
        sql(main, "UPDATE monitor SET name = 'renamed'")?;
        let changed = footing(main)?;
        assert_ne!(before, changed);
        fill(main, "/srv/small")?;
        fails(main, 75, "disk-full", "/srv/small")?;
        free(main, "/srv/small")?;
        // restic packs in a directory of its own.
        own_disk(main, "/tmp", "1m")?;
        fill(main, "/tmp")?;
        fails(main, 75, "disk-full", "no space left on device")?;
        free(main, "/tmp")?;
        own_disk(main, STATE, "1m")?;
        fill(main, STATE)?;
        fails(main, 75, "disk-full", STATE)?;
        free(main, STATE)?;
        assert_eq!((snapshots()?, footing(main)?), (stored, changed));
        expect(main, 0, "published")
    })
}

/// Does what a test left to be done when Uptime Kuma has stopped.
const WHEN_STOPPED: &str =
    "[Service]\nExecStopPost=+/bin/sh -c 'test ! -e /run/when-stopped || sh /run/when-stopped'\n";

fn fills_up() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        own_disk(replica, STATE, "32m")?;
        own_data_disk(replica, "64m")?;
        drop_in(replica, "uptime-kuma.service", "stopped", WHEN_STOPPED)?;
        let fill_when_stopped = |directory: &str, but: usize| {
            let script = "rm /run/when-stopped; cat /dev/zero > fill; truncate --size";
            replica.sh(&format!("echo 'cd {directory}; {script} -{but} fill' > /run/when-stopped"))
        };

        // SQLite finds no room, neither to begin nor to end: rolled back.
        pair.offer("web")?;
        let before = digest(replica)?;
        for (but, said) in [(0, "claim database /var/lib/uptime-kuma/kuma.db: the disk is full"), (49_152, "full")] {
            fill_when_stopped(DATA, but)?;
            fails(replica, 75, "disk-full", said).map_err(|error| format!("{but} bytes free: {error}"))?;
            free(replica, DATA)?;
            replica.kuma()?;
            assert_eq!((sql(replica, "PRAGMA integrity_check")?.trim(), digest(replica)?), ("ok", before.clone()));
            assert_eq!(state(replica)?.get("intent"), None);
            if but == 0 {
                end_wait(replica)?;
            }
        }
        let running = invocation(replica)?;
        fails(replica, 75, "backoff", "full")?;
        assert_eq!(footing(replica)?, (before.clone(), running));
        end_wait(replica)?;

        // There is no room for the rollback, nor for recording it.
        fill_when_stopped(STATE, 0)?;
        fails(replica, 75, "disk-full", "previous.dump")?;
        replica.kuma()?;
        let running = invocation(replica)?;
        fails(replica, 75, "disk-full", "state.json")?;
        assert_eq!(footing(replica)?, (before, running));
        free(replica, STATE)?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        logged_in(replica).map(drop)
    })
}

/// Makes a directory of a host read-only for what is opened from now on.
fn freeze(machine: &Machine, directory: &str) -> Result<()> {
    machine
        .sh(&format!(
            "mkdir -p {directory}; mount --bind {directory} {directory}; mount -o remount,bind,ro {directory}"
        ))
        .map(drop)
}

fn thaw(machine: &Machine, directory: &str) -> Result<()> {
    machine.run(&["umount", directory]).map(drop)
}

fn read_only() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        // An icon, so that the directory of uploads has to be written too.
        main.sh(&format!("echo png > {DATA}/upload/logo1.png"))?;
        pair.main_kuma()?.add_status_page("Page", "page", "all", &[])?;
        sql(main, "UPDATE status_page SET icon = '/upload/logo1.png?t=1'")?;
        pair.offer("web")?;
        let before = footing(replica)?;
        let database = format!("{DATA}/kuma.db");
        let uploads = format!("{DATA}/upload");
        // Without these two systemd does not even begin.
        for (directory, status) in [(STATE, "238"), (CACHE, "239")] {
            freeze(replica, directory)?;
            assert!(!replica.output(&["systemctl", "start", "kuma-replicator"])?.status.success());
            assert_eq!(says(replica, &["systemctl", "show", "-P", "ExecMainStatus", "kuma-replicator"])?, status);
            assert_eq!(footing(replica)?, before, "{directory}");
            thaw(replica, directory)?;
        }
        freeze(replica, STATE)?;
        let typed = replica.output(&["kuma-replicator", "run"])?;
        let said = String::from_utf8_lossy(&typed.stderr).into_owned();
        assert_eq!(typed.status.code(), Some(77), "{said}");
        assert!(said.contains("/var/lib/kuma-replicator/lock: Read-only file system"), "{said}");
        thaw(replica, STATE)?;
        for (directory, said) in [(DATA, database.as_str()), (&uploads, &uploads)] {
            freeze(replica, directory)?;
            fails(replica, 77, "not-permitted", said).map_err(|error| format!("{directory}: {error}"))?;
            thaw(replica, directory)?;
            assert_eq!(footing(replica)?, before, "{directory}");
        }
        // Uptime Kuma has it open, and would not get it again after a stop.
        let mine = format!("chown uptime-kuma: {DATA} {database}; chmod 750 {DATA}; chmod 644 {database}");
        for (wrong, said) in [
            (format!("chown root: {database}; chmod 600 {database}"), database.as_str()),
            (format!("chmod 400 {database}"), &database),
            (format!("chown root: {DATA}"), DATA),
        ] {
            replica.sh(&wrong)?;
            fails(replica, 77, "not-permitted", said).map_err(|error| format!("{wrong}: {error}"))?;
            replica.sh(&mine)?;
            assert_eq!(footing(replica)?, before, "{wrong}");
        }
        assert!(!events(replica)?.iter().any(|event| event == "stopping"));
        // It is no reason for a replica not to work: it only reads the repository.
        freeze(replica, FolderRepository::PATH)?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        assert_eq!(replica.run(&["stat", "-c", "%U", &format!("{uploads}/logo1.png")])?.trim(), "uptime-kuma");
        logged_in(replica)?;

        // A main has to write into its repository.
        sql(main, "UPDATE monitor SET name = 'renamed'")?;
        let changed = footing(main)?;
        freeze(main, FolderRepository::PATH)?;
        fails(main, 77, "repository-denied", "read-only file system")?;
        thaw(main, FolderRepository::PATH)?;
        assert_eq!(footing(main)?, changed);
        // It only reads the database.
        freeze(main, DATA)?;
        expect(main, 0, "published")
    })
}
