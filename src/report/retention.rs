//! What a main remembers of forgetting and pruning, as `status` shows it.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::Clock;
use crate::model::state::{Attempted, Retention};
use crate::text;

/// What a main remembers of forgetting and pruning.
#[derive(Debug, Serialize)]
pub(super) struct RetentionView {
    /// When snapshots were last forgotten, or that was tried.
    forgot: Option<Timestamp>,
    /// When the repository was last pruned, or that was tried; before the first time, since when it is counted.
    pruned: Option<Timestamp>,
    /// How many snapshots were forgotten since.
    unpruned: u64,
    /// What fails.
    problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Problem {
    /// `forget` or `prune`.
    step: &'static str,
    kind: &'static str,
    message: String,
    since: Timestamp,
}

impl From<Retention> for RetentionView {
    fn from(Retention { forget, prune, unpruned }: Retention) -> Self {
        let at = |last: &Option<Attempted>| last.as_ref().map(|last| last.at);
        let (forgot, pruned) = (at(&forget), at(&prune));
        let problem = |(step, last): (&'static str, Option<Attempted>)| {
            let failure = last?.failure?;
            Some(Problem { step, kind: failure.kind.name(), message: failure.message, since: failure.since })
        };
        let problems = [("forget", forget), ("prune", prune)].into_iter().filter_map(problem).collect();
        Self { forgot, pruned, unpruned, problems }
    }
}

impl RetentionView {
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, clock: &Clock) -> fmt::Result {
        if let Some(at) = &self.forgot {
            let unpruned = match self.unpruned {
                0 => String::new(),
                unpruned => format!(", {} since the last prune", text::count(unpruned, "snapshot")),
            };
            writeln!(f, "forgot        {}{unpruned}", clock.when(at))?;
        }
        for Problem { step, message, since, .. } in &self.problems {
            writeln!(f, "{:<13} since {}: {}", format!("no {step}"), clock.when(since), text::line(message))?;
        }
        Ok(())
    }
}
