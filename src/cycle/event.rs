//! What a cycle tells: one event a step, each with a journal message id that never changes.
//!
//! The ids are a contract; `packaging/usr/lib/systemd/catalog` explains each of them to `journalctl -x`.

use std::fmt;

use jiff::Timestamp;

use crate::config::Alerts;
use crate::error::{Error, Kind};
use crate::model::digest::Digest;
use crate::model::snapshot::SnapshotId;
use crate::plan::Size;

/// How loud an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing happened that was not so before.
    Info,
    /// Something changed, as designed.
    Notice,
    /// Something waits, or will be tried again.
    Warning,
    /// Somebody has to look.
    Error,
}

/// One step of a cycle, or its end.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are named like those of the journal, see Fields")]
pub enum Event {
    /// Main: nothing changed. `again` if the cycle before ended so too.
    Unchanged { digest: Digest, again: bool },
    /// Main: a new snapshot is in the repository.
    Published { snapshot: SnapshotId, sequence: u64, digest: Digest, rows: u64, bytes: usize },
    /// Replica: nothing newer. `again` if the cycle before ended so too.
    UpToDate { snapshot: SnapshotId, again: bool },
    /// Something newer waits, or everything. `again` if it waited in the cycle before; `idle` as in [`Fields`].
    Held { reason: String, again: bool, idle: Option<u64> },
    /// Replica: a snapshot waits because Uptime Kuma was restarted not long ago. `again` if it waited so before.
    Deferred { snapshot: SnapshotId, until: Timestamp, again: bool },
    /// Replica: somebody edited the configuration here.
    Drifted { digest: Digest, overwrite: bool },
    /// A snapshot is here and is what it says it is.
    Fetched { snapshot: SnapshotId, bytes: usize },
    /// The changes are known.
    Planned { snapshot: Option<SnapshotId>, size: Size },
    /// Uptime Kuma is being stopped.
    Stopping { unit: String },
    /// Uptime Kuma is stopped.
    Stopped { unit: String, millis: u64 },
    /// The rows are written and committed.
    Written { snapshot: Option<SnapshotId>, size: Size, millis: u64 },
    /// Uptime Kuma was started.
    Started { unit: String },
    /// Uptime Kuma answers.
    Healthy { unit: String, millis: u64 },
    /// Replica: the configuration of this snapshot is in force.
    Applied { snapshot: SnapshotId, digest: Digest, size: Size, restarted: bool },
    /// A person put another configuration in force.
    Restored { name: String, digest: Digest, size: Size },
    /// A person has a snapshot tried again that was refused or postponed.
    Retried { snapshot: SnapshotId, reason: String },
    /// A person ordered this host to change nothing.
    OnHold { reason: String, until: Option<Timestamp> },
    /// The time of a hold is over, or a person ended it.
    Released { by_hand: bool },
    /// This host became the main.
    Promoted { epoch: u64 },
    /// This host became a replica.
    Demoted,
    /// A person switched the alerts of this replica.
    Alerts { alerts: Alerts, size: Size },
    /// A host that is not the main published; nobody takes it.
    Stray { snapshot: SnapshotId, host: String },
    /// An interrupted apply was dealt with.
    Recovered { snapshot: Option<SnapshotId>, started: bool },
    /// Something that people should know and that stops nothing.
    Warning { text: String },
    /// The cycle failed. After a roll back its name is `rolled-back`, and the snapshot is known.
    Failed { error: Error, snapshot: Option<SnapshotId>, idle: Option<u64> },
}

/// The fields of an event in the journal; those that do not apply are missing.
#[derive(Debug, Default)]
pub struct Fields {
    /// `KUMA_SNAPSHOT`
    pub snapshot: Option<String>,
    /// `KUMA_DIGEST`
    pub digest: Option<String>,
    /// `KUMA_EPOCH`
    pub epoch: Option<u64>,
    /// `KUMA_SEQUENCE`
    pub sequence: Option<u64>,
    /// `KUMA_ROWS`: rows in the configuration
    pub rows: Option<u64>,
    /// `KUMA_BYTES`
    pub bytes: Option<u64>,
    /// `KUMA_INSERTS`, `KUMA_UPDATES`, `KUMA_DELETES`
    pub size: Option<Size>,
    /// `KUMA_UNIT`
    pub unit: Option<String>,
    /// `KUMA_MILLISECONDS`
    pub millis: Option<u64>,
    /// `KUMA_ERROR`: the kind
    pub error: Option<&'static str>,
    /// `KUMA_HINT`
    pub hint: Option<String>,
    /// `KUMA_LAST_SUCCESS_AGE`: seconds since a cycle last ended as designed and not held
    pub idle: Option<u64>,
}

/// Every event: its name in `KUMA_EVENT`, and its message id, 32 hexadecimal digits as
/// `journalctl MESSAGE_ID=…` expects them.
pub const MESSAGE_IDS: &[(&str, &str)] = &[
    ("unchanged", "6d2a7285c270480b9f8a218c11be878a"),
    ("published", "8eb75588a86b4230908b62f3bd637f02"),
    ("up-to-date", "e70f49f287b1491bbdca01c7b45ee5f6"),
    ("held", "864ed13ba5c44be781b71fd403a5d1d4"),
    ("deferred", "2689c3b911de4cdbbea60c109ec7091d"),
    ("drifted", "2c12fe9566e54377a36252128c43ebbc"),
    ("fetched", "e8ed65f954fd4ee082854b0fa882389c"),
    ("planned", "9ef9e4c5110b4fcc9eb9c55fad1241ac"),
    ("stopping", "70069949eb64443a8a0d100d9a8b99b5"),
    ("stopped", "c7778fe692644cea8d27343616461b14"),
    ("written", "de978ba96e4b41988f3f33767c7752b2"),
    ("started", "9797b57ef39c411d8178c296fbc0fc75"),
    ("healthy", "c877e4970b9a411ebe38d594bd8d4dc9"),
    ("applied", "3069947d4b1b42149d40c2b7e5858f30"),
    ("restored", "2fee0306061e4afe8514c6d4457aa119"),
    ("retried", "01243de04aa04141b6107f31fd02a748"),
    ("on-hold", "13cdee7f926649adb4670d2d72156023"),
    ("released", "5d557465f9e14281af20b32c34dcc6da"),
    ("promoted", "3fc54ffe4f33438a835939711c12e2b4"),
    ("demoted", "3ad250758bc742219f2efe07fc70988d"),
    ("alerts", "ae0f619cc31448e8b6a72adc860ca128"),
    ("stray", "379fc8e601344a18ae6a754e4836e3fe"),
    ("rolled-back", "353832b3302c4c5a8ab26a20524e022f"),
    ("recovered", "e093f2aa5b504080990f1b9af345a9fc"),
    ("warning", "ce5f66943404449ea56d5477c0001c2a"),
    ("failed", "e6e4c2d06629446b88b8c9ea963c1bb0"),
];

impl Event {
    /// The name in `KUMA_EVENT`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unchanged { .. } => "unchanged",
            Self::Published { .. } => "published",
            Self::UpToDate { .. } => "up-to-date",
            Self::Held { .. } => "held",
            Self::Deferred { .. } => "deferred",
            Self::Drifted { .. } => "drifted",
            Self::Fetched { .. } => "fetched",
            Self::Planned { .. } => "planned",
            Self::Stopping { .. } => "stopping",
            Self::Stopped { .. } => "stopped",
            Self::Written { .. } => "written",
            Self::Started { .. } => "started",
            Self::Healthy { .. } => "healthy",
            Self::Applied { .. } => "applied",
            Self::Restored { .. } => "restored",
            Self::Retried { .. } => "retried",
            Self::OnHold { .. } => "on-hold",
            Self::Released { .. } => "released",
            Self::Promoted { .. } => "promoted",
            Self::Demoted => "demoted",
            Self::Alerts { .. } => "alerts",
            Self::Stray { .. } => "stray",
            Self::Recovered { .. } => "recovered",
            Self::Warning { .. } => "warning",
            Self::Failed { error, .. } if error.kind() == Kind::RolledBack => "rolled-back",
            Self::Failed { .. } => "failed",
        }
    }

    /// The journal's `MESSAGE_ID`.
    pub fn message_id(&self) -> &'static str {
        let name = self.name();
        MESSAGE_IDS.iter().find(|(known, _)| *known == name).map_or("", |(_, id)| id)
    }

    /// How loud it is. What was so in the cycle before is not worth a line at notice.
    pub fn level(&self) -> Level {
        use crate::error::Exit;
        match self {
            Self::Unchanged { again: true, .. }
            | Self::UpToDate { again: true, .. }
            | Self::Deferred { again: true, .. }
            | Self::Held { again: true, .. } => Level::Info,
            Self::Held { .. } | Self::Drifted { .. } | Self::Stray { .. } | Self::Warning { .. } => Level::Warning,
            Self::Failed { error, .. } if error.kind().exit() == Exit::TryAgain => Level::Warning,
            Self::Failed { .. } => Level::Error,
            _ => Level::Notice,
        }
    }

    /// The fields beside the message.
    pub fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        match self {
            Self::Unchanged { digest, .. } => fields.digest = Some(digest.to_string()),
            Self::Published { snapshot, sequence, digest, rows, bytes } => {
                fields.snapshot = Some(snapshot.to_string());
                fields.sequence = Some(*sequence);
                fields.digest = Some(digest.to_string());
                fields.rows = Some(*rows);
                fields.bytes = Some(*bytes as u64);
            }
            Self::UpToDate { snapshot, .. }
            | Self::Deferred { snapshot, .. }
            | Self::Stray { snapshot, .. }
            | Self::Retried { snapshot, .. } => {
                fields.snapshot = Some(snapshot.to_string());
            }
            Self::Recovered { snapshot, .. } => fields.snapshot = snapshot.as_ref().map(SnapshotId::to_string),
            Self::Fetched { snapshot, bytes } => {
                fields.snapshot = Some(snapshot.to_string());
                fields.bytes = Some(*bytes as u64);
            }
            Self::Alerts { size, .. } => fields.size = Some(*size),
            Self::Planned { snapshot, size } => {
                fields.snapshot = snapshot.as_ref().map(SnapshotId::to_string);
                fields.size = Some(*size);
            }
            Self::Stopping { unit } | Self::Started { unit } => fields.unit = Some(unit.clone()),
            Self::Stopped { unit, millis } | Self::Healthy { unit, millis } => {
                fields.unit = Some(unit.clone());
                fields.millis = Some(*millis);
            }
            Self::Written { snapshot, size, millis } => {
                fields.snapshot = snapshot.as_ref().map(SnapshotId::to_string);
                fields.size = Some(*size);
                fields.millis = Some(*millis);
            }
            Self::Applied { snapshot, digest, size, .. } => {
                fields.snapshot = Some(snapshot.to_string());
                fields.digest = Some(digest.to_string());
                fields.size = Some(*size);
            }
            Self::Restored { digest, size, .. } => {
                fields.digest = Some(digest.to_string());
                fields.size = Some(*size);
            }
            Self::Promoted { epoch } => fields.epoch = Some(*epoch),
            Self::Held { idle, .. } => fields.idle = *idle,
            Self::Drifted { digest, .. } => fields.digest = Some(digest.to_string()),
            Self::OnHold { .. } | Self::Released { .. } | Self::Demoted | Self::Warning { .. } => {}
            Self::Failed { error, snapshot, idle } => {
                fields.idle = *idle;
                fields.snapshot = snapshot.as_ref().map(SnapshotId::to_string);
                fields.error = Some(error.kind().name());
                fields.hint = Some(error.hint().to_owned());
            }
        }
        fields
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged { digest, .. } => write!(f, "unchanged: the configuration is still {}", digest.short()),
            Self::Published { snapshot, sequence, rows, bytes, .. } => {
                write!(f, "published snapshot {} (sequence {sequence}): {rows} rows, {bytes} bytes", snapshot.short())
            }
            Self::UpToDate { snapshot, .. } => write!(f, "up to date with snapshot {}", snapshot.short()),
            Self::Held { reason, .. } => write!(f, "held: {reason}"),
            Self::Deferred { snapshot, until, .. } => {
                let until = until.round(jiff::Unit::Second).unwrap_or(*until);
                write!(f, "snapshot {} waits until {until}: Uptime Kuma was restarted not long ago", snapshot.short())
            }
            Self::Drifted { overwrite, .. } => write!(
                f,
                "the configuration was edited on this replica; {}",
                if *overwrite { "the main's is applied again" } else { "kuma-replicator plan shows how" }
            ),
            Self::Fetched { snapshot, bytes } => {
                write!(f, "fetched and verified snapshot {}: {bytes} bytes", snapshot.short())
            }
            Self::Planned { snapshot, size } => write!(f, "planned {}: {size}", name(snapshot)),
            Self::Stopping { unit } => write!(f, "stopping {unit}"),
            Self::Stopped { unit, millis } => write!(f, "stopped {unit} in {millis} ms"),
            Self::Written { snapshot, size, millis } => {
                write!(f, "wrote {} in {millis} ms: {size}", name(snapshot))
            }
            Self::Started { unit } => write!(f, "started {unit}"),
            Self::Healthy { unit, millis } => write!(f, "{unit} answers after {millis} ms"),
            Self::Applied { snapshot, size, restarted, .. } => {
                let how = if *restarted { "" } else { ", without a restart" };
                write!(f, "applied snapshot {}: {size}{how}", snapshot.short())
            }
            Self::Restored { name, size, .. } => {
                write!(f, "restored {name}: {size}; this host is on hold now, until kuma-replicator release")
            }
            Self::Retried { snapshot, reason } => {
                write!(f, "trying snapshot {} again, as ordered, although: {reason}", snapshot.short())
            }
            Self::OnHold { reason, until: Some(until) } => {
                write!(f, "on hold until {}: {reason}", until.round(jiff::Unit::Second).unwrap_or(*until))
            }
            Self::OnHold { reason, until: None } => write!(f, "on hold until kuma-replicator release: {reason}"),
            Self::Released { by_hand: true } => f.write_str("released by hand: the next cycle goes on"),
            Self::Released { by_hand: false } => f.write_str("the hold is over"),
            Self::Promoted { epoch } => write!(f, "this host is the main now, in epoch {epoch}"),
            Self::Demoted => f.write_str("this host is a replica now, and follows whoever is the main"),
            Self::Alerts { alerts: Alerts::All, size } => {
                write!(f, "alerts are on: this replica sends those that the main sends ({size})")
            }
            Self::Alerts { alerts: Alerts::None, size } => {
                write!(f, "alerts are off: this replica is a silent standby ({size})")
            }
            Self::Stray { snapshot, host } => {
                write!(f, "snapshot {} of host {host} is ignored: another host is the main", snapshot.short())
            }
            Self::Recovered { snapshot, started } => write!(
                f,
                "recovered from an interrupted apply of {}: Uptime Kuma {}",
                name(snapshot),
                if *started { "was started again" } else { "is as it should be" }
            ),
            Self::Warning { text } => f.write_str(text),
            Self::Failed { error, .. } => {
                write!(f, "{}: {} — {}", error.kind().outcome(), error.chain(), error.hint())
            }
        }
    }
}

fn name(snapshot: &Option<SnapshotId>) -> String {
    snapshot.as_ref().map_or_else(|| "a restored configuration".to_owned(), |id| format!("snapshot {}", id.short()))
}
