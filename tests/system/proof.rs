//! What is proved before it is believed: that Uptime Kuma has this very database open, and that it runs without a monitor
//! before the monitor's history goes.

use serde_json::json;

use crate::Test;
use crate::testbed::{Result, wait_for};
use crate::world::{Pair, SOON, Setup, expect, fails, invocation, logged_in, says, sql, state, typed};

pub const TESTS: &[Test] = &[
    ("a_database_that_the_server_does_not_have_open_is_left_alone", in_use),
    ("an_uptime_kuma_that_pm2_runs_is_found_with_what_the_messages_say", pm2),
    ("the_history_of_a_removed_monitor_goes_beside_the_running_server", history),
];

const URL: &str = "http://127.0.0.1:3001/";

fn in_use() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.offer("web")?;
        expect(&pair.replica, 0, "applied")?;
        for machine in [&pair.main, &pair.replica] {
            // A wrapper sets another directory, and an old copy lies where the unit says.
            machine.run(&["systemctl", "stop", "uptime-kuma"])?;
            machine.sh(
                "cp -a /var/lib/uptime-kuma /srv/kuma-data; mkdir -p /etc/systemd/system/uptime-kuma.service.d; \
                 printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c \"DATA_DIR=/srv/kuma-data/ exec node \
                 server/server.js --host=127.0.0.1\"\\n' > /etc/systemd/system/uptime-kuma.service.d/wrapper.conf; \
                 systemctl daemon-reload; systemctl start uptime-kuma",
            )?;
            machine.kuma()?;
        }
        // An edit in the old copy is not published, and nothing is written into that of the replica.
        let said = "does not have /var/lib/uptime-kuma/kuma.db open, but /srv/kuma-data/kuma.db";
        sql(&pair.main, "UPDATE monitor SET name='not in use'")?;
        fails(&pair.main, 78, "database-not-in-use", said)?;
        assert!(typed(&pair.main, 78, &["check"])?.contains(said));
        let set = "printf '[uptime-kuma]\\ndata-directory = \"/srv/kuma-data\"\\n' >> /etc/kuma-replicator/config.toml";
        pair.main.sh(set)?;
        logged_in(&pair.main)?.add_monitor("more", URL)?;
        expect(&pair.main, 0, "published")?;

        let (running, before) = (invocation(&pair.replica)?, digest(pair)?);
        fails(&pair.replica, 78, "database-not-in-use", said)?;
        assert_eq!((invocation(&pair.replica)?, digest(pair)?), (running, before));
        pair.replica.sh(set)?;
        expect(&pair.replica, 0, "applied")?;
        pair.assert_equal()
    })
}

/// The unit that `pm2 startup` makes: nothing in it names Uptime Kuma, which PM2 starts elsewhere.
const PM2: &str = "[Service]\nType=forking\nUser=root\nPIDFile=/root/.pm2/pm2.pid\n\
    ExecStart=/usr/local/bin/pm2 resurrect\nRestart=on-failure\n";

/// As PM2 does it: a daemon that starts the server in its own directory, and goes to the background.
const RESURRECT: &str = "#!/bin/sh\nmkdir -p /root/.pm2\ncd /root/uptime-kuma\n\
    setsid node --preserve-symlinks-main server/server.js > /root/.pm2/log 2>&1 < /dev/null &\necho $! > /root/.pm2/pm2.pid\n";

fn pm2() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.offer("web")?;
        let root = pair.replica.root();
        std::fs::write(root.join("etc/systemd/system/pm2-root.service"), PM2)?;
        std::fs::write(root.join("usr/local/bin/pm2"), RESURRECT)?;
        pair.replica.sh("chmod +x /usr/local/bin/pm2; systemctl disable --now uptime-kuma; mkdir /root/uptime-kuma
             cp -rs /opt/uptime-kuma/. /root/uptime-kuma/; mv /var/lib/uptime-kuma /root/uptime-kuma/data
             chown -R root: /root/uptime-kuma/data
             rm /etc/systemd/system/uptime-kuma.service; rm -rf /usr/lib/systemd/system/uptime-kuma.service.d
             systemctl daemon-reload; systemctl start pm2-root")?;
        pair.replica.kuma()?;
        let said = typed(&pair.replica, 78, &["check"])?;
        assert!(said.contains("set unit = \"pm2-root.service\""), "{said}");
        fails(&pair.replica, 78, "service-missing", "pm2-root.service")?;
        pair.replica.sh("printf '[uptime-kuma]\\nunit = \"pm2-root\"\\n' >> /etc/kuma-replicator/config.toml")?;
        let said = typed(&pair.replica, 78, &["check"])?;
        assert!(
            said.contains("data in /data (a guess") && said.contains("set data-directory in [uptime-kuma]"),
            "{said}"
        );
        fails(&pair.replica, 78, "database-missing", "there is no database /data/kuma.db")?;
        pair.replica.sh(
            "echo 'data-directory = \"/root/uptime-kuma/data\"' >> /etc/kuma-replicator/config.toml
             mkdir -p /etc/systemd/system/kuma-replicator.service.d
             printf '[Service]\\nReadWritePaths=/root/uptime-kuma/data\\n' > /etc/systemd/system/kuma-replicator.service.d/pm2.conf
             systemctl daemon-reload",
        )?;
        expect(&pair.replica, 0, "applied")?;
        assert_eq!(logged_in(&pair.replica)?.lists()?["monitorList"]["1"]["name"], "web");
        Ok(())
    })
}

/// What the database in the default place of the replica holds.
fn digest(pair: &Pair) -> Result<String> {
    says(&pair.replica, &["sha256sum", "/var/lib/uptime-kuma/kuma.db"])
}

fn history() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let mut kuma = pair.main_kuma()?;
        let (gone, kept) = (kuma.add_monitor("gone", URL)?, kuma.add_monitor("kept", URL)?);
        pair.replicate()?;
        let replica = &pair.replica;
        let many = |monitor: i64, rows: u32| {
            sql(
                replica,
                &format!(
                    "INSERT INTO heartbeat (important, monitor_id, status, msg, time, ping, duration, down_count)
                     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                     SELECT 0, {monitor}, 1, '', datetime(1700000000 + i * 5, 'unixepoch') || '.123', 1, 20, 0 FROM n"
                ),
            )
        };
        replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        many(gone, 300_000)?;
        many(kept, 1000)?;
        replica.run(&["systemctl", "start", "uptime-kuma"])?;
        replica.kuma()?;
        let count = |of: i64| sql(replica, &format!("SELECT count(*) FROM heartbeat WHERE monitor_id = {of}"));
        let kept_before: u64 = count(kept)?.trim().parse()?;

        kuma.call("deleteMonitor", json!([gone]))?;
        expect(&pair.main, 0, "published")?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        // However far the cycle came, hold finishes it, and says so.
        let left = state(replica)?["replica"]["history"]["rows"].as_u64();
        let said = typed(replica, 0, &["hold", "--reason", "upgrade"])?;
        assert_eq!(left.is_some(), said.contains("of removed monitors left to remove"), "{left:?}: {said}");
        assert_eq!(count(gone)?.trim(), "0");
        assert!(state(replica)?["replica"]["history"].is_null());
        assert!(count(kept)?.trim().parse::<u64>()? >= kept_before);
        typed(replica, 0, &["release"])?;

        // What no apply has left, check names.
        let monitor = 4711;
        sql(
            replica,
            &format!(
                "PRAGMA foreign_keys=OFF; INSERT INTO heartbeat (monitor_id, status, time) VALUES ({monitor}, 1, '2026-01-01 00:00:00')"
            ),
        )?;
        assert!(typed(replica, 0, &["check"])?.contains("1 row of monitors that do not exist"));

        // An upgrade must not meet what could not be removed: hold is in force, and fails.
        replica.sh(
            "sed -i 's/^  \"replica\": {$/&\\n\"history\": { \"rows\": 1, \"bring_back\": false },/' /var/lib/kuma-replicator/state.json",
        )?;
        let writer = "(echo 'BEGIN IMMEDIATE;'; sleep 500) | sqlite3 /var/lib/uptime-kuma/kuma.db";
        replica.run(&["systemd-run", "--unit=writer", "sh", "-c", writer])?;
        wait_for("the database is locked", SOON, || {
            let free = replica.output(&["sqlite3", "/var/lib/uptime-kuma/kuma.db", "BEGIN IMMEDIATE"])?;
            Ok((!free.status.success()).then_some(()))
        })?;
        assert!(typed(replica, 75, &["hold"])?.contains("1 row of removed monitors left to remove"));
        let kept = state(replica)?;
        assert!(!kept["hold"].is_null() && !kept["replica"]["history"].is_null(), "{kept}");
        replica.run(&["systemctl", "stop", "writer"])?;
        typed(replica, 0, &["hold"])?;
        assert_eq!(count(monitor)?.trim(), "0");
        Ok(())
    })
}
