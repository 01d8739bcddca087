//! The fields of events in the journal. Their names are contracts: `docs/format.md` lists them, and a test compares it
//! with the declarations here.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::model::digest::Digest;
use crate::model::origin::Origin;
use crate::model::snapshot::SnapshotId;
use crate::plan::Size;

/// Hands the declaration of the journal fields to the macro `$with`, after `$arguments`: each with its type and its
/// key, which the journal shows in capitals.
macro_rules! journal_fields {
    ($with:ident $($arguments:tt)*) => {
        $with! { ($($arguments)*)
            /// The id of the snapshot.
            snapshot: String, kuma_snapshot;
            /// The digest of the configuration.
            digest: String, kuma_digest;
            /// The epoch of this main.
            epoch: u64, kuma_epoch;
            /// The sequence of the snapshot.
            sequence: u64, kuma_sequence;
            /// The rows in the configuration.
            rows: u64, kuma_rows;
            /// The size of the dump in bytes.
            bytes: u64, kuma_bytes;
            /// The snapshots forgotten.
            snapshots: u64, kuma_snapshots;
            /// The rows added.
            inserts: u64, kuma_inserts;
            /// The rows changed.
            updates: u64, kuma_updates;
            /// The rows removed.
            deletes: u64, kuma_deletes;
            /// The unit of Uptime Kuma.
            unit: String, kuma_unit;
            /// The duration of the step.
            millis: u64, kuma_milliseconds;
            /// The kind of the failure.
            error: String, kuma_error;
            /// The next thing to do.
            hint: String, kuma_hint;
            /// Seconds since a cycle last ended well; missing if none did.
            last_success_age: u64, kuma_last_success_age;
        }
    };
}
pub(crate) use journal_fields;

macro_rules! declare_fields {
    (() $($(#[$doc:meta])* $field:ident: $type:ty, $key:ident;)*) => {
        /// The fields of an event in the journal, beside `MESSAGE`, `MESSAGE_ID`, `KUMA_EVENT` and `KUMA_CYCLE`. Those
        /// that an event does not have are missing.
        #[derive(Debug, Default)]
        pub struct Fields { $($(#[$doc])* pub $field: Option<$type>,)* }

        impl Fields {
            /// The keys of all fields, which the journal shows in capitals.
            pub const KEYS: &[&str] = &[$(stringify!($key)),*];

            /// The fields that are set, by their names in the journal.
            pub fn entries(&self) -> Vec<(String, String)> {
                let mut entries = Vec::new();
                $(if let Some(value) = &self.$field {
                    entries.push((stringify!($key).to_ascii_uppercase(), value.to_string()));
                })*
                entries
            }

            /// The same for JSON, by names in lower case and without the prefix.
            pub fn values(&self) -> Map<String, Value> {
                let mut values = Map::new();
                $(if let Some(value) = &self.$field {
                    let key = stringify!($key).trim_start_matches("kuma_");
                    values.insert(key.to_owned(), value.clone().into());
                })*
                values
            }
        }
    };
}
journal_fields! { declare_fields }

/// One setter for each name that the declaration of an event lists under `journal`.
impl Fields {
    pub(super) fn snapshot<'a>(&mut self, id: impl Into<Option<&'a SnapshotId>>) {
        self.snapshot = id.into().map(SnapshotId::to_string);
    }

    pub(super) fn origin(&mut self, origin: &Origin) {
        self.snapshot(origin.snapshot());
    }

    pub(super) fn digest(&mut self, digest: &Digest) {
        self.digest = Some(digest.to_string());
    }

    pub(super) fn epoch(&mut self, epoch: &u64) {
        self.epoch = Some(*epoch);
    }

    pub(super) fn sequence(&mut self, sequence: &u64) {
        self.sequence = Some(*sequence);
    }

    pub(super) fn rows(&mut self, rows: &u64) {
        self.rows = Some(*rows);
    }

    pub(super) fn bytes(&mut self, bytes: &usize) {
        self.bytes = Some(*bytes as u64);
    }

    pub(super) fn snapshots(&mut self, snapshots: &usize) {
        self.snapshots = Some(*snapshots as u64);
    }

    pub(super) fn size(&mut self, size: &Size) {
        self.inserts = Some(size.inserts as u64);
        self.updates = Some(size.updates as u64);
        self.deletes = Some(size.deletes as u64);
    }

    pub(super) fn unit(&mut self, unit: &str) {
        self.unit = Some(unit.to_owned());
    }

    pub(super) fn millis(&mut self, millis: &u64) {
        self.millis = Some(*millis);
    }

    pub(super) fn error(&mut self, error: &Error) {
        self.error = Some(error.kind().name().to_owned());
        self.hint = Some(error.hint().to_owned());
    }

    pub(super) fn last_success_age(&mut self, seconds: &Option<u64>) {
        self.last_success_age = *seconds;
    }
}
