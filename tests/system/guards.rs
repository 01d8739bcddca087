//! What every host refuses by itself: a configuration that lost its rows or its users, snapshots that are not what
//! they say, and names that would control a terminal.

use std::thread;

use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump;
use kuma_replicator::model::manifest::{Manifest, Place};
use kuma_replicator::model::snapshot::{MainId, Tags};
use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Kuma, Machine, Result};
use crate::world::{Pair, Setup, digest, events, expect, invocation, says, sql, state};

pub const TESTS: &[Test] = &[
    ("nothing_shrunken_or_half_read_or_without_a_user_leaves_the_main", shrunken),
    ("no_foreign_cut_or_retagged_snapshot_stops_a_replica_and_no_name_steers_a_terminal", forged),
];

/// Ten tags and twelve notifications, beside what is there.
const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<12)
    INSERT INTO notification (name, user_id, config) SELECT 'n' || i, 1, '{}' FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60)
    INSERT INTO tag (name, color) SELECT 't' || i, '#000000' FROM n";

/// What the last cycle said.
fn said(machine: &Machine) -> Result<String> {
    Ok(state(machine)?["last_cycle"]["message"].as_str().unwrap_or_default().to_owned())
}

/// Runs a cycle that must end so. systemd starts a unit that fails at once five times in ten seconds, and then no more.
fn ends(machine: &Machine, code: i64, outcome: &str) -> Result<()> {
    machine.output(&["systemctl", "reset-failed", "kuma-replicator.service"])?;
    expect(machine, code, outcome)
}

fn published(pair: &Pair) -> Result<usize> {
    Ok(events(&pair.main)?.iter().filter(|event| *event == "published").count())
}

fn shrunken() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        kuma.add_monitor("mail", "http://127.0.0.1:3001/")?;
        sql(main, MANY)?;
        pair.replicate()?;
        // A copy of the database between two statements, to return to in this test.
        let keep = |name: &str| main.run(&["kuma-replicator", "export", &format!("/root/{name}.dump")]).map(drop);
        let back = |name: &str| {
            main.sh(&format!(
                "systemctl stop uptime-kuma; kuma-replicator import /root/{name}.dump; systemctl start uptime-kuma"
            ))?;
            // A main publishes once Uptime Kuma has the database open.
            main.kuma().map(drop)
        };
        keep("full")?;

        // All monitors; all notifications, few rows though they are; most of all rows.
        let losses = [
            ("DELETE FROM monitor", "monitor 2 → 0"),
            ("DELETE FROM notification", "notification 12 → 0"),
            ("DELETE FROM tag WHERE id > 5", "tag 60 → 5"),
        ];
        for (loss, message) in losses {
            sql(main, loss)?;
            let told = || -> Result<usize> { Ok(main.journal(&["KUMA_ERROR=shrunk"])?.len()) };
            let before = told()?;
            for _ in 0..2 {
                ends(main, 4, "failed")?;
            }
            assert_eq!(told()?, before + 1, "the rows are told once");
            assert!(said(main)?.contains(message), "{}", said(main)?);
            assert_eq!(published(pair)?, 1, "{loss}");
            ends(replica, 0, "up to date")?;
            back("full")?;
            ends(main, 0, "unchanged")?;
        }

        // A main that lost its state, too, publishes no other rows than those of the newest snapshot.
        sql(main, "DELETE FROM monitor")?;
        main.run(&["rm", "/var/lib/kuma-replicator/state.json"])?;
        ends(main, 4, "failed")?;
        assert!(said(main)?.contains("remembers nothing"), "{}", said(main)?);
        let plan = main.output(&["kuma-replicator", "plan"])?;
        assert_eq!(plan.status.code(), Some(4), "{}", String::from_utf8_lossy(&plan.stdout));

        // So has one whose data directory was lost: a new Uptime Kuma has no user, and then one, and no monitor.
        main.sh(
            "systemctl stop uptime-kuma; mv /var/lib/uptime-kuma/kuma.db /root; rm -f /var/lib/uptime-kuma/kuma.db-*;
            systemctl start uptime-kuma",
        )?;
        main.kuma()?;
        ends(main, 65, "rejected")?;
        assert!(said(main)?.contains("no user"), "{}", said(main)?);
        let confirmed = main.output(&["kuma-replicator", "run", "--confirm-shrink"])?;
        assert_eq!(confirmed.status.code(), Some(65), "no order publishes without a user");
        main.kuma()?.set_up()?;
        ends(main, 4, "failed")?;
        let promoted = main.output(&["kuma-replicator", "promote", "--as-is"])?;
        assert_eq!(promoted.status.code(), Some(4), "it lost too much: {promoted:?}");
        assert_eq!(published(pair)?, 1);
        ends(replica, 0, "up to date")?;
        assert_eq!(sql(replica, "SELECT count(*) FROM monitor")?.trim(), "2");
        back("full")?;
        // What a server writes in its first night, and a dump of settings has: an import leaves settings alone.
        sql(main, "INSERT INTO setting (key, value, type) VALUES ('keepDataPeriodDays', '180', 'general')")?;
        ends(main, 0, "unchanged")?;

        // Confirmed: once.
        sql(main, "DELETE FROM monitor")?;
        ends(main, 4, "failed")?;
        main.run(&["kuma-replicator", "run", "--confirm-shrink"])?;
        ends(replica, 0, "applied")?;
        pair.assert_equal()?;
        sql(main, "DELETE FROM tag")?;
        ends(main, 4, "failed")?;
        back("full")?;
        pair.replicate()?;

        no_half_export(main)?;
        no_user_arrives(pair)
    })
}

/// While another program moves rows to and fro in transactions, an export has all of them or none.
fn no_half_export(main: &Machine) -> Result<()> {
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let round = "BEGIN IMMEDIATE; DELETE FROM tag; DELETE FROM notification; COMMIT; BEGIN IMMEDIATE;
                INSERT INTO tag SELECT * FROM temp.tags; INSERT INTO notification SELECT * FROM temp.notifications; COMMIT;";
            let script = format!(
                "CREATE TEMP TABLE tags AS SELECT * FROM main.tag;
                 CREATE TEMP TABLE notifications AS SELECT * FROM main.notification; {}",
                round.repeat(300)
            );
            sql(main, &script).map(drop)
        });
        let mut seen = std::collections::BTreeSet::new();
        while !writer.is_finished() {
            let dump = main.run(&["kuma-replicator", "export"])?;
            let manifest: Value = serde_json::from_str(dump.lines().next().unwrap_or_default())?;
            let counts = &manifest["counts"];
            seen.insert((counts["tag"].as_u64(), counts["notification"].as_u64()));
        }
        writer.join().map_err(|_| "the writer panicked")??;
        let whole = [(Some(60), Some(12)), (Some(0), Some(0))];
        assert!(!seen.is_empty() && seen.iter().all(|counts| whole.contains(counts)), "half an export: {seen:?}");
        Ok(())
    })
}

/// A dump without a user is neither applied nor imported nor restored, and a host without one is not promoted.
fn no_user_arrives(pair: &Pair) -> Result<()> {
    let (main, replica) = (&pair.main, &pair.replica);
    let before = (digest(replica)?, invocation(replica)?);
    main.sh("systemctl stop uptime-kuma")?;
    sql(main, "PRAGMA foreign_keys=OFF; DELETE FROM user")?;
    main.sh("kuma-replicator export /root/none.dump; cp /root/none.dump /srv/repository")?;
    // As anyone who can publish could do it: the snapshot itself is in order.
    offer(main, &std::fs::read(main.root().join("root/none.dump"))?, 90, "main")?;
    ends(replica, 65, "rejected")?;
    let plan = replica.output(&["kuma-replicator", "import", "--dry-run", "/srv/repository/none.dump"])?;
    assert_eq!(plan.status.code(), Some(65));
    let snapshots: Value = serde_json::from_str(&says(replica, &["kuma-replicator", "snapshots", "--json"])?)?;
    let id = snapshots["snapshots"][0]["id"].as_str().ok_or("no snapshot")?;
    let refused = |order: &[&str]| -> Result<()> {
        let output = replica.output(&[&["kuma-replicator"], order].concat())?;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(65), "{order:?}: {message}");
        Ok(())
    };
    refused(&["restore", id])?;
    // It takes the newest snapshot first.
    refused(&["promote"])?;
    assert_eq!(before, (digest(replica)?, invocation(replica)?), "it was stopped for it");
    // And without that it has to have a user itself.
    replica.sh("systemctl stop uptime-kuma")?;
    sql(replica, "PRAGMA foreign_keys=OFF; DELETE FROM user")?;
    refused(&["promote", "--as-is"])?;
    assert!(says(replica, &["kuma-replicator", "status"])?.contains("role          replica"));
    Ok(())
}

/// Runs restic on the repository, with the content of `/root/offer`.
const RESTIC: &str =
    "export RESTIC_REPOSITORY=/srv/repository RESTIC_PASSWORD_FILE=/etc/kuma-replicator/restic-password
    cd /root; exec restic \"$@\" <offer";

fn restic(main: &Machine, arguments: &[&str]) -> Result<()> {
    main.run(&[&["sh", "-euc", RESTIC, "restic"], arguments].concat()).map(drop)
}

/// Stores `dump` as anyone who can publish could: whatever its body is, place and tags are those of `sequence`.
fn offer(main: &Machine, dump: &[u8], sequence: u64, host: &str) -> Result<()> {
    let end = dump.iter().position(|byte| *byte == b'\n').ok_or("no first line")?;
    let mut manifest: Manifest = serde_json::from_slice(&dump[..end])?;
    let id = state(main)?["main"]["id"].as_str().ok_or("no main id")?.parse::<MainId>()?;
    let place = Place { main: id, epoch: 1, sequence };
    manifest.place = Some(place.clone());
    let fleet = place.main.clone();
    let tags = Tags { format: 1, place, fleet, digest: manifest.digest, schema: manifest.fingerprint };
    let bytes = [serde_json::to_string(&manifest)?.as_bytes(), &dump[end..]].concat();
    std::fs::write(main.root().join("root/offer"), bytes)?;
    let (host, tags) = (format!("--host={host}"), format!("--tag={}", tags.to_strings().join(",")));
    restic(main, &["backup", "--stdin", "--stdin-filename=/kuma-replicator.jsonl", &host, &tags])
}

/// Everything in it that a terminal or a log may take for more than text.
const NAME: &str = "evil\u{1b}[31m\u{1b}]0;x\u{7}\u{9b}2J\u{202e}gnp\u{2028}\r\n\nerror: forged";

fn assert_harmless(what: &str, text: &str) {
    let found = text.chars().find(|c| (c.is_control() && *c != '\n') || "\u{202e}\u{2028}".contains(*c));
    assert_eq!(found, None, "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{what} was forged: {text}");
}

fn forged() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma: Kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let before = (digest(replica)?, invocation(replica)?);
        kuma.call("changeMonitor", json!([monitor, { "name": NAME }]))?;
        main.run(&["kuma-replicator", "export", "/root/good"])?;
        let good = std::fs::read(main.root().join("root/good"))?;
        let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
        let text = String::from_utf8(good.clone())?;

        // Damaged in every way that anyone who can publish could. Each is the newest, and refused for its content.
        let endless = [lines[1], &*b"{}\n".repeat(2_000_000)].concat();
        let digest_of_good = dump::parse(&good)?.manifest.digest.to_string();
        let digest_of_endless = Digest::of(&endless).to_string();
        let sealed =
            |line: &[u8]| String::from_utf8_lossy(line).replace(&digest_of_good, &digest_of_endless).into_bytes();
        let forgeries = [
            ("it is cut", good[..good.len() - 200].to_vec()),
            ("its content has digest", text.replace("\"interval\":20", "\"interval\":21").into_bytes()),
            ("its content has digest", text.replace("{\"table\":\"tag\"", "{\"table\":\"setting\"").into_bytes()),
            ("more than 1000000 rows", [&*sealed(lines[0]), &*endless, &*sealed(lines[lines.len() - 1])].concat()),
            ("cannot be used", [lines[0], &*std::fs::read("/bin/true")?].concat()),
        ];
        for (sequence, (message, bytes)) in (50..).zip(forgeries) {
            assert_ne!(bytes, good, "{message}");
            offer(main, &bytes, sequence, NAME)?;
            ends(replica, 65, "rejected").map_err(|error| format!("{message}: {error}"))?;
            assert!(said(replica)?.contains(message), "{}", said(replica)?);
            ends(replica, 65, "rejected").map_err(|error| format!("{message}: {error}"))?;
            assert!(said(replica)?.contains("rejected since"), "{message} was fetched twice: {}", said(replica)?);
        }
        // Its tags say something else than its content: re-tagged, and foreign under our mark.
        offer(main, &good, 60, "main")?;
        restic(main, &["tag", "--tag=sequence=60", "--add=sequence=61"])?;
        restic(main, &["tag", "--tag=sequence=60", "--remove=sequence=60"])?;
        ends(replica, 65, "rejected")?;
        assert!(said(replica)?.contains("what its tags say"), "{}", said(replica)?);
        let marked = format!("--tag=kuma-replicator,sequence={}", NAME.replace(',', ""));
        restic(main, &["backup", "--stdin", "--stdin-filename=/kuma-replicator.jsonl", &marked])?;
        restic(main, &["backup", "--stdin", "--stdin-filename=/etc/passwd", "--tag=kuma-replicator,sequence=999"])?;
        ends(replica, 65, "rejected")?;
        assert_eq!(before, (digest(replica)?, invocation(replica)?), "Uptime Kuma was stopped for a forgery");

        // A good one with the same names: everything that shows them shows them harmlessly.
        offer(main, &good, 70, NAME)?;
        for (machine, verb) in [
            (replica, &["plan"][..]),
            (replica, &["plan", "--json"]),
            (replica, &["status"]),
            (replica, &["status", "--json"]),
            (replica, &["snapshots"]),
            (replica, &["snapshots", "--json"]),
            (replica, &["check"]),
            (main, &["plan"]),
            (main, &["run"]),
            (main, &["status"]),
            (main, &["check", "--json"]),
        ] {
            let output = machine.output(&[&["kuma-replicator"], verb].concat())?;
            let what = format!("{verb:?} on {}", machine.name());
            assert_harmless(&what, &String::from_utf8_lossy(&output.stdout));
            assert_harmless(&what, &String::from_utf8_lossy(&output.stderr));
        }
        let plan = says(replica, &["kuma-replicator", "plan"])?;
        assert!(plan.contains("evil") && plan.contains("\\u{202e}"), "{plan}");
        let plan: Value = serde_json::from_str(&says(replica, &["kuma-replicator", "plan", "--json"])?)?;
        assert_eq!(plan["snapshot"]["host"], NAME, "JSON is exact");
        ends(replica, 0, "applied")?;
        assert_eq!(sql(replica, &format!("SELECT name FROM monitor WHERE id={monitor}"))?.trim_end(), NAME);
        for machine in [main, replica] {
            for entry in machine.journal(&["-t", "kuma-replicator"])? {
                for field in ["MESSAGE", "KUMA_HINT"] {
                    if let Some(text) = entry.get(field) {
                        let text = text.as_str().ok_or_else(|| format!("{field} is no text: {text}"))?;
                        assert_harmless(field, text);
                        assert!(!text.contains('\n'), "{text:?}");
                    }
                }
            }
        }
        Ok(())
    })
}
