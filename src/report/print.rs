//! Printing on standard output.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::Step;
use crate::error::{Error, Result};
use crate::terminal::{self, Look, Shape};
use crate::text;

/// The version of all documents.
pub const VERSION: u32 = 1;

/// A document whose lines have colours on a terminal, and are broken there.
pub trait Shaped: Serialize + fmt::Display {
    /// How a terminal shows this line of the text.
    fn shape(line: &str) -> Shape;
}

/// Prints `document` on standard output, as JSON or as text. A reader that closes the pipe early is no failure.
///
/// # Errors
/// If standard output cannot be written.
pub fn print<D: Serialize + fmt::Display>(document: &D, json: bool) -> Result<()> {
    if json { print_json(document) } else { say(document) }
}

/// The same for a document with a shape.
///
/// # Errors
/// As for [`print`].
pub fn show<D: Shaped>(document: &D, json: bool) -> Result<()> {
    if json { print_json(document) } else { write_line(&shown(document, Look::of_output())) }
}

/// The text of `document` as a stream with this look shows it.
pub fn shown<D: Shaped>(document: &D, look: Look) -> String {
    look.show(harmless(document).trim_end(), D::shape)
}

/// Whether a JSON document was printed.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Whether a JSON document was printed: a process prints one, or says with another one why there is none.
pub fn has_printed() -> bool {
    PRINTED.load(Ordering::Relaxed)
}

/// Prints `document` on standard output as JSON.
///
/// # Errors
/// As for [`print`].
pub fn print_json(document: &impl Serialize) -> Result<()> {
    // Documents hold only strings, numbers and maps with string keys: this cannot fail.
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    PRINTED.store(true, Ordering::Relaxed);
    write_line(&text::json(&text))
}

/// Prints `text` on standard output, and a line feed.
///
/// # Errors
/// As for [`print`].
pub fn say(text: impl fmt::Display) -> Result<()> {
    write_line(harmless(&text).trim_end())
}

/// Prints `step` on standard output as one line of JSON, for another process of this program.
///
/// # Errors
/// As for [`print`].
pub fn step(step: &Step) -> Result<()> {
    // It holds only strings: this cannot fail.
    write_line(&text::json(&serde_json::to_string(step).unwrap_or_default()))
}

/// The documents keep each value on one line; of all control characters only line feeds pass.
fn harmless(text: &impl fmt::Display) -> String {
    text::lines(&text.to_string()).into_owned()
}

fn write_line(text: &str) -> Result<()> {
    terminal::write(format!("{text}\n").as_bytes()).map_err(|error| Error::io("write to standard output", error))
}
