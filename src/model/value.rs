//! One SQLite value with its storage class, and its canonical JSON form.
//!
//! The storage class is kept because Uptime Kuma compares strictly: text 'true' in a BOOLEAN column or a
//! real in an INTEGER column means something other than the number 1 (<https://www.sqlite.org/datatype3.html>).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A value as SQLite stores it.
#[derive(Debug, Clone)]
pub enum Value {
    /// NULL.
    Null,
    /// A 64-bit signed integer.
    Integer(i64),
    /// A 64-bit float; SQLite has no NaN.
    Real(f64),
    /// The bytes of a text. They should be UTF-8, which SQLite does not enforce.
    Text(Box<[u8]>),
    /// A blob.
    Blob(Box<[u8]>),
}

impl Value {
    /// A text value.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().as_bytes().into())
    }

    /// How many bytes SQLite needs for it at most, without the header of its row.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Integer(_) | Self::Real(_) => 8,
            Self::Text(bytes) | Self::Blob(bytes) => bytes.len() as u64,
        }
    }

    /// The number, if it is an integer.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if this is text in UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Integer(_) => 1,
            Self::Real(_) => 2,
            Self::Text(_) => 3,
            Self::Blob(_) => 4,
        }
    }

    /// Appends the canonical JSON form to `out`.
    pub fn render(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Integer(number) => json(out, number),
            Self::Real(number) if number.is_finite() => json(out, number),
            Self::Real(number) => {
                out.extend_from_slice(if *number > 0.0 { br#"{"$real":"inf"}"# } else { br#"{"$real":"-inf"}"# });
            }
            Self::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => json(out, text),
                Err(_) => wrapped(out, "$text", bytes),
            },
            Self::Blob(bytes) => wrapped(out, "$blob", bytes),
        }
    }

    /// Reads a value that has no form in plain JSON.
    pub(super) fn from_wrapped(key: &str, text: &str) -> Result<Self, String> {
        let bytes = || BASE64.decode(text).map(Vec::into_boxed_slice).map_err(|error| format!("bad base64: {error}"));
        match (key, text) {
            ("$blob", _) => Ok(Self::Blob(bytes()?)),
            ("$text", _) => Ok(Self::Text(bytes()?)),
            ("$real", "inf") => Ok(Self::Real(f64::INFINITY)),
            ("$real", "-inf") => Ok(Self::Real(f64::NEG_INFINITY)),
            _ => Err(format!("unknown wrapped value {}", crate::text::short(key))),
        }
    }
}

/// Appends `value` as serde_json writes it: the shortest float that reads back to the same bits, and no unneeded escapes.
fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing plain numbers and strings into a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

fn wrapped(out: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    out.extend_from_slice(format!(r#"{{"{key}":"{}"}}"#, BASE64.encode(bytes)).as_bytes());
}

/// Total order: by storage class (NULL, integer, real, text, blob), then by content. This is the order
/// of rows in a dump, and so part of the format.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) | (Self::Blob(a), Self::Blob(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Self::Null => {}
            Self::Integer(number) => number.hash(state),
            // Equal by `total_cmp` are those with the same bits.
            Self::Real(number) => number.to_bits().hash(state),
            Self::Text(bytes) | Self::Blob(bytes) => bytes.hash(state),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.render(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}
