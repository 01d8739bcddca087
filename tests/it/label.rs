//! Promise: with a label, the names of the monitors of a replica say which host sent an alert. It is neither an edit
//! nor part of what is published.

use std::path::Path;

use kuma_replicator::config::{Role, Settings};
use kuma_replicator::cycle::{Conclusion, Options, Promotion, Session};
use kuma_replicator::localise::Desired;
use kuma_replicator::model::configuration::{Configuration, Table};
use kuma_replicator::model::value::Value;

use crate::support::host::{End, World, eager, main_id};
use crate::support::rows::{self, i, raw, t, table};

/// Monitors with these names, the first one on a status page.
fn monitors(names: &[Value]) -> Configuration {
    let rows = names.iter().zip(1..).map(|(name, id)| vec![i(id), name.clone(), t("http"), t("web")]).collect();
    let tables = vec![
        table("user", &["id", "username"], vec![vec![i(1), t("web")]]),
        table("status_page", &["id", "slug", "title"], vec![vec![i(1), t("web"), t("web")]]),
        table("group", &["id", "name", "status_page_id"], vec![vec![i(1), t("web"), i(1)]]),
        table("monitor", &["id", "name", "type", "hostname"], rows),
        table("monitor_group", &["monitor_id", "group_id"], vec![vec![i(1), i(1)]]),
    ];
    Configuration { tables, files: Vec::new(), zone: None }
}

fn names(configuration: &Configuration) -> Vec<Value> {
    let table = configuration.table("monitor").unwrap();
    table.rows.iter().map(|row| table.value(row, "name").clone()).collect()
}

fn wanted(main: &Configuration, customization: &str) -> Configuration {
    Desired::customized(main, &eager(customization).replica.customization).on(main).unwrap().configuration
}

#[test]
fn every_name_has_the_label_once_and_nothing_else_has_it() {
    let named = [t("web"), t(""), t("db (fra1)"), t("naïve 🐻 "), raw(b"\xff"), Value::Null, i(7)];
    let main = monitors(&named);
    let labelled = wanted(&main, "label = \"fra1\"");
    let expected = [
        t("web (fra1)"),
        t(" (fra1)"),
        t("db (fra1) (fra1)"),
        t("naïve 🐻  (fra1)"),
        raw(b"\xff (fra1)"),
        Value::Null,
        i(7),
    ];
    assert_eq!(names(&labelled), expected);
    // The names that are here already make no difference.
    let customization = eager("label = \"fra1\"").replica.customization;
    assert_eq!(Desired::customized(&main, &customization).on(&labelled).unwrap().configuration, labelled);
    let mut rest = labelled;
    for (row, name) in rest.table_mut("monitor").unwrap().rows.iter_mut().zip(&named) {
        let at = main.table("monitor").unwrap().position("name").unwrap();
        row[at] = name.clone();
    }
    assert_eq!((&rest, &wanted(&main, "label = \"\"")), (&main, &main));
}

#[test]
fn pages_stay_clean_if_so_configured() {
    let main = monitors(&[t("web"), t("db")]);
    let customization = |clean| format!("label = \"fra1\"\nclean-status-pages = {clean}");
    assert_eq!(names(&wanted(&main, &customization(false))), [t("web (fra1)"), t("db (fra1)")]);
    assert_eq!(names(&wanted(&main, &customization(true))), [t("web"), t("db (fra1)")]);
    // If this host has pages of its own, those count.
    let mut here = main.clone();
    let links: &mut Table = here.table_mut("monitor_group").unwrap();
    let at = links.position("monitor_id").unwrap();
    links.rows[0][at] = i(2);
    let own =
        eager(&format!("{}\n[replica.exclude]\ntables = [\"status_page\"]", customization(true))).replica.customization;
    let wanted = Desired::customized(&main, &own).on(&here).unwrap().configuration;
    assert_eq!(names(&wanted), [t("web (fra1)"), t("db")]);
}

/// Exclusions and overrides go by the names that people know from the main.
#[test]
fn other_customization_uses_the_names_of_the_main() {
    let customization = "label = \"fra1\"\n[replica.exclude]\nmonitor-names = [\"d?\"]\n[[replica.overrides]]\n\
        table = \"monitor\"\nwhere = { name = \"web\" }\nset = { name = \"site\" }";
    assert_eq!(names(&wanted(&monitors(&[t("web"), t("db")]), customization)), [t("site (fra1)")]);
}

#[test]
fn monitors_of_its_own_are_named_by_hand() {
    let text = "role = \"replica\"\nrepository = \"/r\"\n[replica]\nlabel = \"fra1\"\n\
        [replica.exclude]\ntables = [\"monitor\"]";
    let error = Settings::parse(text, Path::new("config.toml")).unwrap_err().chain();
    assert!(error.contains("replica.label") && error.contains("replica.exclude.tables"), "{error}");
}

/// Through cycles: no edit, another label at once, and nothing of it in what a promoted replica publishes.
#[test]
fn a_label_is_this_replicas_own() {
    let main = monitors(&[t("web"), t("db")]);
    let mut world = World::new(main.clone());
    world.offer(&main, &main_id('b'), 1, 1);
    for label in ["fra1", "ams2"] {
        let settings = eager(&format!("label = \"{label}\""));
        let end = world.cycle(&settings);
        assert!(matches!(end, End::Done(Conclusion::Applied(_))), "{label}: {end:?}");
        assert_eq!(names(&world.rows), [t(&format!("web ({label})")), t(&format!("db ({label})"))]);
        for _ in 0..2 {
            assert!(matches!(world.cycle(&settings), End::Done(Conclusion::UpToDate)));
            assert_eq!(world.did("report drifted"), 0);
        }
    }
    assert_eq!(world.stops, 2);
    let settings = eager("label = \"ams2\"");
    let end = world.order(async |world, state| {
        Session::new(world, &settings, state, Options::default()).promote(Promotion::default()).await.map(drop)
    });
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert_eq!((world.role, &world.rows), (Some(Role::Main), &main));
    let (newest, _) = world.repository.last().unwrap();
    assert_eq!(newest.tags.digest, rows::manifest(&main, None).digest);
}
