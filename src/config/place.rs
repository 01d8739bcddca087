//! Where in a configuration file an error is, and what it is, in one line: TOML's own message is a drawing over several
//! lines and does not name the key.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::example::keys;
use super::receiver;

/// Stands for the section of any receiver.
const RECEIVER: &str = "notify.NAME";

/// Line, column, key and message of an error.
pub(super) fn located(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let Some((before, span)) = error.span().and_then(|span| Some((text.get(..span.start)?, span))) else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    if let Some(said) = unknown(&message).and_then(|name| meant(name, section_at(before))) {
        return format!("line {line}, column {column}: {said}");
    }
    let said = match (key(text, span.start), expectation(&message)) {
        (Some(key), Some(expected)) => format!("{key} must be {expected}"),
        (None, Some(expected)) => format!("this must be {expected}"),
        (Some(key), None) => format!("{key}: {message}"),
        (None, None) => message,
    };
    format!("line {line}, column {column}: {said}")
}

/// The name in a message about a key that is not known.
fn unknown(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split_once('`').map(|(name, _)| name)
}

/// The section that the end of `before` is in; empty at the top. In a header it is what stands before the name.
fn section_at(before: &str) -> &str {
    let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
    if line.starts_with('[') {
        return line.trim_matches(['[', '.', ' ']);
    }
    before.lines().rev().find_map(header).unwrap_or_default()
}

/// The name of the section that begins with this line.
fn header(line: &str) -> Option<&str> {
    let name = line.split_once('#').map_or(line, |(header, _)| header).trim();
    let name = name.strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)).then_some(name)
}

/// What is probably meant by `name`, which is no key of this section: one that belongs elsewhere, or is mistyped.
fn meant(name: &str, section: &str) -> Option<String> {
    let section = if section.starts_with("notify.") { RECEIVER } else { section };
    let distance = |known: &str| strsim::damerau_levenshtein(&name.replace('_', "-"), known);
    let (place, known) = places().min_by_key(|(place, known)| (distance(known), *place != section))?;
    if distance(known) > (name.len() / 3).min(3) {
        return None;
    }
    Some(match () {
        () if known == name => format!("`{name}` belongs {}, not {}", to(place), to(section)),
        () if place == section => format!("there is no key `{name}`; did you mean `{known}`?"),
        () => format!("there is no key `{name}`; did you mean `{known}`, which belongs {}?", to(place)),
    })
}

/// Every key with its section, and every section with the one that it is in.
fn places() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = keys().map(|key| key.section).filter(|section| !section.is_empty());
    let sections = sections.map(|section| section.rsplit_once('.').unwrap_or(("", section)));
    keys()
        .map(|key| (key.section, key.name))
        .chain(sections)
        .chain([("replica", "overrides"), ("", "notify")])
        .chain(receiver::KEYS.map(|key| (RECEIVER, key)))
}

fn to(section: &str) -> String {
    match section {
        "" => "to the top of the file, above the first [section]".to_owned(),
        section => format!("to [{section}]"),
    }
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
