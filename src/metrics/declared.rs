//! The table of all metrics. A metric is declared once: its name, its type, its labels, what it means, and its values.
//!
//! Names, types, labels and values of labels are contracts; `docs/metrics.md` has the same table, and a test compares them.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::Role;
use crate::error::Kind;
use crate::model::outcome::Outcome;
use crate::model::state::Decision;

use super::exposition::Sample;
use super::known::Known;

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// It only rises, or starts again at zero.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in one line.
    pub help: &'static str,
    values: fn(&Known<'_>) -> Vec<Sample>,
}

impl Metric {
    /// Its values on a host.
    pub fn samples(&self, known: &Known<'_>) -> Vec<Sample> {
        (self.values)(known)
    }
}

macro_rules! metrics {
    ($known:ident; $($name:literal $kind:ident [$($label:literal),*] $help:literal $values:expr;)*) => {
        /// Every metric, in the order of the text.
        #[allow(unused_variables, reason = "one of them says nothing of the host")]
        pub const METRICS: &[Metric] = &[$(Metric {
            name: concat!("kuma_replicator_", $name),
            kind: Type::$kind,
            labels: &[$($label),*],
            help: $help,
            values: |$known| $values,
        },)*];
    };
}

metrics! { known;
    "build_info" Gauge ["version"]
        "Always 1; the version of kuma-replicator."
        vec![labelled([env!("CARGO_PKG_VERSION")], 1.0)];
    "role" Gauge ["role"]
        "1 for the role of this host, 0 for the other one."
        one_of([Role::Main, Role::Replica].map(|role| role.to_string()), Some(known.settings.role.to_string()));
    "overdue_after_seconds" Gauge []
        "The longest time without a successful cycle that is configured as normal (overdue-after)."
        value(known.settings.overdue_after.as_secs_f64());
    "last_cycle_timestamp_seconds" Gauge []
        "When the last cycle ended; 0 if there was none."
        time(known.last_cycle().map(|last| last.at));
    "last_cycle_duration_seconds" Gauge []
        "How long the last cycle took."
        value(seconds(known.counters.cycle_millis));
    "last_cycle_outcome" Gauge ["outcome"]
        "1 for the outcome of the last cycle, 0 for all others."
        one_of(Outcome::ALL.map(Outcome::name), known.last_cycle().map(|last| last.outcome.name()));
    "last_success_timestamp_seconds" Gauge []
        "When a cycle last ended as unchanged, published, up to date or applied; 0 if none did."
        time(known.state.last_success);
    "failures_total" Counter ["kind"]
        "Failed cycles by the kind of failure."
        Kind::ALL.iter().map(|kind| labelled([kind.name()], count(known.counters.failures.get(kind.name())))).collect();
    "hold" Gauge []
        "1 if this host is on hold."
        flag(known.hold().is_some());
    "hold_start_timestamp_seconds" Gauge []
        "When the hold was ordered; 0 without a hold."
        time(known.hold().map(|hold| hold.since));
    "hold_end_timestamp_seconds" Gauge []
        "When the hold ends by itself; 0 without a hold, and if only kuma-replicator release ends it."
        time(known.hold().and_then(|hold| hold.until));
    "snapshot_info" Gauge ["role", "fleet", "snapshot", "digest"]
        "Always 1; the snapshot that this main published last, or that this replica applied last. Missing before the first one."
        snapshot(known);
    "epoch" Gauge []
        "The epoch of this main, or of the snapshot that this replica applied last."
        value(float(known.place().0));
    "sequence" Gauge []
        "The sequence of the snapshot that this host published or applied last."
        value(float(known.place().1));
    "rows" Gauge []
        "The rows in the snapshot that this host published or applied last."
        value(float(known.rows()));
    "snapshot_published_timestamp_seconds" Gauge []
        "When the snapshot was published that this host published or applied last, by the clock of the main."
        time(known.published());
    "snapshot_in_force_timestamp_seconds" Gauge []
        "Replica: when the snapshot that it applied last was in force here for the first time."
        time(known.in_force().map(|known| known.since));
    "snapshot_lag_seconds" Gauge []
        "Replica: how long that snapshot took from its publish until it was in force here."
        value(known.in_force().map_or(0.0, |known| known.since.duration_since(known.created).as_secs_f64().max(0.0)));
    "verdict" Gauge ["decision"]
        "Replica: 1 for what was decided about the newest snapshot, which is not applied now; 0 for the rest."
        one_of(Decision::NAMES, known.decision());
    "fenced" Gauge []
        "1 if another host was promoted, or publishes in place of this main or in place of the main of this replica."
        flag(known.is_fenced());
    "drifted" Gauge []
        "Replica: 1 if its configuration was edited here."
        flag(known.is_drifted());
    "restored" Gauge []
        "Replica: 1 if a person put another configuration in force."
        flag(known.is_restored());
    "unfinished" Gauge []
        "1 if an apply, a restore or a switch of the alerts has begun and is not finished."
        flag(known.state.intent.is_some());
    "silent" Gauge []
        "Replica: 1 if it sends no alerts (alerts = \"off\")."
        flag(known.is_silent());
    "history_left_rows" Gauge []
        "Rows of history of removed monitors that are left to remove, as far as their number is known."
        value(known.state.replica.history.map_or(0.0, |history| float(history.rows)));
    "publishes_total" Counter []
        "Snapshots published by this host."
        value(float(known.counters.publishes));
    "applies_total" Counter ["restart"]
        "Snapshots applied on this host, with (true) and without (false) a restart of Uptime Kuma."
        vec![
            labelled(["true"], float(known.counters.applies_with_restart)),
            labelled(["false"], float(known.counters.applies_without_restart)),
        ];
    "restarts_total" Counter []
        "How often Uptime Kuma was stopped to be started again: for an apply, a restore or a switch of the alerts."
        value(float(known.counters.restarts));
    "away_seconds_total" Counter []
        "How long Uptime Kuma was away for restarts, from the order to stop until it answered."
        value(seconds(known.counters.away_millis));
    "last_away_seconds" Gauge []
        "How long Uptime Kuma was away for the last restart."
        value(seconds(known.counters.last_away_millis));
}

fn labelled<const N: usize>(labels: [&str; N], value: f64) -> Sample {
    Sample { labels: labels.map(str::to_owned).to_vec(), value }
}

fn value(value: f64) -> Vec<Sample> {
    vec![labelled([], value)]
}

fn flag(is_so: bool) -> Vec<Sample> {
    value(f64::from(u8::from(is_so)))
}

/// Seconds since 1970, to the millisecond.
fn time(at: Option<Timestamp>) -> Vec<Sample> {
    value(at.map_or(0.0, |at| Duration::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0)).as_secs_f64()))
}

/// One value for each name: 1 for the one that it is.
fn one_of<T: AsRef<str> + PartialEq, const N: usize>(names: [T; N], found: Option<T>) -> Vec<Sample> {
    let value = |name: &T| f64::from(u8::from(found.as_ref() == Some(name)));
    names.iter().map(|name| labelled([name.as_ref()], value(name))).collect()
}

fn snapshot(known: &Known<'_>) -> Vec<Sample> {
    let Some((id, digest)) = known.snapshot() else { return Vec::new() };
    let fleet = known.state.fleet.as_ref().map(ToString::to_string).unwrap_or_default();
    let role = known.settings.role.to_string();
    vec![labelled([&role, &fleet, &id.to_string(), &digest.to_string()], 1.0)]
}

fn count(number: Option<&u64>) -> f64 {
    float(number.copied().unwrap_or_default())
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

/// Prometheus has no other numbers.
fn float(number: u64) -> f64 {
    number as f64
}
