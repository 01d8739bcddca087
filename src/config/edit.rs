//! Changes of single keys in a configuration file.

use std::path::Path;

use crate::error::{Error, Kind, Result};

/// The text that `key` has in the text of a configuration file, which need not be complete. `None` if it is not there, or is
/// not text.
///
/// # Errors
/// [`Kind::Config`] if it is not TOML.
pub fn value(text: &str, key: &[&str], path: &Path) -> Result<Option<String>> {
    let document: toml_edit::DocumentMut = parse(text, path)?;
    let item = key.iter().try_fold(document.as_item(), |item, name| item.get(name));
    Ok(item.and_then(toml_edit::Item::as_str).map(str::to_owned))
}

/// The text of a configuration file with `value` as the text of `key`, and everything else as it was written. Tables in
/// `key` that are missing are added.
///
/// # Errors
/// [`Kind::Config`] if it is not TOML, or a table in `key` is another value there.
pub fn with(text: &str, key: &[&str], value: &str, path: &Path) -> Result<String> {
    let mut document = parse(text, path)?;
    let Some((last, tables)) = key.split_last() else { return Ok(text.to_owned()) };
    let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
    for name in tables {
        let entry = table.entry(name).or_insert_with(toml_edit::table);
        table = entry.as_table_like_mut().ok_or_else(|| invalid(path).because(format!("{name} is not a table")))?;
    }
    let mut value = toml_edit::Value::from(value);
    match table.get_mut(last).and_then(toml_edit::Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(last, toml_edit::Item::Value(value));
        }
    }
    Ok(document.to_string())
}

fn parse(text: &str, path: &Path) -> Result<toml_edit::DocumentMut> {
    text.parse().map_err(|error: toml_edit::TomlError| invalid(path).because(error))
}

fn invalid(path: &Path) -> Error {
    Error::new(Kind::Config, format!("configuration {} is not valid", path.display()))
}
