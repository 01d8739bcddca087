//! Promise: of Uptime Kuma's settings, a replica takes those that it lists over and leaves all others alone, and no
//! value of one is shown.

use std::time::Duration;

use kuma_replicator::config::{Role, Settings};
use kuma_replicator::cycle::{self, Conclusion, History, Options, Promotion, Session, Source};
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::localise::Desired;
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::plan;
use kuma_replicator::report::PlanDocument;

use crate::support::generations::generation;
use crate::support::host::{End, World, eager, main_id};
use crate::support::instance::{Instance, Order, Version};
use crate::support::rows::{t, table};

fn replica(settings: &[&str]) -> Settings {
    eager(&format!("settings = {settings:?}"))
}

/// A configuration of this generation, with these settings.
fn with(number: i64, settings: &[(&str, &str)]) -> Configuration {
    let mut configuration = generation(number);
    let rows = settings.iter().map(|(key, value)| vec![t(key), t("general"), t(value)]).collect();
    configuration.tables.push(table("setting", &["key", "type", "value"], rows));
    configuration
}

/// The settings in `configuration` as text; `None` if it has no such table.
fn settings(configuration: &Configuration) -> Option<String> {
    let table = configuration.table("setting")?;
    let text = |row: &[Value], column: &str| table.value(row, column).as_text().unwrap().to_owned();
    let rows = table.rows.iter().map(|row| format!("{}={}", text(row, "key"), text(row, "value")));
    Some(rows.collect::<Vec<_>>().join(" "))
}

const MAIN: &[(&str, &str)] = &[("apiKeysEnabled", "true"), ("checkBeta", "m"), ("keepDataPeriodDays", "30")];
const HERE: &[(&str, &str)] = &[("checkBeta", "h"), ("checkUpdate", "h"), ("serverTimezone", "h")];

#[test]
fn only_what_is_listed_is_the_mains() {
    let cases: &[(&[&str], Option<&str>)] = &[
        (&[], None),
        (&["checkBeta"], Some("checkBeta=m checkUpdate=h serverTimezone=h")),
        (&["apiKeysEnabled"], Some("apiKeysEnabled=true checkBeta=h checkUpdate=h serverTimezone=h")),
        // What the main does not have is none here either.
        (&["checkUpdate", "steamAPIKey"], Some("checkBeta=h serverTimezone=h")),
        (
            &["keepDataPeriodDays", "checkBeta", "checkBeta", "serverTimezone"],
            Some("checkBeta=m checkUpdate=h keepDataPeriodDays=30"),
        ),
    ];
    let (main, here) = (with(1, MAIN), with(0, HERE));
    for (keys, expected) in cases {
        let customization = replica(keys).replica.customization;
        let customized = Desired::customized(&main, &customization);
        let as_main = Desired::AsMain { main: &main, customization: &customization };
        for desired in [customized, as_main] {
            let wanted = desired.on(&here).unwrap().configuration;
            assert_eq!(settings(&wanted).as_deref(), *expected, "{keys:?}");
            let mut rest = wanted;
            rest.tables.retain(|table| table.spec.name != "setting");
            assert_eq!(rest, generation(1), "{keys:?}: nothing else is touched");
        }
        // A main that writes format 1 says nothing about settings.
        let wanted = Desired::customized(&generation(1), &customization).on(&here).unwrap().configuration;
        assert_eq!(settings(&wanted), None, "{keys:?}");
    }
}

#[test]
fn what_a_server_writes_by_itself_is_no_edit() {
    for (version, default, other) in [(Version::One, "180", "365"), (Version::Two, "365", "180")] {
        let instance = Instance::rich(version, Order::Fresh);
        instance.execute("DELETE FROM setting WHERE key IN ('keepDataPeriodDays', 'tlsExpiryNotifyDays')");
        let export = || Database::new(instance.path()).export().unwrap().configuration;
        let insert = |key: &str, kind: &str, value: &str| {
            instance.execute(&format!("INSERT INTO setting (key, type, value) VALUES ('{key}', {kind}, '{value}')"));
        };
        let none = export();
        insert("tlsExpiryNotifyDays", "'general'", "[7,14,21]");
        insert("keepDataPeriodDays", "'general'", default);
        assert_eq!(export(), none, "{version:?}");
        // A value that a person chose replaces what the server wrote.
        let mut wanted = none.clone();
        let settings = wanted.table_mut("setting").unwrap();
        settings.rows.push(vec![t("keepDataPeriodDays"), t("general"), t(other)].into());
        settings.sort();
        let changes = plan(&none, &wanted);
        let claim = Database::new(instance.path()).claim(Duration::ZERO).unwrap();
        claim.write(&changes, &wanted, History::Remove).unwrap();
        assert_eq!(export(), wanted, "{version:?}");
        let stored = "SELECT group_concat(value) FROM setting WHERE key = 'keepDataPeriodDays'";
        assert_eq!(instance.value(stored), t(other), "{version:?}");
        // The server does not treat a row of another type as its own.
        instance.execute("DELETE FROM setting WHERE key = 'keepDataPeriodDays'");
        insert("keepDataPeriodDays", "NULL", default);
        assert_ne!(export(), none, "{version:?}");
        // In a dump it is none, either.
        let customization = replica(&["keepDataPeriodDays"]).replica.customization;
        let mut main = none.clone();
        main.table_mut("setting").unwrap().rows.push(vec![t("keepDataPeriodDays"), t("general"), t(default)].into());
        let wanted = Desired::customized(&main, &customization).on(&none).unwrap().configuration;
        assert_eq!(wanted.table("setting"), none.table("setting"), "{version:?}");
    }
}

#[test]
fn cycles_take_over_what_is_listed_and_nothing_else() {
    for (keys, expected) in [
        (&[][..], "checkBeta=h checkUpdate=h serverTimezone=h"),
        (&["checkBeta", "apiKeysEnabled"], "apiKeysEnabled=true checkBeta=m checkUpdate=h serverTimezone=h"),
    ] {
        let settings_of = |world: &World| settings(&world.rows).unwrap();
        let replica = replica(keys);
        let mut world = World::new(with(0, HERE));
        world.offer(&with(1, MAIN), &main_id('b'), 1, 1);
        assert!(matches!(world.cycle(&replica), End::Done(Conclusion::Applied(_))));
        assert_eq!(settings_of(&world), expected);
        assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
        // A snapshot that only differs in what is not listed restarts nothing.
        let stops = world.stops;
        world.offer(&with(1, &[MAIN, &[("primaryBaseURL", "m")]].concat()), &main_id('b'), 1, 2);
        assert!(matches!(world.cycle(&replica), End::Done(Conclusion::UpToDate)));
        // One of an older agent takes nothing away.
        world.offer(&generation(2), &main_id('b'), 1, 3);
        assert!(matches!(world.cycle(&replica), End::Done(Conclusion::Applied(_))));
        assert_eq!((settings_of(&world), world.stops), (expected.to_owned(), stops + 1));

        // What the last apply replaced is restored, except for settings, which stay.
        let before = with(1, &[]);
        let end = world.order(async |world, state| {
            let restoration =
                Session::new(world, &replica, state, Options::default()).prepare_restore(Source::Previous).await?;
            Session::new(world, &replica, state, Options::default()).restore(restoration).await
        });
        assert!(matches!(end, End::Done(_)), "{end:?}");
        assert_eq!((world.rows.table("monitor"), settings_of(&world)), (before.table("monitor"), expected.to_owned()));
    }
}

#[test]
fn a_promotion_takes_what_is_listed_and_publishes_what_the_fleet_had() {
    let mut world = World::new(with(0, HERE));
    world.offer(&with(1, MAIN), &main_id('b'), 1, 1);
    let replica = replica(&["checkBeta"]);
    let end = world.order(async |world, state| {
        Session::new(world, &replica, state, Options::default()).promote(Promotion::default()).await.map(drop)
    });
    assert!(matches!(end, End::Done(_)), "{end:?}");
    let expected = with(1, &[("checkBeta", "m"), ("checkUpdate", "h"), ("serverTimezone", "h")]);
    assert_eq!((world.role, &world.rows), (Some(Role::Main), &expected));
    let (newest, bytes) = world.repository.last().unwrap();
    assert_eq!((newest.tags.place.order(), newest.tags.format), ((2, 2), 1));
    // With what this host lacks of it.
    let more = [("apiKeysEnabled", "true"), ("keepDataPeriodDays", "30")];
    let mut published =
        with(1, &[&[("checkBeta", "m"), ("checkUpdate", "h"), ("serverTimezone", "h")], &more[..]].concat());
    published.table_mut("setting").unwrap().sort();
    assert_eq!(cycle::verify(bytes, Some(newest)).unwrap().0.configuration, published);
}

/// A changed schema is what holds a replica; settings are none.
#[test]
fn settings_block_no_replica() {
    let mut world = World::new(generation(0));
    world.offer(&with(1, MAIN), &main_id('b'), 1, 1);
    assert!(matches!(world.cycle(&replica(&[])), End::Done(Conclusion::Applied(_))));
    assert_eq!(world.rows, generation(1));
}

#[test]
fn a_plan_names_settings_and_hides_their_values() {
    let main = with(0, &[("steamAPIKey", "geheim"), ("globalpingApiToken", "geheim too")]);
    let here = with(0, &[("globalpingApiToken", "geheim here"), ("trustProxy", "geheim there")]);
    let document = PlanDocument::new(Role::Replica, "applied", "x").changes(&plan(&here, &main));
    let text = document.to_string();
    for line in [
        "+ setting steamAPIKey\n",
        "~ setting globalpingApiToken\n",
        "value: changed (hidden)",
        "- setting trustProxy\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(!text.contains("geheim") && !serde_json::to_string(&document).unwrap().contains("geheim"), "{text}");
}
