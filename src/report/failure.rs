//! A failure as a document: what a verb prints with `--json` if it can print no other one.

use serde::Serialize;

use super::VERSION;
use crate::error::Error;
use crate::text;

/// A verb that failed.
#[derive(Debug, Serialize)]
pub struct FailureDocument {
    version: u32,
    error: Failure,
}

/// A failure.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    kind: &'static str,
    message: String,
    causes: Vec<String>,
    hint: String,
    exit_code: u8,
}

impl FailureDocument {
    /// The document of this failure.
    pub fn new(error: &Error) -> Self {
        Self { version: VERSION, error: Failure::of(error) }
    }
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            kind: error.kind().name(),
            message: text::limit(error.what().to_owned()),
            causes: error.causes(),
            hint: error.hint().to_owned(),
            exit_code: error.kind().exit().code(),
        }
    }
}
