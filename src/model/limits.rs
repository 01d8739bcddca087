//! Limits of what is read: large enough for 50,000 monitors with their tags, and small enough that a hostile or broken
//! repository or database cannot make this program use all memory. `docs/limits.md` has the table.
//!
//! A limit is checked while data is read, before memory is allocated for it. The same limits hold for an export, so that
//! nothing is published that a replica refuses.

use super::value::Value;

/// The largest dump that is written or read, in bytes.
pub const MAX_DUMP: usize = 256 << 20;

/// The longest first line of a dump, in bytes; for Uptime Kuma 2.5 it has 10,000.
pub const MAX_MANIFEST: usize = 1 << 20;

/// Rows of all tables together.
pub const MAX_ROWS: usize = 1_000_000;

/// Values of all rows together, NULLs included: each takes 24 bytes of memory, even one that a dump leaves out.
pub const MAX_VALUES: usize = 10_000_000;

/// Columns of one table; the widest of Uptime Kuma 2.5 has 110.
pub const MAX_COLUMNS: usize = 512;

/// The longest text or blob in one value, in bytes.
pub const MAX_VALUE: usize = 16 << 20;

/// The largest uploaded file that is replicated, in bytes; Uptime Kuma's own limit for an icon is 1 MB.
pub const MAX_FILE: usize = 4 << 20;

/// Uploaded files that are replicated.
pub const MAX_FILES: usize = 1000;

/// The size of all replicated uploaded files together, in bytes.
pub const MAX_FILES_BYTES: usize = 128 << 20;

/// Snapshots of this program in one repository.
pub const MAX_SNAPSHOTS: usize = 200_000;

/// Tags of one snapshot, and paths of one snapshot; this program writes seven tags and one path.
pub const MAX_TAGS: usize = 64;

/// The longest host name of a snapshot, in bytes, as in DNS.
pub const MAX_HOST: usize = 255;

/// The largest `state.json`, in bytes.
pub const MAX_STATE: usize = 1 << 20;

/// The largest file of settings, in bytes: `config.toml`, environment files, `.env` and `package.json` of Uptime Kuma.
pub const MAX_SETTINGS: usize = 1 << 20;

/// How much of a configuration has been read so far.
#[derive(Debug, Default)]
pub struct Tally {
    rows: usize,
    values: usize,
    bytes: usize,
    files: usize,
    file_bytes: usize,
}

impl Tally {
    /// Counts a row of `width` columns.
    ///
    /// # Errors
    /// Which limit is exceeded, for people.
    pub fn row(&mut self, width: usize) -> Result<(), String> {
        self.rows += 1;
        self.values += width;
        if self.rows > MAX_ROWS {
            return Err(format!("there are more than {MAX_ROWS} rows"));
        }
        if self.values > MAX_VALUES {
            return Err(format!("the rows have more than {MAX_VALUES} values"));
        }
        Ok(())
    }

    /// Counts the content of a value.
    ///
    /// # Errors
    /// As for [`Tally::row`].
    pub fn value(&mut self, value: &Value) -> Result<(), String> {
        let (Value::Text(bytes) | Value::Blob(bytes)) = value else { return Ok(()) };
        self.bytes += bytes.len();
        if bytes.len() > MAX_VALUE {
            return Err(format!("a value has more than {MAX_VALUE} bytes"));
        }
        if self.bytes > MAX_DUMP {
            return Err(format!("the values have more than {MAX_DUMP} bytes"));
        }
        Ok(())
    }

    /// Counts an uploaded file.
    ///
    /// # Errors
    /// As for [`Tally::row`]; the file is then not counted.
    pub fn file(&mut self, size: usize) -> Result<(), String> {
        if size > MAX_FILE {
            return Err(format!("it has more than {MAX_FILE} bytes"));
        }
        if self.files == MAX_FILES {
            return Err(format!("there are more than {MAX_FILES} files"));
        }
        if self.file_bytes + size > MAX_FILES_BYTES {
            return Err(format!("all files together have more than {MAX_FILES_BYTES} bytes"));
        }
        self.files += 1;
        self.file_bytes += size;
        Ok(())
    }
}
