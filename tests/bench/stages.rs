//! Where the agent's own time goes, stage by stage, in this process: what a regression shows in first.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kuma_replicator::config::Customization;
use kuma_replicator::cycle::{CanonicalExport, History, Verified, verify};
use kuma_replicator::host::kuma::database::{self, Database};
use kuma_replicator::localise::Desired;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump;
use kuma_replicator::plan::plan;
use rusqlite::Connection;

use crate::figures::median;
use crate::testbed::Result;

const ROUNDS: usize = 5;

/// What is done on the replica's copy before it is brought in line: a few names differ, or all is missing.
const BEFORE: [(&str, &str); 2] = [
    ("3 rows change", "UPDATE monitor SET name = 'Before' WHERE id IN (3, 14, 25)"),
    (
        "all rows are new",
        "PRAGMA foreign_keys = OFF; DELETE FROM monitor; DELETE FROM monitor_notification; DELETE FROM monitor_tag;
         DELETE FROM monitor_group; DELETE FROM notification; DELETE FROM tag; DELETE FROM status_page;
         DELETE FROM \"group\"",
    ),
];

/// Times every stage on copies of the database `main` and prints the medians.
pub(crate) fn print(main: &Path, monitors: usize) -> Result<()> {
    let mut columns = Vec::new();
    for (_, before) in BEFORE {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(round(main, before)?);
        }
        columns.push(rounds);
    }
    println!("\nThe agent's own work with {monitors} monitors, in this process, ms (median of {ROUNDS}):\n");
    println!("{:34}{:>18}{:>18}", "", BEFORE[0].0, BEFORE[1].0);
    let names: Vec<&str> = columns[0][0].stages.iter().map(|(name, _)| *name).collect();
    for (at, name) in names.iter().enumerate() {
        let cells = columns.iter().map(|rounds| {
            let times = rounds.iter().map(|round| round.stages[at].1.as_secs_f64() * 1e3).collect();
            format!("{:>18.1}", median(times))
        });
        println!("{name:34}{}", cells.collect::<String>());
    }
    println!("The dump has {} kB.", columns[0][0].bytes / 1000);
    let rounds = (0..ROUNDS).map(|_| live(main)).collect::<Result<Vec<_>>>()?;
    let times = rounds.iter().map(|(_, time)| time.as_secs_f64() * 1e3).collect();
    println!(
        "Written while Uptime Kuma runs: {} rows in {:.1} ms, which its own writes wait.",
        rounds[0].0,
        median(times)
    );
    Ok(())
}

/// All tags have other names, and no monitor has a notification: how many rows that is, and how long putting it right
/// in a live database takes.
fn live(main: &Path) -> Result<(usize, Duration)> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("kuma.db");
    fs::copy(main, &path)?;
    let kuma = Connection::open(&path)?;
    kuma.execute_batch("PRAGMA journal_mode = WAL; UPDATE tag SET name = 'Before'; DELETE FROM monitor_notification")?;
    let customization = Customization::default();
    let (wanted, replica) = (Database::new(main).export()?.configuration, Database::new(&path));
    let here = replica.export()?;
    let wanted = Desired::customized(&wanted, &customization).on(&here.configuration)?.configuration;
    let changes = plan(&here.configuration, &wanted);
    let since = Instant::now();
    replica.write_live(&changes, &here, &wanted)?;
    Ok((changes.size().inserts + changes.size().updates, since.elapsed()))
}

struct Round {
    stages: Vec<(&'static str, Duration)>,
    bytes: usize,
}

impl Round {
    fn time<T>(&mut self, name: &'static str, stage: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let value = stage();
        self.stages.push((name, since.elapsed()));
        value
    }
}

fn round(main: &Path, before: &str) -> Result<Round> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("kuma.db");
    fs::copy(main, &path)?;
    Connection::open(&path)?.execute_batch(before)?;
    let (main, replica) = (Database::new(main), Database::new(&path));

    let mut round = Round { stages: Vec::new(), bytes: 0 };
    let export = round.time("main: export", || main.export())?;
    let body = round.time("main: render", || dump::body(&export.configuration));
    let digest = round.time("main: digest", || Digest::of(&body));
    let bytes = CanonicalExport { export, body, digest }.dump("bench", Timestamp::now(), None)?;
    round.bytes = bytes.len();

    let here = round.time("replica: export", || replica.export())?.configuration;
    let Verified(dump) = round.time("replica: parse and verify", || verify(&bytes, None))?;
    let wanted = round
        .time("replica: localise", || Desired::customized(&dump.configuration, &Customization::default()).on(&here))?;
    let wanted = wanted.configuration;
    let changes = round.time("replica: plan", || plan(&here, &wanted));
    round.time("replica: rehearse", || database::rehearse(&replica, &changes, &here, &wanted))?;
    let claim = round.time("replica: claim", || replica.claim(Duration::ZERO))?;
    let previous = round.time("replica: export again", || claim.export())?;
    let dump = round.time("replica: render the previous configuration", || {
        CanonicalExport::new(previous).dump("bench", Timestamp::now(), None)
    })?;
    drop(dump);
    round.time("replica: write and commit", || claim.write(&changes, &wanted, History::SetAside))?;
    Ok(round)
}
