//! Uptime Kuma upgraded on one host before the other, as `docs/upgrading.md` describes it: with databases of real
//! servers of both versions, and a stand-in for the servers.

use std::path::Path;

use serde_json::{Value, json};

use crate::Test;
use crate::stand_in::put_in_place;
use crate::target::holds;
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{Pair, SOON, Setup, digest, events, expect, fails, footing, set_state, sql, state, typed};

pub const TESTS: &[Test] = &[
    ("a_main_upgraded_first_waits_for_its_replica_and_says_so", main_first),
    ("a_replica_upgraded_first_waits_for_its_main", replica_first),
    ("a_replica_that_only_has_more_takes_rows_if_it_is_allowed_to", superset),
];

const MANUAL: &str = include_str!("../../docs/upgrading.md");

/// Everything is taken over, so that digests can be compared.
const EVERYTHING: Setup<'_> =
    Setup { replica_unit: None, replica_config: "[replica]\nmin-restart-interval = \"0s\"\npaused-types = []\n" };

/// From 2.5.3 back to 2.4: what the migrations of 2.5.0 and 2.5.1 brought to the replicated tables goes.
const BACK_TO_2_4: &str = "
    ALTER TABLE monitor DROP COLUMN ntp_stratum_threshold;
    ALTER TABLE monitor DROP COLUMN ntp_time_offset_threshold;
    ALTER TABLE monitor DROP COLUMN ntp_root_dispersion_threshold;
    DELETE FROM knex_migrations WHERE name LIKE '2026-03-27-%' OR name >= '2026-06-19';";

/// The same forward, as the migrations do it.
const UPGRADE_TO_2_5: &str = "
    ALTER TABLE monitor ADD COLUMN ntp_stratum_threshold INTEGER DEFAULT '5';
    ALTER TABLE monitor ADD COLUMN ntp_time_offset_threshold INTEGER DEFAULT '1000';
    ALTER TABLE monitor ADD COLUMN ntp_root_dispersion_threshold INTEGER DEFAULT '500';
    INSERT INTO knex_migrations (name, batch, migration_time) VALUES
        ('2026-03-27-0000-add-ntp-monitor.js', 2, 0),
        ('2026-06-19-1411-add-rybbit-analytics-type.js', 2, 0),
        ('2026-06-19-1412-analytics-type-to-string.js', 2, 0),
        ('2026-07-22-0000-fix-stat-daily-overflow.js', 2, 0),
        ('2026-08-18-0000-sqlite-only-drop-analytics-type-check.js', 2, 0);";

/// A command of the manual.
fn command(verb: &str) -> Result<&'static str> {
    let mut spans = MANUAL.split('`').skip(1).step_by(2);
    let found = spans.find(|span| span.split_whitespace().take(2).eq(["kuma-replicator", verb]));
    found.ok_or_else(|| format!("the manual has no {verb}").into())
}

/// Fails if `said` is not what the manual quotes: the span that begins so, with anything where it leaves something out.
fn quoted(said: &str, begin: &str) -> Result<()> {
    let mut spans = MANUAL.split('`').skip(1).step_by(2);
    let quote = spans.find(|span| span.starts_with(begin)).ok_or_else(|| format!("the manual has no '{begin}'"))?;
    let mut rest = said;
    for part in quote.split('…').map(str::trim) {
        rest = rest.split_once(part).ok_or_else(|| format!("not as in the manual, {quote}: {said}"))?.1;
    }
    Ok(())
}

/// What a person does to upgrade a host, in the order of the manual.
fn upgrade(machine: &Machine, change: impl FnOnce(&Machine) -> Result<()>) -> Result<()> {
    machine.sh(command("hold")?)?;
    machine.run(&["systemctl", "stop", "uptime-kuma"])?;
    change(machine)?;
    expect(machine, 0, "on hold")?;
    machine.run(&["systemctl", "start", "uptime-kuma"])?;
    wait_for("Uptime Kuma answers", SOON, || Ok(machine.kuma_ready()?.then_some(())))?;
    machine.sh(command("release")?).map(drop)
}

/// Puts the database of a real server in the place of that of a host, whose Uptime Kuma is off.
fn exchange(machine: &Machine, fixture: &str) -> Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    let new = machine.kuma_data().join("new.db");
    std::fs::copy(from.join("kuma.db"), new)?;
    machine.sh(
        "cd /var/lib/uptime-kuma; rm -f kuma.db-wal kuma.db-shm; mv new.db kuma.db; chown --reference=. kuma.db; chmod 640 kuma.db",
    )?;
    if from.join("upload").is_dir() {
        for entry in std::fs::read_dir(from.join("upload"))? {
            let entry = entry?;
            std::fs::copy(entry.path(), machine.kuma_data().join("upload").join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Stand-ins over these databases; main and replica are then equal.
fn begin(pair: &Pair, main: &str, replica: &str, statements: &str) -> Result<()> {
    for (machine, fixture) in [(&pair.main, main), (&pair.replica, replica)] {
        put_in_place(machine)?;
        machine.run(&["systemctl", "stop", "uptime-kuma"])?;
        exchange(machine, fixture)?;
        sql(machine, statements)?;
        machine.run(&["systemctl", "start", "uptime-kuma"])?;
        wait_for("the stand-in answers", SOON, || Ok(machine.kuma_ready()?.then_some(())))?;
    }
    pair.replicate()?;
    pair.assert_equal()
}

/// What `status` says, with its exit code, as a document.
fn status(machine: &Machine, code: i32) -> Result<Value> {
    let text = typed(machine, code, &["status", "--json"])?;
    Ok(serde_json::Deserializer::from_str(&text).into_iter().next().ok_or("no document")??)
}

/// Runs two cycles that are blocked, and returns what is said; nothing is touched and nothing stopped.
fn blocked(machine: &Machine) -> Result<String> {
    let (before, stops) = (footing(machine)?, events(machine)?.iter().filter(|event| *event == "stopping").count());
    for _ in 0..2 {
        expect(machine, 0, "blocked")?;
    }
    holds(footing(machine)? == before, || "something was touched although it was blocked".to_owned())?;
    assert_eq!(events(machine)?.iter().filter(|event| *event == "stopping").count(), stops);
    let said = state(machine)?["last_cycle"]["message"].as_str().ok_or("no message")?.to_owned();
    let entries = machine.journal(&["KUMA_EVENT=blocked"])?;
    let entries: Vec<&Value> =
        entries.iter().filter(|entry| entry["MESSAGE"].as_str().is_some_and(|text| text.contains(&said))).collect();
    // Once, and with the age of the last success.
    let [entry] = entries[..] else { return Err(format!("not reported once: {entries:?}").into()) };
    let age = entry["KUMA_LAST_SUCCESS_AGE"].as_str().and_then(|age| age.parse::<u64>().ok());
    assert!(entry["PRIORITY"] == "4" && age.is_some_and(|age| age < 600), "{entry:#}");
    Ok(said)
}

/// Lets half an hour pass since the last success: it is overdue now, and still no error.
fn becomes_overdue(machine: &Machine, said: &str) -> Result<()> {
    let fresh = status(machine, 0)?;
    assert_eq!((fresh["last_cycle"]["outcome"].as_str(), &fresh["problem"]), (Some("blocked"), &json!(null)));
    let text = typed(machine, 0, &["status"])?;
    assert!(text.contains(said) && text.lines().any(|line| line.starts_with("last success  2")), "{text}");

    let mut remembered = state(machine)?;
    let success: jiff::Timestamp = remembered["last_success"].as_str().ok_or("no success")?.parse()?;
    remembered["last_success"] = json!(success.checked_sub(jiff::SignedDuration::from_mins(31))?);
    // The release after the upgrade, from which the time counts as well, is as long ago.
    remembered.as_object_mut().ok_or("no state")?.remove("last_order");
    set_state(machine, &remembered)?;
    expect(machine, 0, "blocked")?;
    let late = status(machine, 4)?;
    assert_eq!(late["problem"]["kind"], "overdue");
    assert!(late["problem"]["message"].as_str().is_some_and(|text| text.contains(said)), "{late}");
    assert!(late["last_success_age"].as_u64().is_some_and(|age| age > 31 * 60), "{late}");
    Ok(())
}

/// Fails if `said` lacks one of these.
fn names(said: &str, parts: &[&str]) -> Result<()> {
    holds(parts.iter().all(|part| said.contains(part)), || format!("not all of {parts:?} in: {said}"))
}

fn main_first() -> Result<()> {
    Pair::test(&EVERYTHING, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        begin(pair, "kuma-1.23", "kuma-1.23-empty", "")?;
        upgrade(main, |main| exchange(main, "kuma-2.5.3"))?;
        expect(main, 0, "published")?;

        let said = blocked(replica)?;
        quoted(&said, "the main runs")?;
        names(&said, &["the main has the schema of 2.5.1 or newer, this host that of 1.x; this host lacks column "])?;
        becomes_overdue(replica, &said)?;
        upgrade(replica, |replica| exchange(replica, "kuma-2.5.3-empty"))?;
        // It goes on by itself.
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        assert_eq!(status(replica, 0)?["problem"], json!(null));
        expect(replica, 0, "up to date")
    })
}

fn replica_first() -> Result<()> {
    Pair::test(&EVERYTHING, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        begin(pair, "kuma-2.5.3", "kuma-2.5.3-empty", BACK_TO_2_4)?;
        upgrade(replica, |replica| sql(replica, UPGRADE_TO_2_5).map(drop))?;
        expect(replica, 0, "up to date")?;
        assert!(!events(replica)?.contains(&"drifted".to_owned()), "an upgrade is no edit");

        // As soon as the main publishes something.
        sql(main, "UPDATE monitor SET name = 'renamed' WHERE id = 1")?;
        expect(main, 0, "published")?;
        let said = blocked(replica)?;
        quoted(&said, "this replica runs")?;
        let ahead =
            "the main has the schema of 2.4, this host that of 2.5.1 or newer; the main lacks column monitor.ntp_";
        names(&said, &[ahead, "and 5 more", "upgrade Uptime Kuma on the main"])?;
        becomes_overdue(replica, &said)?;

        upgrade(main, |main| sql(main, UPGRADE_TO_2_5).map(drop))?;
        expect(main, 0, "published")?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        assert_eq!(sql(replica, "SELECT name FROM monitor WHERE id = 1")?.trim(), "renamed");

        // It publishes with the new schema, also if no row changed; and what brings no schema publishes nothing.
        let unchanged = digest(main)?;
        sql(
            main,
            "INSERT INTO knex_migrations (name, batch, migration_time) VALUES ('2027-01-01-0000-next.js', 3, 0)",
        )?;
        assert_eq!(digest(main)?, unchanged);
        expect(main, 0, "published")?;
        let said = blocked(replica)?;
        names(&said, &["this host lacks migration 2027-01-01-0000-next.js"])?;
        upgrade(main, |_| Ok(()))?;
        expect(main, 0, "unchanged")
    })
}

fn superset() -> Result<()> {
    Pair::test(&EVERYTHING, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        begin(pair, "kuma-2.5.3", "kuma-2.5.3-empty", BACK_TO_2_4)?;
        upgrade(replica, |replica| sql(replica, UPGRADE_TO_2_5).map(drop))?;
        // Uptime Kuma's page there gives one of them another value.
        sql(replica, "UPDATE monitor SET ntp_stratum_threshold = 7 WHERE id = 1")?;
        replica.sh("echo 'schema = \"superset\"' >> /etc/kuma-replicator/config.toml")?;
        let add = "INSERT INTO monitor (id, name, type, user_id, active) VALUES (900, 'new', 'http', 1, 0)";
        sql(main, &format!("UPDATE monitor SET name = 'renamed' WHERE id IN (1, 2); {add}"))?;
        pair.replicate()?;
        let found = sql(
            replica,
            "SELECT id, name, ntp_stratum_threshold, ntp_time_offset_threshold FROM monitor WHERE id IN (1, 2, 900)",
        )?;
        assert_eq!(found.lines().collect::<Vec<_>>(), ["1|renamed|7|1000", "2|renamed|5|1000", "900|new|5|1000"]);
        let (before, drifted) = (footing(replica)?, events(replica)?.contains(&"drifted".to_owned()));
        expect(replica, 0, "up to date")?;
        assert_eq!((footing(replica)?, events(replica)?.contains(&"drifted".to_owned())), (before, drifted));

        // A column that takes no row without a value: refused before anything is stopped, and named.
        sql(
            replica,
            "ALTER TABLE incident RENAME TO old;
             CREATE TABLE incident (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, title VARCHAR(255) NOT NULL,
                 content TEXT NOT NULL, style VARCHAR(30), created_date DATETIME, last_updated_date DATETIME,
                 pin BOOLEAN, active BOOLEAN, status_page_id INTEGER, severity TEXT NOT NULL);
             INSERT INTO incident SELECT id, title, content, style, created_date, last_updated_date, pin, active,
                 status_page_id, 'low' FROM old; DROP TABLE old;",
        )?;
        sql(main, "UPDATE incident SET title = 'changed'; INSERT INTO incident (title, content) VALUES ('more', '')")?;
        expect(main, 0, "published")?;
        let before = footing(replica)?;
        fails(replica, 65, "unwritable", "NOT NULL constraint failed: incident.severity")?;
        let entries = replica.journal(&["KUMA_ERROR=unwritable"])?;
        let hint = entries.last().and_then(|entry| entry["KUMA_HINT"].as_str()).unwrap_or_default();
        names(hint, &["upgrade Uptime Kuma on the main", "column incident.severity"])?;
        assert_eq!(footing(replica)?, before);
        sql(replica, "ALTER TABLE incident DROP COLUMN severity")?;
        typed(replica, 0, &["run", "--retry"])?;
        assert_eq!(sql(replica, "SELECT count(*) FROM incident WHERE title IN ('changed', 'more')")?.trim(), "4");

        // Upgraded, the main decides about those columns, too.
        upgrade(main, |main| sql(main, UPGRADE_TO_2_5).map(drop))?;
        replica.sh("sed -i '/^schema = /d' /etc/kuma-replicator/config.toml")?;
        pair.replicate()?;
        pair.assert_equal()?;
        assert_eq!(sql(replica, "SELECT ntp_stratum_threshold FROM monitor WHERE id = 1")?.trim(), "5");
        Ok(())
    })
}
