//! Promise: the alerts of a replica are switched by hand, without the repository and for good, and a silent standby
//! never becomes a silent fleet.

use std::path::Path;

use kuma_replicator::config::{Alerts, Role, Settings};
use kuma_replicator::cycle::{AlertsSwitch, Options, Promotion, Session, Source};
use kuma_replicator::error::Kind;

use crate::support::generations::{fleet, name, rename, table_of};
use crate::support::host::{End, Fault, World, at_every_call, eager, main_id};

fn silent() -> Settings {
    eager("alerts = \"off\"")
}

/// A silent standby, up to date.
fn standby() -> World {
    let mut world = World::new(fleet(0));
    world.configuration.push_str("[replica]\nmin-restart-interval = \"0s\"\nalerts = \"off\"\n");
    world.offer(&fleet(1), &main_id('b'), 1, 1);
    assert!(world.cycle(&silent()).applied());
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
    assert_eq!(table_of(&world.rows, "notification"), table_of(&fleet(1), "notification"));
    assert!(world.cycle(&silent()).up_to_date());
    world
}

fn switch(world: &mut World, before: &Settings, alerts: Alerts) -> End {
    world.order(async |world, state| {
        assert_eq!(
            Session::new(world, before, state, Options::default()).switch_alerts(alerts).await?,
            AlertsSwitch::Now
        );
        Ok(())
    })
}

#[test]
fn alerts_are_switched_without_the_repository_and_stay_so() {
    let mut world = standby();
    let repository = std::mem::take(&mut world.repository);
    assert!(matches!(switch(&mut world, &silent(), Alerts::On), End::Done(_)));
    assert_eq!((&world.rows, world.did("look"), world.did("fetch")), (&fleet(1), 0, 0));
    assert!(world.configuration.contains("alerts = \"on\""), "{}", world.configuration);
    world.repository = repository;
    assert!(world.cycle(&eager("")).up_to_date(), "the configuration file says so by now");
    assert_eq!(world.did("report drifted"), 0);
    world.offer(&fleet(2), &main_id('b'), 1, 2);
    assert!(world.cycle(&eager("")).applied());
    assert_eq!(world.rows, fleet(2));

    assert!(matches!(switch(&mut world, &eager(""), Alerts::Off), End::Done(_)));
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
    world.offer(&fleet(3), &main_id('b'), 1, 3);
    assert!(world.cycle(&silent()).applied());
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
    // Ordered again, there is nothing to do.
    let commits = world.commits;
    assert!(matches!(switch(&mut world, &silent(), Alerts::Off), End::Done(_)));
    assert_eq!(world.commits, commits);
}

/// What the last apply replaced alerted, and had other names: what this replica customizes now holds in it, too.
#[test]
fn a_restore_wakes_no_silent_standby_and_keeps_the_label() {
    let restore = |world: &mut World, keys: &str| {
        let settings = eager(keys);
        let end = world.order(async |world, state| {
            let mut session = Session::new(world, &settings, state, Options::default());
            let restoration = session.prepare_restore(Source::Previous).await?;
            session.restore(restoration).await
        });
        assert!(matches!(end, End::Done(_)), "{end:?}");
    };
    let names = |world: &World| [0, 1].map(|row| name(&world.rows, "monitor", row).to_string());
    let mut world = World::new(fleet(0));
    for sequence in [1, 2] {
        world.offer(&fleet(sequence), &main_id('b'), 1, sequence.unsigned_abs());
        assert!(world.cycle(&eager("")).applied());
    }
    let plain = names(&world);
    assert!(matches!(switch(&mut world, &eager(""), Alerts::Off), End::Done(_)));
    restore(&mut world, "alerts = \"off\"\nlabel = \"fra1\"");
    let expected = plain.map(|name| name.replace('2', "1 (fra1)"));
    assert_eq!(names(&world), expected);
    assert!(table_of(&world.rows, "monitor_notification").rows.is_empty());
    assert_eq!(table_of(&world.rows, "notification"), table_of(&fleet(1), "notification"));

    // It goes on so when the alerts are on again, and what is put back was silent: its monitors alert as they do now.
    assert!(matches!(switch(&mut world, &silent(), Alerts::On), End::Done(_)));
    rename(&mut world.rows, "monitor", 1, "edited (fra1)");
    restore(&mut world, "label = \"fra1\"");
    assert_eq!(table_of(&world.rows, "monitor_notification"), table_of(&fleet(1), "monitor_notification"));
}

/// An order that could not be carried out is over: nothing is started or rolled back for it later.
#[test]
fn a_failed_switch_leaves_nothing_to_recover() {
    let mut world = standby();
    world.named = vec![("write_live", Fault::ErrorBefore)];
    assert_eq!(switch(&mut world, &silent(), Alerts::On).kind(), Some(Kind::DatabaseBusy));
    assert_eq!(world.state().intent, None);
    world.running = false;
    world.cycle(&eager(""));
    assert!(!world.running, "the administrator stopped it");
}

#[test]
fn switching_alerts_applies_nothing_else_and_forgets_no_edit() {
    let mut world = standby();
    rename(&mut world.rows, "monitor", 0, "edited");
    world.offer(&fleet(2), &main_id('b'), 1, 2);
    assert!(matches!(switch(&mut world, &silent(), Alerts::On), End::Done(_)));
    let mut expected = fleet(1);
    rename(&mut expected, "monitor", 0, "edited");
    assert_eq!(world.rows, expected);
    world.repository.pop();
    assert!(world.cycle(&eager("")).up_to_date());
    assert_eq!(world.did("report drifted"), 1);
    rename(&mut world.rows, "monitor", 0, "web 1");
    assert!(world.cycle(&eager("")).up_to_date());
    assert!(!world.state().replica.is_drifted(), "undone, it is no edit any more");
}

/// Its monitors alert nobody, and neither would those of the hosts that take them over.
#[test]
fn a_silent_standby_is_not_promoted_as_it_is() {
    let promote = |world: &mut World, settings: &Settings, as_is| {
        world.order(async |world, state| {
            let promotion = Promotion { as_is, confirm_shrink: false };
            Session::new(world, settings, state, Options::default()).promote(promotion).await.map(drop)
        })
    };
    let mut world = standby();
    assert_eq!(promote(&mut world, &silent(), true).kind(), Some(Kind::Usage));
    assert_eq!((world.role, world.repository.len()), (None, 1));
    assert!(matches!(switch(&mut world, &silent(), Alerts::On), End::Done(_)));
    assert!(matches!(promote(&mut world, &eager(""), true), End::Done(_)));
    assert_eq!((world.role, &world.rows), (Some(Role::Main), &fleet(1)));
    // Otherwise it applies what the main had, and alerts.
    let mut world = standby();
    assert!(matches!(promote(&mut world, &silent(), false), End::Done(_)));
    assert_eq!((world.role, &world.rows), (Some(Role::Main), &fleet(1)));
}

#[test]
fn alerts_that_cannot_be_switched_say_so() {
    // The notifications are this host's own.
    let mut world = World::new(fleet(0));
    world.configuration.push_str("[replica]\nstrategy = \"default\"\n");
    let file = world.configuration.clone();
    let end = switch(&mut world, &eager("strategy = \"default\""), Alerts::Off);
    assert_eq!((end.kind(), &world.configuration), (Some(Kind::Config), &file));
    // Nothing was applied yet: it counts from then on.
    let mut world = World::new(fleet(0));
    let end = world.order(async |world, state| {
        assert_eq!(
            Session::new(world, &eager(""), state, Options::default()).switch_alerts(Alerts::Off).await?,
            AlertsSwitch::WithFirstApply
        );
        Ok(())
    });
    assert!(matches!(end, End::Done(_)) && world.configuration.contains("alerts = \"off\""), "{end:?}");
    assert_eq!((&world.rows, world.stops), (&fleet(0), 0));
    // It is an order of a person, as a hold is, and does not end the hold.
    let mut world = standby();
    let mut state = world.state();
    let reason = "upgrade".to_owned();
    state.hold = Some(kuma_replicator::model::state::Hold { reason, since: world.clock, until: None });
    world.disk = Some(state.render());
    assert!(matches!(switch(&mut world, &silent(), Alerts::On), End::Done(_)));
    assert!(world.configuration.contains("alerts = \"on\"") && world.state().hold.is_some());
}

/// Whatever happens, the next cycle or the same order ends as ordered.
#[test]
fn a_switch_survives_a_fault_at_every_step() {
    let order = |world: &mut World| switch(world, &silent(), Alerts::On);
    let tried = at_every_call(standby, order, |mut world, end, fault, context| {
        let file = world.configuration.clone();
        let settings = Settings::parse(&file, Path::new("config.toml")).unwrap();
        if matches!(fault, Fault::KillBefore | Fault::KillAfter) || matches!(end, End::Failed(_)) {
            let turned = settings.replica.customization.alerts == Alerts::On;
            for _ in 0..3 {
                let next = world.cycle(&settings);
                assert!(turned || next.up_to_date() || next.applied(), "{context}: {next:?}");
                world.clock = world.clock.checked_add(jiff::SignedDuration::from_hours(2)).unwrap();
            }
            let links = &table_of(&world.rows, "monitor_notification").rows;
            assert_eq!(links.is_empty(), !turned, "{context}");
        }
        assert!(world.running, "{context}");
        let settings = Settings::parse(&world.configuration, Path::new("config.toml")).unwrap();
        assert!(matches!(switch(&mut world, &settings, Alerts::On), End::Done(_)), "{context}");
        assert_eq!(world.rows, fleet(1), "{context}");
        assert!(world.cycle(&eager("")).up_to_date(), "{context}");
    });
    assert!(tried > 40, "{tried} faults");
}
