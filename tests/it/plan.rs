//! Promise: a plan, carried out, gives exactly the wanted configuration; where nothing is to do it is empty;
//! and an entity that changes keeps its identity, so that its history stays.

use kuma_replicator::model::catalog;
use kuma_replicator::model::configuration::{Configuration, Row, Table, UploadedFile};
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::{Plan, plan};
use proptest::prelude::*;

use crate::support::arbitrary;
use crate::support::rows::{carry_out, i, r, t, table};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_leads_from_here_to_wanted((here, wanted) in arbitrary::pair()) {
        let changes = plan(&here, &wanted);
        let mut reached = carry_out(&changes, &here);
        // Files are never removed.
        reached.files.retain(|file| wanted.files.contains(file));
        prop_assert_eq!(&reached, &wanted);
        prop_assert!(plan(&reached, &wanted).is_empty(), "planned again, there is nothing to do");
        prop_assert_eq!(changes.is_empty(), here.tables == wanted.tables && plan(&here, &wanted).files.is_empty());
    }

    #[test]
    fn equal_configurations_need_no_plan(one in arbitrary::configuration()) {
        prop_assert_eq!(plan(&one, &one), Plan::default());
    }

    #[test]
    fn a_plan_touches_no_row_that_is_as_wanted((here, wanted) in arbitrary::pair()) {
        let changes = plan(&here, &wanted);
        for change in &changes.tables {
            let (old, new) = (here.table(change.spec.name).unwrap(), wanted.table(change.spec.name).unwrap());
            prop_assert!(!(change.deletes.is_empty() && change.updates.is_empty() && change.inserts.is_empty()));
            let Some(identity) = change.spec.identity() else {
                if change.spec.ordered_within.is_some() {
                    continue;
                }
                // As few removals and additions as a bag of contents allows.
                for row in change.deletes.iter().chain(&change.inserts) {
                    let count = |rows: &[Row]| rows.iter().filter(|other| *other == row).count();
                    prop_assert_eq!(count(&change.deletes), count(&old.rows).saturating_sub(count(&new.rows)));
                    prop_assert_eq!(count(&change.inserts), count(&new.rows).saturating_sub(count(&old.rows)));
                }
                continue;
            };
            let value = |row: &[Value], column: &str| old.value(row, column).clone();
            let ids = |table: &Table| table.rows.iter().map(|row| value(row, identity)).collect::<Vec<_>>();
            for update in &change.updates {
                prop_assert_eq!(value(&update.from, identity), value(&update.to, identity));
                if change.spec.name == catalog::MONITOR {
                    prop_assert_eq!(value(&update.from, catalog::CREATED), value(&update.to, catalog::CREATED));
                }
            }
            for row in &change.deletes {
                let id = value(row, identity);
                let replaced = change.inserts.iter().any(|new| value(new, identity) == id);
                prop_assert_eq!(replaced, ids(new).contains(&id), "removed only if gone or replaced");
                prop_assert!(!replaced || change.spec.name == catalog::MONITOR, "only monitors are replaced");
            }
            for row in &change.inserts {
                let id = value(row, identity);
                let replaced = change.deletes.iter().any(|old| value(old, identity) == id);
                prop_assert_eq!(replaced, ids(old).contains(&id));
            }
        }
        let order: Vec<_> =
            changes.tables.iter().map(|change| catalog::TABLES.iter().position(|spec| spec == change.spec)).collect();
        prop_assert!(order.is_sorted(), "parents come before children");
    }
}

/// One table before and after, and what the plan is to do: (removals, changes, additions).
#[test]
fn what_is_planned() {
    let monitors = |rows: Vec<Vec<Value>>| table("monitor", &["id", "name", "created_date"], rows);
    let links = |rows: Vec<Vec<Value>>| table("monitor_tag", &["monitor_id", "tag_id", "value"], rows);
    let users = |rows: Vec<Vec<Value>>| table("user", &["id", "username"], rows);
    let settings = |rows: &[(&str, &str)]| {
        let rows = rows.iter().map(|(key, value)| vec![t(key), t("general"), t(value)]).collect();
        table("setting", &["key", "type", "value"], rows)
    };
    let m = |id, name: &str, created: &str| vec![i(id), t(name), t(created)];
    let cases = [
        ("another name", monitors(vec![m(1, "a", "x")]), monitors(vec![m(1, "b", "x")]), (0, 1, 0)),
        ("another monitor under its id", monitors(vec![m(1, "a", "x")]), monitors(vec![m(1, "a", "y")]), (1, 0, 1)),
        (
            "a creation date that appears",
            monitors(vec![vec![i(1), t("a"), Value::Null]]),
            monitors(vec![m(1, "a", "x")]),
            (1, 0, 1),
        ),
        ("other ids", monitors(vec![m(1, "a", "x")]), monitors(vec![m(2, "a", "x")]), (1, 0, 1)),
        ("another value", settings(&[("checkBeta", "true")]), settings(&[("checkBeta", "false")]), (0, 1, 0)),
        ("another key", settings(&[("checkBeta", "true")]), settings(&[("checkUpdate", "true")]), (1, 0, 1)),
        ("emptied", monitors(vec![m(1, "a", "x"), m(2, "a", "x")]), monitors(vec![]), (2, 0, 0)),
        ("filled", monitors(vec![]), monitors(vec![m(1, "a", "x"), m(2, "a", "x")]), (0, 0, 2)),
        ("a user is never replaced", users(vec![vec![i(1), t("a")]]), users(vec![vec![i(1), t("b")]]), (0, 1, 0)),
        (
            "another storage class",
            users(vec![vec![i(1), t("1")], vec![i(2), i(1)], vec![i(3), r(0.0)]]),
            users(vec![vec![i(1), i(1)], vec![i(2), r(1.0)], vec![i(3), r(-0.0)]]),
            (0, 3, 0),
        ),
        (
            "a link less of three equal ones",
            links(vec![vec![i(1), i(1), t("")]; 3]),
            links(vec![vec![i(1), i(1), t("")]; 2]),
            (1, 0, 0),
        ),
        (
            "a tag between two others",
            links(vec![vec![i(1), i(1), t("a")], vec![i(1), i(1), t("c")]]),
            links(vec![vec![i(1), i(1), t("a")], vec![i(1), i(1), t("b")], vec![i(1), i(1), t("c")]]),
            (1, 0, 2),
        ),
        (
            "tags in another order",
            links(vec![vec![i(1), i(1), t("b")], vec![i(1), i(1), t("a")], vec![i(2), i(1), t("b")]]),
            links(vec![vec![i(1), i(1), t("a")], vec![i(1), i(1), t("b")], vec![i(2), i(1), t("b")]]),
            (1, 0, 1),
        ),
        (
            "the second of two equal tags goes, while its content decides which is removed",
            links(vec![vec![i(1), i(1), t("a")], vec![i(1), i(1), t("b")], vec![i(1), i(1), t("a")]]),
            links(vec![vec![i(1), i(1), t("a")], vec![i(1), i(1), t("b")]]),
            (3, 0, 2),
        ),
        (
            "a link with another value",
            links(vec![vec![i(1), i(1), Value::Null]]),
            links(vec![vec![i(1), i(1), t("")]]),
            (1, 0, 1),
        ),
    ];
    for (name, before, after, wanted) in cases {
        let one = |table: Table| Configuration { tables: vec![table], files: Vec::new(), zone: None };
        let (here, there) = (one(before), one(after));
        let changes = plan(&here, &there);
        let size = changes.size();
        assert_eq!((size.deletes, size.updates, size.inserts), wanted, "{name}");
        assert_eq!(carry_out(&changes, &here), there, "{name}");
    }
}

#[test]
fn files_are_written_when_they_differ_and_never_removed() {
    let with = |files: &[(&str, &str)]| Configuration {
        tables: Vec::new(),
        files: files
            .iter()
            .map(|(name, content)| UploadedFile { name: (*name).to_owned(), content: content.as_bytes().to_vec() })
            .collect(),
        zone: None,
    };
    let here = with(&[("a.png", "1"), ("b.png", "2"), ("gone.png", "3")]);
    let changes = plan(&here, &with(&[("a.png", "1"), ("b.png", "other"), ("new.png", "4")]));
    let names: Vec<&str> = changes.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["b.png", "new.png"]);
    assert!(plan(&here, &with(&[])).is_empty());
}

/// What a disk must have free grows with the rows, with what they contain, and with the files.
#[test]
fn the_room_that_is_needed_comes_from_the_plan() {
    let monitor = |name: &str| table("monitor", &["id", "name"], vec![vec![i(1), t(name)]]);
    let configuration = |tables: Vec<Table>| Configuration { tables, files: Vec::new(), zone: None };
    let room = |here: Vec<Table>, wanted: Vec<Table>| plan(&configuration(here), &configuration(wanted)).room();
    assert_eq!(room(vec![monitor("a")], vec![monitor("a")]), 0);
    let small = room(vec![monitor("a")], vec![monitor("b")]);
    assert_eq!(small, 4096 + 2 * (8 + 1 + 8 + 1));
    let large = "x".repeat(1 << 20);
    assert_eq!(room(vec![monitor("a")], vec![monitor(&large)]) - small, 2 * ((1 << 20) - 1));
    let mut wanted = configuration(vec![monitor("b")]);
    wanted.files.push(UploadedFile { name: "logo1.png".to_owned(), content: vec![0; 5000] });
    assert_eq!(plan(&configuration(vec![monitor("a")]), &wanted).room(), small + 5000);
}
