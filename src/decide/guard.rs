//! Whether rows are gone that nobody meant to remove. A person's `--confirm-shrink` skips all of these checks, once.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Kind, Result};
use crate::model::configuration::{Configuration, Table};
use crate::model::value::Value;
use crate::model::{catalog, dangling};

/// Rows by table.
type Counts = BTreeMap<String, u64>;

/// A table with fewer rows may lose any of them: people remove the only notification, or two of three tags.
const SMALL: u64 = 10;

/// How many rows a refusal names.
const NAMED: usize = 10;

fn count(counts: &Counts, table: &str) -> u64 {
    counts.get(table).copied().unwrap_or(0)
}

/// Settings neither are a loss nor make one smaller.
fn counted(table: &str) -> bool {
    table != catalog::SETTING
}

/// Refuses an export that lost all its monitors or all its users, or more than `max_shrink` of its rows, over all
/// or in one table that had [`SMALL`] rows or more.
///
/// # Errors
/// [`Kind::Shrunk`], naming the tables that lost rows.
pub fn shrink(before: &Counts, now: &Counts, max_shrink: f64) -> Result<()> {
    let lost: Vec<(&str, u64, u64)> = before
        .iter()
        .map(|(table, rows)| (table.as_str(), *rows, count(now, table)))
        .filter(|(table, before, now)| counted(table) && now < before)
        .collect();
    // Row counts are far below 2^52, where a float is exact.
    let too_much = |before: u64, now: u64| before.saturating_sub(now) as f64 > max_shrink * before as f64;
    let emptied = |table: &str| count(before, table) > 0 && count(now, table) == 0;
    let total: u64 = before.iter().filter(|(table, _)| counted(table)).map(|(_, rows)| rows).sum();
    let gone: u64 = lost.iter().map(|(_, before, now)| before - now).sum();
    let in_one_table = lost.iter().any(|(_, before, now)| *before >= SMALL && too_much(*before, *now));
    if !too_much(total, total - gone) && !in_one_table && !emptied(catalog::USER) && !emptied(catalog::MONITOR) {
        return Ok(());
    }
    let tables: Vec<String> = lost.iter().map(|(table, before, now)| format!("{table} {before} → {now}")).collect();
    Err(Error::new(
        Kind::Shrunk,
        format!("{gone} of {total} rows are gone since the last publish ({})", tables.join(", ")),
    ))
}

/// As [`shrink`], with the rows themselves. Rows that Uptime Kuma deletes with the row that they refer to are no loss of
/// their own: of the rows before, only those count whose parents are still there.
///
/// # Errors
/// [`Kind::Shrunk`], naming the tables that lost rows and some of the rows.
pub fn shrink_of(before: &Configuration, now: &Configuration, max_shrink: f64) -> Result<()> {
    let mut counts = Counts::new();
    let mut gone = Vec::new();
    for table in &before.tables {
        let is_left = dangling::refers_to(table, now);
        let rows = table.rows.iter().filter(|row| is_left(row));
        counts.insert(table.spec.name.to_owned(), rows.clone().count() as u64);
        if let Some(identity) = table.identity() {
            let ids: BTreeSet<&Value> = now.table(table.spec.name).into_iter().flat_map(Table::ids).collect();
            let lost = rows.filter(|row| row.get(identity).is_some_and(|id| !ids.contains(id)));
            gone.extend(lost.map(|row| dangling::name(table, row)));
        }
    }
    shrink(&counts, &now.counts(), max_shrink).map_err(|error| {
        let more = gone.len().saturating_sub(NAMED);
        gone.truncate(NAMED);
        let mut named = gone.join("; ");
        if more > 0 {
            named.push_str(&format!("; and {more} more"));
        }
        if named.is_empty() { error } else { error.because(named) }
    })
}

/// Refuses a first snapshot without any monitor for a replica that has some: this is what a production host gets
/// that was made a replica by mistake, or one that follows a main whose data are lost. Later on the guard of the
/// main has been passed, and what a person confirmed there holds everywhere.
///
/// # Errors
/// [`Kind::Shrunk`].
pub fn first_contact(here: &Counts, wanted: &Counts) -> Result<()> {
    let (here, wanted) = (count(here, catalog::MONITOR), count(wanted, catalog::MONITOR));
    if here == 0 || wanted > 0 {
        return Ok(());
    }
    let what = format!(
        "the newest snapshot has no monitor, and this replica, to which nothing was applied yet, has {here} that it \
         would lose with their history"
    );
    let hint =
        "check which host is the main; if this one is to lose them, run kuma-replicator run --confirm-shrink once";
    Err(Error::new(Kind::Shrunk, what).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::{Counts, first_contact, shrink, shrink_of};
    use crate::model::catalog;
    use crate::model::configuration::{Configuration, Table};
    use crate::model::value::Value;

    fn counts(rows: &[(&str, u64)]) -> Counts {
        rows.iter().map(|(table, rows)| ((*table).to_owned(), *rows)).collect()
    }

    #[test]
    fn a_loss_is_measured_over_all_and_by_table() {
        let rows =
            [("user", 1), ("monitor", 100), ("notification", 12), ("tag", 9), ("monitor_tag", 300), ("setting", 14)];
        let before = counts(&rows);
        let with = |table: &str, rows: u64| {
            let mut now = before.clone();
            now.insert(table.to_owned(), rows);
            now
        };
        let cases = [
            ("nothing", before.clone(), 0.5, true),
            ("half of a table", with("notification", 6), 0.5, true),
            ("more than half of a table", with("notification", 5), 0.5, false),
            ("all of a table, few rows over all", with("notification", 0), 0.5, false),
            ("all of a small table", with("tag", 0), 0.5, true),
            ("most links", with("monitor_tag", 149), 0.5, false),
            ("all monitors, whatever is allowed", with("monitor", 0), 1.0, false),
            ("all users, whatever is allowed", with("user", 0), 1.0, false),
            ("all of a table, if all is allowed", with("notification", 0), 1.0, true),
            ("one row, if none is allowed", with("tag", 8), 0.0, false),
            ("growth", with("monitor", 1000), 0.0, true),
            ("all settings", with("setting", 0), 0.0, true),
            ("a table that is not there any more", counts(&[("user", 1), ("monitor", 100)]), 0.9, false),
        ];
        for (name, now, max_shrink, good) in cases {
            assert_eq!(shrink(&before, &now, max_shrink).is_ok(), good, "{name}");
        }
        let message = shrink(&before, &with("notification", 0), 0.5).expect_err("lost").chain();
        assert!(message.contains("12 of 422 rows") && message.contains("notification 12 → 0"), "{message}");
        assert!(shrink(&Counts::new(), &before, 0.0).is_ok(), "a first publish");
        // Three of five rows are more than half, however many settings there are.
        let before = counts(&[("user", 1), ("monitor", 4), ("setting", 14)]);
        assert!(shrink(&before, &counts(&[("user", 1), ("monitor", 1), ("setting", 14)]), 0.5).is_err());
    }

    fn table(name: &str, columns: &[&str], rows: &[&[i64]]) -> Table {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        let mut table = Table::new(catalog::find(name).expect("in the catalog"), columns);
        table.rows = rows.iter().map(|row| row.iter().map(|number| Value::Integer(*number)).collect()).collect();
        table
    }

    #[test]
    fn rows_that_go_with_another_row_are_no_loss() {
        let links: Vec<[i64; 2]> = (1..=40).map(|id| [id, if id % 10 == 0 { 2 } else { 1 }]).collect();
        let monitors: Vec<[i64; 1]> = (1..=40).map(|id| [id]).collect();
        let configuration = |notifications: &[&[i64]], links: &[[i64; 2]], monitors: &[[i64; 1]]| Configuration {
            tables: vec![
                table("notification", &["id"], notifications),
                table("monitor", &["id"], &monitors.iter().map(|row| row.as_slice()).collect::<Vec<_>>()),
                table(
                    "monitor_notification",
                    &["monitor_id", "notification_id"],
                    &links.iter().map(|row| row.as_slice()).collect::<Vec<_>>(),
                ),
            ],
            files: Vec::new(),
            zone: None,
        };
        let before = configuration(&[&[1], &[2]], &links, &monitors);
        let of_second: Vec<[i64; 2]> = links.iter().copied().filter(|[_, id]| *id == 2).collect();
        // The notification that nearly all monitors use is deleted, and its links with it.
        let now = configuration(&[&[2]], &of_second, &monitors);
        assert!(shrink(&before.counts(), &now.counts(), 0.5).is_err());
        assert!(shrink_of(&before, &now, 0.5).is_ok());
        // The links alone are gone.
        let now = configuration(&[&[1], &[2]], &of_second, &monitors);
        assert!(shrink_of(&before, &now, 0.5).is_err());
        // Monitors are gone: they are named.
        let now = configuration(&[&[1], &[2]], &links[..9], &monitors[..9]);
        let message = shrink_of(&before, &now, 0.5).expect_err("lost").chain();
        assert!(
            message.contains("monitor 40 → 9") && message.contains("monitor row id 10; monitor row id 11"),
            "{message}"
        );
        assert!(message.contains("and 21 more"), "{message}");
    }

    #[test]
    fn only_a_first_snapshot_without_monitors_is_held_against_monitors_here() {
        let (none, some) = (counts(&[("monitor", 0)]), counts(&[("monitor", 3)]));
        assert!(first_contact(&some, &none).is_err());
        assert!(first_contact(&some, &Counts::new()).is_err());
        assert!(first_contact(&none, &none).is_ok() && first_contact(&none, &some).is_ok());
        assert!(first_contact(&some, &some).is_ok());
    }
}
