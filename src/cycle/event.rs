//! The steps of a cycle that it reports, one event each. An event is declared once, in [`events!`]: its fields, its
//! name, its message id, its level, the fields it has in the journal, and its text.
//!
//! Names, message ids and journal fields are contracts. `packaging/usr/lib/systemd/catalog` explains each message id
//! to `journalctl -x`; a test compares it, and the tables in `docs`, with the declarations here.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{Error, Exit, Kind};
use crate::model::digest::Digest;
use crate::model::origin::Origin;
use crate::model::outcome::Outcome;
use crate::model::snapshot::SnapshotId;
use crate::model::told::Told;
use crate::plan::Size;
use crate::text::{self, count};

use super::{Fields, WHY_DEFERRED};

/// The priority of an event in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Priority 6: nothing changed since the cycle before.
    Info,
    /// Priority 5: something changed, as designed.
    Notice,
    /// Priority 4: something is blocked, or is tried again in a later cycle.
    Warning,
    /// Priority 3: a person must act.
    Error,
}

impl Level {
    /// The number of the priority, see syslog(3).
    pub fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Notice => 5,
            Self::Info => 6,
        }
    }
}

macro_rules! events {
    ($zone:ident; $(
        $(#[$doc:meta])*
        $event:ident $({ $($field:ident: $type:ty),* $(,)? })?
        $name:literal $id:literal $(, if $condition:expr => $other:literal $other_id:literal)?
        level $level:expr;
        journal [$($journal:ident),*];
        text $text:expr;
    )*) => {
        /// A step of a cycle, or its end.
        #[derive(Debug)]
        #[allow(missing_docs, reason = "the fields are named like those of the journal, see Fields")]
        pub enum Event { $($(#[$doc])* $event $({ $($field: $type),* })?,)* }

        /// Every event: its name in `KUMA_EVENT`, and its message id, 32 hexadecimal digits as
        /// `journalctl MESSAGE_ID=…` expects them.
        pub const MESSAGE_IDS: &[(&str, &str)] = &[$(($name, $id), $(($other, $other_id),)?)*];

        #[allow(unused_variables, reason = "no event needs all its fields everywhere")]
        impl Event {
            /// The name in `KUMA_EVENT`, and the message id.
            fn identity(&self) -> (&'static str, &'static str) {
                match self { $(
                    Self::$event $({ $($field),* })? => {
                        $(if $condition { return ($other, $other_id) })?
                        ($name, $id)
                    }
                )* }
            }

            /// How important it is. A cycle that ends as the one before is worth no line at notice.
            pub fn level(&self) -> Level {
                match self { $(Self::$event $({ $($field),* })? => $level,)* }
            }

            /// The fields beside the message.
            pub fn fields(&self) -> Fields {
                let mut fields = Fields::default();
                match self { $(Self::$event $({ $($field),* })? => { $(fields.$journal($journal);)* })* }
                fields
            }

            /// The text, with times in `zone`.
            pub fn message(&self, $zone: &TimeZone) -> String {
                match self { $(Self::$event $({ $($field),* })? => $text,)* }
            }
        }
    };
}

events! { zone;
    /// Main: the configuration is the one published last. `again` if the cycle before ended so too.
    Unchanged { digest: Digest, again: bool }
        "unchanged" "6d2a7285c270480b9f8a218c11be878a"
        level unless_again(*again, Level::Notice);
        journal [digest];
        text format!("unchanged since the last publish (digest {})", digest.short());

    /// Main: the repository has a new snapshot.
    Published { snapshot: SnapshotId, sequence: u64, digest: Digest, rows: u64, bytes: usize }
        "published" "8eb75588a86b4230908b62f3bd637f02"
        level Level::Notice;
        journal [snapshot, sequence, digest, rows, bytes];
        text format!(
            "published snapshot {} (sequence {sequence}): {}, {}",
            snapshot.short(),
            count(*rows, "row"),
            count(*bytes as u64, "byte")
        );

    /// Replica: the newest snapshot is in force. `again` if the cycle before ended so too.
    UpToDate { snapshot: SnapshotId, again: bool }
        "up-to-date" "e70f49f287b1491bbdca01c7b45ee5f6"
        level unless_again(*again, Level::Notice);
        journal [snapshot];
        text format!("up to date with snapshot {}", snapshot.short());

    /// Nothing is written: main and replica have other schemas or formats, or nothing was published yet. `again` if the
    /// cycle before was blocked for the same reason.
    Blocked { reason: String, again: bool, last_success_age: Option<u64> }
        "blocked" "864ed13ba5c44be781b71fd403a5d1d4"
        level unless_again(*again, Level::Warning);
        journal [last_success_age];
        text format!("blocked: {reason}");

    /// Replica: the snapshot is applied later, or the rest of it: Uptime Kuma was started, or told of changes, a moment
    /// ago. `again` if the cycle before deferred it, too.
    Deferred { snapshot: SnapshotId, until: Timestamp, again: bool }
        "deferred" "2689c3b911de4cdbbea60c109ec7091d"
        level unless_again(*again, Level::Notice);
        journal [snapshot];
        text format!(
            "snapshot {} deferred until {}: {WHY_DEFERRED}",
            snapshot.short(),
            text::time(*until, zone)
        );

    /// Replica: the configuration was edited on this host.
    Drifted { digest: Digest, overwrite: bool }
        "drifted" "2c12fe9566e54377a36252128c43ebbc"
        level Level::Warning;
        journal [digest];
        text format!(
            "the configuration was edited on this replica; {}",
            if *overwrite {
                "applying the main's configuration again"
            } else {
                "kuma-replicator plan shows the differences"
            }
        );

    /// The dump of the snapshot is fetched and verified.
    Fetched { snapshot: SnapshotId, bytes: usize }
        "fetched" "e8ed65f954fd4ee082854b0fa882389c"
        level Level::Notice;
        journal [snapshot, bytes];
        text format!("fetched and verified snapshot {}: {}", snapshot.short(), count(*bytes as u64, "byte"));

    /// The changes are known.
    Planned { origin: Origin, size: Size }
        "planned" "9ef9e4c5110b4fcc9eb9c55fad1241ac"
        level Level::Notice;
        journal [origin, size];
        text format!("planned {origin}: {size}");

    /// Uptime Kuma is being stopped.
    Stopping { unit: String }
        "stopping" "70069949eb64443a8a0d100d9a8b99b5"
        level Level::Notice;
        journal [unit];
        text format!("stopping {unit}");

    /// Uptime Kuma is stopped.
    Stopped { unit: String, millis: u64 }
        "stopped" "c7778fe692644cea8d27343616461b14"
        level Level::Notice;
        journal [unit, millis];
        text format!("stopped {unit} in {millis} ms");

    /// The rows are written and committed.
    Written { origin: Origin, size: Size, millis: u64 }
        "written" "de978ba96e4b41988f3f33767c7752b2"
        level Level::Notice;
        journal [origin, size, millis];
        text format!("wrote {origin} in {millis} ms: {}", size.done());

    /// Uptime Kuma took up what it was told; so many of these monitors have not beaten since.
    Told { told: Told, waiting: usize, millis: u64 }
        "told" "1ba5554360d146368f02d52346c56ec0"
        level Level::Notice;
        journal [millis];
        text format!(
            "Uptime Kuma took up without a restart in {millis} ms: {told}{}",
            match waiting {
                0 => String::new(),
                _ => format!("; {waiting} of them have not beaten yet"),
            }
        );

    /// Uptime Kuma was started.
    Started { unit: String }
        "started" "9797b57ef39c411d8178c296fbc0fc75"
        level Level::Notice;
        journal [unit];
        text format!("started {unit}");

    /// Uptime Kuma answers.
    Healthy { unit: String, millis: u64 }
        "healthy" "c877e4970b9a411ebe38d594bd8d4dc9"
        level Level::Notice;
        journal [unit, millis];
        text format!("{unit} answers after {millis} ms");

    /// Replica: the configuration of this snapshot is in force.
    Applied { snapshot: SnapshotId, digest: Digest, size: Size, restarted: bool }
        "applied" "3069947d4b1b42149d40c2b7e5858f30"
        level Level::Notice;
        journal [snapshot, digest, size];
        text format!(
            "applied snapshot {}{}: {}",
            snapshot.short(),
            if *restarted { "" } else { " without a restart" },
            size.done()
        );

    /// Uptime Kuma did not come up with the rows that were written: it is stopped, and the previous ones are put back.
    RollingBack { origin: Origin, reason: String }
        "rolling-back" "b8d1461d985544e891e2639117a89a16"
        level Level::Warning;
        journal [origin];
        text format!(
            "Uptime Kuma did not come up with {origin}: {reason}; stopping it again to put the previous configuration back"
        );

    /// A person put another configuration in force.
    Restored { name: String, digest: Digest, size: Size }
        "restored" "2fee0306061e4afe8514c6d4457aa119"
        level Level::Notice;
        journal [digest, size];
        text format!("restored {name}: {}; this host is now on hold until kuma-replicator release", size.done());

    /// A person ordered another attempt at a snapshot that was rejected or, unless `rejected`, in backoff.
    Retried { snapshot: SnapshotId, rejected: bool, reason: String }
        "retried" "01243de04aa04141b6107f31fd02a748"
        level Level::Notice;
        journal [snapshot];
        text format!(
            "trying snapshot {} again as ordered; it was {}: {reason}",
            snapshot.short(),
            if *rejected { "rejected" } else { "in backoff" }
        );

    /// A person ordered this host to change nothing; or a cycle changes nothing because of that order. `again` if the
    /// cycle before was on hold, too.
    OnHold { reason: String, until: Option<Timestamp>, again: bool, last_success_age: Option<u64> }
        "on-hold" "13cdee7f926649adb4670d2d72156023"
        level unless_again(*again, Level::Notice);
        journal [last_success_age];
        text match until {
            Some(until) => format!("on hold until {}: {reason}", text::time(*until, zone)),
            None => format!("on hold until kuma-replicator release: {reason}"),
        };

    /// The time of a hold is over, or a person ended it.
    Released { by_hand: bool }
        "released" "5d557465f9e14281af20b32c34dcc6da"
        level Level::Notice;
        journal [];
        text if *by_hand { "hold released by hand; cycles continue" } else { "the hold has ended; cycles continue" }.to_owned();

    /// This host became the main.
    Promoted { epoch: u64 }
        "promoted" "3fc54ffe4f33438a835939711c12e2b4"
        level Level::Notice;
        journal [epoch];
        text format!("this host is now the main, in epoch {epoch}");

    /// This host became a replica.
    Demoted
        "demoted" "3ad250758bc742219f2efe07fc70988d"
        level Level::Notice;
        journal [];
        text "this host is now a replica".to_owned();

    /// A person turned the alerts of this replica on or off.
    Alerts { on: bool, size: Size }
        "alerts" "ae0f619cc31448e8b6a72adc860ca128"
        level Level::Notice;
        journal [size];
        text if *on {
            format!("alerts are on: this replica sends the alerts that the main sends ({})", size.done())
        } else {
            format!("alerts are off: this replica is a silent standby ({})", size.done())
        };

    /// A host that is not the main published; no replica applies that snapshot.
    Stray { snapshot: SnapshotId, host: String }
        "stray" "379fc8e601344a18ae6a754e4836e3fe"
        level Level::Warning;
        journal [snapshot];
        text format!("ignoring snapshot {} of host {host}: another host is the main", snapshot.short());

    /// A cycle found an interrupted apply, and has completed or undone it.
    Recovered { origin: Origin, started: bool }
        "recovered" "e093f2aa5b504080990f1b9af345a9fc"
        level Level::Notice;
        journal [origin];
        text format!(
            "recovered from an interrupted apply of {origin}; {}",
            if *started { "started Uptime Kuma again" } else { "Uptime Kuma did not need to be started" }
        );

    /// Main: old snapshots were removed from the repository.
    Forgotten { snapshots: usize, kept: usize }
        "forgotten" "e876766d9b6b49c4a63dd7242457952c"
        level Level::Notice;
        journal [snapshots];
        text format!("forgot {}; {kept} stay", count(*snapshots as u64, "snapshot"));

    /// Main: the data that no snapshot needs were removed from the repository.
    Pruned { millis: u64 }
        "pruned" "99bfe5e54a9b4babae883dc0ef51599a"
        level Level::Notice;
        journal [millis];
        text format!("pruned the repository in {millis} ms");

    /// A fault that ends no cycle.
    Warning { text: String }
        "warning" "ce5f66943404449ea56d5477c0001c2a"
        level Level::Warning;
        journal [];
        text text.clone();

    /// The cycle failed. `snapshot` is the one that it rolled back. `again` if it refused the very same rows as the cycle
    /// before.
    Failed { error: Error, snapshot: Option<SnapshotId>, last_success_age: Option<u64>, again: bool }
        "failed" "e6e4c2d06629446b88b8c9ea963c1bb0",
        if error.kind() == Kind::RolledBack => "rolled-back" "353832b3302c4c5a8ab26a20524e022f"
        level unless_again(*again, if error.kind().exit() == Exit::TryAgain { Level::Warning } else { Level::Error });
        journal [snapshot, error, last_success_age];
        text format!("{}: {}; hint: {}", Outcome::from(error.kind()), error.chain(), error.hint());
}

impl Event {
    /// The name in `KUMA_EVENT`.
    pub fn name(&self) -> &'static str {
        self.identity().0
    }

    /// The journal's `MESSAGE_ID`.
    pub fn message_id(&self) -> &'static str {
        self.identity().1
    }
}

impl Event {
    /// The same, as the end of a cycle that has reported something else: then it is news even if the cycle before ended so.
    #[must_use]
    pub fn as_news(mut self) -> Self {
        if let Self::Unchanged { again, .. }
        | Self::UpToDate { again, .. }
        | Self::Blocked { again, .. }
        | Self::Deferred { again, .. }
        | Self::OnHold { again, .. }
        | Self::Failed { again, .. } = &mut self
        {
            *again = false;
        }
        self
    }
}

/// The text with times in UTC.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&TimeZone::UTC))
    }
}

/// The level of an event whose repetition is no news.
fn unless_again(again: bool, level: Level) -> Level {
    if again { Level::Info } else { level }
}
