//! Reading a dump: its frame and its manifest. The body is read in `body`.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::fault::{Fault, damaged};
use super::lines::EndLine;
use super::{body, render};
use crate::model::configuration::{Configuration, Table};
use crate::model::digest::Digest;
use crate::model::limits::{MAX_DUMP, MAX_MANIFEST};
use crate::model::manifest::{FORMAT, Manifest};
use crate::model::schema::Schema;

/// A complete, canonical dump with the right digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// The first line.
    pub manifest: Manifest,
    /// The content of the body.
    pub configuration: Configuration,
}

/// Reads a dump and checks that it is complete and canonical, and that digest and manifest describe its body.
///
/// # Errors
/// [`Fault::Format`] for another format, [`Fault::Damaged`] for everything else.
pub fn parse(bytes: &[u8]) -> Result<Dump, Fault> {
    parse_beside(bytes, &Configuration::default())
}

/// The same, with the rows of a `known` configuration in place of equal ones.
///
/// # Errors
/// As for [`parse`].
pub fn parse_beside(bytes: &[u8], known: &Configuration) -> Result<Dump, Fault> {
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
    if render(&manifest, Vec::new()) != frame {
        return Err(damaged("its first or last line is not in canonical form"));
    }
    let configuration = body::parse_beside(body_bytes, known)?;
    let is_told = manifest.fingerprint == manifest.schema.fingerprint()
        && manifest.counts == configuration.counts()
        && manifest.files == configuration.files.len() as u64
        && describes(&manifest.schema, &configuration);
    if !is_told {
        return Err(damaged("its manifest does not describe its content"));
    }
    Ok(Dump { manifest, configuration })
}

/// Whether `schema` describes `configuration`: that has all tables of the schema, with all replicated columns. The schema
/// has no settings; their table must have at least the key.
pub fn describes(schema: &Schema, configuration: &Configuration) -> bool {
    let columns = |table: &Table| -> Option<BTreeSet<String>> {
        let all = schema.tables.get(table.spec.name)?;
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
    schema.tables.len() == in_schema && configuration.tables.iter().all(same_columns)
}

pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn manifest(line: &[u8]) -> Result<Manifest, Fault> {
    #[derive(Deserialize)]
    struct Any {
        format: u64,
    }
    let any: Any = serde_json::from_slice(line).map_err(|_| damaged("its first line is not a manifest"))?;
    if any.format != u64::from(FORMAT) {
        return Err(Fault::Format(any.format));
    }
    serde_json::from_slice(line).map_err(|error| damaged(format!("its manifest is malformed: {error}")))
}
