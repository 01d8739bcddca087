//! Snapshots in the repository and their tags, from which a replica decides without fetching a dump.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;

use super::content::Content;
use super::digest::Digest;
use super::manifest::FORMAT;
use super::place::Place;
use crate::text::short;

pub use super::ids::{MainId, Malformed, SnapshotId};

/// The tag that marks the snapshots of this program among others in the same repository.
pub const MARK: &str = "kuma-replicator";

/// The path under which a dump is stored in a snapshot.
pub const PATH: &str = "/kuma-replicator.jsonl";

/// A snapshot of this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The id in the repository.
    pub id: SnapshotId,
    /// When it was stored, by the repository; informational, never used for the order of snapshots.
    pub time: Timestamp,
    /// The name of the host that published it; informational.
    pub host: String,
    /// Its tags, which describe the dump.
    #[serde(flatten)]
    pub tags: Tags,
}

/// The tags of a snapshot, which describe the dump in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tags {
    /// The dump format.
    pub format: u32,
    /// The main that published it, and its place in the order of snapshots.
    #[serde(flatten)]
    pub place: Place,
    /// The id of the first main of its fleet: the hosts that follow each other's mains.
    pub fleet: MainId,
    /// The digest of the dump's body.
    pub digest: Digest,
    /// The fingerprint of the schema of the main.
    pub schema: Digest,
}

impl Tags {
    /// The tags for restic. None contains a comma, which separates tags there.
    pub fn to_strings(&self) -> Vec<String> {
        let Place { main, epoch, sequence } = &self.place;
        vec![
            MARK.to_owned(),
            format!("format={}", self.format),
            format!("main={main}"),
            format!("fleet={}", self.fleet),
            format!("epoch={epoch}"),
            format!("sequence={sequence}"),
            format!("digest={}", self.digest),
            format!("schema={}", self.schema),
        ]
    }

    /// Whether `tags` are those of a snapshot of this program: [`MARK`] is among them.
    pub fn are_marked(tags: &[String]) -> bool {
        tags.iter().any(|tag| tag == MARK)
    }

    /// Parses the tags of a snapshot of this program.
    ///
    /// # Errors
    /// [`Malformed`] if a tag is missing, given twice or malformed.
    pub fn from_strings(tags: &[String]) -> Result<Self, Malformed> {
        let mut values = BTreeMap::new();
        for (key, value) in tags.iter().filter_map(|tag| tag.split_once('=')) {
            if values.insert(key, value).is_some() {
                return Err(Malformed(format!("tag {}= is given twice", short(key))));
            }
        }
        let value = |key: &str| values.get(key).copied().ok_or_else(|| Malformed(format!("tag {key}= is missing")));
        fn number<N: FromStr>(key: &str, text: &str) -> Result<N, Malformed> {
            text.parse().map_err(|_| Malformed(format!("tag {key}={} is not a number", short(text))))
        }
        let digest =
            |key: &str, text: &str| text.parse::<Digest>().map_err(|error| Malformed(format!("tag {key}=: {error}")));
        Ok(Self {
            format: number("format", value("format")?)?,
            place: Place {
                main: value("main")?.parse()?,
                epoch: number("epoch", value("epoch")?)?,
                sequence: number("sequence", value("sequence")?)?,
            },
            fleet: value("fleet")?.parse()?,
            digest: digest("digest", value("digest")?)?,
            schema: digest("schema", value("schema")?)?,
        })
    }

    /// What identifies the content of the dump.
    pub fn content(&self) -> Content {
        Content { digest: self.digest, schema: self.schema }
    }

    /// Whether this program can read the dump.
    pub fn readable(&self) -> bool {
        self.format == FORMAT
    }
}

/// The result of a look into the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The snapshots of this program, in no particular order.
    pub snapshots: Vec<Snapshot>,
    /// Snapshots with the mark of this program and malformed tags, with the reason.
    pub unreadable: Vec<(SnapshotId, String)>,
    /// How many snapshots of other programs lie in the same repository.
    pub others: usize,
}

impl Listing {
    /// The newest snapshots by (epoch, sequence): none, one, or several with the same place.
    pub fn newest(&self) -> Vec<&Snapshot> {
        let order = |snapshot: &&Snapshot| snapshot.tags.place.order();
        let Some(top) = self.snapshots.iter().map(|snapshot| snapshot.tags.place.order()).max() else {
            return Vec::new();
        };
        self.snapshots.iter().filter(|snapshot| order(snapshot) == top).collect()
    }
}
