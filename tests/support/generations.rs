//! Small configurations that can be told apart.

use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::value::Value;

use super::rows::{i, t, table};

/// A small configuration that differs from others by `generation` in an entity, a link and the number of rows.
pub(crate) fn generation(generation: i64) -> Configuration {
    let monitors = (1..=3 + generation)
        .map(|id| vec![i(id), Value::text(format!("monitor {id} of {generation}")), t("2026-01-01 00:00:00")])
        .collect();
    Configuration {
        tables: vec![
            table("user", &["id", "username"], vec![vec![i(1), t("admin")]]),
            table("tag", &["id", "name"], vec![vec![i(1), t("prod")], vec![i(2), t("test")]]),
            table("monitor", &["id", "name", "created_date"], monitors),
            table("monitor_tag", &["monitor_id", "tag_id"], vec![vec![i(1), i(1 + generation % 2)]]),
        ],
        files: Vec::new(),
    }
}
