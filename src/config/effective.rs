//! The settings that are in force, each with where it comes from.

use std::fmt::Write as _;
use std::ops::Range;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::example::{Key, keys};
use super::names::without_credentials;
use super::receiver::Address;

/// How wide a setting may be before its origin no longer stands in line with the others.
const WIDTH: usize = 40;

/// The settings that the valid `text` of a configuration file leads to, as such a file without its comments.
pub fn effective(text: &str) -> String {
    // It is valid.
    let Ok(document) = Document::parse(text) else { return text.to_owned() };
    let mut shown = String::new();
    let mut section = "";
    for key in keys() {
        if key.section != section {
            section = key.section;
            let _ = writeln!(shown, "\n[{section}]");
        }
        setting(&mut shown, document.as_table(), key, text);
    }
    let overrides = document.get("replica").and_then(|replica| replica.get("overrides"));
    for table in overrides.and_then(Item::as_array_of_tables).into_iter().flatten() {
        written(&mut shown, text, "[[replica.overrides]]", (table, table.span()));
    }
    for table in overrides.and_then(Item::as_array).into_iter().flatten().filter_map(Value::as_inline_table) {
        written(&mut shown, text, "[[replica.overrides]]", (table, table.span()));
    }
    for (name, item) in document.get("notify").and_then(Item::as_table_like).into_iter().flat_map(TableLike::iter) {
        if let Some(table) = item.as_table_like() {
            written(&mut shown, text, &format!("[notify.{name}]"), (table, item.span()));
        }
    }
    shown
}

/// Appends one setting and its origin.
fn setting(shown: &mut String, document: &Table, Key { section, name, default, unwritten }: Key, text: &str) {
    let mut sections = section.split('.').filter(|name| !name.is_empty());
    let table = sections.try_fold(document as &dyn TableLike, |table, name| table.get(name)?.as_table_like());
    let (value, origin) = match (table.and_then(|table| table.get(name)), default) {
        (Some(item), _) => {
            let line = item.span().map_or(0, |span| line_at(text, span.start));
            let value = match item.as_str().filter(|_| name == "repository") {
                // Shown, it may be copied anywhere.
                Some(address) => Value::from(without_credentials(address)).to_string(),
                // A table, which may be written as a section, takes one line here.
                None => item
                    .clone()
                    .into_value()
                    .map_or_else(|item| item.to_string(), |value| value.to_string())
                    .trim()
                    .to_owned(),
            };
            (format!("{name} = {value}"), format!("line {line}"))
        }
        (None, Some(default)) => (format!("{name} = {default}"), unwritten.to_owned()),
        (None, None) => (format!("#{name}"), unwritten.to_owned()),
    };
    let _ = writeln!(shown, "{value:<WIDTH$}  # {origin}");
}

/// Appends a table as it is written, except for addresses that are secrets.
fn written(shown: &mut String, text: &str, header: &str, (table, span): (&dyn TableLike, Option<Range<usize>>)) {
    let line = span.map_or(0, |span| line_at(text, span.start));
    let _ = writeln!(shown, "\n{header:<WIDTH$}  # line {line}");
    for (name, item) in table.iter() {
        let address = item.as_str().filter(|_| header.starts_with("[notify.") && name == "url");
        let _ = match address.map(Address::new) {
            Some(Ok(address)) => writeln!(shown, "{name} = {}", Value::from(address.to_string())),
            _ => writeln!(shown, "{name} = {}", item.to_string().trim()),
        };
    }
}

fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
