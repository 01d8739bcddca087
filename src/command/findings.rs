//! What `check` has found so far, told as soon as it is known.

use crate::error::{Error, Kind, Result};
use crate::report::{self, Check, CheckDocument, Step, Verdict};
use crate::terminal::{self, Waiting};
use crate::text;

/// How the results are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As lines for people, each when it is known.
    Text,
    /// As one JSON document.
    Json,
    /// As [`Step`]s.
    Steps,
}

/// The results so far, and the first failure, which decides the exit code.
pub(super) struct Findings {
    form: Form,
    checks: Vec<Check>,
    first: Option<Kind>,
    failed: u64,
    /// Why a result could not be told.
    untold: Option<Error>,
    /// What is looked at now.
    waiting: Option<Waiting>,
}

impl Findings {
    pub(super) fn new(form: Form) -> Self {
        Self { form, checks: Vec::new(), first: None, failed: 0, untold: None, waiting: None }
    }

    pub(super) fn ok(&mut self, name: &str, message: impl Into<String>) {
        let (name, message) = (name.to_owned(), message.into());
        self.found(Check { name, result: Verdict::Ok, message, hint: None }, None);
    }

    pub(super) fn warn(&mut self, name: &str, message: impl Into<String>, hint: impl Into<String>) {
        let (name, message, hint) = (name.to_owned(), message.into(), Some(hint.into()));
        self.found(Check { name, result: Verdict::Warning, message, hint }, None);
    }

    pub(super) fn add<T>(&mut self, name: &str, result: Result<T>, message: impl FnOnce(&T) -> String) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(name, message(&value));
                Some(value)
            }
            Err(error) => {
                let (name, hint) = (name.to_owned(), Some(error.hint().to_owned()));
                let check = Check { name, result: Verdict::Failed, message: error.chain(), hint };
                self.found(check, Some(error.kind()));
                None
            }
        }
    }

    /// Says what is looked at now, which may take a while.
    pub(super) fn begin(&mut self, what: impl Into<String>) {
        match self.form {
            Form::Text | Form::Json => self.waiting = Some(terminal::wait(what.into())),
            Form::Steps => self.tell(|| report::step(&Step::Begun(what.into()))),
        }
    }

    /// Takes over a step of another process. `true` for the last one.
    pub(super) fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Begun(what) => self.begin(what),
            Step::Found(check, kind) => {
                // One that failed without a kind would not count.
                let kind = kind.or((check.result == Verdict::Failed).then_some(Kind::Bug));
                self.found(check, kind);
            }
            Step::Ended => return true,
        }
        false
    }

    /// Tells what is left to tell.
    ///
    /// # Errors
    /// The first failure, or why something could not be printed. In steps a failure is a result like any other.
    pub(super) fn end(mut self) -> Result<()> {
        self.waiting = None;
        match self.form {
            Form::Text => {}
            Form::Json => {
                let document = CheckDocument::new(std::mem::take(&mut self.checks));
                self.tell(|| report::print_json(&document));
            }
            Form::Steps => self.tell(|| report::step(&Step::Ended)),
        }
        match (self.untold, self.first) {
            (Some(error), _) => Err(error),
            (None, Some(kind)) if self.form != Form::Steps => {
                let failed = text::count(self.failed, "check");
                Err(Error::new(kind, format!("{failed} failed")).with_hint("see the checks above"))
            }
            _ => Ok(()),
        }
    }

    fn found(&mut self, check: Check, kind: Option<Kind>) {
        self.waiting = None;
        if let Some(kind) = kind {
            self.first.get_or_insert(kind);
            self.failed += 1;
        }
        match self.form {
            Form::Text => self.tell(|| report::show(&check, false)),
            Form::Json => self.checks.push(check),
            Form::Steps => self.tell(|| report::step(&Step::Found(check, kind))),
        }
    }

    fn tell(&mut self, print: impl FnOnce() -> Result<()>) {
        if let Err(error) = print() {
            self.untold.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, Form};
    use crate::error::{Error, Kind};
    use crate::report::{Check, Step, Verdict};

    fn found(result: Verdict, kind: Option<Kind>) -> Step {
        let check =
            Check { name: "x".to_owned(), result, message: "\u{1b}[2J".to_owned(), hint: Some("\n".to_owned()) };
        Step::Found(check, kind)
    }

    #[test]
    fn a_step_of_another_process_counts_as_its_own() {
        for (step, wanted) in [
            (found(Verdict::Ok, None), None),
            (found(Verdict::Warning, None), None),
            (found(Verdict::Failed, Some(Kind::RepositoryDenied)), Some(Kind::RepositoryDenied)),
            (found(Verdict::Failed, None), Some(Kind::Bug)),
        ] {
            let text = serde_json::to_string(&step).expect("text");
            assert_eq!(serde_json::from_str::<Step>(&text).expect("a step"), step, "{text}");
            let mut findings = Findings::new(Form::Text);
            assert!(!findings.take(step) && findings.take(Step::Ended));
            assert_eq!(findings.end().err().map(|error| error.kind()), wanted);
        }
        assert!(serde_json::from_str::<Step>("{\"found\":[{},null]}").is_err());
    }

    #[test]
    fn the_first_failure_decides() {
        let mut findings = Findings::new(Form::Text);
        for kind in [Kind::WrongPassword, Kind::NotPermitted] {
            findings.add::<()>("x", Err(Error::new(kind, "no")), |()| String::new());
        }
        assert_eq!(findings.end().expect_err("a failure").kind(), Kind::WrongPassword);
    }
}
