//! What history costs while Uptime Kuma is stopped: the write of an apply that removes monitors with much of it, beside
//! the same write without, and the next apply of one row.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use kuma_replicator::cycle::History;
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::plan::plan;
use rusqlite::Connection;

use crate::figures::median;
use crate::testbed::Result;

const ROUNDS: usize = 3;

/// How many monitors are removed.
const REMOVED: u64 = 60;

/// How many heartbeats they have, unless `BENCH_HEARTBEATS` says so.
const HEARTBEATS: u64 = 6_000_000;

/// Times both on copies of the database `main`, and prints the medians and their ratio.
pub(crate) fn print(main: &Path) -> Result<()> {
    let heartbeats = std::env::var("BENCH_HEARTBEATS").map_or(Ok(HEARTBEATS), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let wanted = Database::new(main).export()?.configuration;
    let mut columns = Vec::new();
    for (name, heartbeats) in [("none", 0), ("much", heartbeats)] {
        let database = directory.path().join(name);
        fs::copy(main, &database)?;
        fill(&database, heartbeats)?;
        let rounds = (0..ROUNDS).map(|_| round(&database, &wanted)).collect::<Result<Vec<_>>>()?;
        let times = |stage: fn(&[Duration; 2]) -> Duration| {
            median(rounds.iter().map(|round| stage(round).as_secs_f64() * 1e3).collect())
        };
        columns.push([times(|[removal, _]| *removal), times(|[_, next]| *next)]);
        fs::remove_file(&database)?;
    }
    println!("\n{REMOVED} monitors with {heartbeats} heartbeats are removed, ms (median of {ROUNDS}):\n");
    println!("{:34}{:>14}{:>14}{:>10}", "", "no history", "history", "ratio");
    for (at, name) in ["claim, export and write", "the same for the next row"].into_iter().enumerate() {
        let (without, with) = (columns[0][at], columns[1][at]);
        println!("{name:34}{without:>14.1}{with:>14.1}{:>10.2}", with / without);
    }
    Ok(())
}

/// Adds the monitors that the main does not have, with their history.
fn fill(database: &Path, heartbeats: u64) -> Result<()> {
    let connection = Connection::open(database)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {REMOVED})
         INSERT INTO monitor (id, name, user_id, type, url) SELECT 900000 + i, 'gone ' || i, 1, 'http', 'http://x/' FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {heartbeats})
         INSERT INTO heartbeat (important, msg, monitor_id, status, time, ping, duration)
         SELECT i % 100 = 0, '200 - OK', 900001 + i % {REMOVED}, 1, datetime(1700000000 + i, 'unixepoch'), 20, 20
         FROM n WHERE {heartbeats} > 0;
         COMMIT"
    ))?;
    Ok(connection.close().map_err(|(_, error)| error)?)
}

/// The apply that removes the monitors, and the next one, which renames one of those that stay.
fn round(template: &Path, wanted: &Configuration) -> Result<[Duration; 2]> {
    let path = template.with_extension("db");
    fs::copy(template, &path)?;
    // Otherwise the commit, which is synchronous, would wait for all of the copy.
    File::open(&path)?.sync_all()?;
    let database = Database::new(&path);
    let removal = apply(&database, wanted)?;
    Connection::open(&path)?
        .execute_batch("UPDATE monitor SET name = 'renamed' WHERE id = (SELECT min(id) FROM monitor)")?;
    let next = apply(&database, wanted)?;
    fs::remove_file(&path)?;
    Ok([removal, next])
}

fn apply(database: &Database, wanted: &Configuration) -> Result<Duration> {
    let since = Instant::now();
    let claim = database.claim(Duration::ZERO)?;
    let changes = plan(&claim.export()?.configuration, wanted);
    claim.write(&changes, wanted, History::SetAside)?;
    Ok(since.elapsed())
}
