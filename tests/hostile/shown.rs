//! What people are shown: text from elsewhere forges no line and controls no terminal, and JSON keeps its meaning.

use kuma_replicator::config::Role;
use kuma_replicator::error::{Error, Kind};
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::snapshot::Snapshot;
use kuma_replicator::plan::plan;
use kuma_replicator::report::{Check, CheckDocument, PlanDocument, Verdict};
use kuma_replicator::text;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::Property;
use crate::budget::Budget;
use crate::support::host::{World, main_id};
use crate::support::rows::{i, t, table};

pub(crate) const PROPERTIES: &[Property] = &[("no_name_or_message_from_elsewhere_steers_a_terminal", names)];

/// Text with everything in it that a terminal or a log may take for more than text.
fn hostile() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "\u{1b}[31m",
        "\u{1b}]0;title\u{7}",
        "\u{9b}2J",
        "\n",
        "\r",
        "\nerror: forged",
        "\u{202e}",
        "\u{2066}",
        "\u{2028}",
        "\u{85}",
        "\u{8}\u{8}",
        "\0",
        "\u{7f}",
        "name",
        " é 👩\u{200d}👧 ",
    ];
    prop_oneof![vec(select(PIECES), 1..6).prop_map(|pieces| pieces.concat()), any::<String>()]
}

fn names(budget: Budget) {
    budget.check(300, &(hostile(), hostile()), |(name, other)| {
        let rows = |name: &str| Configuration {
            tables: vec![
                table("user", &["id", "username"], vec![vec![i(1), t("admin")]]),
                table("tag", &["id", "name"], vec![vec![i(1), t(name)], vec![i(2), t("x")]]),
            ],
            files: Vec::new(),
            zone: None,
        };
        let (before, after) = (rows(&name), rows(&other));
        let mut world = World::new(before.clone());
        world.offer(&after, &main_id('b'), 1, 1);
        let snapshot = Snapshot { host: name.clone(), ..world.repository[0].0.clone() };
        let document = PlanDocument::new(Role::Replica, "applied", format!("snapshot of host {name}"))
            .snapshot(&snapshot)
            .changes(&plan(&before, &after))
            .restart(std::slice::from_ref(&other));
        let shown = document.to_string();
        prop_assert_eq!(&*text::lines(&shown), &*shown);
        // A head; a change of one row in two lines, and the sum.
        prop_assert_eq!(shown.lines().count(), if name == other { 1 } else { 4 }, "a line was forged: {}", shown);
        let json = serde_json::to_string(&document).unwrap();
        let harmless = text::json(&json);
        prop_assert_eq!(&*text::line(&harmless), &*harmless);
        let value: serde_json::Value = serde_json::from_str(&harmless).unwrap();
        prop_assert_eq!(&value["snapshot"]["host"], &serde_json::json!(name));

        let (message, hint) = (name.clone(), Some(other.clone()));
        let check = Check { name: "x".to_owned(), result: Verdict::Failed, message, hint };
        let shown = CheckDocument::new(vec![check]).to_string();
        prop_assert_eq!(&*text::lines(&shown), &*shown);
        prop_assert_eq!(shown.lines().count(), 2, "a line was forged: {}", shown);
        let error = Error::new(Kind::Files, name.clone()).because(other.clone());
        prop_assert!(!text::line(&error.chain()).chars().any(char::is_control));
        Ok(())
    });
}
