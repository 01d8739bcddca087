//! The results of the checks.

use std::fmt;

use serde::Serialize;

use super::VERSION;
use crate::text;

/// The results of `check`.
#[derive(Debug, Serialize)]
pub struct CheckDocument {
    version: u32,
    checks: Vec<Check>,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Its stable name.
    pub name: &'static str,
    /// `ok`, `warning` or `failed`.
    pub result: &'static str,
    /// The finding.
    pub message: String,
    /// The next thing to do; none if it is `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl CheckDocument {
    /// A document of these checks, in the order in which they were made.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { version: VERSION, checks }
    }
}

impl fmt::Display for CheckDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Check { name, result, message, hint }) in self.checks.iter().enumerate() {
            let line = if at > 0 { "\n" } else { "" };
            write!(f, "{line}{result:8} {name:14} {}", text::line(message))?;
            if let Some(hint) = hint {
                write!(f, "\n{:8} {:14} → {}", "", "", text::line(hint))?;
            }
        }
        Ok(())
    }
}
