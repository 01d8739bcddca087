//! Writing a dump.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::lines::{EndLine, FileLine, TableLine, ZoneLine, keys, line, row_line};
use crate::model::configuration::{Configuration, Table, UploadedFile};
use crate::model::digest::Digest;
use crate::model::manifest::Manifest;

/// The body of a dump: the time zone, tables and files of `configuration`, one JSON value a line.
pub fn body(configuration: &Configuration) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 << 10);
    if let Some(zone) = &configuration.zone {
        line(&mut out, &ZoneLine { zone: zone.clone() });
    }
    for table in &configuration.tables {
        write_table(&mut out, table);
    }
    for file in &configuration.files {
        write_file(&mut out, file);
    }
    out
}

/// Appends the lines of `table` to a body.
pub fn write_table(out: &mut Vec<u8>, table: &Table) {
    line(out, &TableLine { table: table.spec.name.to_owned(), columns: table.columns.clone() });
    let keys = keys(table);
    for row in &table.rows {
        row_line(out, &keys, row);
    }
}

/// Appends the line of `file` to a body.
pub fn write_file(out: &mut Vec<u8>, file: &UploadedFile) {
    let sha256 = Digest::of(&file.content).hex();
    let content = BASE64.encode(&file.content);
    line(out, &FileLine { file: file.name.clone(), size: file.content.len() as u64, sha256, content });
}

/// The whole dump: `manifest`, `body` and the closing line. The manifest's digest must be that of `body`, which is moved
/// and not copied.
pub fn render(manifest: &Manifest, mut body: Vec<u8>) -> Vec<u8> {
    let mut first = Vec::new();
    line(&mut first, manifest);
    line(&mut body, &EndLine { end: true, digest: manifest.digest });
    body.splice(..0, first);
    body
}
