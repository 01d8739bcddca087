//! Promise: what docs/repositories.md says of the cost of requests is what the counted requests and the prices come to.

use std::fs;
use std::ops::{Add, Mul};
use std::path::Path;

use kuma_replicator::decide::AFTER_NEWS;

/// Requests to a storage service, by what it charges for them.
#[derive(Clone, Copy, Default)]
struct Requests {
    lists: u64,
    uploads: u64,
    reads: u64,
    deletes: u64,
}

/// Counted at the testbed's S3 server, with restic 0.14 and without `AWS_DEFAULT_REGION`: the request for the region, which
/// that would save, counts as a list.
const LOOK: Requests = Requests { lists: 1, uploads: 0, reads: 0, deletes: 0 };
const LOOK_OF_RESTIC: Requests = Requests { lists: 5, uploads: 0, reads: 3, deletes: 0 };
const BACKUP: Requests = Requests { lists: 7, uploads: 5, reads: 3, deletes: 1 };
const DUMP: Requests = Requests { lists: 6, uploads: 0, reads: 6, deletes: 0 };
/// What restic reads of a snapshot that is new to its cache.
const NEW_SNAPSHOT: Requests = Requests { lists: 0, uploads: 0, reads: 1, deletes: 0 };

/// A lock that is made and removed again, to prove that this host may remove.
const PROOF: Requests = Requests { lists: 6, uploads: 1, reads: 3, deletes: 1 };
/// Of as many snapshots as are published in a day.
const FORGET: Requests = Requests { lists: 7, uploads: 1, reads: 3, deletes: 1 + PUBLISHES_A_DAY };

/// The assumption: how often a main publishes.
const PUBLISHES_A_DAY: u64 = 10;

const DAYS: u64 = 30;
const SECONDS_A_DAY: u64 = 86_400;

impl Requests {
    fn all(self) -> u64 {
        self.lists + self.uploads + self.reads + self.deletes
    }

    /// What a day of them costs in a month, in US dollars: Amazon S3 Standard, list prices of 2025.
    fn at_s3(self) -> f64 {
        let thousands = |count: u64| (count * DAYS) as f64 / 1000.0;
        thousands(self.lists + self.uploads) * 0.005 + thousands(self.reads) * 0.0004
    }

    /// The same at Backblaze B2: of each class 2,500 a day are free, and uploads are.
    fn at_b2(self) -> f64 {
        let thousands = |count: u64| (count.saturating_sub(2500) * DAYS) as f64 / 1000.0;
        thousands(self.lists) * 0.004 + thousands(self.reads) * 0.0004
    }
}

impl Add for Requests {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lists: self.lists + other.lists,
            uploads: self.uploads + other.uploads,
            reads: self.reads + other.reads,
            deletes: self.deletes + other.deletes,
        }
    }
}

impl Mul<u64> for Requests {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        (0..times).fold(Self::default(), |sum, _| sum + self)
    }
}

/// A main looks by name before and after it publishes.
fn publish() -> Requests {
    BACKUP + LOOK * 2
}

/// A replica that has found a new name lets restic look, and fetches.
fn fetch() -> Requests {
    LOOK_OF_RESTIC + NEW_SNAPSHOT + DUMP
}

/// A main forgets once a day, and looks for the names that are left.
fn forget() -> Requests {
    PROOF + FORGET + LOOK
}

/// A day of a main and its replicas, each of which looks every so many seconds, and every ten seconds for a while after it
/// applied something if `lively`. The applies come one by one: that makes for the most looks. One that asks for names finds
/// others after a forget, and lets restic look.
fn day(replicas: u64, look: Requests, every: u64, lively: bool) -> Requests {
    let after_news = if lively { AFTER_NEWS.as_secs() * PUBLISHES_A_DAY } else { 0 };
    let looks = (SECONDS_A_DAY - after_news) / every + after_news / 10;
    let other_names = if look.all() == LOOK.all() { LOOK_OF_RESTIC } else { Requests::default() };
    let replica = look * looks + fetch() * PUBLISHES_A_DAY + other_names;
    replica * replicas + publish() * PUBLISHES_A_DAY + forget() + LOOK_OF_RESTIC
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

fn documented(what: &str, expected: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/repositories.md");
    let text = fs::read_to_string(path).unwrap();
    let expected = expected.join("\n");
    assert!(text.contains(&format!("\n{expected}\n")), "docs/repositories.md should say of {what}:\n{expected}");
}

#[test]
fn the_counted_requests_are_documented() {
    let counted = [
        ("a look by name", LOOK),
        ("a look of restic", LOOK_OF_RESTIC),
        ("a publish, with a look by name before and after it", publish()),
        ("a new snapshot on a replica: a look of restic, and the fetch", fetch()),
        ("a forget of 10 snapshots, once a day, with the proof before it and a look by name after it", forget()),
    ];
    let row = |(what, of): (&str, Requests)| {
        format!("| {what} | {} | {} | {} | {} | {} |", of.all(), of.lists, of.uploads, of.reads, of.deletes)
    };
    documented("requests", &counted.map(row));
}

#[test]
fn the_documented_costs_are_those_of_the_counted_requests() {
    let mut expected = Vec::new();
    for replicas in [1, 3, 10] {
        for (look, every, who) in
            [(LOOK, 10, ""), (LOOK, 20, ", the default"), (LOOK, 60, ""), (LOOK_OF_RESTIC, 60, ", by restic")]
        {
            let day = day(replicas, look, every, every == 20);
            expected.push(format!(
                "| {replicas} | {every} s{who} | {} | ${:.2} | ${:.2} |",
                grouped(day.all() * DAYS),
                day.at_s3(),
                day.at_b2()
            ));
        }
    }
    documented("costs", &expected);
}

#[test]
fn the_assumption_is_documented() {
    documented(
        "the assumption",
        &[format!("A main that publishes {PUBLISHES_A_DAY} times a day; a month has {DAYS} days:")],
    );
}
