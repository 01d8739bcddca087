//! Dump formats 1 and 2: the canonical bytes of a configuration (`docs/format.md`).
//!
//! Same content, same bytes, on every machine. The digest covers the body, every line but the first
//! and the last. A dump is accepted only if writing what was read gives the same bytes again, so no two
//! readers can understand it differently.

mod body;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::catalog;
use super::configuration::{Configuration, Row, Table};
use super::digest::Digest;
use super::limits::MAX_MANIFEST;
use super::manifest::{FORMAT, Manifest, READABLE};
use super::value::Value;

pub use super::limits::{MAX_DUMP, MAX_FILE};

/// A dump that was read and found to be what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// The first line.
    pub manifest: Manifest,
    /// The body.
    pub configuration: Configuration,
}

/// Why bytes are no dump.
#[derive(Debug)]
pub enum Fault {
    /// Written in a format this version does not know.
    Format(u64),
    /// Not a complete, well-formed dump; the text says where and why.
    Damaged(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(format) => write!(f, "it is written in format {format}; this version reads up to {FORMAT}"),
            Self::Damaged(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Fault {}

fn damaged(reason: impl Into<String>) -> Fault {
    Fault::Damaged(reason.into())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableLine {
    table: String,
    columns: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLine {
    file: String,
    size: u64,
    sha256: String,
    content: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    end: bool,
    digest: Digest,
}

/// The format of a dump of `configuration`: format 1 has no settings.
pub fn format(configuration: &Configuration) -> u32 {
    if configuration.table(catalog::SETTING).is_some() { FORMAT } else { 1 }
}

/// The body of a dump: the tables and files of `configuration`, one JSON value a line.
pub fn body(configuration: &Configuration) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 << 10);
    for table in &configuration.tables {
        line(&mut out, &TableLine { table: table.spec.name.to_owned(), columns: table.columns.clone() });
        let keys = keys(table);
        for row in &table.rows {
            row_line(&mut out, &keys, row);
        }
    }
    for file in &configuration.files {
        let sha256 = Digest::of(&file.content).hex();
        let content = BASE64.encode(&file.content);
        line(&mut out, &FileLine { file: file.name.clone(), size: file.content.len() as u64, sha256, content });
    }
    out
}

/// The keys of the rows of `table`, rendered once for all of them.
fn keys(table: &Table) -> Vec<Vec<u8>> {
    table.columns.iter().map(|name| rendered(Value::text(name.as_str()))).collect()
}

fn rendered(value: Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.render(&mut out);
    out
}

fn row_line(out: &mut Vec<u8>, keys: &[Vec<u8>], row: &Row) {
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

fn line<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    // These structures hold only strings and numbers: writing them into a Vec cannot fail.
    let _ = serde_json::to_writer(&mut *out, value);
    out.push(b'\n');
}

/// The whole dump: `manifest`, `body` and the closing line. The manifest's digest must be that of `body`.
pub fn render(manifest: &Manifest, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 16384);
    line(&mut out, manifest);
    out.extend_from_slice(body);
    line(&mut out, &EndLine { end: true, digest: manifest.digest });
    out
}

/// Reads a dump and proves it: complete, digest right, manifest right, canonical.
///
/// # Errors
/// [`Fault::Format`] for a format of another version, [`Fault::Damaged`] for everything else.
pub fn parse(bytes: &[u8]) -> Result<Dump, Fault> {
    if bytes.len() > MAX_DUMP {
        return Err(damaged(format!("it has more than {MAX_DUMP} bytes")));
    }
    let (first, rest) = split_line(bytes).ok_or_else(|| damaged("it is empty or its first line is cut"))?;
    if first.len() > MAX_MANIFEST {
        return Err(damaged(format!("its first line has more than {MAX_MANIFEST} bytes")));
    }
    let manifest = manifest(first)?;
    let unclosed = rest.strip_suffix(b"\n").ok_or_else(|| damaged("it is cut: no closing line"))?;
    let end = unclosed.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (body_bytes, last) = (rest.get(..end).unwrap_or_default(), unclosed.get(end..).unwrap_or_default());
    let end: EndLine = serde_json::from_slice(last).map_err(|_| damaged("it is cut: no closing line"))?;
    let digest = Digest::of(body_bytes);
    if !end.end || end.digest != digest || manifest.digest != digest {
        return Err(damaged(format!("its content has digest {digest}, its manifest says {}", manifest.digest)));
    }
    let frame = [first, b"\n", last, b"\n"].concat();
    if render(&manifest, b"") != frame {
        return Err(damaged("its first or last line is not in canonical form"));
    }
    let configuration = body::parse(body_bytes)?;
    if manifest.format != format(&configuration) {
        return Err(damaged(format!("table {} makes it format 2, and its absence format 1", catalog::SETTING)));
    }
    if !describes(&manifest, &configuration) {
        return Err(damaged("its manifest does not describe its content"));
    }
    Ok(Dump { manifest, configuration })
}

/// Whether what the manifest says beside the digest is true of `configuration`: the body has all of the
/// schema's tables, and of each the columns that travel. Settings, which no schema has, have their keys at least.
fn describes(manifest: &Manifest, configuration: &Configuration) -> bool {
    let columns = |table: &Table| -> Option<BTreeSet<String>> {
        let all = manifest.schema.tables.get(table.spec.name)?;
        Some(all.iter().filter(|column| table.spec.travels(column)).cloned().collect())
    };
    let same_columns = |table: &Table| {
        if table.spec.in_schema() {
            columns(table).is_some_and(|columns| columns.iter().eq(&table.columns))
        } else {
            table.identity().is_some()
        }
    };
    let in_schema = configuration.tables.iter().filter(|table| table.spec.in_schema()).count();
    manifest.fingerprint == manifest.schema.fingerprint()
        && manifest.counts == configuration.counts()
        && manifest.files == configuration.files.len() as u64
        && manifest.schema.tables.len() == in_schema
        && configuration.tables.iter().all(same_columns)
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn manifest(line: &[u8]) -> Result<Manifest, Fault> {
    #[derive(Deserialize)]
    struct Any {
        format: u64,
    }
    let any: Any = serde_json::from_slice(line).map_err(|_| damaged("its first line is no manifest"))?;
    if !u32::try_from(any.format).is_ok_and(|format| READABLE.contains(&format)) {
        return Err(Fault::Format(any.format));
    }
    serde_json::from_slice(line).map_err(|error| damaged(format!("its manifest is malformed: {error}")))
}
