//! Where in a configuration file an error is, and what it is, in one line: TOML's own message is a drawing over several
//! lines and does not name the key.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

/// Line, column, key and message of an error.
pub(super) fn located(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let Some((before, span)) = error.span().and_then(|span| Some((text.get(..span.start)?, span))) else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let said = match (key(text, span.start), expectation(&message)) {
        (Some(key), Some(expected)) => format!("{key} must be {expected}"),
        (None, Some(expected)) => format!("this must be {expected}"),
        (Some(key), None) => format!("{key}: {message}"),
        (None, None) => message,
    };
    format!("line {line}, column {column}: {said}")
}

/// What a value of another type should have been, in the words of TOML.
fn expectation(message: &str) -> Option<&str> {
    let (_, expected) = message.strip_prefix("invalid type: ")?.rsplit_once(", expected ")?;
    Some(match expected {
        "a sequence" => "an array",
        "a boolean" => "true or false",
        "f64" => "a number",
        "path string" => "a string",
        expected if expected.starts_with("struct ") || expected == "a map" => "a table",
        expected => expected,
    })
}

/// The dotted path of the key whose value contains the byte `at`.
fn key(text: &str, at: usize) -> Option<String> {
    let document = Document::parse(text).ok()?;
    within(document.as_table(), at).filter(|path| !path.is_empty())
}

fn contains(span: Option<Range<usize>>, at: usize) -> bool {
    span.is_some_and(|span| span.contains(&at))
}

fn within(table: &dyn TableLike, at: usize) -> Option<String> {
    table.iter().find_map(|(key, item)| {
        let joined = |inner: String| match inner.is_empty() {
            true => key.to_owned(),
            false => format!("{key}.{inner}"),
        };
        match item {
            Item::Table(inner) => {
                within(inner, at).or_else(|| contains(inner.span(), at).then(String::new)).map(joined)
            }
            Item::Value(Value::InlineTable(inner)) => {
                within(inner, at).or_else(|| contains(inner.span(), at).then(String::new)).map(joined)
            }
            Item::Value(value) => contains(value.span(), at).then(|| key.to_owned()),
            Item::ArrayOfTables(tables) => (1..).zip(tables).find_map(|(number, inner)| {
                let found = within(inner, at);
                let inside = found.is_some() || contains(inner.span(), at);
                inside.then(|| match found {
                    Some(path) => format!("{key}, number {number}: {path}"),
                    None => format!("{key}, number {number}"),
                })
            }),
            Item::None => None,
        }
    })
}
