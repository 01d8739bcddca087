//! For random databases and random customization.

use std::collections::BTreeSet;

use kuma_replicator::config::Alerts;
use kuma_replicator::error::Kind;
use kuma_replicator::localise::{self, Desired, Part};
use kuma_replicator::model::catalog::{self, OnDelete};
use kuma_replicator::model::configuration::{Configuration, Row};
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::{Plan, Update, plan};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use proptest::test_runner::TestRunner;

use super::known::{alone, dangling, excluded, get, identities, ids, kept, name_of, own};
use crate::support::fleet::{Fleet, Server, fleet, shown};
use crate::support::instance::Version;
use crate::support::rows::i;

const BOTH: [Version; 2] = [Version::One, Version::Two];

/// Runs `test` with random fleets of both versions, and a random extra.
fn hold<S: proptest::strategy::Strategy + Clone>(cases: u32, extra: S, test: impl Fn(&Fleet, S::Value)) {
    for version in BOTH {
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let run = TestRunner::new(config).run(&(fleet(version), extra.clone()), |(fleet, extra)| {
            test(&fleet, extra);
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The same on a server that has what is here.
fn hold_there<S: proptest::strategy::Strategy + Clone>(extra: S, test: impl Fn(&Server, &Fleet, S::Value)) {
    let servers = BOTH.map(Server::new);
    hold(40, extra, |fleet, extra| {
        let server = &servers[usize::from(fleet.version == Version::Two)];
        server.fill(&fleet.here);
        test(server, fleet, extra);
    });
}

/// What is wanted; an error may only be the fault of the customization.
fn wanted(fleet: &Fleet, here: &Configuration) -> Option<Configuration> {
    match Desired::customized(&fleet.main, &fleet.customization).on(here) {
        Ok(wanted) => Some(wanted.configuration),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Config, "{}", error.chain());
            assert_ne!(error.hint(), Kind::Config.hint(), "{}: what is one to do?", error.chain());
            None
        }
    }
}

/// The rows of `configuration` alone; a replica may have files that nobody wants.
fn rows(configuration: &Configuration) -> Configuration {
    Configuration { files: Vec::new(), ..configuration.clone() }
}

#[test]
fn what_is_wanted_can_be_written_and_then_nothing_is_left_to_do() {
    hold_there(Just(()), |server, fleet, ()| {
        let Some(want) = wanted(fleet, &fleet.here) else { return };
        server.write(&plan(&fleet.here, &want), &want).unwrap_or_else(|error| panic!("{}", error.chain()));
        let reached = server.export();
        assert_eq!(rows(&reached), rows(&want));
        assert!(want.files.iter().all(|file| reached.files.contains(file)));
        assert_eq!(server.instance.value("SELECT count(*) FROM pragma_foreign_key_check"), i(0));

        let again = wanted(fleet, &reached).expect("what was wanted once can be wanted again");
        assert_eq!(shown(&again, server.instance.version), shown(&want, server.instance.version));
        assert_eq!(again, want);
        assert_eq!(plan(&reached, &again), Plan::default());
    });
}

#[test]
fn what_is_excluded_or_kept_is_never_written() {
    hold(300, Just(()), |fleet, ()| {
        let Fleet { main, here, customization, .. } = fleet;
        let Some(want) = wanted(fleet, here) else { return };
        let alone = alone(customization);
        for change in plan(here, &want).tables {
            let name = change.spec.name;
            let table = here.table(name).unwrap();
            // A row goes, and a reference becomes NULL, when what it refers to goes; and for nothing else.
            let gone = |row: &Row, on_delete: OnDelete| {
                change.spec.references.iter().filter(|it| it.on_delete == on_delete).any(|it| {
                    let (old, new) = (identities(here, it.parent), identities(&want, it.parent));
                    old.iter().any(|parent| parent.0 == *get(table, row, it.column) && !new.contains(parent))
                })
            };
            // Its owner may have another id now.
            let own_changes = |update: &Update| -> Vec<usize> {
                let moved = |at: &usize| {
                    let names = (name_of(here, &update.from[*at]), name_of(&want, &update.to[*at]));
                    change.columns[*at] == "user_id"
                        && kept(customization, "user")
                        && names.0.is_some()
                        && names.0 == names.1
                };
                update.changed().filter(|at| !moved(at)).collect()
            };
            if alone.contains(name) {
                assert_eq!(change.inserts, Vec::<Row>::new(), "{name}");
                for row in &change.deletes {
                    assert!(gone(row, OnDelete::Cascade), "{name}: {row:?}");
                }
                for update in &change.updates {
                    let changes = own_changes(update);
                    assert!(changes.is_empty() || gone(&update.from, OnDelete::SetNull), "{name}: {update:?}");
                    assert!(changes.iter().all(|at| update.to[*at] == Value::Null), "{name}: {update:?}");
                }
            } else if kept(customization, name) {
                assert!(
                    change.updates.iter().all(|update| own_changes(update).is_empty()),
                    "{name}: {:?}",
                    change.updates
                );
                let (there, before, id) = (ids(main, name), ids(here, name), |row: &Row| get(table, row, "id").clone());
                assert!(change.inserts.iter().all(|row| there.contains(&id(row)) && !before.contains(&id(row))));
                assert!(change.deletes.iter().all(|row| !there.contains(&id(row))));
            }
            let own = |update: &Update| update.changed().any(|at| own(customization, name, &change.columns[at]));
            assert!(
                !customization.overrides.is_empty() || !change.updates.iter().any(own),
                "{name}: {:?}",
                change.updates
            );
        }
    });
}

#[test]
fn no_reference_dangles_that_did_not_dangle_before() {
    hold(300, Just(()), |fleet, ()| {
        let Some(want) = wanted(fleet, &fleet.here) else { return };
        let (from_main, from_here) = (dangling(&fleet.main), dangling(&fleet.here));
        for lost in dangling(&want) {
            let source = if alone(&fleet.customization).contains(lost.0) { &from_here } else { &from_main };
            assert!(source.contains(&lost), "{lost:?}");
        }
    });
}

#[test]
fn excluded_monitors_are_nowhere_and_all_others_are_there() {
    hold(300, Just(()), |fleet, ()| {
        let Some(want) = wanted(fleet, &fleet.here) else { return };
        if alone(&fleet.customization).contains("monitor") {
            assert_eq!(identities(&want, "monitor"), identities(&fleet.here, "monitor"));
            return;
        }
        let excluded = excluded(&fleet.main, &fleet.customization);
        let mut expected = identities(&fleet.main, "monitor");
        expected.retain(|(id, _)| !excluded.contains(id));
        assert_eq!(identities(&want, "monitor"), expected);
        let taken = want.tables.iter().filter(|table| !alone(&fleet.customization).contains(table.spec.name));
        for table in taken.filter(|table| table.position("monitor_id").is_some()) {
            assert!(
                table.rows.iter().all(|row| !excluded.contains(get(table, row, "monitor_id"))),
                "{}",
                table.spec.name
            );
        }
        if fleet.customization.alerts == Alerts::Off {
            assert_eq!(want.table("monitor_notification").unwrap().rows, Vec::<Row>::new());
        }
    });
}

#[test]
fn a_user_can_log_in_and_owns_what_the_main_s_users_own() {
    hold(300, Just(()), |fleet, ()| {
        let Some(want) = wanted(fleet, &fleet.here) else { return };
        assert!(want.has_user());
        assert!(ids(&want, "user").is_superset(&ids(&fleet.main, "user")));
        let names = |configuration: &Configuration| -> BTreeSet<Value> {
            let users = configuration.table("user").unwrap();
            users.rows.iter().map(|row| get(users, row, "username").clone()).collect()
        };
        if kept(&fleet.customization, "user") {
            assert!(names(&want).is_superset(&names(&fleet.here)), "no log-in of this host is lost");
        } else {
            assert_eq!(ids(&want, "user"), ids(&fleet.main, "user"));
        }
    });
}

#[test]
fn parts_lead_to_the_whole_and_each_keeps_to_its_tables() {
    let notifications = ["notification", "monitor_notification"];
    hold_there(Just(()), |server, fleet, ()| {
        let Some(want) = wanted(fleet, &fleet.here) else { return };
        for part in localise::parts(fleet.customization.strategy) {
            let here = server.export();
            let some = part.of(want.clone(), &here);
            let changes = plan(&here, &some);
            for change in &changes.tables {
                let inside = match part {
                    Part::Whole => true,
                    Part::Rest => !notifications.contains(&change.spec.name),
                    Part::Notifications => notifications.contains(&change.spec.name),
                    Part::Alerts => change.spec.name == "monitor_notification",
                };
                let links_go = change.spec.name == "monitor_notification" && change.inserts.is_empty();
                assert!(inside || links_go, "{part:?}: {change:?}");
            }
            server.write(&changes, &some).unwrap_or_else(|error| panic!("{part:?}: {}", error.chain()));
        }
        assert_eq!(rows(&server.export()), rows(&want));
        // Each by itself, whatever the other's state is, leads to what can be written.
        for part in [Part::Notifications, Part::Rest] {
            server.fill(&fleet.here);
            let some = part.of(want.clone(), &fleet.here);
            server
                .write(&plan(&fleet.here, &some), &some)
                .unwrap_or_else(|error| panic!("{part:?}: {}", error.chain()));
            assert_eq!(part.of(want.clone(), &server.export()), some, "{part:?}");
        }
    });
}

#[test]
fn only_some_tables_can_be_written() {
    let names: Vec<&str> = catalog::TABLES.iter().map(|spec| spec.name).collect();
    hold_there(subsequence(names, 0..=18), |server, fleet, some| {
        let Some(want) = wanted(fleet, &fleet.here) else { return };
        let mixed = localise::only(want.clone(), &fleet.here, |table| some.contains(&table));
        let changes = plan(&fleet.here, &mixed);
        server.write(&changes, &mixed).unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(rows(&server.export()), rows(&mixed));
        for change in changes.tables.iter().filter(|change| !some.contains(&change.spec.name)) {
            assert_eq!(change.inserts, Vec::<Row>::new());
            let nothing = |at: usize| {
                change.updates.iter().all(|update| update.from[at] == update.to[at] || update.to[at] == Value::Null)
            };
            assert!((0..change.columns.len()).all(nothing), "{change:?}");
        }
        let sources = dangling(&want).into_iter().filter(|(table, ..)| some.contains(table));
        let known: BTreeSet<_> = sources.chain(dangling(&fleet.here)).collect();
        assert!(dangling(&mixed).is_subset(&known), "{:?}", dangling(&mixed));
        assert_eq!(
            localise::only(want.clone(), &mixed, |table| some.contains(&table)),
            mixed,
            "once more it is the same"
        );
        assert_eq!(localise::only(want.clone(), &fleet.here, |_| true), want);
        assert_eq!(rows(&localise::only(want.clone(), &fleet.here, |_| false)), rows(&fleet.here));
    });
}

#[test]
fn an_edit_matters_if_it_would_be_overwritten() {
    let place = (any::<Index>(), any::<Index>(), any::<Index>());
    hold(400, place, |fleet, (table, row, column)| {
        let Some(mut here) = wanted(fleet, &fleet.here) else { return };
        let before = localise::managed(here.clone(), &fleet.customization);
        let want = here.clone();
        let filled: Vec<usize> = (0..here.tables.len()).filter(|&at| !here.tables[at].rows.is_empty()).collect();
        let edited = &mut here.tables[filled[table.index(filled.len())]];
        let (row, at) = (row.index(edited.rows.len()), column.index(edited.columns.len()));
        let (table, column) = (edited.spec.name, edited.columns[at].clone());
        if column == "icon" {
            // Its file would go with it.
            return;
        }
        edited.rows[row][at] = i(4711);
        edited.leave_out_unconfirmed();
        if edited.rows[row][at] != i(4711) {
            // Nobody has confirmed it, so it is no edit.
            return;
        }
        edited.sort();
        let own = own(&fleet.customization, table, &column);
        let kept = kept(&fleet.customization, table) && column != "id";
        let managed = !alone(&fleet.customization).contains(table) && !kept && !own;
        assert_eq!(localise::managed(here.clone(), &fleet.customization) != before, managed, "{table}.{column}");
        if ["id", "created_date"].contains(&column.as_str()) {
            // Another row is no edit of this one.
            return;
        }
        let Some(again) = wanted(fleet, &here) else {
            assert_eq!((table, kept), ("user", true), "an edit of a log-in alone can make it impossible");
            return;
        };
        if managed {
            assert_eq!(again, want, "it is overwritten");
        } else if fleet.customization.overrides.is_empty() {
            assert_eq!(rows(&again), rows(&here), "it stays");
        }
    });
}
