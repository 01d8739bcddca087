//! Printing on standard output.

use std::fmt;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

use serde::Serialize;

use super::Step;
use crate::error::{Error, Result};
use crate::text;

/// The version of all documents.
pub const VERSION: u32 = 1;

/// Prints `document` on standard output, as JSON or as text. A reader that closes the pipe early is no failure.
///
/// # Errors
/// If standard output cannot be written.
pub fn print<D: Serialize + fmt::Display>(document: &D, json: bool) -> Result<()> {
    if json {
        // Documents hold only strings, numbers and maps with string keys: this cannot fail.
        let text = serde_json::to_string_pretty(document).unwrap_or_default();
        write_line(&text::json(&text))
    } else {
        say(document)
    }
}

/// Prints `text` on standard output, and a line feed.
///
/// # Errors
/// As for [`print`].
pub fn say(text: impl fmt::Display) -> Result<()> {
    // The documents keep each value on one line; of all control characters only line feeds pass.
    write_line(text::lines(&text.to_string()).trim_end())
}

/// Prints `step` on standard output as one line of JSON, for another process of this program.
///
/// # Errors
/// As for [`print`].
pub fn step(step: &Step) -> Result<()> {
    // It holds only strings: this cannot fail.
    write_line(&text::json(&serde_json::to_string(step).unwrap_or_default()))
}

/// Shows on a terminal, in place of what it showed before, what this program waits for. An empty text removes it.
pub fn waiting(text: &str) {
    const WIDTH: usize = 78;
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        let text: String = text::line(text).chars().take(WIDTH).collect();
        // It is only for people who watch: nothing depends on it.
        let _ = write!(out, "\r\u{1b}[K{text}").and_then(|()| out.flush());
    }
}

fn write_line(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("write to standard output", error)),
        _ => Ok(()),
    }
}
