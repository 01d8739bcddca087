//! A value of a column, as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde::ser::{Serialize, Serializer};

use crate::model::value::Value;

/// A value that a column can be set to, or compared with.
#[derive(Debug, Clone, PartialEq)]
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

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// As in TOML: part of the digest of a customization.
impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(boolean) => serializer.serialize_bool(*boolean),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) if number.is_finite() => serializer.serialize_f64(*number),
            // JSON has no infinity.
            Self::Real(_) => serializer.collect_str(&self.value()),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Boolean(boolean) => Ok(Self::Boolean(boolean)),
            toml::Value::Integer(number) => Ok(Self::Integer(number)),
            toml::Value::Float(number) => Ok(Self::Real(number)),
            toml::Value::String(text) => Ok(Self::Text(text)),
            other => {
                Err(D::Error::invalid_type(Unexpected::Other(other.type_str()), &"a string, a number or a boolean"))
            }
        }
    }
}
