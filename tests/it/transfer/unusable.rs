//! Databases that another process has open, that are damaged, or that are none at all.

use std::fs;
use std::process::Command;

use kuma_replicator::error::Kind;
use kuma_replicator::host::kuma::database::Database;

use super::program::{Paper, everything, exported, import, import_of, import_well, program, run};
use crate::support::instance::{Instance, Order, Version};

#[test]
fn import_refuses_a_database_that_another_process_has_open() {
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

#[test]
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
        ("missing", Kind::DatabaseMissing, 2, "there is no database"),
        ("directory", Kind::DatabaseMissing, 2, "is a directory, not a database"),
        ("missing/deeper", Kind::DatabaseMissing, 2, "there is no database"),
        ("text/deeper", Kind::Files, 2, "there is no database"),
        ("text", Kind::DatabaseCorrupt, 65, "not a database"),
        ("empty", Kind::SchemaUnknown, 65, "no table"),
        ("other", Kind::SchemaUnknown, 65, "no table monitor"),
        ("corrupt", Kind::DatabaseCorrupt, 65, "malformed"),
        ("cut", Kind::DatabaseCorrupt, 65, "malformed"),
    ];
    for (name, kind, exit, said) in cases {
        let before = fs::read(at(name)).ok();
        let paper = Paper::with(&bytes);
        for mut command in [import_of(&paper.path(), &at(name)), {
            let mut export = program();
            export.args(["export", "--database"]).arg(at(name));
            export
        }] {
            let output = run(&mut command);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(exit), "{name}: {text}");
            assert!(text.contains(said) && text.contains(name), "{name}: {text}");
            assert!(output.stdout.is_empty(), "{name}");
            assert_eq!(fs::read(at(name)).ok(), before, "{name}");
            assert_eq!(Database::new(at(name)).export().unwrap_err().kind(), kind, "{name}");
        }
    }
}

/// A view may compute rows without end, and a virtual table runs code of an extension of SQLite.
#[test]
fn what_is_no_table_of_uptime_kuma_is_refused_at_once() {
    let bytes = exported(&Instance::rich(Version::Two, Order::Fresh));
    for (sql, said) in [
        ("ALTER TABLE incident RENAME TO old; CREATE VIEW incident AS SELECT * FROM old", "incident is a view"),
        (
            "DROP TABLE incident; CREATE VIEW incident AS
                 WITH RECURSIVE ids(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids) SELECT max(id) AS id FROM ids",
            "incident is a view",
        ),
        ("DROP TABLE incident; CREATE VIRTUAL TABLE incident USING rtree(id, low, high)", "incident is a virtual"),
        ("ALTER TABLE tag RENAME TO other; ALTER TABLE other RENAME TO TAG", "table tag is called TAG"),
    ] {
        let instance = Instance::rich(Version::Two, Order::Fresh);
        instance.open().execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
        let paper = Paper::with(&bytes);
        for mut command in [import_of(&paper.path(), &instance.path()), {
            let mut export = program();
            export.args(["export", "--database"]).arg(instance.path());
            export
        }] {
            let output = run(&mut command);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(65), "{sql}: {text}");
            assert!(text.contains(said), "{sql}: {text}");
        }
    }
}

/// SQLite waits for a pipe under one of these names without end.
#[test]
fn what_lies_beside_the_database_and_is_no_file_is_refused_at_once() {
    for end in ["-journal", "-wal", "-shm"] {
        for make in ["mkfifo", "mkdir", "ln -s /etc/passwd"] {
            let instance = Instance::rich(Version::Two, Order::Fresh);
            let path = format!("{}{end}", instance.path().display());
            let made = Command::new("sh").arg("-c").arg(format!("rm -f '{path}'; {make} '{path}'")).status().unwrap();
            assert!(made.success());
            let database = Database::new(instance.path());
            let failures = [
                database.export().unwrap_err(),
                database.check_intact().unwrap_err(),
                database.check_writable(0, false).unwrap_err(),
                database.claim(std::time::Duration::ZERO).unwrap_err(),
                database.holders().unwrap_err(),
            ];
            for error in failures {
                assert_eq!(error.kind(), Kind::DatabaseCorrupt, "{make}: {error:?}");
                assert!(error.to_string().contains(end), "{make}: {error:?}");
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kuma.db");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(Database::new(&path).holders().unwrap_err().kind(), Kind::DatabaseMissing);
}

/// Rows that do not keep a rule of their table are Uptime Kuma's business: it works with them.
#[test]
fn damage_is_distinguished_from_rows_that_break_rules() {
    for version in [Version::One, Version::Two] {
        for instance in [Instance::rich(version, Order::Fresh), Instance::empty(version, Order::Fresh)] {
            Database::new(instance.path()).check_intact().unwrap();
        }
    }
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let kuma = instance.open();
    kuma.execute_batch(
        "PRAGMA ignore_check_constraints=ON; UPDATE monitor SET snmp_version='9'; PRAGMA ignore_check_constraints=OFF",
    )
    .unwrap();
    let said: String = kuma.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    assert!(said.contains("CHECK constraint failed in monitor"), "{said}");
    Database::new(instance.path()).check_intact().unwrap();
    // History is not part of the configuration, but of the file.
    let page: i64 =
        kuma.query_row("SELECT rootpage FROM sqlite_master WHERE name='heartbeat'", [], |row| row.get(0)).unwrap();
    kuma.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    kuma.close().unwrap();
    let mut content = fs::read(instance.path()).unwrap();
    let start = usize::try_from(page - 1).unwrap() * 4096;
    content[start..start + 4096].fill(0x55);
    fs::write(instance.path(), content).unwrap();
    let database = Database::new(instance.path());
    database.export().unwrap();
    assert_eq!(database.check_intact().unwrap_err().kind(), Kind::DatabaseCorrupt);
}
