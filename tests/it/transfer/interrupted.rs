//! An import that is killed, or cannot write, leaves the old configuration or the new one, never a mix.

use std::fs;
use std::process::{Command, Output};

use kuma_replicator::model::dump;

use super::program::{Paper, exported, import_well, run, taken};
use crate::support::instance::{Instance, Order, Version, insert, monitor};
use crate::support::rows::digest_but_settings;
use crate::support::rows::{i, t};

#[test]
fn a_killed_import_leaves_old_or_new() {
    let (start, bytes) = big();
    let (old, new) = (taken(&start), digest_but_settings(&dump::parse(&bytes).unwrap().configuration));
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
        let after = taken(&target);
        assert!(after == old || after == new, "a mix after a kill at {limit} bytes");
        assert!(target.is_sound(), "after a kill at {limit} bytes");
        let history = if after == old { target.rows("heartbeat") == start.rows("heartbeat") } else { true };
        assert!(history, "history after a kill at {limit} bytes");
        // The signal kills the worker, which writes.
        if String::from_utf8_lossy(&output.stderr).contains("the worker failed: it has ended") {
            assert_eq!(output.status.code(), Some(75));
            killed_old += usize::from(after == old);
            in_the_middle += usize::from(wal > 32 * 1024);
            // The next one gets through.
            if step % 8 == 0 {
                import_well(&bytes, &target);
                assert_eq!(taken(&target), new);
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

#[test]
fn an_import_that_cannot_write_leaves_the_old() {
    let (start, bytes) = big();
    let old = taken(&start);
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
        assert_eq!(taken(&target), old, "{text}");
        assert!(target.is_sound());
        import_well(&bytes, &target);
    }
    assert!(failed > 2);
}

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
