//! What standard output and standard error are, and writing to them.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use terminal_size::terminal_size_of;

use super::Look;
use super::waiting;

impl Look {
    /// That of standard output.
    pub fn of_output() -> Self {
        let out = io::stdout();
        let width = terminal_size_of(&out).map(|(width, _)| usize::from(width.0));
        Self { colours: AutoStream::choice(&out) != ColorChoice::Never, width }
    }

    /// That of standard error. It breaks no lines: what is to be typed is copied from them.
    pub fn of_error() -> Self {
        Self { colours: AutoStream::choice(&io::stderr()) != ColorChoice::Never, width: None }
    }
}

/// Writes to standard output. A reader that closes the pipe early has read what it wants: that is no failure.
///
/// # Errors
/// If standard output cannot be written.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = waiting::without(|| out.write_all(bytes).and_then(|()| out.flush()));
    if !out.is_terminal() {
        // What reads it may write to this very terminal.
        waiting::end();
    }
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Standard error, for people. That nobody reads it ends nothing.
#[derive(Debug)]
pub struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = waiting::without(|| io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
