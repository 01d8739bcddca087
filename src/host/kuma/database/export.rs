//! Exporting from the live database, and what identifies an export at a part of its cost: no row is kept, put in order or
//! rendered for that.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::Database;
use super::read::{self, readable, selection};
use super::sql::{Sql, columns};
use crate::cycle::Export;
use crate::error::Result;
use crate::model::catalog::{self, TableSpec};
use crate::model::configuration::UploadedFile;
use crate::model::content::Content;
use crate::model::digest::Hasher;
use crate::model::limits::Tally;
use crate::model::schema::Schema;

impl Database {
    /// Exports the configuration in one read transaction of the live database.
    ///
    /// The connection is read-write with `query_only`: a read-only connection leaves files behind beside a stopped WAL
    /// database, and a read-write one removes them (<https://www.sqlite.org/wal.html#readonly>).
    ///
    /// # Errors
    /// `DatabaseMissing`, `DatabaseBusy`, `DatabaseCorrupt`, `NotPermitted`, `SchemaUnknown`, `ServiceBusy` during a
    /// migration, or `SnapshotDamaged` if the configuration breaks a limit.
    pub fn export(&self) -> Result<Export> {
        self.reading(|connection| {
            let mut export = read::export(self, connection)?;
            // Of the files that were read: one may have changed since.
            let rows = Rows::read(self, connection)?;
            export.source = Some(rows.content(&export.configuration.files, &export.schema));
            Ok(export)
        })
    }

    /// What identifies the rows and files that [`Database::export`] reads, and the schema. While it is the same, so is the export.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn content(&self) -> Result<Content> {
        self.reading(|connection| {
            let schema = readable(self, connection)?;
            let mut rows = Rows::read(self, connection)?;
            rows.uploads.sort_unstable();
            rows.uploads.dedup();
            let files = self.uploads().read(&rows.uploads, &mut Vec::new())?;
            Ok(rows.content(&files, &schema))
        })
    }

    /// What `read` finds in one read transaction.
    fn reading<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.open()?;
        connection.execute_batch("PRAGMA query_only=ON; BEGIN").map_err(|error| self.failed("read", error))?;
        let found = read(&connection)?;
        connection.execute_batch("ROLLBACK").map_err(|error| self.failed("read", error))?;
        connection.close().map_err(|(_, error)| self.failed("close", error))?;
        Ok(found)
    }
}

/// The rows that were read so far.
#[derive(Default)]
struct Rows {
    hasher: Hasher,
    tally: Tally,
    /// The names of the files that they refer to.
    uploads: Vec<String>,
}

impl Rows {
    /// All replicated rows in the open transaction.
    fn read(database: &Database, connection: &Connection) -> Result<Self> {
        let mut rows = Self::default();
        for spec in catalog::TABLES {
            rows.table(connection, spec).map_err(|error| database.failed("read", error))?;
        }
        Ok(rows)
    }

    /// What identifies these rows together with their files.
    fn content(mut self, files: &[UploadedFile], schema: &Schema) -> Content {
        for part in files.iter().flat_map(|file| [file.name.as_bytes(), &file.content]) {
            self.hasher.update(&part.len().to_le_bytes());
            self.hasher.update(part);
        }
        Content { digest: self.hasher.finish(), schema: schema.fingerprint() }
    }

    /// Adds the rows of a table. The columns and their number tell where each value belongs.
    fn table(&mut self, connection: &Connection, spec: &TableSpec) -> Sql<()> {
        let columns: Vec<String> =
            columns(connection, spec.name)?.into_iter().filter(|column| spec.travels(column)).collect();
        if columns.is_empty() {
            return Ok(());
        }
        self.hasher.update(format!("{}\n{columns:?}\n", spec.name).as_bytes());
        let upload = spec.upload.and_then(|name| columns.iter().position(|column| column == name));
        let mut statement = connection.prepare(&selection(spec, &columns))?;
        let mut rows = statement.query([])?;
        let mut bytes = Vec::with_capacity(4096);
        while let Some(row) = rows.next()? {
            // An export fails there. So the rest does not matter, but nothing that was exported has the same content.
            if self.tally.row(columns.len()).is_err() {
                self.hasher.update(b"too many");
                return Ok(());
            }
            bytes.push(b'\n');
            for at in 0..columns.len() {
                let value = row.get_ref(at)?;
                write(&mut bytes, value);
                if let (true, ValueRef::Text(text)) = (upload == Some(at), value) {
                    let name = std::str::from_utf8(text).ok().and_then(catalog::upload_name);
                    self.uploads.extend(name.map(str::to_owned));
                }
            }
            self.hasher.update(&bytes);
            bytes.clear();
        }
        Ok(())
    }
}

/// Appends a value, so that two different ones never have the same bytes.
fn write(bytes: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => bytes.push(0),
        ValueRef::Integer(number) => {
            bytes.push(1);
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            bytes.push(2);
            bytes.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        ValueRef::Text(text) => {
            bytes.push(3);
            bytes.extend_from_slice(&text.len().to_le_bytes());
            bytes.extend_from_slice(text);
        }
        ValueRef::Blob(blob) => {
            bytes.push(4);
            bytes.extend_from_slice(&blob.len().to_le_bytes());
            bytes.extend_from_slice(blob);
        }
    }
}
