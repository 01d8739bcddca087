//! Columns with values of this host, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::customization::tables;
use super::scalar::Scalar;
use crate::model::catalog::{self, Class};
use crate::model::value::Value;

/// Columns that have other values on this host than on the main.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The table.
    pub table: String,
    /// Only rows that have all of these values; without any, all rows.
    #[serde(default, rename = "where")]
    pub matching: BTreeMap<String, Scalar>,
    /// The columns with their values here.
    #[serde(default)]
    pub set: BTreeMap<String, Scalar>,
    /// Columns that are NULL here.
    #[serde(default)]
    pub clear: Vec<String>,
}

impl Override {
    /// The columns that it changes, with their values.
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
                "settings cannot be overridden: list those to take over from the main in replica.settings, and change \
                 the others in Uptime Kuma"
                    .to_owned(),
            );
        }
        let Some(spec) = catalog::find(&self.table) else {
            return Err(format!("'{}' is not a replicated table; {}", self.table, tables()));
        };
        if self.set.is_empty() && self.clear.is_empty() {
            return Err("it sets nothing: name columns in set or in clear".to_owned());
        }
        if let Some((column, _)) =
            self.matching.iter().chain(&self.set).find(|(_, it)| matches!(it, Scalar::Real(real) if real.is_nan()))
        {
            return Err(format!("column {column}: a database cannot store nan"));
        }
        if self.matching.contains_key(catalog::ID) && spec.class == Class::Link {
            return Err(format!("rows of {} have other ids on every host", spec.name));
        }
        let given = || self.set.keys().chain(&self.clear).map(String::as_str);
        if let Some(twice) = self.set.keys().find(|column| self.clear.contains(column)) {
            return Err(format!("column {twice} is both set and cleared"));
        }
        let identity = |column: &&str| *column == catalog::ID || spec.identity_columns.contains(column);
        if let Some(column) = given().find(identity) {
            return Err(format!("column {column} identifies the row and cannot be set"));
        }
        match given().find(|column| !spec.travels(column)) {
            Some(column) => Err(format!("column {column} of {} is written by Uptime Kuma", spec.name)),
            None => Ok(()),
        }
    }
}
