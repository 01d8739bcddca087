//! Which snapshots a main keeps, and whether it prunes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// How many snapshots are kept, by the rules of restic's `--keep-…`. At least one of the numbers is above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// The newest one of each day, for as many days.
    pub daily: u32,
    /// The newest one of each ISO week.
    pub weekly: u32,
    /// The newest one of each month.
    pub monthly: u32,
    /// The newest one of each year.
    pub yearly: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { last: 50, daily: 60, weekly: 0, monthly: 12, yearly: 0 }
    }
}

/// Whether a main prunes the repository by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prune {
    /// If only its own fleet has snapshots there.
    #[default]
    Auto,
    /// Also if others have.
    Always,
    /// Another host does.
    Never,
}

/// As written: `"all"`, or a table with numbers. It replaces the default as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WrittenKeep {
    All,
    Only(Counts),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Counts {
    last: Count,
    daily: Count,
    weekly: Count,
    monthly: Count,
    yearly: Count,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count(u32);

impl WrittenKeep {
    /// The numbers; none to keep all.
    ///
    /// # Errors
    /// If nothing would be kept, for people.
    pub(super) fn check(self) -> Result<Option<Keep>, String> {
        let Self::Only(Counts { last, daily, weekly, monthly, yearly }) = self else { return Ok(None) };
        if [last, daily, weekly, monthly, yearly].iter().all(|count| count.0 == 0) {
            return Err(
                "main.keep would keep nothing: give last, daily, weekly, monthly or yearly a number above 0, or write \
                        keep = \"all\""
                    .to_owned(),
            );
        }
        let [last, daily, weekly, monthly, yearly] = [last, daily, weekly, monthly, yearly].map(|count| count.0);
        Ok(Some(Keep { last, daily, weekly, monthly, yearly }))
    }
}

impl<'de> Deserialize<'de> for WrittenKeep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = WrittenKeep;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a table such as { last = 50, daily = 60, monthly = 12 }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenKeep, E> {
                let all = (text == "all").then_some(WrittenKeep::All);
                all.ok_or_else(|| E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenKeep, A::Error> {
                Counts::deserialize(MapAccessDeserializer::new(map)).map(WrittenKeep::Only)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 on")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
                let count = u32::try_from(number).map(Count);
                count.map_err(|_| E::invalid_type(serde::de::Unexpected::Signed(number), &self))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for WrittenKeep {
    fn schema_name() -> Cow<'static, str> {
        "Keep".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let count = json_schema!({ "type": "integer", "minimum": 0 });
        json_schema!({
            "anyOf": [
                { "const": "all" },
                {
                    "type": "object",
                    "properties": {
                        "last": count, "daily": count, "weekly": count, "monthly": count, "yearly": count
                    },
                    "additionalProperties": false
                }
            ]
        })
    }
}
