//! An export leaves no trace in the data directory, blocks nobody, and shows its file to nobody.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use kuma_replicator::model::dump::{self, Dump};

use super::program::{dump, exported, program, run};
use crate::support::instance::{Instance, Order, Version, monitor};
use crate::support::rows::t;

#[test]
fn export_leaves_no_trace() {
    for version in [Version::One, Version::Two] {
        let instance = Instance::rich(version, Order::Fresh);
        let before = instance.files();
        assert_eq!(before.len(), 2, "a database and an uploaded file, and no -wal: {before:?}");
        let export = exported(&instance);
        assert!(instance.files() == before);
        // The same bytes except for the time of writing.
        let body = |bytes: &[u8]| bytes.splitn(2, |byte| *byte == b'\n').nth(1).unwrap().to_vec();
        assert_eq!(body(&exported(&instance)), body(&export));
    }
}

#[test]
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

#[test]
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
    assert_eq!(output.status.code(), Some(2));
}
