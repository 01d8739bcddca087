//! Changes of single keys in a configuration file.

use std::path::Path;

use crate::error::{Error, Kind, Result};

/// The text of a configuration file with `value` as the text of `key`, and everything else as it was written. Tables in
/// `key` that are missing are added.
///
/// # Errors
/// [`Kind::Config`] if it is not TOML, or a table in `key` is another value there.
pub fn with(text: &str, key: &[&str], value: &str, path: &Path) -> Result<String> {
    let invalid = || Error::new(Kind::Config, format!("configuration {} is not valid", path.display()));
    let mut document: toml_edit::DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| invalid().because(error))?;
    let Some((last, tables)) = key.split_last() else { return Ok(text.to_owned()) };
    let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
    for name in tables {
        let entry = table.entry(name).or_insert_with(toml_edit::table);
        table = entry.as_table_like_mut().ok_or_else(|| invalid().because(format!("{name} is not a table")))?;
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
