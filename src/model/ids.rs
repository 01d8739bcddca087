//! Ids: that of a main, chosen by this program, and that of a snapshot, chosen by restic.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::short;

/// A text that is not of the form it must have; the message says which.
#[derive(Debug)]
pub struct Malformed(pub(crate) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

macro_rules! hex_name {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $lengths:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                let hex = text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
                if hex && $lengths.contains(&text.len()) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Malformed(format!("'{}' is not {}", short(text), $noun)))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;

            fn try_from(text: String) -> Result<Self, Malformed> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

hex_name!(
    /// The id of a snapshot in the repository: 64 hexadecimal digits, or at least the first 8 where restic reports its
    /// short form.
    SnapshotId,
    "a snapshot id",
    (8..=64)
);

hex_name!(
    /// The identity of a main: 32 hexadecimal digits.
    MainId,
    "a main id",
    (32..=32)
);

impl SnapshotId {
    /// The first 8 digits, as restic shows them.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }

    /// Whether both name the same snapshot; either may be in short form.
    pub fn same(&self, other: &SnapshotId) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}
