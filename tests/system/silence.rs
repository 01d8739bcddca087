//! `status` reports a replication that fails, or that has stopped silently.

use serde_json::Value;

use crate::Test;
use crate::testbed::Result;
use crate::world::{Pair, Setup, cycle, expect};

pub const TESTS: &[Test] = &[("status_fails_when_the_last_cycle_failed_or_is_overdue", status)];

fn status() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let status = || -> Result<(Option<i32>, Value)> {
            let output = replica.output(&["kuma-replicator", "status", "--json"])?;
            Ok((output.status.code(), serde_json::from_slice(&output.stdout)?))
        };
        let kind = |document: &Value| document["problem"]["kind"].as_str().unwrap_or_default().to_owned();
        let (code, document) = status()?;
        assert_eq!((code, kind(&document).as_str()), (Some(4), "overdue"), "no cycle has run yet");

        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let (code, document) = status()?;
        assert_eq!((code, &document["problem"]), (Some(0), &Value::Null));
        assert!(document["last_success_age"].as_u64().is_some_and(|age| age < 60), "{document}");

        replica.run(&["mv", "/etc/kuma-replicator/restic-password", "/root"])?;
        assert_eq!(cycle(replica)?, (78, "failed".to_owned()));
        let (code, document) = status()?;
        assert_eq!((code, kind(&document).as_str()), (Some(78), "password-missing"));
        let output = replica.output(&["kuma-replicator", "status"])?;
        assert!(String::from_utf8_lossy(&output.stdout).contains("last success"));
        assert!(String::from_utf8_lossy(&output.stderr).contains("restic-password"));
        let failed = replica.journal(&["KUMA_EVENT=failed"])?;
        let age: u64 = failed[0]["KUMA_LAST_SUCCESS_AGE"].as_str().ok_or("no age in the journal")?.parse()?;
        assert!(age < 60, "{age}");
        replica.run(&["mv", "/root/restic-password", "/etc/kuma-replicator"])?;
        expect(replica, 0, "up to date")?;
        assert_eq!(status()?.0, Some(0));

        // The timer is off, as it is in all these tests. The key has to come before the tables.
        replica.sh("sed -i '1i overdue-after = \"2s\"' /etc/kuma-replicator/config.toml; sleep 3")?;
        let (code, document) = status()?;
        assert_eq!((code, kind(&document).as_str()), (Some(4), "overdue"));
        expect(replica, 0, "up to date")?;
        assert_eq!(status()?.0, Some(0));
        // A hold with an end is no alarm while cycles run; one without is.
        replica.sh("kuma-replicator hold --for 1h --reason upgrade; sleep 3")?;
        assert_eq!(status()?.0, Some(4));
        expect(replica, 0, "on hold")?;
        assert_eq!(status()?.0, Some(0));
        replica.run(&["kuma-replicator", "hold", "--reason", "forgotten"])?;
        assert_eq!(status()?.0, Some(4));
        let held = replica.journal(&["KUMA_EVENT=on-hold"])?;
        assert!(held.iter().all(|entry| entry["KUMA_LAST_SUCCESS_AGE"].is_string()), "{held:?}");
        replica.run(&["kuma-replicator", "release"])?;

        // The messages of a cycle to systemd are lost: it goes on.
        replica.run(&["env", "NOTIFY_SOCKET=/run/nobody", "kuma-replicator", "run"])?;
        Ok(())
    })
}
