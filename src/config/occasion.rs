//! What a receiver can be told of, by name: the events of the journal, and what lasts longer than a cycle.

use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! occasions {
    ($($(#[$doc:meta])* $occasion:ident $name:literal;)*) => {
        /// Something that a receiver can be told of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        pub enum Occasion { $($(#[$doc])* #[serde(rename = $name)] $occasion,)* }

        impl Occasion {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$occasion,)*];

            /// The name in the configuration, and in a message.
            pub fn name(self) -> &'static str { match self { $(Self::$occasion => $name,)* } }
        }
    };
}

occasions! {
    /// A cycle failed, and a person has to act.
    Failed "failed";
    /// The previous configuration is in force again.
    RolledBack "rolled-back";
    /// Uptime Kuma did not come up, and the previous configuration is being put back.
    RollingBack "rolling-back";
    /// Another host is the main.
    Fenced "fenced";
    /// Nothing is written: other versions, or nothing was published yet.
    Blocked "blocked";
    /// No cycle has ended well for longer than `overdue-after`.
    Overdue "overdue";
    /// What was told is over, or an interrupted apply was recovered.
    Recovered "recovered";
    /// The configuration of a replica was edited.
    Drifted "drifted";
    /// This host became the main.
    Promoted "promoted";
    /// This host became a replica.
    Demoted "demoted";
    /// The repository has a new snapshot.
    Published "published";
    /// A snapshot is in force.
    Applied "applied";
    /// Nothing changed, for the first time.
    Unchanged "unchanged";
    /// Nothing newer is there, for the first time.
    UpToDate "up-to-date";
    /// A snapshot is applied later.
    Deferred "deferred";
    /// A snapshot was fetched.
    Fetched "fetched";
    /// The changes are known.
    Planned "planned";
    /// Uptime Kuma is being stopped.
    Stopping "stopping";
    /// Uptime Kuma is stopped.
    Stopped "stopped";
    /// The rows are written.
    Written "written";
    /// Uptime Kuma was told of changes.
    Told "told";
    /// Uptime Kuma was started.
    Started "started";
    /// Uptime Kuma answers.
    Healthy "healthy";
    /// A person put another configuration in force.
    Restored "restored";
    /// A person tries a snapshot again.
    Retried "retried";
    /// Cycles change nothing because a person said so.
    OnHold "on-hold";
    /// A hold is over.
    Released "released";
    /// A person switched the alerts of this replica.
    Alerts "alerts";
    /// Old snapshots were forgotten.
    Forgotten "forgotten";
    /// The data of forgotten snapshots were removed.
    Pruned "pruned";
    /// A snapshot of a host that is not the main is ignored.
    Stray "stray";
    /// Something that ends no cycle.
    Warning "warning";
}

impl Occasion {
    /// What a receiver is told of if it does not say.
    pub const USUAL: [Self; 8] = [
        Self::Failed,
        Self::RolledBack,
        Self::Fenced,
        Self::Blocked,
        Self::Overdue,
        Self::Recovered,
        Self::Drifted,
        Self::Promoted,
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|occasion| occasion.name() == name)
    }
}
