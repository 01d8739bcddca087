//! The schema of an Uptime Kuma database: which columns there are, and which migrations have run.
//!
//! Migrations rewrite configuration data, so rows may only move between databases with the same schema.

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

/// How the schema of a snapshot stands to the one of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// The main has all that is here, and more: this host is to be upgraded.
    MainAhead,
    /// This host has all that the main has, and more: the main is to be upgraded.
    ReplicaAhead,
    /// Each has something that the other lacks.
    Apart,
}

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

    /// How `main`, the schema of a snapshot, stands to `self`, the schema here.
    pub fn relation_to(&self, main: &Schema) -> Relation {
        let (here, there) = (self.parts(), main.parts());
        match (here == there, here.is_subset(&there), there.is_subset(&here)) {
            (true, _, _) => Relation::Same,
            (_, true, _) => Relation::MainAhead,
            (_, _, true) => Relation::ReplicaAhead,
            _ => Relation::Apart,
        }
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
