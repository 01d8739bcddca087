//! Values that a replica has of its own, as they are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::catalog::{self, Class};
use crate::model::value::Value;

use super::tables;

/// A value that a column can be set to, or compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// Stored as 0 or 1, as Uptime Kuma does.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A real.
    Real(f64),
    /// Text.
    Text(String),
}

impl Scalar {
    /// As SQLite stores it.
    pub fn value(&self) -> Value {
        match self {
            Self::Boolean(boolean) => Value::Integer((*boolean).into()),
            Self::Integer(number) => Value::Integer(*number),
            Self::Real(number) => Value::Real(*number),
            Self::Text(text) => Value::text(text.as_str()),
        }
    }
}

/// Columns that have other values here than on the main.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// In which table.
    pub table: String,
    /// Only in rows that have all of these values; in all rows if there are none.
    #[serde(default, rename = "where")]
    pub matching: BTreeMap<String, Scalar>,
    /// The columns with their values.
    #[serde(default)]
    pub set: BTreeMap<String, Scalar>,
    /// Columns that are NULL here.
    #[serde(default)]
    pub clear: Vec<String>,
}

impl Override {
    /// The columns it gives a value, with that value.
    pub fn values(&self) -> impl Iterator<Item = (&str, Value)> {
        let set = self.set.iter().map(|(column, scalar)| (column.as_str(), scalar.value()));
        set.chain(self.clear.iter().map(|column| (column.as_str(), Value::Null)))
    }

    /// All columns it names.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.matching.keys().chain(self.set.keys()).chain(&self.clear).map(String::as_str)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.table == catalog::SETTING {
            return Err(
                "settings are not overridden: list those of the main that count here in replica.settings, and \
                        set the others in Uptime Kuma"
                    .to_owned(),
            );
        }
        let Some(spec) = catalog::find(&self.table) else {
            return Err(format!("'{}' is not a table that is replicated; {}", self.table, tables()));
        };
        if self.set.is_empty() && self.clear.is_empty() {
            return Err("it sets nothing: name columns in set or in clear".to_owned());
        }
        if let Some((column, _)) =
            self.matching.iter().chain(&self.set).find(|(_, it)| matches!(it, Scalar::Real(real) if real.is_nan()))
        {
            return Err(format!("column {column}: a database holds no nan"));
        }
        if self.matching.contains_key(catalog::ID) && spec.class == Class::Link {
            return Err(format!("rows of {} have no id that is the same on all hosts", spec.name));
        }
        let given = || self.set.keys().chain(&self.clear).map(String::as_str);
        if let Some(twice) = self.set.keys().find(|column| self.clear.contains(column)) {
            return Err(format!("column {twice} is both set and cleared"));
        }
        let identity = |column: &&str| *column == catalog::ID || *column == catalog::CREATED;
        if let Some(column) = given().find(identity) {
            return Err(format!("column {column} says which row it is, and cannot be set"));
        }
        match given().find(|column| !spec.travels(column)) {
            Some(column) => Err(format!("column {column} of {} is written by Uptime Kuma itself", spec.name)),
            None => Ok(()),
        }
    }
}
