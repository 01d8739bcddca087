//! The spinner: once nothing was written for a second, standard error shows what this program waits for, if it is a
//! terminal. Everything that writes to a terminal does so through [`without`], so that no line is mixed with it.

use std::io::IsTerminal as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text;

/// How long nothing is written before the spinner is shown.
const DELAY: Duration = Duration::from_secs(1);

/// How often it turns.
const TURN: Duration = Duration::from_millis(100);

static SHOWN: Mutex<Shown> =
    Mutex::new(Shown { waits: Vec::new(), begun: 0, quiet: None, bar: None, watched: false, ended: false });

static CHANGED: Condvar = Condvar::new();

/// What is waited for, and the spinner.
struct Shown {
    /// What is waited for; the last one is shown.
    waits: Vec<(u64, String)>,
    /// How many waits have begun.
    begun: u64,
    /// Since when nothing was written.
    quiet: Option<Instant>,
    bar: Option<ProgressBar>,
    /// Whether the thread runs that turns the spinner.
    watched: bool,
    /// Whether there is no spinner any more.
    ended: bool,
}

impl Shown {
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Turns the spinner if it is time. Returns when the next turn is due; none if nothing is waited for.
    fn turn(&mut self) -> Option<Duration> {
        let Some((_, what)) = self.waits.last().filter(|_| !self.ended) else {
            self.clear();
            return None;
        };
        let early = DELAY.saturating_sub(self.quiet.get_or_insert_with(Instant::now).elapsed());
        if !early.is_zero() {
            return Some(early);
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            match ProgressStyle::with_template("{spinner} {wide_msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_message(what.clone());
        bar.tick();
        Some(TURN)
    }
}

/// As long as this lives, something is waited for.
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub struct Waiting(Option<u64>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(number) = self.0 else { return };
        let mut shown = shown();
        shown.waits.retain(|(begun, _)| *begun != number);
        if shown.waits.is_empty() {
            shown.clear();
            shown.quiet = None;
        }
    }
}

/// Says what this program waits for from now on, such as `looking into the repository`, to people at a terminal.
pub fn wait(what: impl AsRef<str>) -> Waiting {
    if !std::io::stderr().is_terminal() || std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        return Waiting(None);
    }
    let mut shown = shown();
    shown.begun += 1;
    let number = shown.begun;
    shown.waits.push((number, text::line(what.as_ref()).into_owned()));
    if !std::mem::replace(&mut shown.watched, true) {
        // Without it there is no spinner, and nothing else is missing.
        let _ = std::thread::Builder::new().name("spinner".to_owned()).spawn(watch);
    }
    CHANGED.notify_one();
    Waiting(Some(number))
}

/// Runs `write`, which writes to the terminal, while there is no spinner.
pub(super) fn without<T>(write: impl FnOnce() -> T) -> T {
    let mut shown = shown();
    shown.clear();
    shown.quiet = None;
    write()
}

/// There is no spinner from now on.
pub(super) fn end() {
    let mut shown = shown();
    shown.ended = true;
    shown.clear();
}

fn watch() {
    let mut shown = shown();
    loop {
        shown = match shown.turn() {
            Some(due) => CHANGED.wait_timeout(shown, due).unwrap_or_else(PoisonError::into_inner).0,
            None => CHANGED.wait(shown).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn shown() -> MutexGuard<'static, Shown> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
