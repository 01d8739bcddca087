//! A message for receivers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How much a message weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Something is well again.
    Good,
    /// Something happened, as designed.
    Notice,
    /// Something may need a person.
    Warning,
    /// A person has to act.
    Error,
}

impl Weight {
    /// The word for it in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a receiver is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The name of the event.
    pub event: String,
    /// How much it weighs.
    pub level: Weight,
    /// What happened, on one line.
    pub text: String,
    /// The next thing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The kind of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The fields of the event in the journal, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// When it happened.
    pub at: Timestamp,
}

impl Notice {
    /// The text, and what to do on a line of its own.
    pub fn body(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\n→ {hint}", self.text),
            None => self.text.clone(),
        }
    }
}
