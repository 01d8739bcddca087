//! Why rows are written on a host.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::snapshot::SnapshotId;

/// The origin of a configuration that a host writes into its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// A cycle applies this snapshot.
    Snapshot {
        /// The snapshot in the repository.
        id: SnapshotId,
    },
    /// A person restores another configuration.
    Restore {
        /// The restored configuration as messages name it: "snapshot 74ae62ba", "the previous configuration".
        name: String,
    },
    /// A person turns the alerts of a replica on or off.
    Alerts {
        /// Whether they are on from then on.
        on: bool,
    },
}

impl Origin {
    /// The snapshot, if a cycle applies one.
    pub fn snapshot(&self) -> Option<&SnapshotId> {
        match self {
            Self::Snapshot { id } => Some(id),
            Self::Restore { .. } | Self::Alerts { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot { id } => write!(f, "snapshot {}", id.short()),
            Self::Restore { name } => write!(f, "the restored configuration ({})", name.trim_start_matches("the ")),
            Self::Alerts { .. } => f.write_str("the alerts setting"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn each_origin_has_a_name_and_survives_the_state_file() {
        let id = "74ae62ba".repeat(8).parse().expect("an id");
        let cases = [
            (Origin::Snapshot { id }, "snapshot 74ae62ba", "snapshot"),
            (
                Origin::Restore { name: "the previous configuration".to_owned() },
                "the restored configuration (previous configuration)",
                "restore",
            ),
            (Origin::Alerts { on: false }, "the alerts setting", "alerts"),
        ];
        for (origin, text, kind) in cases {
            assert_eq!(origin.to_string(), text);
            let json = serde_json::to_value(&origin).expect("JSON");
            assert_eq!(json["kind"], kind);
            assert_eq!(serde_json::from_value::<Origin>(json).expect("an origin"), origin);
        }
        assert!(serde_json::from_str::<Origin>(r#"{"kind":"alerts","on":true,"more":1}"#).is_err());
    }
}
