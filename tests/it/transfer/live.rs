//! Rows that are written while another process has the database open, as a running Uptime Kuma has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kuma_replicator::cycle::Export;
use kuma_replicator::error::{Kind, Result};
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::model::configuration::{Configuration, UploadedFile};
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::plan;
use rusqlite::Connection;

use super::program::library_export;
use crate::support::instance::{Instance, Order, Version};
use crate::support::rows::{i, t};

/// A database that another connection has open in WAL mode, with history.
fn open() -> (Instance, Connection) {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let kuma = instance.open();
    kuma.execute_batch("PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; SELECT count(*) FROM monitor").unwrap();
    (instance, kuma)
}

/// `configuration` with all tags renamed, a notification more, and its links to all monitors.
fn changed(configuration: &Configuration) -> Configuration {
    let mut wanted = configuration.clone();
    let tags = wanted.table_mut("tag").unwrap();
    let name = tags.position("name").unwrap();
    for row in &mut tags.rows {
        row[name] = t("renamed");
    }
    let notifications = wanted.table_mut("notification").unwrap();
    let columns = notifications.columns.clone();
    let value = |column: &String| match column.as_str() {
        "id" => i(4711),
        "name" => t("new"),
        "config" => t("{}"),
        _ => i(1),
    };
    notifications.rows.push(columns.iter().map(value).collect());
    let monitors = wanted.table("monitor").unwrap();
    let ids: Vec<Value> = monitors.rows.iter().map(|row| monitors.value(row, "id").clone()).collect();
    let links = wanted.table_mut("monitor_notification").unwrap();
    assert_eq!(links.columns, ["monitor_id", "notification_id"]);
    links.rows.extend(ids.into_iter().map(|id| vec![id, i(4711)].into()));
    links.sort();
    wanted
}

fn write(instance: &Instance, here: &Export, wanted: &Configuration) -> Result<Vec<String>> {
    Database::new(instance.path()).write_live(&plan(&here.configuration, wanted), here, wanted)
}

#[test]
fn an_open_connection_sees_a_live_write() {
    let (instance, kuma) = open();
    let here = library_export(&instance);
    let history = instance.rows("heartbeat");
    let mut wanted = changed(&here.configuration);
    wanted.files.push(UploadedFile { name: "logo9.png".to_owned(), content: b"new".to_vec() });
    assert_eq!(write(&instance, &here, &wanted).unwrap(), Vec::<String>::new());
    let seen: i64 = kuma
        .query_row("SELECT count(*) FROM monitor_notification WHERE notification_id=4711", [], |row| row.get(0))
        .unwrap();
    assert!(seen > 10);
    wanted.files.clear();
    let mut now = library_export(&instance).configuration;
    now.files.clear();
    assert!(now == wanted, "it reads back as wanted");
    assert_eq!(std::fs::read(instance.directory().join("upload/logo9.png")).unwrap(), b"new");
    assert!(instance.rows("heartbeat") == history && instance.is_sound());
    // And the open connection goes on writing.
    kuma.execute_batch("UPDATE monitor SET name='x' WHERE id=1").unwrap();
}

/// Whatever keeps it from being written leaves everything as it was, and says whether to try again.
#[test]
fn a_failed_live_write_leaves_no_trace() {
    type Obstacle = fn(&Connection);
    let cases: [(Obstacle, Kind, &str); 4] = [
        (|kuma| kuma.execute_batch("UPDATE tag SET color='x' WHERE id=1").unwrap(), Kind::DatabaseBusy, "edited"),
        (|kuma| kuma.execute_batch("BEGIN IMMEDIATE").unwrap(), Kind::DatabaseBusy, "locked"),
        (
            |kuma| kuma.execute_batch("UPDATE knex_migrations_lock SET is_locked=1").unwrap(),
            Kind::ServiceBusy,
            "migrating",
        ),
        (|kuma| kuma.execute_batch("ALTER TABLE tag ADD COLUMN later TEXT").unwrap(), Kind::SchemaDiffers, "upgraded"),
    ];
    for (obstacle, kind, said) in cases {
        let (instance, kuma) = open();
        let here = library_export(&instance);
        let mut wanted = changed(&here.configuration);
        wanted.files.push(UploadedFile { name: "logo9.png".to_owned(), content: b"new".to_vec() });
        obstacle(&kuma);
        let before = (instance.rows("tag"), instance.rows("notification"), instance.rows("monitor_notification"));
        let error = write(&instance, &here, &wanted).unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
        assert!(error.chain().contains(said), "{}", error.chain());
        let after = (instance.rows("tag"), instance.rows("notification"), instance.rows("monitor_notification"));
        assert!(after == before, "{said}");
        let uploads = std::fs::read_dir(instance.directory().join("upload")).unwrap();
        let names: Vec<_> = uploads.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["logo1.png"], "{said}: no file is left behind");
    }
}

/// What the database refuses is rolled back: here a link to a monitor that is not there.
#[test]
fn a_live_write_leaves_no_dangling_reference() {
    let (instance, _kuma) = open();
    let here = library_export(&instance);
    let mut wanted = changed(&here.configuration);
    wanted.table_mut("monitor_notification").unwrap().rows.push(vec![i(999_999), i(4711)].into());
    let error = write(&instance, &here, &wanted).unwrap_err();
    assert_eq!(error.kind(), Kind::Unwritable, "{}", error.chain());
    assert!(library_export(&instance).configuration == here.configuration);
}

/// Its own writes wait for the lock, but not long: here with 5,000 links. How long, the benchmark measures.
#[test]
fn a_live_write_of_many_rows_lets_nobody_wait_for_long() {
    let (instance, kuma) = open();
    kuma.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 14999)
         INSERT INTO monitor (id, name, user_id, type, url) SELECT i, 'm' || i, 1, 'http', 'http://x/' FROM n",
    )
    .unwrap();
    let here = library_export(&instance);
    let wanted = changed(&here.configuration);
    let done = AtomicBool::new(false);
    kuma.busy_timeout(Duration::from_secs(5)).unwrap();
    thread::scope(|scope| {
        let stop = &done;
        let writer = scope.spawn(move || {
            let mut beats = 0;
            while !stop.load(Ordering::Relaxed) {
                // Without the lock in time it fails.
                kuma.execute_batch("UPDATE monitor_tls_info SET info_json='x' WHERE id=-1").unwrap();
                beats += 1;
            }
            beats
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        // A writer that never pauses may keep the lock from us for some time.
        while let Err(error) = write(&instance, &here, &wanted) {
            assert!(error.kind() == Kind::DatabaseBusy && Instant::now() < deadline, "{}", error.chain());
        }
        done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
    assert!(library_export(&instance).configuration == wanted);
}
