//! The result of `init`.

use std::fmt;

use serde::Serialize;

/// The result of `init`.
#[derive(Debug, Serialize)]
pub struct InitDocument {
    /// The address of the repository, without credentials.
    pub repository: String,
    /// Whether this run created it.
    pub created: bool,
}

impl fmt::Display for InitDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, created } = self;
        if *created {
            write!(f, "created repository {repository}")
        } else {
            write!(f, "repository {repository} already exists")
        }
    }
}
