//! Dumps: refused, or exactly what they say; and what they say is written into a real database of Uptime Kuma
//! whole or not at all, beside which nothing changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use kuma_replicator::config::Customization;
use kuma_replicator::cycle::{CanonicalExport, Export, History, Verified, verify};
use kuma_replicator::error::Kind;
use kuma_replicator::host::kuma::database::{self, Database};
use kuma_replicator::localise::Desired;
use kuma_replicator::model::catalog::{self, MONITOR_HISTORY, safe_upload_name};
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump::{self, Fault};
use kuma_replicator::model::manifest::Manifest;
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::plan;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::Property;
use crate::budget::Budget;
use crate::memory::peak;
use crate::mutation::mutated;
use crate::support::arbitrary;
use crate::support::instance::{Instance, Version};

pub(crate) const PROPERTIES: &[Property] = &[
    ("a_broken_dump_is_refused_or_means_what_it_says", means_what_it_says),
    ("a_dump_with_broken_lines_and_a_right_digest_breaks_no_database", right_digest),
    ("strange_values_arrive_as_they_are_or_are_refused_before_the_stop", strange_values),
];

fn fixture(name: &str) -> Instance {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    Instance::copy_of(&path, Version::Two)
}

/// What a server of Uptime Kuma 2.5 with some of everything has.
fn rich() -> &'static (Export, Vec<u8>) {
    static RICH: OnceLock<(Export, Vec<u8>)> = OnceLock::new();
    RICH.get_or_init(|| {
        let export = Database::new(fixture("kuma-2.5.3").path()).export().unwrap();
        let bytes =
            CanonicalExport::new(export.clone()).dump("main", "2026-11-25T00:00:00Z".parse().unwrap(), None).unwrap();
        (export, bytes)
    })
}

/// `bytes` with a digest and counts that fit the body, as anyone who can publish can make them.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let text = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).unwrap_or_default();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let [first, body @ .., _] = lines.as_slice() else { return bytes.to_vec() };
    let Ok(mut manifest) = serde_json::from_slice::<Manifest>(first) else { return bytes.to_vec() };
    let (mut counts, mut files, mut last) = (BTreeMap::new(), 0, None);
    for line in body {
        let json = text(line);
        if let (Some(table), Some(_)) = (json["table"].as_str(), json["columns"].as_array()) {
            last = Some(table.to_owned());
            counts.insert(table.to_owned(), 0);
        } else if json.get("file").is_some() {
            files += 1;
        } else if let Some(rows) = last.as_ref().and_then(|table| counts.get_mut(table)) {
            *rows += 1;
        }
    }
    let body = body.concat();
    manifest.digest = Digest::of(&body);
    (manifest.counts, manifest.files) = (counts, files);
    manifest.fingerprint = manifest.schema.fingerprint();
    dump::render(&manifest, body)
}

fn means_what_it_says(budget: Budget) {
    budget.check(150, &(mutated(rich().1.clone()), any::<bool>()), |(bytes, seal)| {
        let bytes = if seal { sealed(&bytes) } else { bytes.0 };
        let (parsed, most) = peak(|| dump::parse(&bytes));
        prop_assert!(most < 8 * bytes.len() + (1 << 20), "{} bytes of memory for a dump of {}", most, bytes.len());
        // That most of its rows are known makes no difference.
        let beside = dump::parse_beside(&bytes, &rich().0.configuration);
        prop_assert_eq!(parsed.as_ref().ok(), beside.as_ref().ok());
        match parsed {
            Err(Fault::Damaged(reason)) => prop_assert!(!reason.is_empty()),
            Err(Fault::Format(format)) => prop_assert!(format != u64::from(dump::FORMAT)),
            Ok(dump) => {
                let body = dump::body(&dump.configuration);
                prop_assert_eq!(dump.manifest.digest, Digest::of(&body));
                prop_assert!(dump::render(&dump.manifest, body) == bytes, "not its own form");
                prop_assert_eq!(&dump.manifest.counts, &dump.configuration.counts());
                prop_assert!(dump.configuration.files.iter().all(|file| safe_upload_name(&file.name)));
            }
        }
        Ok(())
    });
}

fn right_digest(budget: Budget) {
    budget.check(60, &mutated(rich().1.clone()), |bytes| harmless(&sealed(&bytes)));
}

fn strange_values(budget: Budget) {
    let cell = (any::<Index>(), any::<Index>(), any::<Index>(), arbitrary::value());
    budget.check(60, &proptest::collection::vec(cell, 1..4), |cells| {
        let mut configuration = rich().0.configuration.clone();
        for (table, row, column, value) in cells {
            let at = table.index(configuration.tables.len());
            let table = &mut configuration.tables[at];
            if !table.rows.is_empty() {
                let (row, column) = (row.index(table.rows.len()), column.index(table.columns.len()));
                table.rows[row][column] = value;
                table.sort();
            }
        }
        let export = Export { configuration, schema: rich().0.schema.clone(), ..Export::default() };
        harmless(&CanonicalExport::new(export).dump("main", jiff::Timestamp::UNIX_EPOCH, None).unwrap())
    });
}

type Rows = Vec<Vec<Value>>;

/// Everything outside the configuration, by table, and the names of all files with their content.
fn beside(instance: &Instance) -> (BTreeMap<String, Rows>, BTreeMap<String, Vec<u8>>) {
    let tables = instance.tables().into_iter().filter(|table| catalog::find(table).is_none());
    let tables = tables.filter(|table| table != "sqlite_sequence").map(|table| (table.clone(), instance.rows(&table)));
    let mut tables: BTreeMap<String, Rows> = tables.collect();
    let travels = |value: &Value| value.as_text().is_some_and(|key| catalog::setting(key).is_some());
    let mut settings = instance.rows(catalog::SETTING);
    settings.retain(|row| !row.iter().any(travels));
    tables.insert(catalog::SETTING.to_owned(), settings);
    let files = instance.files().into_iter().map(|(path, content)| {
        (path.strip_prefix(instance.directory()).unwrap().to_str().unwrap().to_owned(), content)
    });
    (tables, files.filter(|(name, _)| !name.starts_with("kuma.db")).collect())
}

/// Refused before anything is stopped, or written whole into a new Uptime Kuma and into one that is full.
fn harmless(bytes: &[u8]) -> Result<(), TestCaseError> {
    let dump = match verify(bytes, None) {
        Ok(Verified(dump)) => dump,
        Err(error) => {
            let known = matches!(error.kind(), Kind::SnapshotDamaged | Kind::FormatUnknown | Kind::NoUser);
            prop_assert!(known, "{:?}", error);
            return Ok(());
        }
    };
    let settings: Vec<String> = catalog::SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
    let customization = Customization { settings, ..Customization::default() };
    for name in ["kuma-2.5.3-empty", "kuma-2.5.3"] {
        let target = fixture(name);
        let database = Database::new(target.path());
        let here = database.export().unwrap();
        if here.schema != dump.manifest.schema {
            continue;
        }
        let here = here.configuration;
        let as_main = Desired::AsMain { main: &dump.configuration, customization: &customization };
        let wanted = match as_main.on(&here) {
            Ok(wanted) => wanted.configuration,
            Err(error) => {
                prop_assert!(matches!(error.kind(), Kind::NoUser | Kind::Unwritable), "{:?}", error);
                return Ok(());
            }
        };
        let changes = plan(&here, &wanted);
        if let Err(error) = database::rehearse(&database, &changes, &here, &wanted) {
            prop_assert_eq!(error.kind(), Kind::Unwritable, "{:?}", error);
            continue;
        }
        let (before, files) = beside(&target);
        let claim = database.claim(std::time::Duration::ZERO).unwrap();
        let written = claim.write(&changes, &wanted, History::Remove);
        prop_assert!(written.as_ref().is_ok_and(Vec::is_empty), "rehearsed well, and then {:?}", written);
        let mut now = Database::new(target.path()).export().unwrap().configuration;
        // A dump without settings takes none away.
        now.tables.retain(|table| wanted.table(table.spec.name).is_some());
        prop_assert_eq!(&now.tables, &wanted.tables);
        // The history of a removed monitor stays until Uptime Kuma has answered, and goes then.
        let left = database.tidy_history(false, std::time::Duration::from_secs(60)).unwrap();
        prop_assert_eq!(left, 0);
        prop_assert!(target.is_sound());
        let (after, files_after) = beside(&target);
        for (table, rows) in &after {
            if MONITOR_HISTORY.contains(&table.as_str()) {
                // Only that of removed monitors is gone.
                prop_assert!(rows.iter().all(|row| before[table].contains(row)), "history of {}", table);
            } else {
                prop_assert_eq!(rows, &before[table], "table {}", table);
            }
        }
        for (name, content) in &files_after {
            let uploaded = name.strip_prefix("upload/").is_some_and(safe_upload_name);
            prop_assert!(files.get(name) == Some(content) || uploaded, "wrote {}", name);
        }
        prop_assert!(files.keys().all(|name| files_after.contains_key(name)), "a file is gone");
    }
    Ok(())
}
