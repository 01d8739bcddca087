//! Questions to a person on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::interrupt::Interrupt;
use crate::error::{Error, Kind, Result};
use crate::text;

/// Whether an answer is seen while it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It is.
    On,
    /// It is a secret.
    Off,
}

/// Whether a person can be asked.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Shows `question`, and returns the line that is typed; `None` at the end of the input.
///
/// # Errors
/// [`Kind::Interrupted`] after a signal to stop; if the terminal cannot be used.
pub async fn ask(question: &str, echo: Echo, interrupt: &Interrupt) -> Result<Option<String>> {
    let failed = |error| Error::io("ask on this terminal", error);
    let silence = (echo == Echo::Off).then(Silence::begin).transpose().map_err(failed)?;
    {
        let mut out = io::stderr().lock();
        write!(out, "{} ", text::line(question)).and_then(|()| out.flush()).map_err(failed)?;
    }
    let (sender, answer) = oneshot::channel();
    // Nothing ends a read of a terminal. After a signal this thread ends with the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map(|length| (length > 0).then_some(line));
        let _ = sender.send(read);
    });
    let answer = tokio::select! {
        answer = answer => answer.unwrap_or(Ok(None)).map_err(failed)?,
        () = interrupt.wait() => return Err(Error::new(Kind::Interrupted, "received a signal to stop")),
    };
    drop(silence);
    Ok(answer.map(|line| line.trim().to_owned()))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
