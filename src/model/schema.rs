//! The schema of an Uptime Kuma database: its columns and the migrations that have run.
//!
//! Migrations rewrite configuration data, so rows may only be copied between databases with the same schema.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// Columns of the replicated tables and applied migrations. Column order, row ids and batches are left
/// out: they differ between fresh and upgraded databases of the same version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Column names by table.
    pub tables: BTreeMap<String, BTreeSet<String>>,
    /// Names of the applied migrations (knex, or the patch files of 1.x).
    pub migrations: BTreeSet<String>,
}

/// How the schema of a snapshot relates to the one of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Both are the same.
    Same,
    /// The main has run all migrations of this host, and more: upgrade this host.
    MainAhead,
    /// This host has run all migrations of the main, and more: upgrade the main.
    ReplicaAhead {
        /// Whether it also has all columns of the main.
        superset: bool,
    },
    /// Each has migrations or columns that the other lacks.
    Apart,
}

/// Releases of Uptime Kuma that came with migrations, newest first, each with one of its migrations. 2.x has knex
/// migrations; 1.x has patches.
const RELEASES: &[(&str, &str)] = &[
    ("2026-08-18-0000-sqlite-only-drop-analytics-type-check.js", "2.5.1 or newer"),
    ("2026-03-27-0000-add-ntp-monitor.js", "2.5.0"),
    ("2026-05-20-0000-add-bearer-token.js", "2.4"),
    ("2026-02-07-0000-disable-domain-expiry-unsupported-tlds.js", "2.1.1 to 2.3"),
    ("2025-12-09-0000-add-system-service-monitor.js", "2.1.0"),
    ("2025-06-13-0000-maintenance-add-last-start.js", "2.0"),
];

impl Schema {
    /// The identity of this schema.
    pub fn fingerprint(&self) -> Digest {
        let mut text = String::new();
        for (table, columns) in &self.tables {
            for column in columns {
                text.push_str(&format!("column {table}.{column}\n"));
            }
        }
        for migration in &self.migrations {
            text.push_str(&format!("migration {migration}\n"));
        }
        Digest::of(text.as_bytes())
    }

    /// How `main`, the schema of a snapshot, relates to `self`, the schema of this host.
    pub fn relation_to(&self, main: &Schema) -> Relation {
        let (here, there) = (self.parts(), main.parts());
        if here == there {
            Relation::Same
        } else if here.is_subset(&there) || self.precedes(main) {
            Relation::MainAhead
        } else if there.is_subset(&here) {
            Relation::ReplicaAhead { superset: true }
        } else if main.precedes(self) {
            Relation::ReplicaAhead { superset: false }
        } else {
            Relation::Apart
        }
    }

    /// The release of Uptime Kuma that has these migrations, if it is known.
    pub fn release(&self) -> Option<&'static str> {
        let found = RELEASES.iter().find(|(migration, _)| self.migrations.contains(*migration));
        found.map(|(_, release)| *release).or_else(|| self.is_of_1().then_some("1.x"))
    }

    /// Whether `later` has run more migrations than this. Columns do not count: a migration may rename one.
    fn precedes(&self, later: &Schema) -> bool {
        let more = self.migrations != later.migrations && self.migrations.is_subset(&later.migrations);
        // 2.x continues after the patches of 1.x, and has its own list of migrations.
        more || (self.is_of_1() && later.is_of_2())
    }

    fn is_of_1(&self) -> bool {
        self.migrations.iter().any(|name| name.starts_with("database_version "))
    }

    fn is_of_2(&self) -> bool {
        self.migrations.iter().any(|name| name.ends_with(".js"))
    }

    /// Up to three parts that `self` has and `other` lacks, for a message; empty if there are none.
    pub fn surplus_over(&self, other: &Schema) -> String {
        let other = other.parts();
        let surplus: Vec<String> = self.parts().into_iter().filter(|part| !other.contains(part)).collect();
        let mut text = surplus.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        if surplus.len() > 3 {
            text.push_str(&format!(" and {} more", surplus.len() - 3));
        }
        text
    }

    fn parts(&self) -> BTreeSet<String> {
        let columns = self
            .tables
            .iter()
            .flat_map(|(table, columns)| columns.iter().map(move |column| format!("column {table}.{column}")));
        let migrations = self.migrations.iter().map(|name| format!("migration {name}"));
        columns.chain(migrations).collect()
    }
}
