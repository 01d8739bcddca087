//! Promise: what `plan` prepares is what `run` carries out: the same outcome, the same exit code, the same rows.
//!
//! Every cycle of a world in memory compares the two (`World::cycle_with`), in all modules of this target. Here is one
//! world for each outcome, so that none is left out.

use std::collections::BTreeSet;

use kuma_replicator::config::Settings;
use kuma_replicator::cycle::{Options, Ready};
use kuma_replicator::error::Kind;
use kuma_replicator::model::catalog;
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::state::{Hold, State};

use crate::support::generations::generation;
use crate::support::host::{End, World, eager, main_id, replica, settings};
use crate::support::rows;

fn behind() -> World {
    let mut world = World::new(generation(0));
    world.offer(&generation(1), &main_id('b'), 1, 1);
    world
}

/// A world in which the next cycle of a host with these settings ends so.
fn before(outcome: Outcome) -> (World, Settings) {
    match outcome {
        Outcome::Unchanged => {
            let mut world = World::new(generation(1));
            world.cycle(&settings("main"));
            (world, settings("main"))
        }
        Outcome::Published => (World::new(generation(1)), settings("main")),
        Outcome::UpToDate => {
            let mut world = behind();
            world.cycle(&settings("replica"));
            (world, settings("replica"))
        }
        Outcome::Applied => (behind(), settings("replica")),
        Outcome::OnHold => {
            let mut world = behind();
            let hold = Hold { reason: "upgrade".to_owned(), since: world.clock, until: None };
            world.disk = Some(State { hold: Some(hold), ..State::default() }.render());
            (world, settings("replica"))
        }
        Outcome::Blocked => {
            let mut world = behind();
            world.schema = rows::schema(&world.rows, &["2025-01-01-0000-first.js", "2026-01-01-0000-second.js"]);
            (world, settings("replica"))
        }
        Outcome::Deferred => {
            let mut world = behind();
            assert!(world.cycle(&replica("")).applied());
            world.offer(&generation(2), &main_id('b'), 1, 2);
            (world, replica(""))
        }
        Outcome::Rejected => {
            let mut world = World::new(generation(1));
            world.rows.table_mut("user").unwrap().rows.clear();
            (world, settings("main"))
        }
        Outcome::RolledBack => {
            let mut world = behind();
            world.poison = Some(generation(1));
            (world, settings("replica"))
        }
        Outcome::Failed => {
            let mut world = World::new(generation(1));
            world.cycle(&settings("main"));
            world.offer(&generation(2), &main_id('b'), 2, 9);
            world.booted = world.clock;
            (world, settings("main"))
        }
    }
}

#[test]
fn plan_predicts_every_outcome() {
    let mut seen = BTreeSet::new();
    for outcome in Outcome::ALL {
        let (mut world, settings) = before(outcome);
        let predicted = world.predict(&settings, Options::default());
        let end = world.cycle(&settings);
        let found = match (&predicted, &end) {
            (Ok(ready), End::Done(conclusion)) => {
                assert_eq!(ready.outcome(), conclusion.outcome());
                conclusion.outcome()
            }
            (Err(predicted), End::Failed(error)) => {
                assert_eq!((predicted.kind().exit(), predicted.kind()), (error.kind().exit(), error.kind()));
                Outcome::from(error.kind())
            }
            // Whether Uptime Kuma comes up with the new rows, nobody knows before it has them.
            (Ok(Ready::Apply(_)), End::Failed(error)) if error.kind() == Kind::RolledBack => Outcome::RolledBack,
            (predicted, end) => panic!("{outcome}: predicted {predicted:?}, and then {end:?}"),
        };
        assert_eq!(found, outcome);
        assert_eq!(world.state().last_cycle.unwrap().outcome, outcome);
        seen.insert(found.name());
    }
    assert_eq!(seen.len(), Outcome::ALL.len());
}

/// What once differed: a main without a user, a replica that was restarted a moment ago, a snapshot that is blocked
/// already, and the two parts of `notifications-insert-merge`.
#[test]
fn a_preview_knows_what_a_cycle_knows() {
    let (mut world, main) = before(Outcome::Rejected);
    assert_eq!(world.predict(&main, Options::default()).unwrap_err().kind(), Kind::NoUser);
    assert_eq!(world.cycle(&main).kind(), Some(Kind::NoUser));

    let (mut world, settings) = before(Outcome::Deferred);
    for fetches in [1, 0] {
        assert!(
            matches!(world.predict(&settings, Options::default()), Ok(ready) if ready.outcome() == Outcome::Deferred)
        );
        world.cycle(&settings);
        assert_eq!(world.did("fetch"), fetches);
    }

    let (mut world, settings) = before(Outcome::Blocked);
    for _ in 0..2 {
        assert!(matches!(world.predict(&settings, Options::default()), Ok(Ready::Blocked { .. })));
        world.cycle(&settings);
    }

    let with = |generation: i64, name: &str| {
        let mut configuration = self::generation(generation);
        configuration.tables.push(rows::table("notification", &["id", "name"], vec![vec![rows::i(1), rows::t(name)]]));
        configuration.tables.sort_by_key(|table| catalog::TABLES.iter().position(|spec| spec == table.spec));
        configuration
    };
    let mut world = World::new(with(0, "old"));
    world.offer(&with(1, "new"), &main_id('b'), 1, 1);
    let settings = eager("strategy = \"notifications-insert-merge\"");
    let Ok(Ready::Apply(application)) = world.predict(&settings, Options::default()) else { panic!("not applied") };
    assert_eq!(application.changes.len(), 2, "{:?}", application.size());
    assert!(world.cycle(&settings).applied());
    assert_eq!(world.rows, application.changes.last().unwrap().1.wanted);
}
