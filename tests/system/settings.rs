//! Which settings a replica takes over, those of a user included, with real Uptime Kumas.

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Kuma, Machine, Result};
use crate::world::{Pair, Setup, expect, fails, footing, invocation, logged_in, says, sql};

pub const TESTS: &[Test] = &[
    ("settings_that_a_replica_lists_are_the_mains_and_all_others_its_own", settings),
    ("a_2fa_that_is_being_set_up_is_no_edit", two_factors),
];

/// What a host's page *Settings* shows.
fn shown(machine: &Machine) -> Result<Value> {
    Ok(logged_in(machine)?.call("getSettings", json!([]))?["data"].take())
}

/// Saves the page *Settings* of a host with these values.
fn save(machine: &Machine, values: &Value) -> Result<()> {
    logged_in(machine)?.call("setSettings", json!([values, ""])).map(drop)
}

/// All settings of a host's database that it does not list.
fn own(machine: &Machine) -> Result<String> {
    let listed = "'keepDataPeriodDays', 'steamAPIKey', 'apiKeysEnabled', 'entryPage'";
    sql(machine, &format!("SELECT key, value, type FROM setting WHERE key NOT IN ({listed}) ORDER BY key"))
}

fn settings() -> Result<()> {
    let listing = "[replica]\nmin-restart-interval = \"0s\"\n\
        settings = [\"keepDataPeriodDays\", \"steamAPIKey\", \"apiKeysEnabled\", \"entryPage\"]\n";
    Pair::test(&Setup { replica_config: listing, ..Setup::default() }, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let other = pair.another("other")?;
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        kuma.add_status_page("Public", "public", "Services", &[1])?;
        // Two that come into being in another order than on the replica, so under other ids.
        kuma.call("addAPIKey", json!([{ "name": "scraper", "expires": null, "active": 1 }]))?;
        save(
            main,
            &json!({ "steamAPIKey": "of the main", "keepDataPeriodDays": 31, "entryPage": "statusPage-public",
            "checkBeta": true, "primaryBaseURL": "https://main.example.com", "trustProxy": true }),
        )?;
        // Its first page of settings is the main's user's, who comes with the first snapshot.
        pair.replicate()?;
        expect(&other, 0, "applied")?;
        // The server has its entry page from what is saved, as its settings are saved all together.
        let own_values = json!({ "checkBeta": false, "primaryBaseURL": "https://replica.example.com",
            "entryPage": "statusPage-public" });
        save(replica, &own_values)?;
        let (secret, before) = (sql(replica, "SELECT value FROM setting WHERE key = 'jwtSecret'")?, own(replica)?);
        let foreign = sql(&other, "SELECT * FROM setting ORDER BY id")?;
        assert!(!foreign.contains("steamAPIKey"), "{foreign}");
        assert_ne!(secret, sql(main, "SELECT value FROM setting WHERE key = 'jwtSecret'")?);

        let taken = |period: u32| -> Result<()> {
            let page = shown(replica)?;
            assert_eq!(page["steamAPIKey"], "of the main", "{page}");
            assert_eq!(
                (&page["keepDataPeriodDays"], &page["entryPage"]),
                (&json!(period), &json!("statusPage-public"))
            );
            assert_eq!(page["checkBeta"], false, "{page}");
            assert_eq!(page["primaryBaseURL"], "https://replica.example.com", "{page}");
            assert!(page.get("trustProxy").is_none(), "{page}");
            assert_eq!(sql(replica, "SELECT value, type FROM setting WHERE key = 'apiKeysEnabled'")?.trim(), "true|");
            assert_eq!(own(replica)?, before, "what is not listed stays");
            Ok(())
        };
        taken(31)?;
        // Changed, and nothing else: the next cycle finds all as wanted.
        save(main, &json!({ "keepDataPeriodDays": 7, "checkBeta": false, "trustProxy": false }))?;
        pair.replicate()?;
        taken(7)?;
        let entry = replica.run(&["curl", "--silent", "http://127.0.0.1:3001/api/entry-page"])?;
        assert!(entry.contains("statusPage-public"), "{entry}");
        let running = (footing(replica)?, sql(replica, "SELECT * FROM setting ORDER BY id")?);
        expect(replica, 0, "up to date")?;
        assert!(replica.run(&["kuma-replicator", "plan"])?.starts_with("next cycle: up to date: "));
        assert_eq!(running, (footing(replica)?, sql(replica, "SELECT * FROM setting ORDER BY id")?));

        // Who lists none gets none, and is not restarted for any.
        let running = invocation(&other)?;
        expect(&other, 0, "up to date")?;
        assert_eq!((invocation(&other)?, sql(&other, "SELECT * FROM setting ORDER BY id")?), (running, foreign));

        // What is a secret of an instance is not even asked for.
        replica.sh(
            "sed -i 's/^settings = .*/settings = [\"steamAPIKey\", \"jwtSecret\"]/' /etc/kuma-replicator/config.toml",
        )?;
        fails(replica, 78, "config", "'jwtSecret' cannot be taken over")?;
        taken(7)
    })
}

fn two_factors() -> Result<()> {
    let at_once = "[replica]\nmin-restart-interval = \"0s\"\n";
    Pair::test(&Setup { replica_config: at_once, ..Setup::default() }, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let factor = |machine| sql(machine, "SELECT twofa_status, twofa_secret FROM user");
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        expect(main, 0, "unchanged")?;
        // The dialog of 2FA is opened on both hosts.
        kuma.call("prepare2FA", json!([Kuma::PASSWORD]))?;
        logged_in(replica)?.call("prepare2FA", json!([Kuma::PASSWORD]))?;
        let (pending, other) = (factor(replica)?, factor(main)?);
        assert!(pending.starts_with("0|") && pending.len() > 10 && pending != other, "{pending} {other}");
        expect(main, 0, "unchanged")?;
        expect(replica, 0, "up to date")?;
        assert!(!says(replica, &["kuma-replicator", "status"])?.contains("edited here"));
        // An apply leaves the one on the replica alone, until the main has one in force.
        kuma.call("changeMonitor", json!([1, { "name": "renamed" }]))?;
        pair.replicate()?;
        assert_eq!(factor(replica)?, pending);
        kuma.call("save2FA", json!([Kuma::PASSWORD]))?;
        pair.replicate()?;
        assert_eq!(factor(replica)?, other.replacen('0', "1", 1));
        pair.assert_equal()
    })
}
