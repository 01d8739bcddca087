//! Each customization by example, to be read as documentation.

use kuma_replicator::config::Customization;
use kuma_replicator::error::Kind;
use kuma_replicator::localise::{self, Desired};
use kuma_replicator::model::catalog;
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::value::Value;

use super::known::{BELONG, get};
use crate::support::fleet::parse;
use crate::support::rows::{i, r, t, table};

/// A main with something of everything, whose texts say that they are the main's. Monitors 4 to 7 are in groups.
fn side(name: &str) -> Configuration {
    let one = |name: &str, columns: &[&str], row: Vec<Value>| table(name, columns, vec![row]);
    let monitors = [
        (1, "web", "http", Value::Null),
        (2, "web (old)", "http", Value::Null),
        (3, "db", "group", Value::Null),
        (4, "db 1", "http", i(3)),
        (5, "db inner", "group", i(3)),
        (6, "db 12", "push", i(5)),
        (7, "déjà", "dns", Value::Null),
    ];
    let proxy = if name == "main" { 1 } else { 2 };
    let monitors = monitors.into_iter().map(|(id, name, kind, parent)| {
        vec![i(id), t(name), t(kind), i(1), parent, i(1), i(proxy), i(60), r(48.0), t("2026-01-01 00:00:00")]
    });
    let columns =
        ["id", "name", "type", "active", "parent", "user_id", "proxy_id", "interval", "timeout", "created_date"];
    let pair = |table: &str, columns: [&str; 2]| one(table, &[columns[0], columns[1], "by"], vec![i(1), i(1), t(name)]);
    Configuration {
        tables: vec![
            table("user", &["id", "username"], vec![vec![i(1), t(name)]]),
            one("api_key", &["id", "user_id", "name"], vec![i(1), i(1), t(name)]),
            table("proxy", &["id", "host", "user_id"], vec![vec![i(1), t(name), i(1)], vec![i(2), t(name), i(1)]]),
            one("docker_host", &["id", "name", "user_id"], vec![i(1), t(name), i(1)]),
            one("remote_browser", &["id", "name", "user_id"], vec![i(1), t(name), i(1)]),
            table("tag", &["id", "name", "color"], vec![vec![i(1), t("old"), t(name)], vec![i(2), t("new"), t(name)]]),
            one("notification", &["id", "name", "user_id"], vec![i(1), t(name), i(1)]),
            one("status_page", &["id", "slug"], vec![i(1), t(name)]),
            one("group", &["id", "name", "status_page_id"], vec![i(1), t(name), i(1)]),
            table("monitor", &columns, monitors.collect()),
            one("maintenance", &["id", "title"], vec![i(1), t(name)]),
            one("incident", &["id", "title", "status_page_id"], vec![i(1), t(name), i(1)]),
            pair("monitor_notification", ["monitor_id", "notification_id"]),
            table(
                "monitor_tag",
                &["monitor_id", "tag_id", "by"],
                vec![vec![i(2), i(1), t(name)], vec![i(4), i(2), t(name)]],
            ),
            pair("monitor_group", ["monitor_id", "group_id"]),
            pair("monitor_maintenance", ["monitor_id", "maintenance_id"]),
            pair("maintenance_status_page", ["maintenance_id", "status_page_id"]),
            one("status_page_cname", &["status_page_id", "domain"], vec![i(1), t(name)]),
        ],
        files: Vec::new(),
        zone: None,
    }
}

/// What a replica with this customization and the rows `here` wants of `main`.
fn want(main: &Configuration, here: &Configuration, customization: &str) -> Configuration {
    let customization = parse(&format!("paused-types = []\n{customization}"))
        .unwrap_or_else(|error| panic!("{customization}: {}", error.chain()));
    Desired::customized(main, &customization).on(here).unwrap_or_else(|error| panic!("{}", error.chain())).configuration
}

/// The values of one column, by the order of the rows.
fn values(configuration: &Configuration, table: &str, column: &str) -> Vec<Value> {
    let table = configuration.table(table).unwrap();
    table.rows.iter().map(|row| get(table, row, column).clone()).collect()
}

#[test]
fn monitors_are_excluded_with_everything_in_their_groups() {
    let cases: &[(&str, &[i64])] = &[
        ("", &[1, 2, 3, 4, 5, 6, 7]),
        ("monitor-tags = [\"old\"]", &[1, 3, 4, 5, 6, 7]),
        ("monitor-tags = [\"old\", \"new\", \"unknown\"]", &[1, 3, 5, 6, 7]),
        ("monitor-tags = [\"o*\"]", &[1, 2, 3, 4, 5, 6, 7]),
        ("monitor-names = [\"web\"]", &[2, 3, 4, 5, 6, 7]),
        ("monitor-names = [\"web*\"]", &[3, 4, 5, 6, 7]),
        ("monitor-names = [\"* ?\", \"d?j?\"]", &[1, 2, 3, 5, 6]),
        ("monitor-names = [\"WEB\", \"w\"]", &[1, 2, 3, 4, 5, 6, 7]),
        // A group that goes takes along what is in it, however it was named.
        ("monitor-names = [\"*inner\"]", &[1, 2, 3, 4, 7]),
        ("monitor-types = [\"push\"]", &[1, 2, 3, 4, 5, 7]),
        ("monitor-types = [\"group\"]", &[1, 2, 7]),
        ("monitor-groups = [\"db\"]", &[1, 2, 7]),
        ("monitor-groups = [\"*inner\"]", &[1, 2, 3, 4, 7]),
        ("monitor-groups = [\"web\"]", &[1, 2, 3, 4, 5, 6, 7]),
        ("monitor-tags = [\"old\"]\nmonitor-types = [\"dns\"]\nmonitor-groups = [\"db*\"]", &[1]),
    ];
    for (exclude, left) in cases {
        let wanted = want(&side("main"), &side("here"), &format!("[replica.exclude]\n{exclude}"));
        assert_eq!(values(&wanted, "monitor", "id"), left.iter().map(|id| i(*id)).collect::<Vec<_>>(), "{exclude}");
        let tagged: Vec<Value> = [2, 4].into_iter().filter(|id| left.contains(id)).map(i).collect();
        assert_eq!(values(&wanted, "monitor_tag", "monitor_id"), tagged, "{exclude}");
    }
}

#[test]
fn an_excluded_table_is_left_alone_with_what_belongs_to_it() {
    let (main, here) = (side("main"), side("here"));
    for (excluded, belong) in BELONG {
        let wanted = want(&main, &here, &format!("[replica.exclude]\ntables = [\"{excluded}\"]"));
        for table in &wanted.tables {
            let name = table.spec.name;
            let mut source = if belong.contains(&name) { &here } else { &main }.table(name).unwrap().clone();
            if (*excluded, name) == ("user", "user") {
                source = here.table("user").unwrap().clone();
            }
            if (*excluded, name) == ("proxy", "monitor") {
                let at = source.position("proxy_id").unwrap();
                source.rows.iter_mut().for_each(|row| row[at] = i(2));
            }
            assert_eq!(*table, source, "{excluded}: {name}");
        }
    }
    assert_eq!(BELONG.len() + 1, catalog::TABLES.len(), "all but settings");
}

#[test]
fn a_monitor_that_is_new_here_has_none_of_the_proxies_of_this_host() {
    let mut here = side("here");
    here.table_mut("monitor").unwrap().rows.truncate(1);
    let wanted = want(&side("main"), &here, "[replica.exclude]\ntables = [\"proxy\"]");
    assert_eq!(values(&wanted, "monitor", "proxy_id")[..2], [i(2), Value::Null]);
}

#[test]
fn rows_of_a_table_that_is_left_alone_go_with_the_rows_that_they_belong_to() {
    let mut main = side("main");
    main.table_mut("tag").unwrap().rows.remove(0);
    main.table_mut("monitor_tag").unwrap().rows.remove(0);
    let monitors = main.table_mut("monitor").unwrap();
    let at = monitors.position("created_date").unwrap();
    monitors.rows[3][at] = t("2026-02-02 00:00:00");
    // Tag 1 goes, and monitor 4 is another one than here.
    let wanted = want(&main, &side("here"), "[replica.exclude]\ntables = [\"monitor_tag\"]");
    assert_eq!(values(&wanted, "monitor_tag", "by"), []);
}

#[test]
fn local_entities_come_and_go_with_the_main_s_and_keep_their_values() {
    let rows = |rows: &[(i64, &str)]| rows.iter().map(|(id, name)| vec![i(*id), t(name)]).collect::<Vec<_>>();
    for (name, column) in [("proxy", "host"), ("docker_host", "name"), ("remote_browser", "name")] {
        let with = |side: Configuration, given: &[(i64, &str)]| {
            let mut side = Configuration { tables: vec![side.table("user").unwrap().clone()], ..side };
            side.tables.push(table(name, &["id", column], rows(given)));
            side
        };
        let main = with(side("main"), &[(1, "a"), (2, "b"), (3, "c")]);
        let here = with(side("here"), &[(2, "mine"), (4, "gone")]);
        let kept = want(&main, &here, &format!("[replica.local-entities]\n{} = \"keep\"", name.replace('_', "-")));
        assert_eq!(values(&kept, name, column), [t("a"), t("mine"), t("c")], "{name}");
        assert_eq!(values(&kept, "user", "username"), [t("main")], "{name}");
        assert_eq!(want(&main, &here, "").table(name), main.table(name));
    }
}

#[test]
fn users_have_the_ids_of_the_main_and_the_log_ins_of_this_host() {
    type Users = &'static [(i64, &'static str)];
    let cases: &[(Users, Users, Users)] = &[
        (&[(1, "main")], &[(1, "here")], &[(1, "here")]),
        // A user whose id the main does not have gets one that it has, with everything that belongs to it.
        (&[(1, "main")], &[(7, "here")], &[(1, "here")]),
        (&[(1, "main"), (2, "other")], &[(1, "here")], &[(1, "here"), (2, "other")]),
        (&[(1, "main"), (2, "other")], &[(2, "here"), (5, "more")], &[(1, "more"), (2, "here")]),
        // Other users of this host stay.
        (&[(1, "main")], &[(1, "here"), (5, "more")], &[(1, "here"), (5, "more")]),
        // Without any user, the set-up page would be open to anybody.
        (&[(1, "main")], &[], &[(1, "main")]),
    ];
    let with = |users: Users| Configuration {
        tables: vec![
            table("user", &["id", "username"], users.iter().map(|(id, name)| vec![i(*id), t(name)]).collect()),
            table("notification", &["id", "user_id"], users.iter().map(|(id, _)| vec![i(*id), i(*id)]).collect()),
        ],
        files: Vec::new(),
        zone: None,
    };
    for (main, here, result) in cases {
        for customization in ["[replica.local-entities]\nuser = \"keep\"", "[replica.exclude]\ntables = [\"user\"]"] {
            let wanted = want(&with(main), &with(here), customization);
            assert_eq!(wanted.table("user"), with(result).table("user"), "{here:?}");
            assert_eq!(wanted.table("notification"), with(main).table("notification"), "{here:?}");
        }
    }
    // The notifications that are left alone go on to belong to whom they belong to.
    let wanted = want(
        &with(&[(1, "main")]),
        &with(&[(7, "here")]),
        "strategy = \"default\"\n[replica.local-entities]\nuser = \"keep\"",
    );
    assert_eq!(
        (values(&wanted, "notification", "id"), values(&wanted, "notification", "user_id")),
        (vec![i(7)], vec![i(1)])
    );
}

#[test]
fn overrides_set_values_in_order() {
    let monitors = "table = \"monitor\"\n";
    let cases = [
        ("set = { interval = 120 }", "interval", vec![i(120); 7]),
        (
            "where = { type = \"http\", name = \"web\" }\nset = { interval = 120 }",
            "interval",
            [&[i(120)][..], &vec![i(60); 6]].concat(),
        ),
        ("where = { name = \"nobody\" }\nset = { interval = 120 }", "interval", vec![i(60); 7]),
        ("clear = [\"proxy_id\"]", "proxy_id", vec![Value::Null; 7]),
        ("set = { active = false }", "active", vec![i(0); 7]),
        // Numbers match, and are stored, by what they are.
        ("where = { timeout = 48 }\nset = { timeout = 30 }", "timeout", vec![r(30.0); 7]),
        ("where = { interval = 60.0 }\nset = { interval = 90.0 }", "interval", vec![i(90); 7]),
        ("where = { interval = \"60\" }\nset = { interval = 90 }", "interval", vec![i(60); 7]),
    ];
    for (one, column, result) in cases {
        let wanted = want(&side("main"), &side("here"), &format!("[[replica.overrides]]\n{monitors}{one}"));
        assert_eq!(values(&wanted, "monitor", column), result, "{one}");
    }
    // Each matches the values that those before it have set.
    let steps = [
        "set = { interval = 61 }",
        "where = { interval = 61 }\nset = { timeout = 5 }",
        "where = { interval = 60 }\nset = { timeout = 6 }",
    ];
    let steps = steps.map(|one| format!("[[replica.overrides]]\n{monitors}{one}\n"));
    let wanted = want(&side("main"), &side("here"), &steps.concat());
    assert_eq!(values(&wanted, "monitor", "timeout"), vec![r(5.0); 7]);
}

#[test]
fn each_customization_works_on_the_result_of_those_before_it() {
    // Excluded, then paused, then overridden; what is kept is stronger than that.
    let customization = "[replica.exclude]\nmonitor-types = [\"push\"]
        [replica.local-entities]\nproxy = \"keep\"
        [[replica.overrides]]\ntable = \"monitor\"\nwhere = { active = 0 }\nset = { type = \"push\" }
        [[replica.overrides]]\ntable = \"proxy\"\nset = { host = \"override\" }";
    let customization = parse(&format!("paused-types = [\"dns\"]\n{customization}")).unwrap();
    let (main, mut here) = (side("main"), side("here"));
    here.table_mut("proxy").unwrap().rows.remove(0);
    let wanted = Desired::customized(&main, &customization).on(&here).unwrap();
    assert_eq!(values(&wanted.configuration, "monitor", "id"), [1, 2, 3, 4, 5, 7].map(i));
    assert_eq!(values(&wanted.configuration, "monitor", "type")[5], t("push"));
    assert_eq!(values(&wanted.configuration, "proxy", "host"), [t("override"), t("here")], "one that is new, one kept");
    assert_eq!(
        wanted.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "excluded by type push: 1 monitor",
            "paused by their type: 1 monitor",
            "override 1: 1 row of monitor",
            "override 2: 2 rows of proxy",
            "kept: 1 row of proxy",
        ]
    );
}

#[test]
fn a_silent_standby_sends_no_alerts_and_keeps_the_notifications() {
    let wanted = want(&side("main"), &side("here"), "alerts = \"off\"");
    assert_eq!(values(&wanted, "monitor_notification", "by"), []);
    assert_eq!(values(&wanted, "notification", "name"), [t("main")]);
}

#[test]
fn each_strategy_takes_its_part() {
    let cases = [("snapshot", "main", 1), ("default", "here", 1), ("notifications-insert-merge", "main", 2)];
    for (strategy, notifications, parts) in cases {
        let text = format!("strategy = \"{strategy}\"");
        let wanted = want(&side("main"), &side("here"), &text);
        assert_eq!(values(&wanted, "notification", "name"), [t(notifications)], "{strategy}");
        assert_eq!(values(&wanted, "monitor_notification", "by"), [t(notifications)], "{strategy}");
        assert_eq!(values(&wanted, "tag", "color"), [t("main"), t("main")], "{strategy}");
        assert_eq!(localise::parts(parse(&text).unwrap().strategy).len(), parts, "{strategy}");
    }
}

/// Customization that is refused, and the message.
#[test]
fn what_cannot_be_customized_is_refused_with_a_reason() {
    let one = |text: &str| format!("[[replica.overrides]]\n{text}");
    let exclude = |text: &str| format!("[replica.exclude]\n{text}\n");
    let cases = [
        (exclude("monitor-names = [\"*\"]"), "leaves none of the 7 monitors"),
        (exclude("tables = [\"monitor\"]\nmonitor-types = [\"push\"]"), "names monitors, while"),
        (exclude("tables = [\"heartbeat\"]"), "'heartbeat' is not a replicated table"),
        (one("table = \"monitor\"\nset = { intervall = 5 }"), "monitor has no column intervall"),
        (one("table = \"monitor\"\nwhere = { nme = \"x\" }\nclear = [\"proxy_id\"]"), "monitor has no column nme"),
        (one("table = \"setting\"\nset = { value = 5 }"), "settings cannot be overridden"),
        (one("table = \"monitor\"\nset = { proxy_id = 9 }"), "there is no proxy 9 here"),
        (one("table = \"group\"\nset = { status_page_id = 9 }"), "there is no status_page 9 here"),
        (one("table = \"monitor\"\nset = { parent = 3 }"), "monitor row id 3 is its own parent"),
        (one("table = \"user\"\nset = { username = \"\" }"), "no user who could log in"),
        (
            exclude("tables = [\"tag\"]") + &one("table = \"monitor_tag\"\nset = { value = \"\" }"),
            "number 1: monitor_tag is left alone here",
        ),
        (
            exclude("tables = [\"proxy\"]")
                + &one("table = \"monitor\"\nwhere = { proxy_id = 2 }\nset = { interval = 5 }"),
            "proxy_id in where has the values of this host",
        ),
        (
            "strategy = \"default\"\n".to_owned() + &one("table = \"notification\"\nset = { active = 0 }"),
            "notification is left alone here",
        ),
        ("strategy = \"default\"\nalerts = \"off\"".to_owned(), "has its own notifications"),
        ("alerts = \"off\"\n".to_owned() + &exclude("tables = [\"notification\"]"), "has its own notifications"),
        ("alerts = \"off\"\n".to_owned() + &exclude("tables = [\"monitor\"]"), "has its own notifications"),
    ];
    for (text, said) in cases {
        let wanted = parse(&text)
            .and_then(|customization| Desired::customized(&side("main"), &customization).on(&side("here")).map(drop));
        let error = wanted.expect_err(&text);
        assert_eq!(error.kind(), Kind::Config, "{text}");
        assert!(error.chain().contains(said), "{text}: {}", error.chain());
    }
    // A user of this host and one of the main have the same name.
    let mut main = side("main");
    main.table_mut("user").unwrap().rows.push(vec![i(2), t("here")].into());
    let keep = parse("[replica.local-entities]\nuser = \"keep\"").unwrap();
    let error = Desired::customized(&main, &keep).on(&side("here")).expect_err("two of that name");
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.chain().contains("both named \"here\""), "{}", error.chain());
}

#[test]
fn an_entry_page_that_the_main_renamed_or_removed_is_named() {
    let with = |pages: &[(i64, &str)], entry: &[&str]| Configuration {
        tables: vec![
            table("user", &["id", "username"], vec![vec![i(1), t("admin")]]),
            table("status_page", &["id", "slug"], pages.iter().map(|(id, slug)| vec![i(*id), t(slug)]).collect()),
            table(
                "setting",
                &["key", "type", "value"],
                entry.iter().map(|entry| vec![t("entryPage"), t("general"), t(entry)]).collect(),
            ),
        ],
        files: Vec::new(),
        zone: None,
    };
    let (one, lists) = (
        [(1, "one"), (2, "two")],
        Customization { settings: vec!["entryPage".to_owned()], ..Customization::default() },
    );
    let lost = "/ of this host leads to status page one, which does not exist";
    for (name, pages, entry, customization, expected) in [
        (
            "renamed",
            &[(1, "first"), (2, "two")][..],
            &["\"statusPage-one\""][..],
            &Customization::default(),
            Some(": its slug is first now"),
        ),
        ("removed", &[(2, "two")], &["\"statusPage-one\""], &Customization::default(), Some("")),
        ("still there", &[(2, "one")], &["\"statusPage-one\""], &Customization::default(), None),
        ("the dashboard", &[], &["\"dashboard\""], &Customization::default(), None),
        ("none", &[], &[], &Customization::default(), None),
        ("that of the main", &[(1, "first")], &["\"statusPage-one\""], &lists, None),
    ] {
        let (main, here) = (with(pages, &["\"statusPage-first\""]), with(&one, entry));
        let notes = Desired::customized(&main, customization).on(&here).unwrap().notes;
        let said = notes.iter().map(ToString::to_string).find(|note| note.starts_with('/'));
        assert_eq!(said, expected.map(|now| format!("{lost}{now}")), "{name}");
    }
}
