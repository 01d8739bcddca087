//! Promise: the worker does what the database itself would do, keeps a claim as long as it is wanted, and is believed
//! no more than a snapshot.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kuma_replicator::cycle::History;
use kuma_replicator::error::{Error, Kind};
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::host::kuma::worker::Worker;
use kuma_replicator::model::dump;
use kuma_replicator::model::schema::Schema;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::support::instance::{Instance, Order, Version};
use crate::support::rows::t;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kuma-replicator");

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn worker(instance: &Instance) -> Worker {
    let mut worker = Worker::start_program(Path::new(PROGRAM), None).await.unwrap();
    worker.open(&instance.path()).await.unwrap();
    worker
}

#[test]
fn a_worker_reads_and_writes_as_the_database_itself_does() {
    block(async {
        let (instance, other) =
            (Instance::rich(Version::Two, Order::Fresh), Instance::rich(Version::Two, Order::Upgraded));
        other.execute("UPDATE monitor SET name='renamed'; DELETE FROM monitor WHERE id=60");
        let wanted = Database::new(other.path()).export().unwrap().configuration;
        let mut worker = worker(&instance).await;
        let here = worker.export().await.unwrap();
        assert_eq!(here, Database::new(instance.path()).export().unwrap());
        assert_eq!(worker.migrating().await.unwrap(), None);
        assert_eq!(worker.unknown_tables().await.unwrap(), Database::new(instance.path()).unknown_tables().unwrap());
        worker.check_intact().await.unwrap();
        worker.check_writable(1, true).await.unwrap();
        worker.rehearse(&here.configuration, &wanted).await.unwrap();

        let mut claimed = worker.claim(Duration::ZERO).await.unwrap();
        assert_eq!(claimed.export().await.unwrap().configuration, here.configuration);
        assert_eq!(claimed.write(&wanted, History::Remove).await.unwrap(), Vec::<String>::new());
        assert_eq!(Database::new(instance.path()).export().unwrap().configuration, wanted);
    });
}

#[test]
fn a_worker_writes_live_and_refuses_what_the_database_refuses() {
    block(async {
        let instance = Instance::rich(Version::Two, Order::Fresh);
        let kuma = instance.open();
        kuma.execute_batch("PRAGMA journal_mode=WAL; SELECT count(*) FROM monitor").unwrap();
        let mut worker = worker(&instance).await;
        let here = worker.export().await.unwrap();
        let mut wanted = here.configuration.clone();
        let tags = wanted.table_mut("tag").unwrap();
        let name = tags.position("name").unwrap();
        tags.rows.iter_mut().for_each(|row| row[name] = t("renamed"));
        assert!(worker.write_live(&here, &wanted).await.unwrap().is_empty());
        assert_eq!(instance.value("SELECT DISTINCT name FROM tag"), t("renamed"));
        // The same rows again: they are others by now.
        let error = worker.write_live(&here, &wanted).await.unwrap_err();
        assert_eq!(error.kind(), Kind::DatabaseBusy, "{error:?}");
        assert!(error.hint().contains("plans again"), "the hint crosses the pipe: {error:?}");
        let error = worker.claim(Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind(), Kind::DatabaseBusy, "{error:?}");
        assert!(error.chain().contains(&instance.path().display().to_string()), "{error:?}");
    });
}

#[test]
fn a_claim_lasts_until_it_is_dropped_and_not_longer() {
    block(async {
        let instance = Instance::rich(Version::Two, Order::Fresh);
        let database = Database::new(instance.path());
        let claimed = worker(&instance).await.claim(Duration::ZERO).await.unwrap();
        assert_eq!(database.export().unwrap_err().kind(), Kind::DatabaseBusy);
        drop(claimed);
        // At once: the next thing that happens is the start of Uptime Kuma.
        database.claim(Duration::ZERO).unwrap();
    });
}

#[test]
fn a_worker_that_dies_fails_the_request_and_is_not_asked_again() {
    block(async {
        let instance = Instance::rich(Version::Two, Order::Fresh);
        let mut worker = worker(&instance).await;
        let id = i32::try_from(worker.id().unwrap()).ok().and_then(Pid::from_raw).unwrap();
        rustix::process::kill_process(id, Signal::KILL).unwrap();
        for _ in 0..2 {
            let error = worker.export().await.unwrap_err();
            assert_eq!(error.kind(), Kind::WorkerFailed, "{error:?}");
        }
        assert!(!worker.is_usable());
    });
}

/// A frame with this head and body.
fn frame(head: &Value, body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).unwrap();
    let lengths = [&(head.len() as u32).to_le_bytes()[..], &(body.len() as u64).to_le_bytes()].concat();
    [lengths.as_slice(), &head, body].concat()
}

/// What becomes of an export by a worker that greets and then answers these bytes.
fn export_of(replies: &[u8]) -> Error {
    let greeting = json!({"ready": {"protocol": 1, "program": env!("CARGO_PKG_VERSION")}});
    replayed(&[frame(&greeting, b""), frame(&json!("done"), b""), replies.to_vec()].concat())
}

/// What becomes of an export by a worker that answers these bytes.
fn replayed(replies: &[u8]) -> Error {
    let directory = tempfile::tempdir().unwrap();
    let fake = directory.path().join("fake");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/worker/replay"), &fake).unwrap();
    fs::write(directory.path().join("fake.replies"), replies).unwrap();
    block(async {
        let mut worker = Worker::start_program(&fake, None).await?;
        worker.open(Path::new("/nowhere/kuma.db")).await?;
        worker.export().await
    })
    .unwrap_err()
}

#[test]
fn a_database_that_was_not_chosen_has_the_address_of_the_page_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (config, data) = (directory.path().join("config.toml"), directory.path().join("data"));
    let text = format!(
        "role = \"main\"\nrepository = \"/srv/r\"\n[uptime-kuma]\ndata-directory = {data:?}\n\
         url = \"http://127.0.0.1:3005\"\n"
    );
    fs::write(&config, text).unwrap();
    fs::create_dir(&data).unwrap();
    let exported = || {
        let program =
            Command::new(env!("CARGO_BIN_EXE_kuma-replicator")).arg("--config").arg(&config).arg("export").output();
        let program = program.unwrap();
        (program.status.code(), String::from_utf8_lossy(&program.stderr).into_owned())
    };
    let (code, said) = exported();
    assert!(code == Some(78) && said.contains("open http://127.0.0.1:3005 and choose SQLite"), "{code:?} {said}");
    // It was chosen.
    fs::write(data.join("db-config.json"), r#"{"type":"sqlite"}"#).unwrap();
    let (code, said) = exported();
    assert!(code == Some(78) && said.contains("there is no database") && !said.contains("3005"), "{code:?} {said}");
    fs::write(data.join("db-config.json"), r#"{"type":"mariadb"}"#).unwrap();
    let (code, said) = exported();
    assert!(code == Some(65) && said.contains("keeps its data in mariadb"), "{code:?} {said}");
}

#[test]
fn what_a_worker_sends_is_not_believed() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let export = Database::new(instance.path()).export().unwrap();
    let body = dump::body(&export.configuration);
    let head = |schema: &Schema| json!({"export": {"schema": schema, "warnings": []}});
    let mut other = export.schema.clone();
    other.tables.get_mut("monitor").unwrap().insert("another_column".to_owned());
    let mut without = export.configuration.clone();
    without.tables.retain(|table| table.spec.name != "monitor");
    let mut schema_without = export.schema.clone();
    schema_without.tables.remove("monitor");
    let failed = |kind: &str| frame(&json!({"failed": {"kind": kind, "what": "x", "hint": null, "cause": null}}), b"");
    let mut zoned = export.configuration.clone();
    zoned.zone = Some("Asia/Tokyo".parse().unwrap());
    let table: [(&str, Vec<u8>, Kind); 12] = [
        ("nothing", Vec::new(), Kind::WorkerFailed),
        ("no frame", vec![0; 11], Kind::WorkerFailed),
        ("a head of 4 GiB", vec![255; 12], Kind::WorkerFailed),
        ("a body of 16 EiB", [&2_u32.to_le_bytes()[..], &[255; 8], b"{}"].concat(), Kind::WorkerFailed),
        ("an unknown reply", frame(&json!("hello"), b""), Kind::WorkerFailed),
        ("another reply", frame(&json!("done"), b""), Kind::WorkerFailed),
        ("a schema that does not describe the rows", frame(&head(&other), &body), Kind::WorkerFailed),
        ("no monitors at all", frame(&head(&schema_without), &dump::body(&without)), Kind::WorkerFailed),
        ("a time zone", frame(&head(&export.schema), &dump::body(&zoned)), Kind::WorkerFailed),
        ("a body that is cut", frame(&head(&export.schema), &body[..body.len() - 1]), Kind::SnapshotDamaged),
        ("a failure that it cannot know of", failed("fenced"), Kind::WorkerFailed),
        ("a failure", failed("database-corrupt"), Kind::DatabaseCorrupt),
    ];
    for (name, replies, expected) in table {
        let error = export_of(&replies);
        assert_eq!(error.kind(), expected, "{name}: {error:?}");
    }
}

#[test]
fn another_program_is_not_taken_for_a_worker() {
    for program in ["/bin/true", "/bin/echo", "/nowhere"] {
        let error = block(Worker::start_program(Path::new(program), None)).unwrap_err();
        assert_eq!(error.kind(), Kind::WorkerFailed, "{program}: {error:?}");
    }
    for greeting in [
        json!({"ready": {"protocol": 2, "program": env!("CARGO_PKG_VERSION")}}),
        json!({"ready": {"protocol": 1, "program": "0.0.1"}}),
        json!("done"),
    ] {
        assert_eq!(replayed(&frame(&greeting, b"")).kind(), Kind::WorkerFailed, "{greeting}");
    }
}
