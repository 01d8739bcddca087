//! Databases that are damaged, locked, links, exchanged, or left behind by a killed Uptime Kuma.

use crate::Test;
use crate::testbed::{Machine, Result};
use crate::world::{
    Pair, Setup, digest, drop_in, end_wait, events, expect, fails, footing, invocation, logged_in, open_database, says,
    sql,
};

pub const TESTS: &[Test] = &[
    ("a_damaged_database_is_neither_published_nor_written", damaged),
    ("a_locked_database_stops_nothing", locked),
    ("a_database_behind_a_link_or_left_by_a_kill_is_written", linked),
    ("a_database_that_is_exchanged_during_the_stop_is_looked_at_anew", exchanged),
];

const DATABASE: &str = "/var/lib/uptime-kuma/kuma.db";

/// A page of a host's database that was overwritten, and what it was.
struct Damage<'a> {
    machine: &'a Machine,
    page: i64,
}

impl<'a> Damage<'a> {
    /// Overwrites the first page of `table` under the running Uptime Kuma.
    fn to(machine: &'a Machine, table: &str) -> Result<Self> {
        sql(machine, "PRAGMA wal_checkpoint(TRUNCATE)")?;
        let page = sql(machine, &format!("SELECT rootpage - 1 FROM sqlite_master WHERE name = '{table}'"))?;
        let damage = Damage { machine, page: page.trim().parse()? };
        damage.copy(&format!("if={DATABASE} skip={} of=/root/page", damage.page))?;
        machine.sh("tr '\\0' U < /dev/zero | head -c 4096 > /root/noise")?;
        damage.copy(&format!("if=/root/noise of={DATABASE} seek={} conv=notrunc", damage.page))?;
        Ok(damage)
    }

    fn copy(&self, arguments: &str) -> Result<()> {
        self.machine.sh(&format!("dd bs=4096 count=1 status=none {arguments}")).map(drop)
    }

    fn repair(self) -> Result<()> {
        self.copy(&format!("if=/root/page of={DATABASE} seek={} conv=notrunc", self.page))
    }
}

fn damaged() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        assert_eq!(sql(main, "PRAGMA page_size")?.trim(), "4096");
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        // Where the configuration is read, and where it is not.
        for table in ["tag", "notification_sent_history"] {
            let running = invocation(main)?;
            let damage = Damage::to(main, table)?;
            fails(main, 65, "database-corrupt", DATABASE).map_err(|error| format!("{table}: {error}"))?;
            damage.repair()?;
            assert_eq!(invocation(main)?, running, "{table}");
        }
        assert_eq!(main.run(&["kuma-replicator", "snapshots"])?.lines().count(), 1, "something was published");
        expect(main, 0, "published")?;

        let before = footing(replica)?;
        for table in ["tag", "notification_sent_history"] {
            let damage = Damage::to(replica, table)?;
            fails(replica, 65, "database-corrupt", DATABASE).map_err(|error| format!("{table}: {error}"))?;
            damage.repair()?;
            assert_eq!(footing(replica)?, before, "{table}");
        }
        // Files that are no database any more, under an Uptime Kuma that is stopped.
        replica.sh("systemctl stop uptime-kuma; cp -a /var/lib/uptime-kuma/kuma.db /root/kuma.db")?;
        for (broken, kind) in [(": >", "schema-unknown"), ("seq 9999 >", "database-corrupt")] {
            replica.sh(&format!("{broken} {DATABASE}"))?;
            let content = replica.run(&["sha256sum", DATABASE])?;
            fails(replica, 65, kind, DATABASE)?;
            assert_eq!(replica.run(&["sha256sum", DATABASE])?, content, "{kind}");
        }
        assert!(!events(replica)?.iter().any(|event| event == "written"));
        replica.sh(&format!("cp -a /root/kuma.db {DATABASE}; systemctl start uptime-kuma"))?;
        replica.kuma()?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        logged_in(replica).map(drop)
    })
}

fn locked() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        // Another program writes for a long time: others can read, but Uptime Kuma would not start.
        let write = ["BEGIN IMMEDIATE;", "UPDATE monitor SET weight = 9;"];
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        open_database(main, &write)?;
        expect(main, 0, "published")?;
        main.run(&["systemctl", "stop", "stranger"])?;
        let before = footing(replica)?;
        open_database(replica, &write)?;
        fails(replica, 75, "database-busy", DATABASE)?;
        replica.run(&["systemctl", "stop", "stranger"])?;
        assert_eq!(footing(replica)?, before);
        assert!(!events(replica)?.iter().any(|event| event == "stopping"));

        // Another program has the database for itself, which works only while Uptime Kuma is stopped.
        sql(main, "UPDATE monitor SET name = 'renamed'")?;
        let alone = ["PRAGMA locking_mode=EXCLUSIVE;", "BEGIN EXCLUSIVE;", "SELECT count(*) FROM monitor;"];
        for machine in [main, replica] {
            machine.run(&["systemctl", "stop", "uptime-kuma"])?;
            open_database(machine, &alone)?;
            fails(machine, 75, "database-busy", DATABASE)?;
            machine.sh("systemctl stop stranger; systemctl start uptime-kuma")?;
            machine.kuma()?;
        }
        assert_eq!(before.0, digest(replica)?);
        pair.replicate()?;
        logged_in(replica).map(drop)
    })
}

/// How `kuma.db` can be a link: what to do while Uptime Kuma is stopped.
const LINKS: &[(&str, &str)] = &[
    ("in the same directory", "mv kuma.db real.db; ln -s real.db kuma.db"),
    (
        "to another disk",
        "mkdir /srv/disk; mount -t tmpfs tmpfs /srv/disk; chown uptime-kuma: /srv/disk; mv real.db /srv/disk; \
         ln -sf /srv/disk/real.db kuma.db",
    ),
];

fn linked() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let in_data = |script: &str| replica.sh(&format!("cd /var/lib/uptime-kuma; {script}"));
        for (what, link) in LINKS {
            pair.offer(what)?;
            in_data(&format!("systemctl stop uptime-kuma; {link}; systemctl start uptime-kuma"))?;
            replica.kuma()?;
            expect(replica, 0, "applied").map_err(|error| format!("{what}: {error}"))?;
            pair.assert_equal()?;
            assert!(in_data("readlink kuma.db")?.contains("real.db"), "{what}");
            logged_in(replica)?;
        }
        // SQLite makes its files where the link leads, not where it is.
        pair.offer("one more")?;
        let before = footing(replica)?;
        replica.sh("mount --bind /srv/disk /srv/disk; mount -o remount,bind,ro /srv/disk")?;
        fails(replica, 77, "not-permitted", "cannot be written from here")?;
        replica.sh("umount /srv/disk")?;
        assert_eq!(footing(replica)?, before);
        in_data("systemctl stop uptime-kuma; ln -sf nowhere kuma.db")?;
        fails(replica, 78, "database-missing", DATABASE)?;
        in_data("mv /srv/disk/real.db kuma.db; systemctl start uptime-kuma")?;
        replica.kuma()?;

        // Killed, it leaves its log behind, with the last heartbeats only in there. It was not stopped by us,
        // so it is not started.
        drop_in(replica, "uptime-kuma.service", "once", "[Service]\nRestart=no\n")?;
        sql(replica, "INSERT INTO setting (key, value) VALUES ('only-in-the-log', '1')")?;
        replica.run(&["systemctl", "kill", "--signal=KILL", "uptime-kuma"])?;
        in_data("while systemctl is-active uptime-kuma; do sleep 0.1; done; test -s kuma.db-wal")?;
        expect(replica, 0, "applied")?;
        assert_eq!(says(replica, &["systemctl", "is-active", "uptime-kuma"])?, "failed");
        pair.assert_equal()?;
        replica.run(&["systemctl", "start", "uptime-kuma"])?;
        assert_eq!(logged_in(replica)?.lists()?["monitorList"].as_object().map(|list| list.len()), Some(3));
        assert_eq!(sql(replica, "SELECT value FROM setting WHERE key = 'only-in-the-log'")?.trim(), "1");
        Ok(())
    })
}

/// Puts another file in the place of the database when Uptime Kuma has stopped, if there is one.
const EXCHANGE: &str = "[Service]\nExecStopPost=+/bin/sh -c 'test ! -e /var/lib/uptime-kuma/other || \
    mv /var/lib/uptime-kuma/other /var/lib/uptime-kuma/kuma.db'\n";

fn exchanged() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(EXCHANGE), ..Setup::default() }, |pair| {
        let replica = &pair.replica;
        let other = |statement: &str| {
            replica.sh(&format!(
                "cd /var/lib/uptime-kuma; sqlite3 kuma.db 'VACUUM INTO \"other.new\"'; sqlite3 other.new \"{statement}\"; \
                 chown uptime-kuma: other.new; mv other.new other; stat -c %i other"
            ))
        };
        let inode = || replica.run(&["stat", "-c", "%i", DATABASE]);
        pair.offer("web")?;
        // The rows of another version of Uptime Kuma are not ours to write.
        let put = other("ALTER TABLE monitor ADD COLUMN later TEXT")?;
        fails(replica, 65, "schema-differs", "exchanged or upgraded")?;
        replica.kuma()?;
        assert_eq!((inode()?, sql(replica, "SELECT count(*) FROM monitor")?.trim()), (put, "0"));
        end_wait(replica)?;
        let before = footing(replica)?;
        expect(replica, 0, "blocked")?;
        assert_eq!(footing(replica)?, before);
        sql(replica, "ALTER TABLE monitor DROP COLUMN later")?;

        // Other rows of the same version are planned anew.
        let put = other("INSERT INTO tag (name, color) VALUES ('other', 'red')")?;
        expect(replica, 0, "applied")?;
        assert_eq!(inode()?, put);
        pair.assert_equal()?;
        logged_in(replica).map(drop)
    })
}
