//! Tables in whose rows a replica keeps its own values.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::model::catalog;

/// Whose values the rows of a table have.
#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Values {
    /// The main's.
    Follow,
    /// Those of this host, in every row that it has already.
    Keep,
}

/// The tables in whose rows this host keeps its own values. All others follow the main.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Key, Values>")]
pub struct LocalEntities(BTreeSet<String>);

impl LocalEntities {
    /// Whether the rows of `table` keep the values of this host.
    pub fn keeps(&self, table: &str) -> bool {
        self.0.contains(table)
    }
}

impl JsonSchema for LocalEntities {
    fn schema_name() -> Cow<'static, str> {
        "LocalEntities".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let values = json_schema!({ "enum": ["follow", "keep"] });
        let keys = catalog::TABLES.iter().filter_map(|spec| spec.local_key);
        let keys: BTreeMap<&str, &Schema> = keys.map(|key| (key, &values)).collect();
        json_schema!({ "type": "object", "properties": keys, "additionalProperties": false })
    }
}

impl From<BTreeMap<Key, Values>> for LocalEntities {
    fn from(tables: BTreeMap<Key, Values>) -> Self {
        Self(tables.into_iter().filter(|(_, values)| *values == Values::Keep).map(|(Key(table), _)| table).collect())
    }
}

/// A table of the catalog, written as its key in the file.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Key(String);

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let keys = || catalog::TABLES.iter().filter_map(|spec| Some((spec.name, spec.local_key?)));
        if let Some((table, _)) = keys().find(|(_, key)| *key == name) {
            return Ok(Self(table.to_owned()));
        }
        let known: Vec<String> = keys().map(|(_, key)| format!("`{key}`")).collect();
        Err(format!("unknown field `{name}`, expected one of {}", known.join(", ")))
    }
}
