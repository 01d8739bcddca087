//! Durations as they are written: `"90s"`, `"5m"`, `"1h 30m"`.

use std::borrow::Cow;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};

use crate::text::short;

/// A duration of any length and sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrittenDuration(pub(super) SignedDuration);

impl JsonSchema for WrittenDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A duration in hours, minutes and seconds, such as 5m or 1h 30m" })
    }
}

impl<'de> Deserialize<'de> for WrittenDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(&text(deserializer, "a duration such as \"5m\"")?).map(Self)
    }
}

/// A duration, or `"auto"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrittenInterval {
    Auto,
    Every(WrittenDuration),
}

impl JsonSchema for WrittenInterval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "auto, or a duration such as 5m or 1h 30m" })
    }
}

impl<'de> Deserialize<'de> for WrittenInterval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match text(deserializer, "\"auto\" or a duration such as \"5m\"")?.as_str() {
            "auto" => Ok(Self::Auto),
            text => parse(text).map(WrittenDuration).map(Self::Every),
        }
    }
}

/// A string. `expected` says what anything else should have been.
fn text<'de, D: Deserializer<'de>>(deserializer: D, expected: &str) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(text),
        other => Err(D::Error::invalid_type(Unexpected::Other(other.type_str()), &expected)),
    }
}

fn parse<E: Error>(text: &str) -> Result<SignedDuration, E> {
    text.parse().map_err(|_| {
        let text = short(text);
        E::custom(format!(
            "\"{text}\" is not a duration: write a duration such as \"5m\", in hours (h), minutes (m) and seconds (s)"
        ))
    })
}

/// The value of `key`, or its default.
///
/// # Errors
/// That it is shorter than a second, for people.
pub(super) fn duration(key: &str, written: Option<WrittenDuration>, default: Duration) -> Result<Duration, String> {
    let Some(WrittenDuration(written)) = written else { return Ok(default) };
    match Duration::try_from(written) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err(format!("{key} must be at least one second: write a duration such as \"5m\"")),
    }
}

/// The same for a key that may also be `"0s"`.
///
/// # Errors
/// As for [`duration`].
pub(super) fn duration_or_none(
    key: &str,
    written: Option<WrittenDuration>,
    default: Duration,
) -> Result<Duration, String> {
    match written {
        Some(WrittenDuration(SignedDuration::ZERO)) => Ok(Duration::ZERO),
        written => duration(key, written, default),
    }
}
