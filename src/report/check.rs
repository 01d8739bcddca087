//! The results of the checks.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Shaped, VERSION};
use crate::error::Kind;
use crate::terminal::{Shape, Tone};
use crate::text;

/// The results of `check`.
#[derive(Debug, Serialize)]
pub struct CheckDocument {
    version: u32,
    checks: Vec<Check>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its stable name.
    pub name: String,
    /// How it ended.
    pub result: Verdict,
    /// The finding.
    pub message: String,
    /// The next thing to do; none if it is `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is wrong.
    Ok,
    /// Something may be wrong, or will be.
    Warning,
    /// A cycle would fail.
    Failed,
}

/// What `check` tells as soon as it knows it: one line of JSON of the process that runs as the service.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// What is looked at now, for people who wait.
    Begun(String),
    /// A result, with the kind of the failure if it is one.
    Found(Check, Option<Kind>),
    /// There are no more results.
    Ended,
}

impl CheckDocument {
    /// A document of these checks, in the order in which they were made.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { version: VERSION, checks }
    }
}

impl fmt::Display for CheckDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, check) in self.checks.iter().enumerate() {
            write!(f, "{}{check}", if at > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, result, message, hint } = self;
        write!(f, "{result:8} {:14} {}", text::line(name), text::line(message))?;
        match hint {
            Some(hint) => write!(f, "\n{:8} {:14} → {}", "", "", text::line(hint)),
            None => Ok(()),
        }
    }
}

impl Shaped for Check {
    fn shape(line: &str) -> Shape {
        // The column of the messages.
        let indent = 24;
        match line.split(' ').next() {
            Some("ok") => Shape { tone: Tone::Good, painted: 2, indent },
            Some("warning") => Shape { tone: Tone::Warning, painted: 7, indent },
            Some("failed") => Shape { tone: Tone::Bad, painted: 6, indent },
            // What to do.
            _ => Shape { tone: Tone::Hint, painted: line.len(), indent: indent + 2 },
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        })
    }
}
