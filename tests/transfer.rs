//! Promise: `export` and `import` move a configuration between real SQLite databases whole or not at all,
//! leave history and everything local as it was, and disturb nobody.
//!
//! Databases of real Uptime Kuma servers are used where the machine has them: the environment variable
//! `KUMA_REPLICATOR_FIXTURES` names the directory, `../shared/fixtures` is tried otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kuma_replicator::cycle::{Export, Prepared};
use kuma_replicator::error::Kind;
use kuma_replicator::host::database::Database;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump::{self, Dump};
use kuma_replicator::model::value::Value;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use support::instance::{HISTORY, Instance, Order, Version, all_rows, history, insert, monitor};
use support::rows::{i, raw, t};

const SIGXFSZ: i32 = 25;

fn main() {
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = TESTS.iter().map(|(name, test)| trial(name, *test)).chain(fixture_trials()).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

const TESTS: &[(&str, fn())] = &[
    ("synthetic_configurations_arrive_whole", synthetic_configurations_arrive_whole),
    ("only_the_configuration_makes_the_digest", only_the_configuration_makes_the_digest),
    ("every_single_configuration_value_makes_the_digest", every_single_configuration_value_makes_the_digest),
    ("export_leaves_no_trace", export_leaves_no_trace),
    ("export_sees_what_is_committed_and_blocks_nobody", export_sees_what_is_committed_and_blocks_nobody),
    ("export_file_is_private", export_file_is_private),
    ("history_goes_only_with_its_monitor", history_goes_only_with_its_monitor),
    ("what_is_local_stays", what_is_local_stays),
    ("awkward_changes_arrive", awkward_changes_arrive),
    ("a_second_import_does_nothing", a_second_import_does_nothing),
    ("a_dry_run_changes_no_byte", a_dry_run_changes_no_byte),
    ("secrets_are_not_printed", secrets_are_not_printed),
    ("import_refuses_and_changes_nothing", import_refuses_and_changes_nothing),
    ("import_refuses_rows_that_break_a_rule", import_refuses_rows_that_break_a_rule),
    ("import_waits_for_nobody_who_has_the_database_open", import_waits_for_nobody_who_has_the_database_open),
    ("no_usable_database", no_usable_database),
    ("uploads_arrive", uploads_arrive),
    ("uploads_never_follow_links", uploads_never_follow_links),
    ("a_killed_import_leaves_old_or_new", a_killed_import_leaves_old_or_new),
    ("an_import_that_cannot_write_leaves_the_old", an_import_that_cannot_write_leaves_the_old),
    ("versions_that_migrate_are_recognised", versions_that_migrate_are_recognised),
    ("unknown_tables_and_columns", unknown_tables_and_columns),
];

fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

fn fixture_trials() -> impl Iterator<Item = Trial> {
    [("kuma-1.23", Version::One), ("kuma-2.5.3", Version::Two)].into_iter().map(|(name, version)| {
        Trial::ignorable_test(format!("fixture_{name}_arrives_whole"), move || fixture_arrives_whole(name, version))
    })
}

// ---------------------------------------------------------------------------------------------------
// The program, and what is read from databases

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kuma-replicator"))
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{command:?}: {text}");
    output
}

fn exported(instance: &Instance) -> Vec<u8> {
    let output = run(program().args(["export", "--database"]).arg(instance.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn dump(instance: &Instance) -> Dump {
    dump::parse(&exported(instance)).unwrap()
}

/// By the library, because many tests need many digests; `arrives_whole` proves that the program agrees.
fn digest(instance: &Instance) -> Digest {
    Prepared::new(library_export(instance)).digest
}

fn library_export(instance: &Instance) -> Export {
    Database::new(instance.path()).export().unwrap()
}

/// Writes `dump` beside the databases of no instance and gives its path.
struct Paper(tempfile::TempDir);

impl Paper {
    fn with(bytes: &[u8]) -> Self {
        let paper = Self(tempfile::tempdir().unwrap());
        fs::write(paper.path(), bytes).unwrap();
        paper
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("dump.jsonl")
    }
}

fn import_of(dump: &Path, database: &Path) -> Command {
    let mut command = program();
    command.args(["import", "--database"]).arg(database).arg(dump);
    command
}

fn import(bytes: &[u8], target: &Instance) -> Output {
    run(&mut import_of(&Paper::with(bytes).path(), &target.path()))
}

fn import_well(bytes: &[u8], target: &Instance) {
    let output = import(bytes, target);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(target.is_sound());
}

/// Asserts exit code and what is said, and that no byte of `target` changed.
fn refused(output: &Output, before: &[(PathBuf, Vec<u8>)], target: &Instance, code: i32, said: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in said {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
    assert!(text.contains("\nnext:  "), "no next step in: {text}");
    assert!(target.files() == before, "something changed although refused: {text}");
}

/// Every row of every table, to compare what was and what is.
fn everything(instance: &Instance, tables: &[String]) -> Vec<(String, Vec<Vec<Value>>)> {
    tables.iter().map(|table| (table.clone(), instance.rows(table))).collect()
}

// ---------------------------------------------------------------------------------------------------
// Whole configurations

fn fixture_arrives_whole(name: &str, version: Version) -> Result<Completion, Failed> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let root = std::env::var_os("KUMA_REPLICATOR_FIXTURES").map_or(default, PathBuf::from);
    let (rich, empty) = (root.join(name), root.join(format!("{name}-empty")));
    for directory in [&rich, &empty] {
        if !directory.join("kuma.db").is_file() {
            return Ok(Completion::ignored_with(format!("no {}/kuma.db", directory.display())));
        }
    }
    let source = Instance::copy_of(&rich, version);
    let target = Instance::copy_of(&empty, version);
    arrives_whole(&source, &target);
    Ok(Completion::Completed)
}

fn arrives_whole(source: &Instance, target: &Instance) {
    let bytes = exported(source);
    let before = dump(target);
    let dump = dump::parse(&bytes).unwrap();
    assert_ne!(before.manifest.digest, dump.manifest.digest, "otherwise this test proves nothing");
    assert_eq!(before.manifest.fingerprint, dump.manifest.fingerprint);
    assert!(dump.configuration.table("monitor").unwrap().rows.len() > 10);
    assert_eq!(dump.configuration.files.len(), 1);

    import_well(&bytes, target);
    assert_eq!(digest(target), dump.manifest.digest);
    assert_eq!(self::dump(target).manifest.digest, dump.manifest.digest);

    // And back again: emptied, it is what it was.
    import_well(&exported_again(&before), target);
    assert_eq!(digest(target), before.manifest.digest);
    for table in HISTORY.iter().filter(|table| target.tables().contains(&(**table).to_owned())) {
        assert_eq!(target.rows(table), Vec::<Vec<Value>>::new(), "{table} of removed monitors is gone");
    }
}

fn exported_again(dump: &Dump) -> Vec<u8> {
    dump::render(&dump.manifest, &dump::body(&dump.configuration))
}

fn synthetic_configurations_arrive_whole() {
    for version in [Version::One, Version::Two] {
        for (from, to) in
            [(Order::Fresh, Order::Fresh), (Order::Fresh, Order::Upgraded), (Order::Upgraded, Order::Fresh)]
        {
            arrives_whole(&Instance::rich(version, from), &Instance::empty(version, to));
        }
    }
}

fn only_the_configuration_makes_the_digest() {
    for version in [Version::One, Version::Two] {
        let expected = digest(&Instance::rich(version, Order::Fresh));
        assert_eq!(digest(&Instance::rich(version, Order::Upgraded)), expected, "{version:?}: order of columns");

        let mut changes = vec![
            "UPDATE monitor SET dns_last_result='other' WHERE id=16",
            "UPDATE user SET twofa_last_token='654321'",
            "UPDATE monitor_notification SET id = id + 100",
            "UPDATE monitor_tag SET id = 1000 - id",
            "UPDATE monitor_group SET id = id + 100",
            "UPDATE status_page_cname SET id = 50 - id",
            "UPDATE monitor_maintenance SET id = id + 9; UPDATE maintenance_status_page SET id = id + 9",
            "UPDATE sqlite_sequence SET seq = seq + 1000",
            "DELETE FROM heartbeat",
            "INSERT INTO heartbeat (monitor_id, status, time) VALUES (1, 1, '2026-01-01')",
            "INSERT INTO setting (key, value) VALUES ('checkUpdate', 'true')",
            "CREATE TABLE of_a_plugin (id INTEGER PRIMARY KEY)",
            "VACUUM",
        ];
        if version == Version::Two {
            changes.push("UPDATE maintenance SET last_start_date='2026-03-03'");
            changes.push("UPDATE knex_migrations SET id = id + 10, batch = 7");
        }
        for sql in changes {
            let instance = Instance::rich(version, Order::Fresh);
            instance.execute(sql);
            assert_eq!(digest(&instance), expected, "{sql}");
        }
    }
}

fn every_single_configuration_value_makes_the_digest() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let original = digest(&instance);
    let Dump { configuration, .. } = dump(&instance);
    let mut seen = BTreeSet::from([original]);
    let mut count = 1;
    for table in &configuration.tables {
        for column in table.columns.iter().filter(|column| *column != "id") {
            let copy = instance.copy();
            // The second row of a column is another value of another storage class than before.
            let sql = format!(
                r#"PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON;
                   UPDATE "{0}" SET "{column}" = CASE typeof("{column}") WHEN 'blob' THEN 'text' ELSE x'626c6f62' END
                   WHERE rowid = (SELECT max(rowid) FROM "{0}")"#,
                table.spec.name
            );
            copy.execute(&sql);
            seen.insert(digest(&copy));
            count += 1;
        }
    }
    assert_eq!(seen.len(), count, "two different configurations have the same digest");
    assert!(count > 100);
}

// ---------------------------------------------------------------------------------------------------
// Export

fn export_leaves_no_trace() {
    for version in [Version::One, Version::Two] {
        let instance = Instance::rich(version, Order::Fresh);
        let before = instance.files();
        assert_eq!(before.len(), 2, "a database and an uploaded file, and no -wal: {before:?}");
        let export = exported(&instance);
        assert!(instance.files() == before);
        // The same bytes but for the time of writing.
        let body = |bytes: &[u8]| bytes.splitn(2, |byte| *byte == b'\n').nth(1).unwrap().to_vec();
        assert_eq!(body(&exported(&instance)), body(&export));
    }
}

fn export_sees_what_is_committed_and_blocks_nobody() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let kuma = instance.open();
    monitor(&kuma, 100, t("committed"), &[("body", t(&"x".repeat(300_000)))]);
    kuma.execute_batch("BEGIN IMMEDIATE").unwrap();
    monitor(&kuma, 101, t("not committed"), &[]);
    assert!(fs::metadata(instance.path().with_extension("db-wal")).unwrap().len() > 0, "rows are in the WAL only");

    let names = |dump: &Dump| {
        let table = dump.configuration.table("monitor").unwrap();
        table.rows.iter().map(|row| table.value(row, "name").clone()).collect::<Vec<_>>()
    };
    let seen = names(&dump(&instance));
    assert!(seen.contains(&t("committed")) && !seen.contains(&t("not committed")));

    // While it still writes its dump into a pipe that is full, it holds no lock any more: the writer commits
    // and even empties the WAL, for which nobody may be reading.
    let mut export =
        program().args(["export", "--database"]).arg(instance.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = export.stdout.take().unwrap();
    let mut start = [0; 1];
    out.read_exact(&mut start).unwrap();
    kuma.execute_batch("COMMIT").unwrap();
    let busy: i64 = kuma.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
    assert!(export.try_wait().unwrap().is_none(), "it was to be in the middle of writing");
    let mut rest = start.to_vec();
    out.read_to_end(&mut rest).unwrap();
    assert!(export.wait().unwrap().success());
    dump::parse(&rest).unwrap();
    assert!(names(&dump(&instance)).contains(&t("not committed")), "committed by now");
}

fn export_file_is_private() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("configuration.jsonl");
    for before in [None, Some("of others")] {
        if let Some(text) = before {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let output = run(program().args(["export", "--database"]).arg(instance.path()).arg(&file));
        assert!(output.status.success());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        dump::parse(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no other file is left");
    }
    let output = run(program().args(["export", "--database"]).arg(instance.path()).arg("/nonexistent/x"));
    assert_eq!(output.status.code(), Some(75));
}

// ---------------------------------------------------------------------------------------------------
// What an import leaves alone

fn history_goes_only_with_its_monitor() {
    for version in [Version::One, Version::Two] {
        // Here: kept 1, changed 7, removed 60, replaced 9 (same id, created at another time), kept 61.
        let target = Instance::rich(version, Order::Upgraded);
        {
            let connection = target.open();
            monitor(&connection, 60, t("removed"), &[]);
            monitor(&connection, 61, t("kept, local order"), &[]);
            for id in [60, 61, 4] {
                history(&connection, version, id);
            }
            // A row of a monitor that went long ago: nobody's to remove.
            let row = [("type", t("certificate")), ("monitor_id", i(999)), ("days", i(7))];
            insert(&connection, "notification_sent_history", &row);
        }
        let source = target.copy();
        source.execute(
            "DELETE FROM monitor WHERE id=60;
             UPDATE monitor SET name='changed', interval=61 WHERE id=7;
             UPDATE monitor SET created_date='2026-06-06 06:06:06' WHERE id=9",
        );
        let wanted = |rows: Vec<Vec<Value>>, at: usize| {
            rows.into_iter().filter(|row| row[at] != i(60) && row[at] != i(9)).collect::<Vec<_>>()
        };
        let tables: Vec<&str> =
            HISTORY.iter().copied().filter(|table| target.tables().contains(&(*table).to_owned())).collect();
        assert!(tables.len() >= 3);
        let position = |table: &str| match target
            .value(&format!("SELECT cid FROM pragma_table_info('{table}') WHERE name='monitor_id'"))
        {
            Value::Integer(at) => usize::try_from(at).unwrap(),
            other => panic!("{other:?}"),
        };
        let expected: Vec<_> = tables.iter().map(|table| wanted(target.rows(table), position(table))).collect();
        for (table, rows) in tables.iter().zip(&expected) {
            assert!(rows.len() >= 4, "{table} has history to keep");
            assert!(target.rows(table).len() >= rows.len() + 2, "{table} has history to remove");
        }
        import_well(&exported(&source), &target);
        for (table, rows) in tables.iter().zip(expected) {
            assert_eq!(target.rows(table), rows, "{version:?} {table}");
        }
        assert_eq!(digest(&target), digest(&source));
    }
}

fn what_is_local_stays() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    source.execute(
        "UPDATE monitor SET dns_last_result='of the main', interval=99 WHERE id=16;
         UPDATE user SET password='new', twofa_last_token='111111';
         UPDATE maintenance SET title='new', last_start_date='2020-01-01';
         INSERT INTO setting (key, value) VALUES ('of the main', 'x')",
    );
    let target = Instance::rich(Version::Two, Order::Upgraded);
    target.execute(
        "UPDATE monitor SET dns_last_result='of here' WHERE id IN (16, 1);
         UPDATE user SET twofa_last_token='222222';
         UPDATE maintenance SET last_start_date='2026-09-09';
         INSERT INTO setting (key, value) VALUES ('of here', 'y');
         INSERT INTO domain_expiry (domain) VALUES ('example.com');
         CREATE TABLE of_a_plugin (id INTEGER PRIMARY KEY, monitor_id INTEGER REFERENCES monitor(id), x);
         INSERT INTO of_a_plugin (monitor_id, x) VALUES (1, x'00'), (16, 'y')",
    );
    let local: Vec<String> = target
        .tables()
        .into_iter()
        .filter(|table| kuma_replicator::model::catalog::find(table).is_none() && table != "sqlite_sequence")
        .collect();
    assert!(local.contains(&"of_a_plugin".to_owned()) && local.contains(&"heartbeat".to_owned()));
    let before = everything(&target, &local);
    import_well(&exported(&source), &target);
    assert_eq!(everything(&target, &local), before);
    for (sql, value) in [
        ("SELECT dns_last_result FROM monitor WHERE id=16", "of here"),
        ("SELECT dns_last_result FROM monitor WHERE id=1", "of here"),
        ("SELECT twofa_last_token FROM user WHERE id=1", "222222"),
        ("SELECT password FROM user WHERE id=1", "new"),
        ("SELECT max(last_start_date) FROM maintenance", "2026-09-09"),
        ("SELECT min(title) FROM maintenance", "new"),
    ] {
        assert_eq!(target.value(sql), t(value), "{sql}");
    }
    assert_eq!(target.value("SELECT interval FROM monitor WHERE id=16"), i(99));
}

/// Each of these is one edit on the main after which row-by-row replication goes wrong.
fn awkward_changes_arrive() {
    let edits = [
        "UPDATE status_page SET slug='x' WHERE id=1; UPDATE status_page SET slug='main' WHERE id=2;
         UPDATE status_page SET slug='other' WHERE id=1",
        "UPDATE status_page SET slug='x' WHERE id=1; UPDATE status_page SET slug='main' WHERE id=2;
         UPDATE status_page SET slug='other' WHERE id=3; UPDATE status_page SET slug='third' WHERE id=1",
        "UPDATE user SET username='x' WHERE id=1; UPDATE user SET username='admin' WHERE id=2;
         UPDATE user SET username='second' WHERE id=1",
        "DELETE FROM status_page WHERE id=3; UPDATE status_page SET slug='third' WHERE id=2;
         INSERT INTO status_page (id, slug, title, icon, theme) VALUES (9, 'other', 'n', '', 'auto')",
        // Saved again: new ids, the same content; and a domain that moves to another page.
        "DELETE FROM status_page_cname; INSERT INTO status_page_cname (id, status_page_id, domain)
         VALUES (70, 1, 'b.example.com'), (71, 2, 'a.example.com')",
        "DELETE FROM monitor_notification; INSERT INTO monitor_notification (id, monitor_id, notification_id)
         VALUES (9, 9, 1), (8, 9, 1), (7, 9, 1), (6, 1, 1)",
        "DELETE FROM monitor_tag WHERE value = ''",
        "DELETE FROM monitor_tag WHERE value IS NULL OR typeof(value) = 'text'",
        "UPDATE monitor SET proxy_id=1 WHERE proxy_id=3; DELETE FROM proxy WHERE id=3",
        "UPDATE monitor SET proxy_id=NULL, docker_host=NULL; DELETE FROM proxy; DELETE FROM docker_host",
        "UPDATE monitor SET remote_browser=NULL; DELETE FROM remote_browser",
        "UPDATE monitor SET parent=NULL; DELETE FROM monitor WHERE type='group'",
        // Parent and child exchange their places; a parent with a higher id than its child is new.
        "UPDATE monitor SET parent=NULL WHERE id=3; UPDATE monitor SET parent=3 WHERE id=2",
        "INSERT INTO monitor (id, name) VALUES (90, 'new parent'); UPDATE monitor SET parent=90",
        "UPDATE monitor SET parent=CASE id WHEN 2 THEN 3 WHEN 3 THEN 2 END WHERE id IN (2, 3)",
        "UPDATE monitor SET parent=id WHERE id=2",
        "DELETE FROM monitor",
        "DELETE FROM notification; DELETE FROM tag; DELETE FROM status_page; DELETE FROM maintenance",
        "DELETE FROM \"group\"",
        "UPDATE monitor SET id=59 WHERE id=58",
        "UPDATE monitor SET created_date='2027-01-01 00:00:00'",
        "INSERT INTO user (id, username) VALUES (3, 'third'); UPDATE monitor SET user_id=3;
         DELETE FROM user WHERE id=2",
        "UPDATE monitor SET name=NULL, timeout=x'00', port=3.5, keyword=x'', ignore_tls=''",
        "UPDATE monitor SET timeout=-0.0, url=char(1) || 'kuma-replicator 1'",
        "UPDATE status_page SET slug=char(1) || 'kuma-replicator ' || id",
        "UPDATE status_page SET slug=char(1) || 'kuma-replicator ' || (3 - id) WHERE id < 3",
    ];
    let rich = Instance::rich(Version::Two, Order::Fresh);
    let upgraded = Instance::rich(Version::Two, Order::Upgraded);
    for sql in edits {
        let source = rich.copy();
        source.execute(sql);
        let (wanted, bytes) = (digest(&source), exported(&source));
        assert_ne!(wanted, digest(&rich), "no change: {sql}");
        let target = upgraded.copy();
        let output = import(&bytes, &target);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(target.is_sound(), "{sql}");
        assert_eq!(digest(&target), wanted, "{sql}");
        // And back.
        import_well(&exported(&rich), &target);
        assert_eq!(digest(&target), digest(&rich), "back from: {sql}");
    }
}

fn a_second_import_does_nothing() {
    let bytes = exported(&Instance::rich(Version::Two, Order::Fresh));
    let target = Instance::empty(Version::Two, Order::Upgraded);
    import_well(&bytes, &target);
    let before = target.files();
    let output = import(&bytes, &target);
    assert!(output.status.success());
    assert!(target.files() == before);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "no change is listed");

    // Nobody needs to be kept out for nothing.
    let _kuma = target.open();
    _kuma.query_row("SELECT count(*) FROM monitor", [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(import(&bytes, &target).status.success());
}

fn a_dry_run_changes_no_byte() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    let target = Instance::empty(Version::Two, Order::Upgraded);
    let before = target.files();
    let paper = Paper::with(&exported(&source));
    let output = run(import_of(&paper.path(), &target.path()).arg("--dry-run"));
    assert!(output.status.success());
    assert!(target.files() == before);
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["+ monitor 58", "~ user 1", "+ upload/logo1.png", "rows to add"] {
        assert!(text.contains(part), "'{part}' is not in {text}");
    }
    // It says beforehand what the real one would refuse.
    source.execute("PRAGMA ignore_check_constraints=ON; UPDATE monitor SET snmp_version='9' WHERE id=1");
    let paper = Paper::with(&exported(&source));
    let output = run(import_of(&paper.path(), &target.path()).arg("--dry-run"));
    refused(&output, &before, &target, 65, &["monitor row id 1"]);
}

fn secrets_are_not_printed() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    source.execute(
        "UPDATE user SET password='geheim-1'; UPDATE notification SET config='geheim-2';
         UPDATE monitor SET body='geheim-3', push_token='geheim-4', url='http://u:geheim-5@x/';
         UPDATE proxy SET password='geheim-6'; UPDATE docker_host SET docker_daemon='geheim-7';
         UPDATE api_key SET key='geheim-8'; UPDATE status_page SET password='geheim-9'",
    );
    let bytes = exported(&source);
    for target in [Instance::empty(Version::Two, Order::Fresh), Instance::rich(Version::Two, Order::Fresh)] {
        let output = import(&bytes, &target);
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.lines().count() > 10 && !text.contains("geheim"), "{text}");
        // Neither old nor new values show when the dump goes the other way.
        let output = import(&exported(&Instance::rich(Version::Two, Order::Fresh)), &target);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("geheim"));
    }
    source.execute("PRAGMA ignore_check_constraints=ON; UPDATE monitor SET snmp_version='geheim'");
    let output = import(&exported(&source), &Instance::rich(Version::Two, Order::Fresh));
    assert_eq!(output.status.code(), Some(65));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("geheim"));
}

// ---------------------------------------------------------------------------------------------------
// Refusals

fn import_refuses_and_changes_nothing() {
    let rich = Instance::rich(Version::Two, Order::Fresh);
    let good = exported(&rich);
    let edited = |sql: &str| {
        let copy = rich.copy();
        copy.execute(sql);
        exported(&copy)
    };
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(good.clone()).unwrap();
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("nothing", Vec::new(), &["it is empty"]),
        ("no dump", b"#!/bin/sh\n".to_vec(), &["first line is no manifest"]),
        ("cut", good[..good.len() / 2].to_vec(), &["it is cut"]),
        ("cut by one byte", good[..good.len() - 1].to_vec(), &["it is cut"]),
        ("changed", replaced("outer group", "0uter group"), &["its content has digest"]),
        ("newer format", replaced("\"format\":1", "\"format\":2"), &["format 2", "upgrade kuma-replicator"]),
        (
            "of 1.x",
            exported(&Instance::rich(Version::One, Order::Fresh)),
            &["another version of Uptime Kuma", "google_analytics"],
        ),
        (
            "no user",
            edited(
                "PRAGMA foreign_keys=OFF; DELETE FROM user; UPDATE monitor SET user_id=NULL;
            UPDATE maintenance SET user_id=NULL; DELETE FROM api_key",
            ),
            &["no user"],
        ),
        (
            "another migration",
            edited("INSERT INTO knex_migrations (name) VALUES ('2027-x.js')"),
            &["only the dump has: migration 2027-x.js; only the database has: nothing"],
        ),
        (
            "a migration less",
            edited("DELETE FROM knex_migrations WHERE name LIKE '2025%'"),
            &["2025-01-01", "same version on both"],
        ),
        ("another column", edited("ALTER TABLE monitor ADD COLUMN future TEXT"), &["monitor.future"]),
        ("another table", edited("DROP TABLE incident"), &["incident"]),
    ];
    for (name, bytes, said) in cases {
        let target = Instance::empty(Version::Two, Order::Upgraded);
        let before = target.files();
        let output = import(&bytes, &target);
        assert!(output.stdout.is_empty(), "{name}");
        refused(&output, &before, &target, 65, said);
    }
    let target = Instance::empty(Version::Two, Order::Upgraded);
    let before = target.files();
    let output = run(&mut import_of(Path::new("/nonexistent/dump"), &target.path()));
    refused(&output, &before, &target, 75, &["/nonexistent/dump"]);
}

fn import_refuses_rows_that_break_a_rule() {
    let lax = "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON;";
    let (lawful, lawless) = (Order::Fresh, Order::Lawless);
    let cases: &[(Order, &str, &str)] = &[
        (lawful, "UPDATE monitor SET snmp_version='4' WHERE id=7", "monitor row id 7"),
        (lawless, "UPDATE monitor SET method=NULL WHERE id=7", "monitor row id 7"),
        (lawless, "UPDATE status_page SET slug='main' WHERE id=3", "status_page row id 3"),
        (lawless, "UPDATE user SET username='admin' WHERE id=2", "user row id 2"),
        (lawless, "UPDATE status_page_cname SET domain='a.example.com'", "status_page_cname row status_page_id 1"),
        (lawful, "UPDATE monitor SET user_id=77 WHERE id=7", "missing user"),
        (lawful, "UPDATE monitor SET parent=77 WHERE id=7", "missing monitor"),
        (lawful, "UPDATE monitor SET proxy_id=77 WHERE id=7", "missing proxy"),
        (lawful, "INSERT INTO monitor_tag (monitor_id, tag_id) VALUES (7, 77)", "missing tag"),
        (lawful, "INSERT INTO monitor_notification (monitor_id, notification_id) VALUES (77, 1)", "missing monitor"),
        (lawful, "INSERT INTO api_key (id, key, name, user_id) VALUES (9, 'k', 'n', 77)", "missing user"),
        (lawful, "DELETE FROM proxy WHERE id=3", "missing proxy"),
    ];
    let rich = Instance::rich(Version::Two, Order::Fresh);
    for (rules, sql, said) in cases {
        let source = Instance::rich(Version::Two, *rules);
        source.execute(&format!("{lax} {sql}"));
        let bytes = exported(&source);
        for target in [Instance::empty(Version::Two, Order::Fresh), rich.copy()] {
            let before = target.files();
            refused(&import(&bytes, &target), &before, &target, 65, &[said]);
        }
    }
}

fn import_waits_for_nobody_who_has_the_database_open() {
    let bytes = exported(&Instance::rich(Version::Two, Order::Fresh));
    for hold in ["SELECT 1 FROM user", "BEGIN; SELECT 1 FROM user", "BEGIN IMMEDIATE; UPDATE user SET active=0"] {
        let target = Instance::empty(Version::Two, Order::Fresh);
        let kuma = target.open();
        kuma.execute_batch(hold).unwrap();
        kuma.query_row("SELECT 1 FROM user", [], |row| row.get::<_, i64>(0)).unwrap();
        let before = everything(&target, &target.tables());
        let output = import(&bytes, &target);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(75), "{hold}: {text}");
        assert!(text.contains("stop Uptime Kuma first"), "{hold}: {text}");
        assert_eq!(everything(&target, &target.tables()), before, "{hold}");
        assert!(!target.directory().join("upload").exists(), "{hold}");
        // It was never disturbed.
        kuma.execute_batch("COMMIT").or_else(|_| kuma.execute_batch("UPDATE user SET active=1")).unwrap();
        kuma.close().unwrap();
        import_well(&bytes, &target);
    }
}

fn no_usable_database() {
    let bytes = exported(&Instance::rich(Version::Two, Order::Fresh));
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("text"), "this is not a database, but long enough to look at, if one looks ".repeat(100)).unwrap();
    fs::write(at("empty"), "").unwrap();
    let other = rusqlite::Connection::open(at("other")).unwrap();
    other.execute_batch("CREATE TABLE user (id INTEGER PRIMARY KEY)").unwrap();
    other.close().unwrap();
    let broken = Instance::rich(Version::Two, Order::Fresh);
    let mut content = fs::read(broken.path()).unwrap();
    let page = 4096;
    for byte in &mut content[page..] {
        *byte ^= 0x55;
    }
    fs::write(at("corrupt"), &content).unwrap();
    fs::write(at("cut"), &content[..page + 100]).unwrap();
    fs::write(at("wal-text"), fs::read(broken.path()).unwrap()).unwrap();

    let cases = [
        ("missing", Kind::DatabaseMissing, "there is no database"),
        ("directory", Kind::DatabaseMissing, "is not a file"),
        ("missing/deeper", Kind::DatabaseMissing, "there is no database"),
        ("text/deeper", Kind::Files, "find database"),
        ("text", Kind::DatabaseCorrupt, "not a database"),
        ("empty", Kind::SchemaUnknown, "no table"),
        ("other", Kind::SchemaUnknown, "no table monitor"),
        ("corrupt", Kind::DatabaseCorrupt, "malformed"),
        ("cut", Kind::DatabaseCorrupt, "malformed"),
    ];
    for (name, kind, said) in cases {
        let before = fs::read(at(name)).ok();
        let paper = Paper::with(&bytes);
        for mut command in [import_of(&paper.path(), &at(name)), {
            let mut export = program();
            export.args(["export", "--database"]).arg(at(name));
            export
        }] {
            let output = run(&mut command);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(i32::from(kind.exit() as u8)), "{name}: {text}");
            assert!(text.contains(said) && text.contains(name), "{name}: {text}");
            assert!(output.stdout.is_empty(), "{name}");
            assert_eq!(fs::read(at(name)).ok(), before, "{name}");
            assert_eq!(Database::new(at(name)).export().unwrap_err().kind(), kind, "{name}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------
// Uploaded files

fn uploads_arrive() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    source.execute(
        "UPDATE status_page SET icon='/upload/logo2.png' WHERE id=2; UPDATE status_page SET icon='/upload/missing.png' WHERE id=3",
    );
    source.upload("logo2.png", &[]);
    source.upload("nobody-refers-to-me.png", b"x");
    let dump = dump(&source);
    let names: Vec<&str> = dump.configuration.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["logo1.png", "logo2.png"]);
    assert_eq!(library_export(&source).warnings.len(), 1, "the missing one is told");
    let bytes = exported_again(&dump);

    let target = Instance::empty(Version::Two, Order::Fresh);
    // As root the owner can be another one; without root the test still covers modes and content.
    let owner = fs::metadata(target.directory()).unwrap().uid();
    let wanted = if owner == 0 { 65534 } else { owner };
    std::os::unix::fs::chown(target.directory(), Some(wanted), None).unwrap();
    import_well(&bytes, &target);
    for name in ["", "logo1.png", "logo2.png"] {
        let metadata = fs::metadata(target.directory().join("upload").join(name)).unwrap();
        assert_eq!(metadata.uid(), wanted, "owner of upload/{name}");
        assert!(metadata.permissions().mode() & 0o400 != 0);
    }
    let upload = |name: &str| fs::read(target.directory().join("upload").join(name)).unwrap();
    assert_eq!(upload("logo1.png"), b"\x89PNG\r\n\x1a\n one");
    assert_eq!(upload("logo2.png"), b"");

    // Changed content under the same name travels, files of others stay, and nothing temporary is left.
    source.upload("logo1.png", b"two");
    target.upload("mine.png", b"mine");
    import_well(&exported(&source), &target);
    assert_eq!(upload("logo1.png"), b"two");
    assert_eq!(upload("mine.png"), b"mine");
    assert_eq!(fs::read_dir(target.directory().join("upload")).unwrap().count(), 3);
    assert_eq!(digest(&target), digest(&source));
}

fn uploads_never_follow_links() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "secret of the host").unwrap();
    // Out of the main: a link is not read.
    let source = Instance::rich(Version::Two, Order::Fresh);
    let logo = source.directory().join("upload/logo1.png");
    fs::remove_file(&logo).unwrap();
    std::os::unix::fs::symlink(&victim, &logo).unwrap();
    let export = library_export(&source);
    assert!(export.configuration.files.is_empty());
    assert!(export.warnings[0].contains("symbolic link"), "{:?}", export.warnings);
    for name in ["fifo.png", "directory.png"] {
        source.execute(&format!("UPDATE status_page SET icon='/upload/{name}' WHERE id=2"));
        let path = source.directory().join("upload").join(name);
        if name.starts_with("fifo") {
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        } else {
            fs::create_dir(&path).unwrap();
        }
        let export = library_export(&source);
        assert!(export.configuration.files.is_empty());
        assert!(export.warnings.iter().any(|text| text.contains("no regular file")), "{:?}", export.warnings);
    }
    for name in ["../kuma.db", "..", ".hidden", "a/b.png", "%2e%2e", "x\0y", ""] {
        let connection = source.open();
        connection.execute("UPDATE status_page SET icon=?1 WHERE id=2", [format!("/upload/{name}")]).unwrap();
        connection.close().unwrap();
        assert!(library_export(&source).configuration.files.is_empty(), "{name}");
    }

    // Into the replica: links under the names that are written are replaced, not followed.
    let bytes = exported(&Instance::rich(Version::Two, Order::Fresh));
    let target = Instance::empty(Version::Two, Order::Fresh);
    target.upload("other.png", b"");
    let upload = target.directory().join("upload");
    for name in ["logo1.png", ".logo1.png.kuma-replicator"] {
        std::os::unix::fs::symlink(&victim, upload.join(name)).unwrap();
    }
    import_well(&bytes, &target);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "secret of the host");
    assert!(fs::symlink_metadata(upload.join("logo1.png")).unwrap().is_file());
    assert_eq!(fs::read(upload.join("logo1.png")).unwrap(), b"\x89PNG\r\n\x1a\n one");
}

// ---------------------------------------------------------------------------------------------------
// Interrupted imports

/// A target with much to remove and a dump with much to add, so that the transaction outgrows SQLite's cache
/// and the WAL is written long before the commit.
fn big() -> (Instance, Vec<u8>) {
    let fill = |from: i64, letter: &str| {
        let instance = Instance::rich(Version::Two, Order::Fresh);
        let connection = instance.open();
        connection.execute_batch("BEGIN").unwrap();
        for id in from..from + 1000 {
            monitor(&connection, id, t(letter), &[("body", t(&letter.repeat(3000)))]);
            insert(&connection, "monitor_notification", &[("monitor_id", i(id)), ("notification_id", i(1))]);
        }
        connection.execute_batch("COMMIT").unwrap();
        connection.close().unwrap();
        instance
    };
    (fill(1000, "o"), exported(&fill(1500, "n")))
}

/// Runs the import with files limited to `bytes`: at the first write beyond, the kernel kills it, or, with
/// `ignore`, lets the write fail.
fn limited_import(paper: &Paper, target: &Instance, bytes: u64, ignore: bool) -> Output {
    let trap = if ignore { "trap '' XFSZ;" } else { "" };
    let script = format!("{trap} ulimit -c 0; exec prlimit --fsize={bytes} \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_kuma-replicator"), "import", "--database"]);
    run(command.arg(target.path()).arg(paper.path()))
}

fn a_killed_import_leaves_old_or_new() {
    let (start, bytes) = big();
    let (old, new) = (digest(&start), dump::parse(&bytes).unwrap().manifest.digest);
    let paper = Paper::with(&bytes);
    let (mut killed_old, mut in_the_middle) = (0, 0);
    let size = fs::metadata(start.path()).unwrap().len();
    // The first limit is above the shared memory of an export. The last kills happen in the checkpoint,
    // after the commit, because the database grows longer than the WAL that holds its changes.
    for step in 0..60 {
        let limit = 64 * 1024 + step * 256 * 1024;
        let target = start.copy();
        let output = limited_import(&paper, &target, limit, false);
        let wal = fs::metadata(target.path().with_extension("db-wal")).map_or(0, |metadata| metadata.len());
        let after = digest(&target);
        assert!(after == old || after == new, "a mix after a kill at {limit} bytes");
        assert!(target.is_sound(), "after a kill at {limit} bytes");
        let history = if after == old { target.rows("heartbeat") == start.rows("heartbeat") } else { true };
        assert!(history, "history after a kill at {limit} bytes");
        if output.status.signal() == Some(SIGXFSZ) {
            killed_old += usize::from(after == old);
            in_the_middle += usize::from(wal > 32 * 1024);
            // The next one gets through.
            if step % 8 == 0 {
                import_well(&bytes, &target);
                assert_eq!(digest(&target), new);
            }
            continue;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(after, new);
        assert!(killed_old > 4, "killed {killed_old} times before the commit; the database has {size} bytes");
        assert!(in_the_middle > 4, "killed {in_the_middle} times while the WAL was being written");
        return;
    }
    panic!("the import never ended");
}

fn an_import_that_cannot_write_leaves_the_old() {
    let (start, bytes) = big();
    let old = digest(&start);
    let paper = Paper::with(&bytes);
    let mut failed = 0;
    for step in 0..6 {
        let target = start.copy();
        let output = limited_import(&paper, &target, 128 * 1024 + step * 512 * 1024, true);
        let text = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            break;
        }
        failed += 1;
        assert_eq!(output.status.code(), Some(75), "{text}");
        assert_eq!(digest(&target), old, "{text}");
        assert!(target.is_sound());
        import_well(&bytes, &target);
    }
    assert!(failed > 2);
}

// ---------------------------------------------------------------------------------------------------
// What the schema tells

fn versions_that_migrate_are_recognised() {
    let cases = [
        (Version::One, "SELECT 1", false),
        (Version::Two, "SELECT 1", false),
        (Version::Two, "UPDATE knex_migrations_lock SET is_locked=1", true),
        (Version::Two, "UPDATE setting SET value='\"migrating\"' WHERE key='migrateAggregateTableState'", true),
        (Version::Two, "UPDATE setting SET value='\"\"' WHERE key='migrateAggregateTableState'", false),
        (Version::Two, "DELETE FROM knex_migrations_lock", false),
    ];
    for (version, sql, migrating) in cases {
        let instance = Instance::rich(version, Order::Fresh);
        instance.open().execute_batch(sql).unwrap();
        assert_eq!(Database::new(instance.path()).migrating().unwrap().is_some(), migrating, "{sql}");
    }
}

fn unknown_tables_and_columns() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let database = Database::new(instance.path());
    assert_eq!(database.unknown_tables().unwrap(), Vec::<String>::new());
    let before = digest(&instance);
    instance.execute(
        "CREATE TABLE of_a_plugin (x); ALTER TABLE monitor ADD COLUMN \"future \"\"column\" TEXT;
         UPDATE monitor SET \"future \"\"column\"='v' WHERE id=1",
    );
    assert_eq!(database.unknown_tables().unwrap(), ["of_a_plugin"]);
    let dump = dump(&instance);
    let table = dump.configuration.table("monitor").unwrap();
    assert_eq!(table.value(&table.rows[0], "future \"column"), &t("v"), "an unknown column travels");
    assert_ne!(dump.manifest.digest, before);
    // Text that is not UTF-8 and blobs come out as they are in the database.
    let connection = instance.open();
    for row in all_rows(&connection, "monitor").iter().filter(|row| row[0] == i(15)) {
        assert!(row.contains(&raw(b"\xff\xfe\x00 no UTF-8")));
    }
    let body = table
        .rows
        .iter()
        .map(|row| table.value(row, "body"))
        .find(|body| body.as_text().is_none() && **body != Value::Null);
    assert_eq!(body, Some(&raw(b"\xff\xfe\x00 no UTF-8")));
    std::io::stdout().flush().unwrap();
}
