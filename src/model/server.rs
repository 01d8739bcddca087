//! What is known of a running server of Uptime Kuma before it is told anything.

use std::collections::BTreeSet;
use std::time::Duration;

/// Versions that take up what they are told in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 1.23.
    One,
    /// 2.0 to 2.5.
    Two {
        /// The second number of the version.
        minor: u32,
    },
}

/// The last of the 2.x versions whose server was tried.
const LAST_MINOR: u32 = 5;

impl Family {
    /// That of a version, as `package.json` has it; `None` if no server of that version was tried.
    pub fn of(version: &str) -> Option<Self> {
        // What npm has: the state of 1.23 on the way to 2.0, with its protocol and its schema.
        if version.starts_with("2.0.0-dev.") {
            return Some(Self::One);
        }
        let numbers: Vec<u32> = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        match numbers.as_slice() {
            [1, 23, _] => Some(Self::One),
            [2, minor, _] if *minor <= LAST_MINOR => Some(Self::Two { minor: *minor }),
            _ => None,
        }
    }
}

/// A running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Which run of it this is: another one after each start.
    pub run: String,
    /// Its version, if that is known.
    pub version: Option<String>,
    /// How long it still begins its monitors, at most; zero once all of them have begun. Those that are told before would
    /// run twice.
    pub beginning: Duration,
    /// How long it takes to begin all of them after a start.
    pub takes: Duration,
    /// The highest id that a monitor has had in its database.
    pub last_monitor: i64,
    /// The ids of the users who may log in.
    pub users: BTreeSet<i64>,
}

impl Server {
    /// One of which nothing is known, and so which is told nothing.
    pub fn unknown() -> Self {
        let (run, version, users) = (String::new(), None, BTreeSet::new());
        Self { run, version, beginning: Duration::ZERO, takes: Duration::ZERO, last_monitor: i64::MAX, users }
    }

    /// How long it takes to begin all its monitors after a start, if anything is known of it.
    pub fn known_to_take(&self) -> Option<Duration> {
        (!self.run.is_empty()).then_some(self.takes)
    }

    /// The family of its version, if it is known.
    pub fn family(&self) -> Option<Family> {
        Family::of(self.version.as_deref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_that_were_tried_have_a_family() {
        for (version, family) in [
            ("1.23.0", Some(Family::One)),
            ("1.23.17", Some(Family::One)),
            ("2.0.0-dev.0", Some(Family::One)),
            ("2.0.0", Some(Family::Two { minor: 0 })),
            ("2.5.3", Some(Family::Two { minor: 5 })),
            ("1.22.1", None),
            ("1.24.0", None),
            ("2.0.0-beta.4", None),
            ("2.6.0", None),
            ("3.0.0", None),
            ("3.0.0-beta.0", None),
            ("2.5", None),
            ("", None),
        ] {
            assert_eq!(Family::of(version), family, "{version}");
        }
    }
}
