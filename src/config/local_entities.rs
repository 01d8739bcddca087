//! Tables in whose rows a replica keeps its own values.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::model::catalog::{self, TableSpec};

/// Whose values the rows of a table have.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Values {
    /// The main's.
    Follow,
    /// Those of this host, in every row that it has already.
    Keep,
}

/// The tables in whose rows this host keeps its own values. All others follow the main.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LocalEntities(BTreeSet<&'static str>);

impl LocalEntities {
    /// Whether the rows of `table` keep the values of this host.
    pub fn keeps(&self, table: &str) -> bool {
        self.0.contains(table)
    }
}

impl<'de> Deserialize<'de> for LocalEntities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Tables)
    }
}

struct Tables;

impl<'de> Visitor<'de> for Tables {
    type Value = LocalEntities;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LocalEntities, A::Error> {
        let mut keep = BTreeSet::new();
        while let Some((Key(spec), values)) = map.next_entry()? {
            if matches!(values, Values::Keep) {
                keep.insert(spec.name);
            }
        }
        Ok(LocalEntities(keep))
    }
}

/// A table of the catalog by its key in the file.
struct Key(&'static TableSpec);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a table")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
                let mut keys = catalog::TABLES.iter().filter_map(|spec| Some((spec, spec.local_key?)));
                if let Some((spec, _)) = keys.clone().find(|(_, key)| *key == name) {
                    return Ok(Key(spec));
                }
                let known: Vec<String> = keys.by_ref().map(|(_, key)| format!("`{key}`")).collect();
                Err(E::custom(format!("unknown field `{name}`, expected one of {}", known.join(", "))))
            }
        }

        deserializer.deserialize_str(Name)
    }
}
