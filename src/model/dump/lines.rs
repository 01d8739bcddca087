//! The lines of a dump, and how they are written.

use serde::{Deserialize, Serialize};

use crate::model::configuration::Table;
use crate::model::digest::Digest;
use crate::model::value::Value;
use crate::model::zone::Zone;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZoneLine {
    pub(super) zone: Zone,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableLine {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileLine {
    pub(super) file: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) content: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) end: bool,
    pub(super) digest: Digest,
}

/// The keys of the rows of `table`, rendered once for all of them.
pub(super) fn keys(table: &Table) -> Vec<Vec<u8>> {
    table.columns.iter().map(|name| rendered(Value::text(name.as_str()))).collect()
}

pub(super) fn rendered(value: Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.render(&mut out);
    out
}

pub(super) fn row_line(out: &mut Vec<u8>, keys: &[Vec<u8>], row: &[Value]) {
    let mut separator = b'{';
    for (key, value) in keys.iter().zip(row) {
        if !matches!(value, Value::Null) {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(key);
            out.push(b':');
            value.render(out);
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.extend_from_slice(b"}\n");
}

pub(super) fn line<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    // These structures hold only strings and numbers: writing them into a Vec cannot fail.
    let _ = serde_json::to_writer(&mut *out, value);
    out.push(b'\n');
}
