//! Durations as they are written: `"90s"`, `"5m"`, `"1h 30m"`.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::text::short;

/// A duration of any length and sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrittenDuration(pub(super) SignedDuration);

impl<'de> Deserialize<'de> for WrittenDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = WrittenDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"5m\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<WrittenDuration, E> {
        text.parse().map(WrittenDuration).map_err(|_| {
            let text = short(text);
            E::custom(format!("\"{text}\" is not a duration: write a duration such as \"5m\", in hours (h), minutes (m) and seconds (s)"))
        })
    }
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
