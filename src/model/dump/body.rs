//! Reading the body of a dump, line by line. Each line is checked against the limits before it is parsed, and compared
//! with its canonical form right after that, so that no line uses much more memory than it has bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::fault::{Fault, damaged};
use super::lines::{FileLine, TableLine, ZoneLine, keys, line, row_line};
use super::parse::split_line;
use super::row::row;
use crate::model::catalog::{self, Class};
use crate::model::configuration::{Configuration, Row, Table, UploadedFile};
use crate::model::digest::Digest;
use crate::model::known::Known;
use crate::model::limits::{MAX_COLUMNS, MAX_FILE, MAX_MANIFEST, Tally};
use crate::model::value::Value;
use crate::text::short;

/// The longest line of an uploaded file, in bytes: its content in base64, and room for the other fields.
const MAX_FILE_LINE: usize = MAX_FILE / 3 * 4 + 1024;

/// The longest line of a time zone, in bytes.
const MAX_ZONE_LINE: usize = 1024;

/// The lines read so far.
struct Reader<'a> {
    configuration: Configuration,
    tally: Tally,
    known: &'a Configuration,
    /// Of the last table: the keys of its rows, rendered, and those of its rows that are in memory already.
    last: Option<(Vec<Vec<u8>>, Known<'a>)>,
    /// The canonical form of the current line.
    canonical: Vec<u8>,
}

/// Reads the body of a dump, in which rows, columns, files and their order must be canonical.
///
/// # Errors
/// [`Fault::Damaged`].
pub fn parse(bytes: &[u8]) -> Result<Configuration, Fault> {
    parse_beside(bytes, &Configuration::default())
}

/// The same, with the rows of a `known` configuration in place of equal ones.
///
/// # Errors
/// [`Fault::Damaged`].
pub fn parse_beside(bytes: &[u8], known: &Configuration) -> Result<Configuration, Fault> {
    let (configuration, tally) = (Configuration::default(), Tally::default());
    let mut reader = Reader { configuration, tally, known, last: None, canonical: Vec::new() };
    let mut rest = bytes;
    // The first line is the manifest, so the body starts at line 2.
    for number in 2.. {
        if rest.is_empty() {
            break;
        }
        let (text, after) = split_line(rest).ok_or_else(|| damaged(format!("line {number}: it is cut")))?;
        reader.line(text).map_err(|reason| damaged(format!("line {number}: {reason}")))?;
        rest = after;
    }
    check_order(&reader.configuration)?;
    Ok(reader.configuration)
}

impl Reader<'_> {
    fn line(&mut self, text: &[u8]) -> Result<(), String> {
        self.canonical.clear();
        // No row begins like this, as its keys are sorted and none of its values is an array.
        if text.starts_with(b"{\"table\":")
            && text.len() <= MAX_MANIFEST
            && let Ok(written) = serde_json::from_slice::<TableLine>(text)
        {
            if !self.configuration.files.is_empty() {
                return Err("a table after the files".to_owned());
            }
            line(&mut self.canonical, &written);
            let table = table(written)?;
            self.last = Some((keys(&table), Known::of(self.known, &table)));
            self.configuration.tables.push(table);
        } else if self.configuration == Configuration::default()
            && text.len() <= MAX_ZONE_LINE
            && let Ok(written) = serde_json::from_slice::<ZoneLine>(text)
        {
            line(&mut self.canonical, &written);
            self.configuration.zone = Some(written.zone);
        } else if text.starts_with(b"{\"file\":")
            && text.len() <= MAX_FILE_LINE
            && let Ok(written) = serde_json::from_slice::<FileLine>(text)
        {
            line(&mut self.canonical, &written);
            let file = file(written)?;
            self.tally.file(file.content.len())?;
            self.configuration.files.push(file);
        } else {
            if !self.configuration.files.is_empty() {
                return Err("a row after the files".to_owned());
            }
            self.row(text)?;
        }
        match self.canonical.strip_suffix(b"\n") {
            Some(canonical) if canonical == text => Ok(()),
            _ => Err("it is not in canonical form".to_owned()),
        }
    }

    /// Reads a row of the last table. The text of a known row need not be parsed: no other row has it.
    fn row(&mut self, text: &[u8]) -> Result<(), String> {
        let (Some(table), Some((keys, known))) = (self.configuration.tables.last_mut(), &mut self.last) else {
            return Err("a row before any table".to_owned());
        };
        self.tally.row(table.columns.len())?;
        let canonical = &mut self.canonical;
        let is_it = |row: &Row| {
            row_line(canonical, keys, row);
            canonical.strip_suffix(b"\n") == Some(text)
        };
        let row = match known.next_if(is_it) {
            Some(row) => row,
            None => {
                let values = row(&table.columns, text)?;
                self.canonical.clear();
                row_line(&mut self.canonical, keys, &values);
                known.row(&values).unwrap_or_else(|| values.into())
            }
        };
        row.iter().try_for_each(|value| self.tally.value(value))?;
        check_key(table, &row)?;
        table.rows.push(row);
        Ok(())
    }
}

fn table(line: TableLine) -> Result<Table, String> {
    let name = &line.table;
    let spec = catalog::find(name).ok_or_else(|| format!("table {} is not a replicated table", short(name)))?;
    if line.columns.is_empty() || line.columns.len() > MAX_COLUMNS {
        return Err(format!("table {name} has {} columns; 1 to {MAX_COLUMNS} are possible", line.columns.len()));
    }
    if !line.columns.is_sorted_by(|a, b| a < b) {
        return Err("the columns are not sorted and unique".to_owned());
    }
    if let Some(column) = line.columns.iter().find(|column| !spec.travels(column)) {
        return Err(format!("column {name}.{} is not replicated", short(column)));
    }
    Ok(Table::new(spec, line.columns))
}

fn file(line: FileLine) -> Result<UploadedFile, String> {
    if !catalog::safe_upload_name(&line.file) {
        return Err(format!("'{}' is not the name of an uploaded file", short(&line.file)));
    }
    let content = BASE64.decode(&line.content).map_err(|error| format!("bad base64: {error}"))?;
    if content.len() as u64 != line.size || Digest::of(&content).hex() != line.sha256 {
        return Err(format!("file {} does not have the size and sha256 that its line says", line.file));
    }
    Ok(UploadedFile { name: line.file, content })
}

/// Refuses a setting that is not replicated.
fn check_key(table: &Table, row: &[Value]) -> Result<(), String> {
    if table.spec.class != Class::Setting {
        return Ok(());
    }
    let key = table.value(row, catalog::KEY);
    match key.as_text().and_then(catalog::setting) {
        Some(_) => Ok(()),
        None => Err(format!("setting {} is not replicated", short(&key.to_string()))),
    }
}

/// Checks that tables are in catalog order, rows and files in canonical order, and keys unique.
fn check_order(configuration: &Configuration) -> Result<(), Fault> {
    let rank = |table: &Table| catalog::TABLES.iter().position(|spec| spec.name == table.spec.name);
    if !configuration.tables.is_sorted_by(|a, b| rank(a) < rank(b)) {
        return Err(damaged("its tables are not in order"));
    }
    for table in &configuration.tables {
        let (compare, unique) = (table.compare(), table.identity().is_some());
        let sorted = table.rows.is_sorted_by(|a, b| if unique { compare(a, b).is_lt() } else { compare(a, b).is_le() });
        if !sorted {
            return Err(damaged(format!("the rows of table {} are not in order", table.spec.name)));
        }
    }
    if !configuration.files.is_sorted_by(|a, b| a.name < b.name) {
        return Err(damaged("its files are not in order"));
    }
    Ok(())
}
