//! The history of removed monitors: it stays until Uptime Kuma has answered without them, and then goes in small steps
//! beside the running server, in as many cycles as it takes.

use crate::error::{Error, Kind, Result};
use crate::model::state::PendingHistory;
use crate::model::value::Value;
use crate::plan::Plan;

use super::outside::Host;
use super::{CanonicalExport, Event, Session};

impl<H: Host> Session<'_, H> {
    /// Sets the history under the ids aside that `plan` gives to other monitors, while Uptime Kuma still runs: the time
    /// that it is down must not depend on how much history there is. If nothing comes of the plan, the history goes back
    /// ([`Session::tidy_history`]).
    ///
    /// # Errors
    /// Those of the database; a signal to stop.
    pub(super) async fn set_history_aside(&mut self, plan: &Plan) -> Result<()> {
        let monitors: Vec<i64> = plan.taken_over().iter().filter_map(Value::as_integer).collect();
        if monitors.is_empty() {
            return Ok(());
        }
        // What an earlier apply has set aside and not given back.
        while self.state.replica.history.is_some_and(|pending| pending.bring_back) {
            self.host.check_interrupted()?;
            if self.tidy_history(true).await.is_err() {
                let what = "the history that an unfinished apply has set aside could not go back";
                return Err(Error::new(Kind::DatabaseBusy, what).with_hint("the next cycle tries again"));
            }
        }
        self.state.replica.history = Some(PendingHistory { rows: 0, bring_back: true });
        self.host.save(self.state)?;
        while self.host.set_history_aside(&monitors).await? > 0 {
            self.host.check_interrupted()?;
        }
        Ok(())
    }

    /// Works for a while on the history that no monitor has: removes it, or brings what was set aside back. A failure
    /// is reported as a warning, and the next cycle goes on.
    ///
    /// # Errors
    /// Those of [`Kuma::tidy_history`](super::Kuma::tidy_history).
    pub async fn tidy_history(&mut self, bring_back: bool) -> Result<()> {
        let result = self.host.tidy_history(bring_back).await;
        let before = self.state.replica.history.map_or(0, |pending| pending.rows);
        let (rows, done) = match &result {
            Ok(rows) => (*rows, *rows == 0),
            Err(_) => (before, false),
        };
        self.state.replica.history = (!done).then_some(PendingHistory { rows, bring_back });
        if let Err(error) = &result {
            let text = format!("history of removed monitors stays until the next cycle: {}", error.chain());
            self.report(&Event::Warning { text });
        }
        result.map(drop)
    }

    /// Goes on with what earlier cycles have left.
    pub(super) async fn continue_history(&mut self) {
        if let Some(PendingHistory { bring_back, .. }) = self.state.replica.history {
            // The next cycle goes on.
            let _ = self.tidy_history(bring_back).await;
        }
    }

    /// After an interrupted apply, with a healthy Uptime Kuma: whether its rows were written decides what becomes of the
    /// history.
    ///
    /// # Errors
    /// Those of an export.
    pub(super) async fn recover_history(&mut self) -> Result<()> {
        let previous = self.state.intent.as_ref().and_then(|intent| intent.previous);
        let set_aside = self.state.replica.history.is_some_and(|pending| pending.bring_back);
        let written = match previous {
            Some(digest) if set_aside => CanonicalExport::new(self.host.export().await?).digest != digest,
            Some(_) => true,
            None => false,
        };
        if written || set_aside {
            let _ = self.tidy_history(!written).await;
        }
        Ok(())
    }
}
