//! What restic answers: listings and tags that anybody may have written who can write to the repository, and what
//! is said on standard error.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::tz::TimeZone;
use kuma_replicator::config::{Keep, Settings};
use kuma_replicator::decide;
use kuma_replicator::error::{Exit, Kind};
use kuma_replicator::host::restic::{Restic, answers};
use kuma_replicator::host::system::interrupt::Interrupt;
use kuma_replicator::model::content::Content;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::limits::{MAX_HOST, MAX_SNAPSHOTS};
use kuma_replicator::model::looked::Looked;
use kuma_replicator::model::manifest::Place;
use kuma_replicator::model::retention::Retained;
use kuma_replicator::model::snapshot::{PATH, SnapshotId, Tags};
use kuma_replicator::model::state::{MainState, ReplicaState, Retention};
use kuma_replicator::report::{ForgetDocument, SnapshotsDocument};
use kuma_replicator::text;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::Property;
use crate::budget::Budget;
use crate::memory::peak;
use crate::mutation::mutated;
use crate::support::host::main_id;

pub(crate) const PROPERTIES: &[Property] = &[
    ("a_broken_listing_is_refused_or_lists_what_is_there", listings),
    ("broken_tags_are_refused_or_mean_what_they_say", broken_tags),
    ("whatever_restic_says_the_failure_has_a_kind", words),
];

/// What needs no search.
pub(crate) const FIXED: &[Property] = &[("a_long_listing_takes_no_more_memory_than_its_text", long_listings)];

fn tags_of(sequence: u64) -> Tags {
    let place = Place { main: main_id('a'), epoch: 1, sequence };
    Tags { format: 1, place, fleet: main_id('a'), digest: Digest::of(b"x"), schema: Digest::of(b"y") }
}

fn seen(sequence: u64) -> serde_json::Value {
    json!({
        "time": "2026-11-23T08:00:22.669506791+01:00", "parent": "756f", "tree": "756f", "paths": [PATH], "hostname": "main",
        "username": "root", "tags": tags_of(sequence).to_strings(), "id": Digest::of(&sequence.to_be_bytes()).hex(), "short_id": "a4912d36"
    })
}

fn listings(budget: Budget) {
    let good = serde_json::to_vec(&(1..=4).map(seen).collect::<Vec<_>>()).unwrap();
    assert_eq!(answers::looked(&good).unwrap().listing.snapshots.len(), 4);
    budget.check(400, &mutated(good), |bytes| {
        let (found, most) = peak(|| answers::looked(&bytes));
        prop_assert!(most < 8 * bytes.len() + (64 << 10), "{} bytes of memory for {}", most, bytes.len());
        let Ok(Looked { listing, .. }) = found else { return Ok(()) };
        for snapshot in &listing.snapshots {
            prop_assert!(snapshot.host.len() <= MAX_HOST);
            let again = Tags::from_strings(&snapshot.tags.to_strings()).unwrap();
            prop_assert_eq!(&again, &snapshot.tags);
        }
        // Decisions are made, and it is shown, whatever it is.
        let main = MainState {
            id: main_id('a'),
            epoch: 1,
            published: None,
            publishing: None,
            looked: None,
            repository: None,
            fenced: None,
            retention: Retention::default(),
        };
        let _ = (decide::newest(&listing, &ReplicaState::default()), decide::stray(&listing));
        let content = Content { digest: Digest::of(b"x"), schema: Digest::of(b"y") };
        let _ = (decide::publish(&listing, &main, content), decide::epoch(&listing, &main));
        let keep = Keep { last: 1, ..Keep::default() };
        let kept = decide::retention(&listing, Some(&keep), &main.id, &TimeZone::UTC);
        let retained = Retained { kept, unreadable: listing.unreadable.clone(), others: listing.others };
        prop_assert!(retained.forgotten().len() <= listing.snapshots.len());
        let rows = 1 + listing.snapshots.len() + listing.unreadable.len();
        let forgets = ForgetDocument::new(retained, true, false, TimeZone::UTC).to_string();
        prop_assert_eq!(forgets.lines().count(), rows + 1, "a line was forged: {}", forgets);
        let shown = SnapshotsDocument::new(listing, jiff::tz::TimeZone::UTC).to_string();
        prop_assert_eq!(shown.lines().count(), rows, "a line was forged: {}", shown);
        prop_assert_eq!(&*text::lines(&shown), &*shown);
        Ok(())
    });
}

fn long_listings(_: Budget) {
    let listing = |piece: &str, count: usize| format!("[{}]", vec![piece; count].join(","));
    let good = seen(1).to_string();
    let tiny = format!(r#"{{"id":"00000000","time":"","paths":["{PATH}"],"tags":["kuma-replicator"]}}"#);
    let tags = good.replace("\"format=1\"", &vec!["\"\""; 500_000].join(","));
    let cases = [
        ("ours", listing(&good, 20_000), true),
        ("with nothing but the mark", listing(&tiny, 100_000), true),
        ("of others", listing(r#"{"id":"00000000","time":""}"#, 300_000), true),
        ("with many tags", listing(&tags, 4), true),
        ("more than there may be", listing(&tiny, MAX_SNAPSHOTS + 1), false),
        ("deep", format!("[{{\"id\":{}", "[".repeat(1 << 20)), false),
    ];
    for (name, text, good) in cases {
        let (found, most) = peak(|| answers::looked(text.as_bytes()));
        assert_eq!(found.is_ok(), good, "{name}");
        assert!(most < 6 * text.len(), "{name}: {most} bytes of memory for {}", text.len());
    }
}

fn broken_tags(budget: Budget) {
    let good = tags_of(u64::MAX).to_strings().join("\n").into_bytes();
    budget.check(400, &mutated(good), |bytes| {
        let lines: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        if let Ok(tags) = Tags::from_strings(&lines)
            && Tags::are_marked(&lines)
        {
            // Each key that counts is there once, with this value; a plus sign or zeros in front are the same number.
            for tag in tags.to_strings() {
                let Some((key, value)) = tag.split_once('=') else { continue };
                let found: Vec<&str> = lines
                    .iter()
                    .filter_map(|tag| tag.split_once('='))
                    .filter(|tag| tag.0 == key)
                    .map(|tag| tag.1)
                    .collect();
                let same = |other: &str| {
                    other == value || other.trim_start_matches(['+', '0']) == value.trim_start_matches('0')
                };
                prop_assert!(matches!(found[..], [other] if same(other)), "{} is {}, found {:?}", key, value, found);
            }
        }
        if let Err(error) = Tags::from_strings(&lines) {
            prop_assert!(error.to_string().len() < 1000);
        }
        Ok(())
    });
}

/// A program in the place of restic that writes these answers.
fn speaker(directory: &Path) -> Restic {
    let program = directory.join("restic");
    let script = format!("#!/bin/sh\ncd '{}'\ncat stderr >&2\ncat stdout\nexit $(cat exit)\n", directory.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(directory.join("password"), "correct horse").unwrap();
    let at = directory.display();
    let config = format!(
        "role = \"replica\"\nrepository = \"/r\"\n[restic]\nprogram = \"{at}/restic\"\npassword-file = \"{at}/password\"\ntimeout = \"20s\""
    );
    let settings = Settings::parse(&config, Path::new("config.toml")).unwrap();
    Restic::new(&settings.restic, &settings.repository, &directory.join("cache"), Interrupt::never()).unwrap()
}

fn words(budget: Budget) {
    let directory = tempfile::tempdir().unwrap();
    let restic = speaker(directory.path());
    let said = "Load(<data/9bb29f1d4c>, 0, 0) returned error, retrying after 1.3s: open /x: no such file or directory\n\
                Fatal: unable to open config file: Stat: Access Denied.\nIs there a repository at the following location?\n\
                {\"message_type\":\"exit_error\",\"code\":10,\"message\":\"Fatal: correct horse\\nthree\"}\nsignal x received\n";
    let id: SnapshotId = "a4912d36".parse().unwrap();
    let listing = mutated(serde_json::to_vec(&[seen(1)]).unwrap());
    let words = mutated(said.as_bytes().to_vec());
    budget.check(30, &(words, listing, vec(0..130_u8, 1)), |(said, answer, exit)| {
        fs::write(directory.path().join("stderr"), &*said).unwrap();
        fs::write(directory.path().join("stdout"), &*answer).unwrap();
        fs::write(directory.path().join("exit"), exit[0].to_string()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let fetched = runtime.block_on(restic.fetch(&id));
        if exit[0] == 0 {
            prop_assert_eq!(fetched.as_ref().ok(), Some(&answer.0), "{:?}", fetched);
        }
        let failures = [fetched.err(), runtime.block_on(restic.look()).err()];
        for error in failures.into_iter().flatten() {
            prop_assert!(!matches!(error.kind(), Kind::Bug | Kind::Usage | Kind::NoUser), "{:?}", error);
            prop_assert!(error.kind().exit() != Exit::Success);
            prop_assert!(error.chain().len() <= text::LONGEST + 3);
            prop_assert!(!error.chain().contains("correct horse"), "{:?}", error);
        }
        Ok(())
    });
}
