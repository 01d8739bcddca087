//! Promise: what a host remembers is written whole, private and only under the lock, and a state that cannot
//! be understood is an error that leaves the file as it is, never a first run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kuma_replicator::error::Kind;
use kuma_replicator::host::store::{Store, read_state};
use kuma_replicator::host::system::files;
use kuma_replicator::model::content::Content;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::looked::{LastLook, LookCost};
use kuma_replicator::model::manifest::Place;
use kuma_replicator::model::origin::Origin;
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::snapshot::{MainId, SnapshotId};
use kuma_replicator::model::state::{
    Applied, Attempt, Attempted, Decision, Failure, Fenced, FollowedZone, Hold, Intent, KnownServer, LastCycle,
    LocalRows, MainState, PendingHistory, Published, ReplicaState, Retention, Seen, State, Telling, VERSION, Verdict,
};
use kuma_replicator::model::told::Told;

/// The bytes of version 1. Once released, they are never edited.
const GOLDEN: &[u8] = include_bytes!("../golden/state-1.json");

fn golden() -> State {
    let snapshot = |digit: char| -> SnapshotId { digit.to_string().repeat(64).parse().unwrap() };
    let main: MainId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let at = |text: &str| text.parse().unwrap();
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    State {
        version: VERSION,
        fleet: None,
        main: Some(MainState {
            id: main.clone(),
            epoch: 3,
            published: Some(Published {
                snapshot: snapshot('a'),
                sequence: 41,
                content: Content { digest: one, schema: two },
                counts: [("monitor".to_owned(), 58), ("user".to_owned(), 1)].into(),
                at: at("2026-01-02T03:04:05.678Z"),
            }),
            publishing: Some(Attempt { sequence: 42, digest: two }),
            looked: Some(at("2026-01-02T03:04:05Z")),
            repository: Some(one),
            fenced: Some(Fenced {
                snapshot: snapshot('9'),
                place: Place { main: "fedcba9876543210fedcba9876543210".parse().unwrap(), epoch: 4, sequence: 43 },
                host: "bravo".to_owned(),
                at: at("2026-01-02T03:04:05Z"),
            }),
            retention: Retention {
                forget: Some(Attempted { at: at("2026-01-02T03:04:05Z"), failure: None }),
                prune: Some(Attempted {
                    at: at("2026-01-01T00:00:00Z"),
                    failure: Some(Failure {
                        kind: Kind::RepositoryDenied,
                        message: "it refuses".to_owned(),
                        since: at("2025-12-25T00:00:00Z"),
                    }),
                }),
                unpruned: 12,
            },
        }),
        replica: ReplicaState {
            applied: Some(Applied {
                snapshot: snapshot('b'),
                place: Place { main, epoch: 3, sequence: 40 },
                digest: one,
                at: at("2026-01-01T00:00:00Z"),
                customization: Some(one),
                rows: LocalRows::Drifted {
                    baseline: Content { digest: one, schema: two },
                    digest: two,
                    since: at("2026-01-02T00:00:00Z"),
                },
            }),
            looked: Some(LastLook { at: at("2026-01-02T03:04:05Z"), cost: LookCost::Request }),
            verdict: Some(Verdict {
                snapshot: snapshot('c'),
                at: at("2026-01-01T00:00:00Z"),
                reason: "it does not answer".to_owned(),
                decision: Decision::Rejected { customization: two },
            }),
            stray: Some(snapshot('8')),
            history: Some(PendingHistory { rows: 1_200_000, bring_back: true }),
            stopped: Some(at("2026-01-01T00:00:00Z")),
            told: Some(at("2026-01-01T00:00:00Z")),
            server: Some(KnownServer { run: "boot 812 31337".to_owned(), tags: ["prod".to_owned()].into() }),
        },
        seen: Some(Seen {
            database: Content { digest: two, schema: one },
            by: one,
            zone: Some(FollowedZone {
                setting: Some("Asia/Tokyo".to_owned()),
                found: Some("Asia/Tokyo".parse().unwrap()),
            }),
            content: Content { digest: one, schema: two },
        }),
        intent: Some(Intent {
            origin: Origin::Snapshot { id: snapshot('e') },
            start: true,
            dependents: vec!["kuma-page.service".to_owned()],
            since: at("2026-01-01T00:00:00Z"),
            previous: Some(one),
            written: false,
            telling: Some(Telling {
                run: "boot 812 31337".to_owned(),
                told: Told { monitors: [10, 14].into(), maintenances: [2].into(), pages: true },
            }),
        }),
        hold: Some(Hold {
            reason: "upgrade".to_owned(),
            since: at("2026-01-02T03:04:05Z"),
            until: Some(at("2026-01-02T05:04:05Z")),
        }),
        last_cycle: Some(LastCycle {
            outcome: Outcome::Rejected,
            message: "ü\n".to_owned(),
            error: Some(Kind::SnapshotRejected),
            at: at("2026-01-02T03:04:05Z"),
        }),
        last_success: Some(at("2026-01-01T00:00:00Z")),
        last_order: None,
    }
}

#[test]
fn version_1_is_what_it_was() {
    let rendered = golden().render();
    if rendered != GOLDEN {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/state-1.json");
        fs::write(path, &rendered).unwrap();
        panic!("version 1 has changed: compare tests/golden/state-1.json with {path}; a change needs version 2");
    }
    assert_eq!(State::parse(GOLDEN).unwrap(), golden());
    let empty = State::default();
    assert_eq!(State::parse(&empty.render()).unwrap(), empty);
    assert_eq!(State::parse(b"{\"version\":1}").unwrap(), empty);
}

/// The golden file has one of each; these are the others.
#[test]
fn every_verdict_and_every_origin_survives_the_file() {
    let digest = Digest::of(b"x");
    let (content, attempts) = (Content { digest, schema: digest }, 3);
    let rows = [LocalRows::Unknown, LocalRows::AsApplied { baseline: content }, LocalRows::Restored { digest }];
    let decisions = [
        Decision::Backoff { attempts },
        Decision::Blocked { schema: digest, exact: true },
        Decision::Deferred { until: "2026-01-01T00:00:00Z".parse().unwrap(), customization: digest },
    ];
    let origins = [Origin::Restore { name: "x".to_owned() }, Origin::Alerts { on: true }, Origin::Alerts { on: false }];
    for ((rows, decision), origin) in rows.into_iter().zip(decisions).zip(origins) {
        let mut state = golden();
        state.replica.applied.as_mut().unwrap().rows = rows;
        state.replica.verdict.as_mut().unwrap().decision = decision;
        state.intent.as_mut().unwrap().origin = origin;
        state.obeyed("demote", "2026-01-03T00:00:00Z".parse().unwrap());
        assert_eq!(State::parse(&state.render()).unwrap(), state);
    }
}

/// Content of a state file and a part of what is said about it.
fn unusable() -> Vec<(Vec<u8>, &'static str)> {
    let text = String::from_utf8(GOLDEN.to_vec()).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let mut cases = vec![
        (Vec::new(), "damaged"),
        (b"\0\0\0\0".to_vec(), "damaged"),
        (b"null".to_vec(), "damaged"),
        (b"[]".to_vec(), "damaged"),
        (b"{}".to_vec(), "damaged"),
        (replaced("\"version\": 1", "\"version\": 2"), "version 2"),
        (replaced("\"version\": 1", "\"version\": 0"), "version 0"),
        (replaced("\"version\": 1", "\"version\": \"1\""), "damaged"),
        (replaced("\"version\": 1", "\"version\": 1, \"version\": 1"), "damaged"),
        (replaced("\"version\": 1", "\"version\": 1, \"future\": 1"), "unknown field"),
        (replaced("\"epoch\": 3", "\"epoch\": -3"), "damaged"),
        (replaced("\"epoch\": 3", "\"epoch\": 3, \"future\": 1"), "unknown field"),
        (replaced("\"start\": true", "\"start\": true, \"future\": 1"), "unknown field"),
        (replaced("\"start\": true,", ""), "damaged"),
        (replaced("0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF"), "damaged"),
        (replaced("sha256:", "sha512:"), "damaged"),
        (replaced("2026-01-02T03:04:05.678Z", "yesterday"), "damaged"),
        (format!("{text}}}").into_bytes(), "damaged"),
        (format!("{text}{text}").into_bytes(), "damaged"),
    ];
    cases.extend((0..text.trim_end().len()).step_by(7).map(|length| (text.as_bytes()[..length].to_vec(), "damaged")));
    cases
}

#[test]
fn a_state_that_cannot_be_understood_is_an_error_and_kept() {
    for (content, said) in unusable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        fs::write(&path, &content).unwrap();
        let store = Store::lock(directory.path()).unwrap();
        for error in [store.load().unwrap_err(), read_state(directory.path()).unwrap_err()] {
            assert_eq!(error.kind(), Kind::StateDamaged, "{}", String::from_utf8_lossy(&content));
            assert!(error.chain().contains(said), "'{said}' is not in: {}", error.chain());
            assert!(error.chain().contains(path.to_str().unwrap()));
        }
        assert_eq!(fs::read(&path).unwrap(), content, "kept byte for byte");
    }
    // A missing file is not a damaged one.
    let directory = tempfile::tempdir().unwrap();
    assert!(read_state(directory.path()).unwrap().is_none());
    assert_eq!(Store::lock(directory.path()).unwrap().load().unwrap(), State::default());
    fs::create_dir(directory.path().join("state.json")).unwrap();
    assert_eq!(read_state(directory.path()).unwrap_err().kind(), Kind::StateDamaged);
}

/// The program, too, stops at it instead of starting anew; and it needs no more than the configuration file.
#[test]
fn the_program_stops_at_a_damaged_state() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    fs::write(&config, "role = \"replica\"\nrepository = \"/nonexistent\"\n").unwrap();
    fs::write(directory.path().join("state.json"), "{\"version\":1,").unwrap();
    for verb in ["run", "status", "plan", "recover"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_kuma-replicator"))
            .args(["--config", config.to_str().unwrap(), verb])
            .env("STATE_DIRECTORY", directory.path())
            .env("CACHE_DIRECTORY", directory.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{verb}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("state.json") && said.contains("the file was kept"), "{verb}: {said}");
        assert_eq!(fs::read(directory.path().join("state.json")).unwrap(), b"{\"version\":1,");
    }
}

#[test]
fn only_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let first = Store::lock(directory.path()).unwrap();
    for _ in 0..2 {
        assert_eq!(Store::lock(directory.path()).unwrap_err().kind(), Kind::AlreadyRunning);
    }
    // Looking needs no lock.
    assert!(read_state(directory.path()).unwrap().is_none());
    first.save(&golden()).unwrap();
    drop(first);
    assert_eq!(Store::lock(directory.path()).unwrap().load().unwrap(), golden());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn everything_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("deep/state");
    let store = Store::lock(&state).unwrap();
    store.save(&golden()).unwrap();
    store.keep_previous(b"dump").unwrap();
    assert_eq!(mode(&state), 0o700);
    let mut names: Vec<String> = fs::read_dir(&state)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
            entry.file_name().into_string().unwrap()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["hold.json", "lock", "previous.dump", "state.json"], "nothing temporary is left");
    // Also in place of a file that others could read.
    fs::set_permissions(state.join("state.json"), fs::Permissions::from_mode(0o644)).unwrap();
    store.save(&State::default()).unwrap();
    assert_eq!(mode(&state.join("state.json")), 0o600);
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    files::replace(&path, b"old").unwrap();
    // A reader that has it open keeps the old one: it is another file that takes the name.
    let before = fs::File::open(&path).unwrap();
    files::replace(&path, b"new").unwrap();
    assert_eq!(std::io::read_to_string(before).unwrap(), "old");
    assert_eq!(fs::read(&path).unwrap(), b"new");

    // What a power cut left of an earlier attempt is no obstacle, and a link there is not followed.
    let victim = directory.path().join("victim");
    fs::write(&victim, "victim").unwrap();
    let leftover = directory.path().join("state.json.new");
    fs::write(&leftover, "half").unwrap();
    files::replace(&path, b"newer").unwrap();
    std::os::unix::fs::symlink(&victim, &leftover).unwrap();
    files::replace(&path, b"newest").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"newest");
    assert_eq!(fs::read(&victim).unwrap(), b"victim");
    assert!(!leftover.exists());

    // Where it cannot be written, the old one stays.
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("in the way"), "").unwrap();
    assert!(files::replace(&path, b"lost").is_err());
    assert_eq!(fs::read(&path).unwrap(), b"newest");
    assert_eq!(files::replace(&directory.path().join("missing/x"), b"").unwrap_err().kind(), Kind::Files);
}

#[test]
fn a_hold_outlasts_the_loss_of_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = Store::lock(directory.path()).unwrap();
    let mut state = golden();
    store.save(&state).unwrap();
    fs::remove_file(at("state.json")).unwrap();
    assert_eq!(store.load().unwrap(), State { hold: golden().hold, ..State::default() });
    // A hold that cannot be read is no reason to go on.
    fs::write(at("hold.json"), "{}").unwrap();
    assert_eq!(store.load().unwrap_err().kind(), Kind::StateDamaged);
    for name in ["hold.json", "state.json"] {
        fs::remove_file(at("hold.json")).ok();
        fs::create_dir(at(name)).unwrap();
        assert_eq!(store.load().unwrap_err().kind(), Kind::StateDamaged, "a directory as {name}");
        fs::remove_dir(at(name)).unwrap();
    }
    state.hold = None;
    store.save(&state).unwrap();
    fs::remove_file(at("state.json")).unwrap();
    assert_eq!(store.load().unwrap(), State::default());
}
