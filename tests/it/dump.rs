//! Promise: a dump format never changes its bytes, gives every value back as it was, and nothing that is cut,
//! changed or written otherwise is taken for a dump.

use kuma_replicator::model::catalog::{safe_upload_name, upload_name};
use kuma_replicator::model::configuration::{Configuration, UploadedFile};
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump::{self, FORMAT, Fault};
use kuma_replicator::model::manifest::{Manifest, Place};
use kuma_replicator::model::schema::Schema;
use kuma_replicator::model::snapshot::Tags;
use kuma_replicator::model::value::Value;
use proptest::prelude::*;

use crate::support::arbitrary;
use crate::support::rows::{dump_of, i, manifest, r, raw, t, table};

/// The bytes of format 1. They are never edited once it is released: a change of them is another format. For a new
/// format, `the_format_is_what_it_was` writes the file that it expects and names it.
const GOLDEN: &[u8] = include_bytes!("../golden/dump-1.jsonl");

/// The configuration in them.
fn golden() -> Configuration {
    let monitors = vec![
        vec![i(1), t("first"), t("2026-01-01 00:00:00"), i(1), r(48.0), Value::Null, i(4)],
        vec![
            i(4),
            t("a \"quoted\" \\ / \t name\r\n; ü € 😀"),
            t("2026-01-01T10:00"),
            t("true"),
            r(-0.0),
            t(""),
            Value::Null,
        ],
        vec![i(7), t("\u{0}\u{1f}\u{7f}\u{2028}"), Value::Null, r(1.5), r(5e-324), t("null"), i(i64::MAX)],
        vec![i(12), raw(b"\xff\xfe"), t("x"), i(i64::MIN), r(f64::INFINITY), Value::Blob([0, 255].into()), i(-1)],
        vec![i(100), t("007"), t("x"), r(1e300), r(f64::NEG_INFINITY), Value::Blob([].into()), i(0)],
        vec![i(101), Value::Null, Value::Null, Value::Null, r(0.1), raw(b"\x80"), Value::Null],
    ];
    let columns = ["id", "name", "created_date", "active", "timeout", "body", "parent"];
    let settings = vec![
        vec![t("trustProxy"), t("general"), t("false")],
        vec![t("apiKeysEnabled"), Value::Null, t("true")],
        vec![t("tlsExpiryNotifyDays"), t("general"), t("[7,14,21]")],
        vec![t("primaryBaseURL"), t("general"), t("\"https://status.example.com\"")],
        vec![t("steamAPIKey"), raw(b"\xff"), i(7)],
        vec![t("entryPage"), t("general"), Value::Null],
    ];
    Configuration {
        tables: vec![
            table("user", &["id", "username", "password"], vec![vec![i(1), t("admin"), t("$2a$10$x")]]),
            table("status_page", &["id", "slug", "icon"], vec![vec![i(1), t("main"), t("/upload/logo1.png?t=1")]]),
            table("group", &["id", "name"], vec![]),
            table("monitor", &columns, monitors),
            table(
                "monitor_notification",
                &["monitor_id", "notification_id"],
                vec![
                    vec![i(1), t("b")],
                    vec![i(1), Value::Null],
                    vec![i(1), r(7.0)],
                    vec![i(1), i(7)],
                    vec![i(1), r(-0.0)],
                    vec![i(1), t("a")],
                    vec![i(1), i(7)],
                ],
            ),
            table(
                "monitor_tag",
                &["monitor_id", "tag_id", "value"],
                vec![
                    vec![i(1), i(1), Value::Null],
                    vec![i(1), i(1), t("b")],
                    vec![i(1), i(1), i(7)],
                    vec![i(1), i(1), r(7.0)],
                    vec![i(1), i(1), t("a")],
                    vec![i(1), i(1), t("a")],
                    // Where the notations of a real change: part of the format like everything else.
                    vec![i(2), i(1), r(1e15)],
                    vec![i(2), i(1), r(1e16)],
                    vec![i(2), i(1), r(1e17)],
                    vec![i(2), i(1), r(1.5e22)],
                    vec![i(2), i(1), r(0.001)],
                    vec![i(2), i(1), r(1e-4)],
                    vec![i(2), i(1), r(1e-5)],
                    vec![i(2), i(1), r(1e-6)],
                    vec![i(2), i(1), r(-1.25e-7)],
                    vec![i(2), i(1), r(123_456_789.123_456_79)],
                    vec![i(2), i(1), r(f64::MAX)],
                ],
            ),
            table("setting", &["key", "type", "value"], settings),
        ],
        files: vec![UploadedFile { name: "logo1.png".to_owned(), content: b"\x89PNG\r\n\x1a\n".to_vec() }],
        zone: "Europe/Berlin".parse().ok(),
    }
}

fn golden_manifest() -> Manifest {
    let place = Place { main: "0123456789abcdef0123456789abcdef".parse().unwrap(), epoch: 1, sequence: 42 };
    manifest(&golden(), Some(place))
}

#[test]
fn the_format_is_what_it_was() {
    let manifest = golden_manifest();
    let rendered = dump::render(&manifest, dump::body(&golden()));
    if rendered != GOLDEN {
        let path = format!("{}/dump-{FORMAT}.jsonl", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, &rendered).unwrap();
        panic!("the format has changed: compare the file in tests/golden with {path}; a change is another format");
    }
    let dump = dump::parse(GOLDEN).unwrap();
    assert_eq!(dump.manifest, manifest);
    assert_eq!(dump.configuration, golden());
    for line in GOLDEN.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<serde_json::Value>(line).expect("each line is JSON for every other reader");
    }
}

/// The time zone comes first, and only once: a later line like that is a row of its table.
#[test]
fn the_time_zone_is_part_of_what_the_digest_covers() {
    let zoned = |zone: Option<&str>| Configuration { zone: zone.map(|zone| zone.parse().unwrap()), ..golden() };
    let bodies = [None, Some("Europe/Berlin"), Some("Asia/Tokyo")].map(|zone| dump::body(&zoned(zone)));
    assert_eq!(bodies[1], [b"{\"zone\":\"Europe/Berlin\"}\n", bodies[0].as_slice()].concat());
    assert!(Digest::of(&bodies[0]) != Digest::of(&bodies[1]) && Digest::of(&bodies[1]) != Digest::of(&bodies[2]));
    assert_eq!(dump::parse(&dump_of(&zoned(None))).unwrap().configuration, zoned(None));
    for line in ["{\"zone\":\"../UTC\"}", "{\"zone\":\"\"}", "{\"zone\":null}", "{ \"zone\":\"UTC\"}"] {
        assert!(dump::parse_body(format!("{line}\n").as_bytes()).is_err(), "{line}");
    }
    let twice = [b"{\"zone\":\"UTC\"}\n", bodies[1].as_slice()].concat();
    assert!(dump::parse_body(&twice).is_err());
}

/// Settings are not part of the schema: a setting that Uptime Kuma adds makes no other schema.
#[test]
fn settings_make_no_other_schema() {
    let mut without = golden();
    without.tables.retain(|table| table.spec.name != "setting");
    assert_eq!(golden_manifest().fingerprint, manifest(&without, None).fingerprint);
    assert_eq!(dump::parse(&dump_of(&without)).unwrap().configuration, without);
}

/// The tags of a snapshot say its format, so that a dump that cannot be read is not fetched.
#[test]
fn tags_say_whether_a_dump_can_be_read() {
    for (format, readable) in [(0, false), (1, true), (2, false), (3, false)] {
        let Manifest { place, digest, fingerprint: schema, .. } = golden_manifest();
        let place = place.unwrap();
        let fleet = place.main.clone();
        assert_eq!(Tags { format, place, fleet, digest, schema }.readable(), readable, "{format}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_configuration_comes_back(configuration in arbitrary::configuration()) {
        let dump = dump::parse(&dump_of(&configuration)).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(&dump.configuration, &configuration);
        // `==` of the model is that of storage classes and bits; the bytes agree with it.
        prop_assert_eq!(dump::body(&dump.configuration), dump::body(&configuration));
    }

    #[test]
    fn every_value_comes_back(value in arbitrary::value()) {
        let mut out = Vec::new();
        value.render(&mut out);
        prop_assert!(!out.contains(&b'\n'), "a value never breaks its line");
        let back: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(&back, &value);
        if let (Value::Real(a), Value::Real(b)) = (&back, &value) {
            prop_assert_eq!(a.to_bits(), b.to_bits());
            let text = String::from_utf8(out).unwrap();
            prop_assert!(a.is_infinite() || text.contains(['.', 'e']), "{} looks like an integer", text);
        }
    }

    #[test]
    fn other_rows_have_another_digest((one, other) in arbitrary::pair()) {
        let digest = |configuration| Digest::of(&dump::body(configuration));
        prop_assert_eq!(digest(&one) == digest(&other), one == other);
    }

    #[test]
    fn a_changed_byte_is_noticed(
        configuration in arbitrary::configuration(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let good = dump_of(&configuration);
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad[at] ^= flip;
        match dump::parse(&bad) {
            Err(_) => {}
            // The first line is about the dump; what of it is only for people is not covered by any digest.
            Ok(dump) => {
                let first = good.iter().position(|byte| *byte == b'\n').unwrap();
                prop_assert!(at < first, "byte {} of {} was changed unnoticed", at, good.len());
                prop_assert_eq!(&dump.configuration, &configuration);
                let changed = Manifest {
                    agent: String::new(),
                    host: String::new(),
                    created: jiff::Timestamp::UNIX_EPOCH,
                    ..dump.manifest
                };
                let original = Manifest {
                    agent: String::new(),
                    host: String::new(),
                    created: jiff::Timestamp::UNIX_EPOCH,
                    ..manifest(&configuration, None)
                };
                prop_assert_eq!(changed, original);
            }
        }
    }

    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(dump::parse(&bytes).is_err());
    }
}

#[test]
fn a_dump_that_is_cut_anywhere_is_refused() {
    for length in 0..GOLDEN.len() {
        let fault = dump::parse(&GOLDEN[..length]).expect_err("cut");
        assert!(matches!(fault, Fault::Damaged(_)), "cut after {length} bytes: {fault}");
    }
    let mut longer = GOLDEN.to_vec();
    longer.push(b'\n');
    assert!(dump::parse(&longer).is_err());
    longer.extend_from_slice(GOLDEN);
    assert!(dump::parse(&longer).is_err());
}

#[test]
fn the_digest_depends_on_content_alone() {
    let configuration = golden();
    let one = golden_manifest();
    let other = Manifest {
        agent: "9.9.9".to_owned(),
        host: "elsewhere".to_owned(),
        created: "2030-01-01T00:00:00Z".parse().unwrap(),
        place: None,
        ..one.clone()
    };
    let body = dump::body(&configuration);
    for manifest in [one, other] {
        let dump = dump::parse(&dump::render(&manifest, body.clone())).unwrap();
        assert_eq!(dump.manifest.digest, Digest::of(&body));
    }
    // Columns given in another order are the same content.
    let turned = table("user", &["password", "username", "id"], vec![vec![t("$2a$10$x"), t("admin"), i(1)]]);
    assert_eq!(&turned, configuration.table("user").unwrap());
}

/// A dump with `body` whose digest and schema are right, so that only what is wrong with the body can be refused.
fn with_body(body: &str, counts: &[(&str, u64)], files: u64) -> Vec<u8> {
    let mut manifest = manifest(&Configuration::default(), None);
    manifest.digest = Digest::of(body.as_bytes());
    for line in body.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        if let (Some(table), Some(columns)) = (line["table"].as_str(), line["columns"].as_array()) {
            let columns = columns.iter().filter_map(|column| column.as_str()).map(str::to_owned).collect();
            manifest.schema.tables.insert(table.to_owned(), columns);
        }
    }
    manifest.schema.tables.remove("setting");
    manifest.fingerprint = manifest.schema.fingerprint();
    manifest.counts = counts.iter().map(|(table, rows)| ((*table).to_owned(), *rows)).collect();
    manifest.files = files;
    dump::render(&manifest, body.into())
}

const TABLE: &str = r#"{"table":"tag","columns":["color","id","name"]}"#;

#[test]
fn a_body_in_any_other_form_is_refused() {
    let good = format!("{TABLE}\n{{\"id\":1,\"name\":\"é\"}}\n{{\"id\":2}}\n");
    assert!(dump::parse(&with_body(&good, &[("tag", 2)], 0)).is_ok(), "the base of all cases below");
    let sha256 = Digest::of(b"x").hex();
    let empty = Digest::of(b"").hex();
    let file = |name: &str| {
        let name = serde_json::to_string(name).unwrap();
        format!(r#"{{"file":{name},"size":1,"sha256":"{sha256}","content":"eA=="}}"#)
    };
    assert!(dump::parse(&with_body(&format!("{}\n", file("a.png")), &[], 1)).is_ok());
    let rows: &[(&str, &str)] = &[
        ("a space", r#"{"id": 1}"#),
        ("a space at the end", r#"{"id":1} "#),
        ("a carriage return", "{\"id\":1}\r"),
        ("keys in another order", r#"{"name":"x","id":1}"#),
        ("a NULL that is written", r#"{"id":1,"name":null}"#),
        ("the same key twice", r#"{"id":1,"id":1}"#),
        ("the same key twice with other values", r#"{"id":2,"id":1}"#),
        ("an escape that is not needed", r#"{"id":1,"name":"\u0061"}"#),
        ("an escaped slash", r#"{"id":1,"name":"a\/b"}"#),
        ("an escape in upper case", r#"{"id":1,"name":"\u001F"}"#),
        ("a surrogate pair", r#"{"id":1,"name":"\ud83d\ude00"}"#),
        ("half a surrogate pair", r#"{"id":1,"name":"\ud83d"}"#),
        ("a raw control character", "{\"id\":1,\"name\":\"\u{1}\"}"),
        ("an exponent in upper case", r#"{"id":1,"name":1E5}"#),
        ("a real that is not the shortest", r#"{"id":1,"name":1.50}"#),
        ("a real without need of an exponent", r#"{"id":1,"name":15e-1}"#),
        ("minus nothing", r#"{"id":1,"name":-0}"#),
        ("a plus sign", r#"{"id":1,"name":+1}"#),
        ("a leading zero", r#"{"id":1,"name":01}"#),
        ("an integer beyond 64 bits", r#"{"id":1,"name":9223372036854775808}"#),
        ("a real beyond all bounds", r#"{"id":1,"name":1e999}"#),
        ("true", r#"{"id":1,"name":true}"#),
        ("an array", r#"{"id":1,"name":[1]}"#),
        ("an object of its own", r#"{"id":1,"name":{"a":"b"}}"#),
        ("a wrapped value with more", r#"{"id":1,"name":{"$blob":"AA==","x":1}}"#),
        ("a blob without padding", r#"{"id":1,"name":{"$blob":"AA"}}"#),
        ("a blob with bits to spare", r#"{"id":1,"name":{"$blob":"AB=="}}"#),
        ("a blob with a line break", r#"{"id":1,"name":{"$blob":"AA\n=="}}"#),
        ("wrapped text that needs none", r#"{"id":1,"name":{"$text":"YQ=="}}"#),
        ("a finite wrapped real", r#"{"id":1,"name":{"$real":"1"}}"#),
        ("not a number", r#"{"id":1,"name":{"$real":"nan"}}"#),
        ("an unknown column", r#"{"id":1,"namer":1}"#),
        ("no object", "[1]"),
        ("two objects", r#"{"id":1}{"id":2}"#),
        ("nothing but a comment", "// x"),
        ("an id twice", "{\"id\":1}\n{\"id\":1,\"name\":\"x\"}"),
        ("ids in another order", "{\"id\":2}\n{\"id\":1}"),
        ("an empty line", "{\"id\":1}\n\n{\"id\":2}"),
    ];
    for (name, row) in rows {
        let body = format!("{TABLE}\n{row}\n");
        let count = row.lines().filter(|line| !line.is_empty()).count() as u64;
        let fault = dump::parse(&with_body(&body, &[("tag", count)], 0)).expect_err(name);
        assert!(matches!(fault, Fault::Damaged(_)), "{name}: {fault}");
    }
    let columns = |name: &str, columns: &str| format!("{{\"table\":\"{name}\",\"columns\":[{columns}]}}");
    let setting = |rows: &str| format!("{}\n{rows}", columns("setting", r#""key","value""#));
    let mut bodies = vec![
        ("a table of the instance", columns("heartbeat", "\"id\"")),
        ("the id of a setting", columns("setting", r#""id","key""#)),
        ("another column of a setting", columns("setting", r#""key","note""#)),
        ("a setting of the instance", setting(r#"{"key":"jwtSecret","value":"x"}"#)),
        ("an unknown setting", setting(r#"{"key":"future"}"#)),
        ("a setting by a key in capitals", setting(r#"{"key":"CHECKBETA"}"#)),
        ("a setting by a blob", setting(r#"{"key":{"$blob":"Y2hlY2tCZXRh"}}"#)),
        ("a setting without a key", setting(r#"{"value":"true"}"#)),
        ("a setting twice", setting("{\"key\":\"checkBeta\"}\n{\"key\":\"checkBeta\",\"value\":\"1\"}")),
        ("settings in another order", setting("{\"key\":\"checkUpdate\"}\n{\"key\":\"checkBeta\"}")),
        ("settings before a table", format!("{}\n{TABLE}", columns("setting", "\"key\""))),
        ("an unknown table", columns("better_auth_user", "\"id\"")),
        ("columns in another order", columns("tag", r#""name","id""#)),
        ("a column twice", columns("tag", r#""id","id""#)),
        ("a table without columns", columns("tag", "")),
        ("a column that does not travel", columns("monitor", r#""dns_last_result","id""#)),
        ("the id of a link", columns("monitor_tag", r#""id","tag_id""#)),
        ("a table twice", format!("{TABLE}\n{TABLE}")),
        ("tables in another order", format!("{TABLE}\n{}", columns("user", "\"id\""))),
        ("a row without a table", r#"{"id":1}"#.to_owned()),
        ("more in the table's line", r#"{"table":"tag","columns":["id"],"x":1}"#.to_owned()),
        ("keys of the table's line turned", r#"{"columns":["id"],"table":"tag"}"#.to_owned()),
        (
            "links in another order",
            format!("{}\n{{\"tag_id\":2}}\n{{\"tag_id\":1}}", columns("monitor_tag", "\"tag_id\"")),
        ),
        (
            "tags of a later monitor first",
            format!("{}\n{{\"monitor_id\":2}}\n{{\"monitor_id\":1}}", columns("monitor_tag", "\"monitor_id\"")),
        ),
        ("a file before a table", format!("{}\n{TABLE}", file("a.png"))),
        ("a file twice", format!("{0}\n{0}", file("a.png"))),
        ("files in another order", format!("{}\n{}", file("b.png"), file("a.png"))),
        ("another size", file("a.png").replace("\"size\":1", "\"size\":2")),
        ("another hash", file("a.png").replace(&sha256, &empty)),
        ("a hash in upper case", file("a.png").replace(&sha256, &sha256.to_uppercase())),
        ("more in the file's line", file("a.png").replace("\"size\"", "\"mode\":511,\"size\"")),
    ];
    for name in [
        "",
        ".",
        "..",
        ".hidden",
        "/etc/passwd",
        "a/b",
        "../x",
        "a\\b",
        "a\0b",
        "a b",
        "ü.png",
        "a\nb",
        &"x".repeat(256),
    ] {
        bodies.push(("a bad file name", file(name)));
    }
    for (name, body) in bodies {
        let tables = body.matches("\"table\"").count() as u64;
        let body = format!("{body}\n");
        // Counts are made to fit wherever they can, so that they are not what is refused.
        let lines = body.lines().count() as u64;
        let files = body.matches("\"file\"").count() as u64;
        let counts = [("tag", 0), ("monitor", 0), ("user", 0), ("setting", lines - 1), ("monitor_tag", lines - 1)];
        for wanted in 0..=counts.len() {
            let fault = dump::parse(&with_body(&body, &counts[..wanted], files)).expect_err(name);
            assert!(matches!(fault, Fault::Damaged(_)), "{name}: {fault} ({tables} tables)");
            assert!(!fault.to_string().contains("does not describe"), "{name} is only refused for its counts: {body}");
        }
    }
}

#[test]
fn a_first_or_last_line_that_does_not_fit_is_refused() {
    let text = String::from_utf8(GOLDEN.to_vec()).unwrap();
    let line = |at: usize| text.lines().nth(at).unwrap().to_owned();
    let (first, last) = (line(0), text.lines().last().unwrap().to_owned());
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let with_schema = |change: fn(&mut Schema)| {
        let mut manifest = golden_manifest();
        change(&mut manifest.schema);
        manifest.fingerprint = manifest.schema.fingerprint();
        String::from_utf8(dump::render(&manifest, dump::body(&golden()))).unwrap()
    };
    let other = Digest::of(b"other").to_string();
    let digest = golden_manifest().digest.to_string();
    let cases = [
        ("format 2", replaced("\"format\":1", "\"format\":2"), Some(2)),
        ("format 0", replaced("\"format\":1", "\"format\":0"), Some(0)),
        ("a format beyond 32 bits", replaced("\"format\":1", "\"format\":4294967297"), Some(4_294_967_297)),
        ("a format that is not a number", replaced("\"format\":1", "\"format\":\"1\""), None),
        ("no format", replaced("\"format\":1,", ""), None),
        ("an unknown key", replaced("\"format\":1", "\"format\":1,\"x\":1"), None),
        ("a key twice", replaced("\"format\":1", "\"format\":1,\"format\":1"), None),
        ("a space", replaced("\"format\":1", "\"format\": 1"), None),
        (
            "keys in another order",
            replaced("\"format\":1,\"agent\":\"0.1.0\"", "\"agent\":\"0.1.0\",\"format\":1"),
            None,
        ),
        ("another digest in the first line", replaced(&digest, &other), None),
        ("another digest in the last line", text.replace(&last, &last.replace(&digest, &other)), None),
        ("both with another digest", text.replace(&digest, &other), None),
        ("a digest in upper case", replaced(&digest, &digest.to_uppercase()), None),
        ("a fingerprint that does not fit", replaced("2025-01-01-0000", "2025-01-02-0000"), None),
        (
            "a column that is not there",
            with_schema(|schema| {
                schema.tables.get_mut("user").unwrap().insert("email".to_owned());
            }),
            None,
        ),
        (
            "a column less",
            with_schema(|schema| {
                schema.tables.get_mut("user").unwrap().remove("password");
            }),
            None,
        ),
        (
            "a table that is not there",
            with_schema(|schema| {
                schema.tables.insert("tag".to_owned(), ["id".to_owned()].into());
            }),
            None,
        ),
        (
            "settings in the schema",
            with_schema(|schema| {
                schema.tables.insert("setting".to_owned(), ["key", "type", "value"].map(str::to_owned).into());
            }),
            None,
        ),
        (
            "a table less",
            with_schema(|schema| {
                schema.tables.remove("user");
            }),
            None,
        ),
        ("a count less", replaced("\"monitor\":6", "\"monitor\":5"), None),
        ("a count more", replaced("\"monitor\":6", "\"monitor\":6,\"tag\":0"), None),
        ("files that are not there", replaced("\"files\":1", "\"files\":2"), None),
        ("a bad main", replaced("0123456789abcdef0123456789abcdef", "0123"), None),
        ("a negative sequence", replaced("\"sequence\":42", "\"sequence\":-1"), None),
        ("no closing line", text.replace(&format!("{last}\n"), ""), None),
        ("the end is no end", replaced("{\"end\":true", "{\"end\":false"), None),
        ("more in the closing line", replaced("{\"end\":true", "{\"end\":true,\"x\":1"), None),
        ("a space in the closing line", replaced("{\"end\":true", "{\"end\": true"), None),
        ("something after it", format!("{text}{{}}\n"), None),
        ("two manifests", format!("{first}\n{text}"), None),
        ("a byte order mark", format!("\u{feff}{text}"), None),
        ("line ends of another system", text.replace('\n', "\r\n"), None),
    ];
    for (name, text, format) in cases {
        match (dump::parse(text.as_bytes()), format) {
            (Err(Fault::Format(found)), Some(format)) => assert_eq!(found, format, "{name}"),
            (Err(Fault::Damaged(reason)), None) => assert!(!reason.is_empty(), "{name}"),
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn sizes_have_limits() {
    // Not even looked into.
    let fault = dump::parse(&vec![b'{'; dump::MAX_DUMP + 1]).expect_err("too large");
    assert!(fault.to_string().contains("more than"), "{fault}");
    let with = |size: usize| Configuration {
        tables: Vec::new(),
        files: vec![UploadedFile { name: "a.png".to_owned(), content: vec![7; size] }],
        zone: None,
    };
    assert!(dump::parse(&dump_of(&with(dump::MAX_FILE))).is_ok());
    assert!(dump::parse(&dump_of(&with(dump::MAX_FILE + 1))).is_err());
}

#[test]
fn names_of_uploaded_files() {
    let cases = [
        ("/upload/logo1.png", Some("logo1.png")),
        ("/upload/logo1.png?t=1795415670452", Some("logo1.png")),
        ("/upload/logo1.png#x?y", Some("logo1.png")),
        ("/upload/A-b_1.x.y", Some("A-b_1.x.y")),
        ("upload/logo1.png", None),
        ("/upload/", None),
        ("/upload/?t=1", None),
        ("/upload/.", None),
        ("/upload/..", None),
        ("/upload/../kuma.db", None),
        ("/upload/a/b.png", None),
        ("/upload//b.png", None),
        ("/upload/%2e%2e%2fkuma.db", None),
        ("/upload/a\\b", None),
        ("/upload/a\0", None),
        ("https://example.com/upload/x.png", None),
        ("//upload/x.png", None),
        ("", None),
    ];
    for (value, wanted) in cases {
        assert_eq!(upload_name(value), wanted, "{value:?}");
        assert!(wanted.is_none_or(safe_upload_name));
    }
}
