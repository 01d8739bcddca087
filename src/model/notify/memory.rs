//! What is remembered of receivers: what they were told, and what they have not received yet. A file of its own, which
//! may be lost: then what lasts is told once more.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Notice;

/// The version of the file.
const VERSION: u32 = 1;

/// The most messages that wait for a receiver. Of more, the oldest are left out.
const MAX_WAITING: usize = 20;

/// What is remembered of all receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    version: u32,
    /// Since when receivers are told of this host.
    pub since: Timestamp,
    /// Each by its name.
    pub receivers: BTreeMap<String, Remembered>,
}

/// What is remembered of one receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Remembered {
    /// What it was told that has not ended, since when.
    pub open: BTreeMap<String, Timestamp>,
    /// When it was last told of each of these.
    pub told: BTreeMap<String, Timestamp>,
    /// What it has not received yet, the oldest first.
    pub waiting: VecDeque<Notice>,
    /// How many messages were left out because too many waited.
    pub left_out: u64,
    /// The last ping that it received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinged: Option<Pinged>,
    /// Why it received nothing when it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// A ping that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinged {
    /// When.
    pub at: Timestamp,
    /// Whether it said that all is well.
    pub up: bool,
}

/// A ping to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// Whether all is well.
    pub up: bool,
    /// How the cycle ended, or what is wrong.
    pub text: String,
    /// How long the cycle took.
    pub millis: Option<u64>,
}

/// A receiver that cannot be reached, or refuses what it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// When it was tried last.
    pub tried: Timestamp,
    /// Why, for people.
    pub reason: String,
}

impl Memory {
    /// A new memory.
    pub fn new(now: Timestamp) -> Self {
        Self { version: VERSION, since: now, receivers: BTreeMap::new() }
    }

    /// The bytes of the file.
    pub fn render(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The memory in these bytes, unless they are damaged or another version wrote them.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|memory: &Self| memory.version == VERSION)
    }
}

impl Remembered {
    /// Lets a message wait, in place of the oldest if too many do.
    pub fn add(&mut self, notice: Notice) {
        self.waiting.push_back(notice);
        while self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
            self.left_out += 1;
        }
    }
}
