//! What a person is asked, on a terminal, or with flags instead.

use crate::error::{Error, Kind, Result};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::prompt::{self, Echo};
use crate::report::{self, Check, Verdict};

/// The person who typed `setup`, if there is one to ask.
pub(super) struct Person {
    is_there: bool,
    /// Whether every question of yes or no has been answered.
    yes: bool,
    interrupt: Interrupt,
}

impl Person {
    /// The person at this terminal; `yes` is the answer to every question of yes or no.
    pub(super) fn new(yes: bool, interrupt: Interrupt) -> Self {
        Self { is_there: prompt::is_there(), yes, interrupt }
    }

    /// Whether there is a terminal to ask on.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Asks for a line; `None` if nobody can be asked, or the answer is empty.
    pub(super) async fn ask(&self, question: &str, echo: Echo) -> Result<Option<String>> {
        if !self.is_there {
            return Ok(None);
        }
        let answer = prompt::ask(question, echo, &self.interrupt).await?;
        Ok(answer.filter(|answer| !answer.is_empty()))
    }

    /// Asks for a yes.
    ///
    /// # Errors
    /// [`Kind::NotConfirmed`] if there is none.
    pub(super) async fn confirm(&self, question: &str) -> Result<()> {
        let refused = |why: &str| Err(Error::new(Kind::NotConfirmed, format!("{why}: {question}")));
        if self.yes {
            return Ok(());
        }
        if !self.is_there {
            return refused("nobody can be asked here");
        }
        loop {
            let Some(answer) = self.ask(&format!("{question} [y/n]"), Echo::On).await? else {
                return refused("the answer was not yes");
            };
            match answer.to_lowercase().as_str() {
                "y" | "yes" => return Ok(()),
                "n" | "no" => return refused("the answer was not yes"),
                _ => {}
            }
        }
    }
}

/// `error` with a hint that says how to go on with the set-up.
pub(super) fn then_again(error: Error) -> Error {
    let hint = error.hint().trim_end_matches("; the next cycle tries again");
    let hint = format!("{hint}; then type the same line again");
    error.with_hint(hint)
}

/// Says that a step is done.
pub(super) fn done(name: &str, message: impl Into<String>) -> Result<()> {
    let check = Check { name: name.to_owned(), result: Verdict::Ok, message: message.into(), hint: None };
    report::show(&check, false)
}
