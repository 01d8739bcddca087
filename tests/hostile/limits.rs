//! The documented limits: what is just within them is read, what is beyond is refused, and neither takes more
//! memory than `docs/format.md` says.

use kuma_replicator::cycle::verify;
use kuma_replicator::error::Kind;
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::host::store;
use kuma_replicator::host::system::files;
use kuma_replicator::model::configuration::{Configuration, UploadedFile};
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump;
use kuma_replicator::model::limits::{
    MAX_COLUMNS, MAX_FILES, MAX_MANIFEST, MAX_ROWS, MAX_STATE, MAX_VALUE, MAX_VALUES,
};
use kuma_replicator::model::manifest::Manifest;

use crate::Property;
use crate::budget::Budget;
use crate::memory::peak;
use crate::support::instance::{Instance, Order, Version};
use crate::support::rows;

/// None of them searches: the worst cases are known.
pub(crate) const FIXED: &[Property] = &[
    ("no_dump_takes_more_memory_than_documented", memory),
    ("room_for_50000_monitors_with_all_they_have", room),
    ("a_database_beyond_the_limits_is_not_exported", exports),
    ("a_state_file_or_setting_beyond_its_limit_is_refused_unread", small_files),
];

/// What reading may take beside twice the dump.
const DOCUMENTED: usize = 320 << 20;

/// A dump with this body, sealed, of a schema with this table.
fn with(table: &str, columns: &[String], count: usize, body: &[u8]) -> Vec<u8> {
    let mut manifest: Manifest = rows::manifest(&Configuration::default(), None);
    manifest.schema.tables.insert(table.to_owned(), columns.iter().cloned().collect());
    manifest.fingerprint = manifest.schema.fingerprint();
    manifest.counts.insert(table.to_owned(), count as u64);
    let columns = serde_json::to_string(columns).unwrap();
    let body = [format!("{{\"table\":\"{table}\",\"columns\":{columns}}}\n").as_bytes(), body].concat();
    manifest.digest = Digest::of(&body);
    dump::render(&manifest, body)
}

fn columns(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("c{at:04}")).collect()
}

/// How much it took, and whether it was accepted.
fn read(bytes: &[u8]) -> (bool, usize) {
    let (parsed, most) = peak(|| dump::parse(bytes));
    assert!(most <= 2 * bytes.len() + DOCUMENTED, "{most} bytes of memory for a dump of {}", bytes.len());
    (parsed.is_ok(), most)
}

fn memory(_: Budget) {
    // Three bytes a row, and each takes memory for all its columns.
    let empty = |rows: usize| b"{}\n".repeat(rows);
    let two = columns(2);
    assert!(read(&with("monitor_tag", &two, MAX_ROWS, &empty(MAX_ROWS))).0);
    let most = read(&with("monitor_tag", &two, MAX_ROWS + 1, &empty(MAX_ROWS + 1)));
    assert!(!most.0);
    let wide = columns(MAX_COLUMNS);
    let rows = MAX_VALUES / MAX_COLUMNS;
    assert!(read(&with("monitor_tag", &wide, rows, &empty(rows))).0);
    // Ten times as many cost no more.
    let (accepted, most) = read(&with("monitor_tag", &wide, 10 * rows, &empty(10 * rows)));
    assert!(!accepted && most < DOCUMENTED, "{most}");
    let beyond = columns(MAX_COLUMNS + 1);
    assert!(!read(&with("monitor_tag", &beyond, 0, b"")).0);

    // What would be large once it was understood is refused where it begins.
    let large = 4 << 20;
    let cases: [(&str, Vec<u8>); 7] = [
        ("numbers", [b"{\"c0000\":[", &*b"0,".repeat(large / 2), b"0]}\n"].concat()),
        ("texts", [b"{\"c0000\":[", &*b"\"\",".repeat(large / 3), b"\"\"]}\n"].concat()),
        ("depth", [b"{\"c0000\":", &*b"[".repeat(large), b"\n"].concat()),
        ("objects", [b"{\"c0000\":", &*b"{\"a\":".repeat(large / 5), b"\n"].concat()),
        ("keys", [b"{", &*b"\"c0000\":0,".repeat(large / 10), b"\"c0001\":0}\n"].concat()),
        ("columns", [b"{\"table\":\"tag\",\"columns\":[", &*b"\"\",".repeat(large / 3), b"\"\"]}\n"].concat()),
        ("a name", [b"{\"", &*b"x".repeat(large), b"\":1}\n"].concat()),
    ];
    for (name, row) in cases {
        let (accepted, most) = read(&with("monitor_tag", &two, 1, &row));
        assert!(!accepted && most < 4 * large, "{name}: {most} bytes of memory");
    }
    let text = |length: usize| [b"{\"c0000\":\"", &*b"x".repeat(length), b"\"}\n"].concat();
    assert!(read(&with("monitor_tag", &two, 1, &text(MAX_VALUE))).0);
    assert!(!read(&with("monitor_tag", &two, 1, &text(MAX_VALUE + 1))).0);

    let manifest = |size: usize| {
        let good = with("monitor_tag", &two, 0, b"");
        let host = "h".repeat(size - good.iter().position(|byte| *byte == b'\n').unwrap() + "alpha".len());
        String::from_utf8(good).unwrap().replacen("alpha", &host, 1).into_bytes()
    };
    assert!(read(&manifest(MAX_MANIFEST)).0);
    assert!(!read(&manifest(MAX_MANIFEST + 1)).0);
    let files = |count: usize| {
        let file = |at: usize| UploadedFile { name: format!("{at:04}"), content: vec![7] };
        rows::dump_of(&Configuration { tables: Vec::new(), files: (0..count).map(file).collect(), zone: None })
    };
    assert!(read(&files(MAX_FILES)).0);
    assert!(!read(&files(MAX_FILES + 1)).0);
}

fn room(_: Budget) {
    let monitors = 50_000;
    let monitor = columns(110);
    let row = |at: usize| {
        format!("{{\"c0000\":{at},\"c0001\":\"monitor {at}\",\"c0002\":\"https://example.com/{at}\",\"c0003\":60}}\n")
    };
    let body: String = (0..monitors).map(row).collect();
    let mut links = Vec::new();
    for (table, each) in
        [("monitor_notification", 4), ("monitor_tag", 5), ("monitor_group", 2), ("monitor_maintenance", 1)]
    {
        links.push(format!("{{\"table\":\"{table}\",\"columns\":[\"a\",\"b\",\"c\"]}}\n"));
        links.extend((0..monitors * each).map(|at| format!("{{\"a\":{},\"b\":{}}}\n", at / each, at % each)));
    }
    let body = [body, links.concat()].concat();
    // Only the manifest is wrong: all rows were read.
    let bytes = with("monitor", &monitor, monitors, body.as_bytes());
    let (parsed, most) = peak(|| dump::parse(&bytes));
    let message = parsed.expect_err("its manifest names one table").to_string();
    assert!(message.contains("manifest does not describe"), "{message}");
    assert!(most < 2 * bytes.len() + DOCUMENTED, "{most}");
}

fn exports(_: Budget) {
    let cases = [
        (
            "rows",
            format!(
                "PRAGMA foreign_keys=OFF; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<={MAX_ROWS})
                 INSERT INTO monitor_tag (monitor_id, tag_id) SELECT i, 1 FROM n"
            ),
        ),
        ("value", format!("UPDATE user SET password=zeroblob({MAX_VALUE}+1)")),
    ];
    for (name, sql) in cases {
        let instance = Instance::empty(Version::Two, Order::Fresh);
        instance.execute(&sql);
        let (exported, most) = peak(|| Database::new(instance.path()).export());
        let error = exported.expect_err(name);
        assert_eq!(error.kind(), Kind::SnapshotDamaged, "{error:?}");
        assert!(error.chain().contains("more than") && error.hint().contains("limits.md"), "{error:?}");
        assert!(most < DOCUMENTED, "{name}: {most}");
    }
    let fault = verify(&vec![b' '; dump::MAX_DUMP + 1], None).expect_err("too large");
    assert_eq!(fault.kind(), Kind::SnapshotDamaged);
}

fn small_files(_: Budget) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    std::fs::File::create(&path).unwrap().set_len(100 << 30).unwrap();
    let (read, most) = peak(|| store::read_state(directory.path()));
    assert_eq!(read.expect_err("100 GiB").kind(), Kind::StateDamaged);
    assert!(most < 4 * MAX_STATE, "{most}");
    // A pipe that nobody writes into, and a device without an end.
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(store::read_state(directory.path()).expect_err("a pipe").kind(), Kind::StateDamaged);
    assert!(files::read_small("/dev/zero".as_ref(), 10).is_err());
}
