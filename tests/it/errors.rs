//! Promise: whatever goes wrong has a name, an exit code and a next step, and the documentation and the
//! journal's catalog explain all of it, with no entry too many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use kuma_replicator::cycle::{Event, Fields, Level, MESSAGE_IDS};
use kuma_replicator::error::{Error, Exit, Kind};
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::origin::Origin;
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::snapshot::SnapshotId;
use kuma_replicator::model::told::Told;
use kuma_replicator::plan::Size;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_kind_has_a_name_a_code_and_a_hint() {
    let mut names = BTreeSet::new();
    for kind in Kind::ALL {
        let name = kind.name();
        assert!(names.insert(name), "{name} stands twice");
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        assert!(!name.starts_with('-') && !name.ends_with('-') && !name.contains("--"), "{name}");
        assert_ne!(kind.exit(), Exit::Success, "{name}: a failure does not end with 0");
        assert!(kind.hint().len() > 10 && !kind.hint().contains('\n'), "{name}: {}", kind.hint());
        assert!(!Outcome::from(*kind).is_success(), "{name}");
    }
    assert!(names.len() > 30);
    let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 65, 75, 77, 78], "a contract");
}

#[test]
fn an_error_tells_what_why_and_what_next() {
    let deep = std::io::Error::new(std::io::ErrorKind::NotFound, "deep down");
    let error = Error::new(Kind::Config, "outermost").because(Error::io("read it", deep));
    assert_eq!(error.chain(), "outermost: cannot read it: deep down");
    assert_eq!(error.hint(), Kind::Config.hint());
    assert_eq!(error.with_hint("more exact").hint(), "more exact");
    use std::io::ErrorKind as Io;
    for (io, kind) in [
        (Io::StorageFull, Kind::DiskFull),
        (Io::QuotaExceeded, Kind::DiskFull),
        (Io::PermissionDenied, Kind::NotPermitted),
        (Io::ReadOnlyFilesystem, Kind::NotPermitted),
        (Io::NotFound, Kind::Files),
    ] {
        assert_eq!(Error::io("x", io.into()).kind(), kind);
    }
}

/// The rows of all tables in `text` under their last heading, as cells without the border.
fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    let mut heading = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut heading);
        } else if let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) {
            found.push((heading.clone(), row.split('|').map(|cell| cell.trim().to_owned()).collect()));
        }
    }
    found
}

#[test]
fn the_documentation_has_every_kind_under_its_exit_code() {
    let rows = rows(&read("docs/errors.md"));
    let mut documented = BTreeMap::new();
    for (heading, cells) in &rows {
        let Some(name) = cells[0].strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        let code: u8 = heading.strip_prefix("Exit code ").unwrap().parse().unwrap();
        assert_eq!(cells.len(), 3, "{name}: kind, meaning, what to do");
        assert!(cells[1].len() > 20 && cells[2].len() > 3, "{name} is not explained");
        assert!(documented.insert(name.to_owned(), code).is_none(), "{name} is documented twice");
    }
    let kinds: BTreeMap<String, u8> =
        Kind::ALL.iter().map(|kind| (kind.name().to_owned(), kind.exit() as u8)).collect();
    assert_eq!(documented, kinds);
}

/// Every exit code with its meaning, as a document has it.
fn exits() -> Vec<(u8, &'static str)> {
    Exit::ALL.iter().map(|exit| (exit.code(), exit.meaning())).collect()
}

/// README.md and every Markdown file below docs.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories = vec![root.join("docs")];
    let mut found = vec!["README.md".to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// The exit codes that the documents list: every table whose first column is headed "exit code".
#[test]
fn every_table_of_exit_codes_has_them_all_with_their_meaning() {
    let mut tables = Vec::new();
    for document in documents() {
        let text = read(&document);
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.starts_with("| exit code |") {
                continue;
            }
            assert!(lines.next().unwrap().starts_with("|--"), "{document}: a heading");
            let mut listed = Vec::new();
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                listed.push((cells[1].parse().unwrap(), cells[2]));
            }
            assert_eq!(listed, exits(), "{document}");
            tables.push(document.clone());
        }
    }
    assert!(tables.contains(&"docs/errors.md".to_owned()), "{tables:?}");
}

/// As in "`not-permitted` (77)" and "(`not-permitted`, 77)".
#[test]
fn every_exit_code_beside_a_kind_is_that_of_the_kind() {
    let mut found = 0;
    for document in documents() {
        let text = read(&document);
        let parts: Vec<&str> = text.split('`').collect();
        for pair in parts.windows(2) {
            let Some(kind) = Kind::named(pair[0]) else { continue };
            let Some(after) = pair[1].strip_prefix(" (").or_else(|| pair[1].strip_prefix(", ")) else { continue };
            let Some((Ok(code), _)) = after.split_once(')').map(|(code, rest)| (code.parse::<u8>(), rest)) else {
                continue;
            };
            assert_eq!(code, kind.exit().code(), "{document}: {} ({code})", kind.name());
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn the_help_has_every_exit_code_with_its_meaning() {
    let output = Command::new(env!("CARGO_BIN_EXE_kuma-replicator")).arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    let list = help.split("Exit codes:\n").nth(1).expect("the exit codes").split("\n\n").next().unwrap();
    let text = list.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected: Vec<String> = exits().iter().map(|(code, meaning)| format!("{code} {meaning}")).collect();
    assert_eq!(text, expected.join(" "));
}

#[test]
fn the_command_line_is_refused_with_2() {
    for arguments in [&[][..], &["nonsense"], &["run", "--nonsense"], &["import"], &["export", "a", "b"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_kuma-replicator")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

// ---------------------------------------------------------------------------------------------------
// The journal

/// One of every event.
fn events() -> Vec<Event> {
    let snapshot = || -> SnapshotId { "abcdef01".repeat(8).parse().unwrap() };
    let origin = || Origin::Snapshot { id: snapshot() };
    let (digest, unit, size) = (Digest::of(b"x"), || "uptime-kuma.service".to_owned(), Size::default());
    vec![
        Event::Unchanged { digest, again: false },
        Event::Published { snapshot: snapshot(), sequence: 7, digest, rows: 1, bytes: 1 },
        Event::UpToDate { snapshot: snapshot(), again: false },
        Event::Blocked { reason: "x".to_owned(), again: false, last_success_age: Some(1) },
        Event::Deferred { snapshot: snapshot(), until: "2026-01-01T00:00:00Z".parse().unwrap(), again: false },
        Event::Drifted { digest, overwrite: false },
        Event::Fetched { snapshot: snapshot(), bytes: 1 },
        Event::Planned { origin: origin(), size },
        Event::Stopping { unit: unit() },
        Event::Stopped { unit: unit(), millis: 1 },
        Event::Written { origin: origin(), size, millis: 1 },
        Event::Told { told: Told { monitors: [1].into(), ..Told::default() }, waiting: 1, millis: 2100 },
        Event::Started { unit: unit() },
        Event::Healthy { unit: unit(), millis: 1 },
        Event::Applied { snapshot: snapshot(), digest, size, restarted: true },
        Event::RollingBack { origin: origin(), reason: "x".to_owned() },
        Event::Restored { name: "the previous configuration".to_owned(), digest: Digest::of(b"x"), size },
        Event::Retried { snapshot: snapshot(), rejected: true, reason: "x".to_owned() },
        Event::OnHold { reason: "x".to_owned(), until: None, again: false, last_success_age: Some(1) },
        Event::Released { by_hand: false },
        Event::Promoted { epoch: 2 },
        Event::Demoted,
        Event::Alerts { on: false, size },
        Event::Stray { snapshot: snapshot(), host: "alpha".to_owned() },
        Event::Recovered { origin: origin(), started: true },
        Event::Forgotten { snapshots: 12, kept: 50 },
        Event::Pruned { millis: 1 },
        Event::Warning { text: "x".to_owned() },
        Event::Failed {
            error: Error::new(Kind::Unhealthy, "x"),
            snapshot: None,
            last_success_age: Some(1),
            again: false,
        },
        Event::Failed {
            error: Error::new(Kind::RolledBack, "x"),
            snapshot: Some(snapshot()),
            last_success_age: Some(1),
            again: false,
        },
    ]
}

/// The `KUMA_…` fields that `event` has.
fn fields(event: &Event) -> BTreeSet<String> {
    let entries = event.fields().entries().into_iter().map(|(name, _)| name);
    entries.chain(["KUMA_EVENT".to_owned(), "KUMA_CYCLE".to_owned()]).collect()
}

#[test]
fn message_ids_are_what_journalctl_takes() {
    let ids: BTreeSet<&str> = MESSAGE_IDS.iter().map(|(_, id)| *id).collect();
    let names: BTreeSet<&str> = MESSAGE_IDS.iter().map(|(name, _)| *name).collect();
    assert_eq!((ids.len(), names.len()), (MESSAGE_IDS.len(), MESSAGE_IDS.len()), "each once");
    for id in ids {
        assert_eq!(id.len(), 32, "{id}");
        assert!(id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{id}");
    }
    let events = events();
    assert_eq!(
        events.iter().map(Event::name).collect::<Vec<_>>(),
        MESSAGE_IDS.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    );
    for (event, (_, id)) in events.iter().zip(MESSAGE_IDS) {
        assert_eq!(event.message_id(), *id);
        assert!(!event.to_string().is_empty() && !event.to_string().contains('\n'));
    }
}

/// The events that a repetition makes quiet.
fn repeated() -> Vec<Event> {
    let (snapshot, until) = ("abcdef01".repeat(8), "2026-01-01T00:00:00Z");
    let (snapshot, until) = (|| snapshot.parse::<SnapshotId>().unwrap(), until.parse().unwrap());
    vec![
        Event::Unchanged { digest: Digest::of(b"x"), again: true },
        Event::UpToDate { snapshot: snapshot(), again: true },
        Event::Blocked { reason: "x".to_owned(), again: true, last_success_age: None },
        Event::Deferred { snapshot: snapshot(), until, again: true },
        Event::OnHold { reason: "x".to_owned(), until: None, again: true, last_success_age: None },
        Event::Failed { error: Error::new(Kind::Shrunk, "x"), snapshot: None, last_success_age: None, again: true },
    ]
}

/// A priority as `docs` writes it, in numbers or in words.
fn priority(event: &Event, words: bool) -> String {
    let name = |level: Level| match (level, words) {
        (Level::Error, true) => "error",
        (Level::Warning, true) => "warning",
        (Level::Notice, true) => "notice",
        (Level::Info, true) => "info",
        (Level::Error, false) => "3",
        (Level::Warning, false) => "4",
        (Level::Notice, false) => "5",
        (Level::Info, false) => "6",
    };
    let first = name(event.level());
    match repeated().iter().find(|again| again.name() == event.name()) {
        Some(again) if words => format!("{first}, then {}", name(again.level())),
        Some(again) => format!("{first}, again {}", name(again.level())),
        None => first.to_owned(),
    }
}

/// The tables of a document whose header has `column`: header and rows, without code marks.
fn tables(text: &str, column: &str) -> Vec<(Vec<String>, Vec<Vec<String>>)> {
    let mut found: Vec<(Vec<String>, Vec<Vec<String>>)> = Vec::new();
    let (mut before, mut wanted) = (false, false);
    for line in text.lines() {
        let row = line.strip_prefix('|').and_then(|row| row.strip_suffix('|'));
        let is_header = !before;
        before = row.is_some();
        let Some(row) = row else { continue };
        let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        if is_header {
            wanted = cells.iter().any(|cell| cell == column);
            if wanted {
                found.push((cells, Vec::new()));
            }
        } else if wanted && !cells[0].starts_with("---") {
            found.last_mut().unwrap().1.push(cells);
        }
    }
    found
}

#[test]
fn the_documents_have_every_event_as_it_is_declared() {
    let mut checked = 0;
    for path in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        let path = path.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let headers = ["MESSAGE_ID", "message id"];
        for (header, rows) in headers.iter().flat_map(|column| tables(&text, column)) {
            let at = |names: &[&str]| header.iter().position(|cell| names.contains(&cell.as_str()));
            let name = at(&["KUMA_EVENT", "event"]).expect("a column of names");
            let id = at(&headers).unwrap();
            let documented: BTreeMap<&str, &str> =
                rows.iter().map(|row| (row[name].as_str(), row[id].as_str())).collect();
            assert_eq!(documented.len(), rows.len(), "{}: an event stands twice", path.display());
            assert_eq!(documented, MESSAGE_IDS.iter().copied().collect(), "{}", path.display());
            for event in events() {
                let row = rows.iter().find(|row| row[name] == event.name()).unwrap();
                if let Some(at) = at(&["priority"]) {
                    let words = row[at].starts_with(|c: char| c.is_alphabetic());
                    // An exception follows a semicolon.
                    let documented = row[at].split(';').next().unwrap();
                    assert_eq!(documented, priority(&event, words), "{}: {}", path.display(), event.name());
                }
                if let Some(at) = at(&["fields"]) {
                    let documented: BTreeSet<String> = row[at]
                        .split(", ")
                        .filter(|field| !field.is_empty())
                        .map(|field| format!("KUMA_{}", field.to_ascii_uppercase()))
                        .chain(["KUMA_EVENT".to_owned(), "KUMA_CYCLE".to_owned()])
                        .collect();
                    let mut declared = fields(&event);
                    if event.name() == "failed" {
                        declared.remove("KUMA_SNAPSHOT");
                    }
                    assert_eq!(documented, declared, "{}: {}", path.display(), event.name());
                }
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 2, "the contract and the manual have a table of events");
}

#[test]
fn the_documents_have_every_journal_field() {
    let declared: BTreeSet<String> = Fields::KEYS
        .iter()
        .map(|key| key.to_ascii_uppercase())
        .chain(["KUMA_EVENT", "KUMA_CYCLE", "KUMA_USER"].map(str::to_owned))
        .collect();
    let tables = tables(&read("docs/format.md"), "field");
    let (_, rows) = tables.iter().find(|(_, rows)| rows.iter().any(|row| row[0] == "KUMA_EVENT")).expect("the table");
    let documented: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| row[0].split(", ").map(str::to_owned))
        .filter(|name| name.starts_with("KUMA_"))
        .collect();
    assert_eq!(documented, declared);
    let known: BTreeSet<String> = events().iter().flat_map(fields).collect();
    assert!(Fields::KEYS.iter().all(|key| known.contains(&key.to_ascii_uppercase())), "no field is without an event");
}

#[test]
fn repetition_is_quiet_and_trouble_is_not() {
    let failed =
        |kind| Event::Failed { error: Error::new(kind, "x"), snapshot: None, last_success_age: None, again: false };
    for (event, level) in [
        (Event::Unchanged { digest: Digest::of(b""), again: false }, Level::Notice),
        (Event::Unchanged { digest: Digest::of(b""), again: true }, Level::Info),
        (Event::Blocked { reason: String::new(), again: false, last_success_age: None }, Level::Warning),
        (Event::Warning { text: String::new() }, Level::Warning),
    ] {
        assert_eq!(event.level(), level, "{event:?}");
    }
    for event in repeated() {
        assert_eq!(event.level(), Level::Info, "{event:?}");
    }
    for kind in Kind::ALL {
        let wanted = if kind.exit() == Exit::TryAgain { Level::Warning } else { Level::Error };
        assert_eq!(failed(*kind).level(), wanted, "{}", kind.name());
    }
}

#[test]
fn the_catalog_explains_every_message() {
    let text = read("packaging/usr/lib/systemd/catalog/kuma-replicator.catalog");
    let mut entries: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in text.split("\n-- ").skip(1) {
        let (id, rest) = entry.split_once('\n').unwrap();
        assert!(entries.insert(id, rest).is_none(), "{id} stands twice");
    }
    let ids: BTreeSet<&str> = MESSAGE_IDS.iter().map(|(_, id)| *id).collect();
    assert_eq!(entries.keys().copied().collect::<BTreeSet<_>>(), ids);
    for event in events() {
        let (name, entry) = (event.name(), entries[event.message_id()]);
        let (header, text) = entry.split_once("\n\n").expect("an empty line after the header");
        let keys: Vec<&str> = header.lines().map(|line| line.split_once(": ").expect("a header").0).collect();
        assert_eq!(keys, ["Subject", "Defined-By", "Support", "Documentation"], "{name}");
        assert!(text.trim().len() > 60, "{name} is not explained");
        let there = fields(&event);
        for field in entry.split('@').skip(1).step_by(2) {
            assert!(there.contains(field), "{name} has no field {field}");
        }
        assert_eq!(entry.matches('@').count() % 2, 0, "{name}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}
