//! Promise: `run --json` says how a cycle ended, in a document whose form is a contract.

use std::time::Duration;

use kuma_replicator::config::Role;
use kuma_replicator::cycle::{Event, Options};
use kuma_replicator::error::{Error, Kind};
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::state::State;
use kuma_replicator::report::{FailureDocument, RunDocument};
use serde_json::{Value, json};

use crate::support::generations::generation;
use crate::support::host::{End, World, main_id, settings};

/// The documents of version 1. Once released, they are never edited.
const GOLDEN: &str = include_str!("../golden/run-1.json");

fn after(settings: &kuma_replicator::config::Settings, mut world: World) -> (State, Outcome) {
    let End::Done(end) = world.cycle_with(settings, &Options::default()) else { panic!("it failed") };
    (world.state(), end.outcome())
}

#[test]
fn version_1_is_what_it_was() {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 3, 41);
    let (replica, applied) = after(&settings("replica"), world);
    let (main, published) = after(&settings("main"), World::new(generation(1)));
    let took = Duration::from_millis(1234);
    let failure = Error::new(Kind::Config, "there is no x").because(Error::new(Kind::Files, "cannot read x"));
    let event = Event::Fetched { snapshot: "ab".repeat(32).parse().unwrap(), bytes: 7 };
    let event = json!({
        "event": event.name(),
        "at": "2026-01-02T03:04:05Z",
        "priority": event.level().priority(),
        "message": event.to_string(),
        "fields": event.fields().values(),
    });
    let documents = json!({
        "applied": RunDocument::new(applied, String::new(), took).of(Some(Role::Replica), &replica).events(vec![event]),
        "published": RunDocument::new(published, String::new(), took).of(Some(Role::Main), &main),
        "failed": RunDocument::new(Outcome::Failed, failure.chain(), took).failure(Some(&failure)),
        "failure of another verb": FailureDocument::new(&failure),
    });
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    if golden != documents {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/run-1.json");
        std::fs::write(path, format!("{documents:#}\n")).unwrap();
        panic!("version 1 has changed: compare tests/golden/run-1.json with {path}; a change needs version 2");
    }
}

#[test]
fn every_key_is_documented() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md")).unwrap();
    let (_, section) = text.split_once("### run\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for (document, at) in [("failed", ""), ("failed", "/error"), ("applied", "/events/0")] {
        for key in golden[document].pointer(at).unwrap().as_object().unwrap().keys() {
            assert!(key == "version" || section.contains(&format!("`{key}`")), "{document}{at}: {key}");
        }
    }
}
