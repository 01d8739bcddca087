//! Reading a row and its values.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use crate::model::value::Value;
use crate::text::short;

/// Reads a row with these columns.
pub(super) fn row(columns: &[String], text: &[u8]) -> Result<Vec<Value>, String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let row = Columns(columns).deserialize(&mut json);
    row.and_then(|row| json.end().map(|()| row)).map_err(|error| error.to_string())
}

/// Reads a row with these columns: an object whose keys are some of them, in their order.
struct Columns<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Value>, A::Error> {
        let mut row = Vec::with_capacity(self.0.len());
        while let Some(skipped) = map.next_key_seed(Key(self.0.get(row.len()..).unwrap_or_default()))? {
            row.resize(row.len() + skipped, Value::Null);
            row.push(map.next_value()?);
        }
        row.resize(self.0.len(), Value::Null);
        Ok(row)
    }
}

/// Reads the next key of a row, as the number of columns that the row leaves out before it.
struct Key<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        let known = self.0.iter().position(|column| column == name);
        known.ok_or_else(|| E::custom(format!("column {} is not in the table, or out of order", short(name))))
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Reads a value in canonical JSON. An array or a nested object is refused at once, so depth costs no memory.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number, a string, or one of $blob, $text and $real")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        let number = i64::try_from(number).map_err(|_| E::custom(format!("number {number} is out of range")))?;
        Ok(Value::Integer(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some((key, text)) = map.next_entry::<String, String>()? else {
            return Err(A::Error::custom("an object that is not a value"));
        };
        match map.next_key::<String>()? {
            None => Value::from_wrapped(&key, &text).map_err(A::Error::custom),
            Some(_) => Err(A::Error::custom("a wrapped value with more in it")),
        }
    }
}
