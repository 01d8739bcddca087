//! How a change comes into force: while Uptime Kuma runs, which is told what it has in memory, or with a restart.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::config::Restart;
use crate::decide;
use crate::error::Result;
use crate::model::catalog::{self, Grade};
use crate::model::configuration::Configuration;
use crate::model::server::Server;
use crate::model::state::KnownServer;
use crate::model::told::Told;
use crate::plan::{Uptake, traps, uptake, without};

use super::outside::{Activity, Host};
use super::{Change, Session};

/// How many rows are changed while Uptime Kuma waits: 10,000 take a fifth of a second on two busy cores, and versions
/// before 2.3.1 wait for one second.
pub const MAX_LIVE_ROWS: usize = 10_000;

/// Why a snapshot is deferred.
pub const WHY_DEFERRED: &str = "Uptime Kuma was started, or told of changes, a moment ago";

/// How a change comes into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is written while Uptime Kuma runs, which is then told this.
    Live(Told),
    /// Uptime Kuma is restarted, for these reasons.
    Restart(Vec<String>),
    /// It will be written while Uptime Kuma runs, but not before this time.
    Later(Timestamp),
}

impl<H: Host> Session<'_, H> {
    /// How `change`, which was planned from the rows `here`, comes into force. Asks the server only if it has to be told
    /// something, or if a tag changes, whose names it knows from its start.
    ///
    /// # Errors
    /// Those of the service and of the database.
    pub(super) async fn way(&mut self, change: &Change, here: &Configuration) -> Result<Way> {
        if self.settings.replica.restart == Restart::Always {
            return Ok(Way::Restart(vec!["restart = \"always\"".to_owned()]));
        }
        self.way_if_needed(change, here).await
    }

    /// The same, also with `restart = "always"`.
    ///
    /// # Errors
    /// As for [`Session::way`].
    pub(super) async fn way_if_needed(&mut self, change: &Change, here: &Configuration) -> Result<Way> {
        if change.plan.size().rows() > MAX_LIVE_ROWS {
            return Ok(Way::Restart(vec![format!("more than {MAX_LIVE_ROWS} rows")]));
        }
        let Uptake { restart, mut told } = uptake(&change.plan, here, &change.wanted);
        if !restart.is_empty() {
            return Ok(Way::Restart(restart.into_iter().map(str::to_owned).collect()));
        }
        let changes_tags = change.plan.table(catalog::TAG).is_some();
        if (told.is_empty() && !changes_tags) || self.host.activity().await? == Activity::Stopped {
            return Ok(Way::Live(told));
        }
        let server = self.host.server().await?;
        let tags = self.known_tags(&server, here);
        if told.is_empty() {
            return Ok(Way::Live(told));
        }
        let mut reasons = traps(&change.plan, &change.wanted, &told, &server, Some(&tags));
        if reasons.is_empty()
            && let Some(until) = self.told_from(&server, here)
        {
            match (told.has_rows(), self.waits()) {
                (true, true) => return Ok(Way::Later(until)),
                (true, false) => reasons.push("Uptime Kuma has not begun all its monitors since its start".to_owned()),
                (false, _) => told.pages = false,
            }
        }
        if reasons.is_empty() && !told.is_empty() {
            reasons.extend(self.host.probe().await?);
        }
        // A cached page comes into force by itself.
        told.pages &= reasons.is_empty();
        Ok(if reasons.is_empty() || !told.has_rows() { Way::Live(told) } else { Way::Restart(reasons) })
    }

    /// Whether changes wait at all. Without an interval between restarts, or if a person orders an apply, none does.
    fn waits(&self) -> bool {
        self.options.is_patient() && !self.settings.replica.min_restart_interval.is_zero()
    }

    /// From when on the server may be told something, if not now.
    fn told_from(&self, server: &Server, here: &Configuration) -> Option<Timestamp> {
        let now = self.host.now();
        let begun = (!server.beginning.is_zero()).then(|| now.saturating_add(server.beginning).ok()).flatten();
        let told = self.state.replica.told.filter(|at| self.waits() && *at <= now);
        let interval = decide::between_tellings(here.table(catalog::MONITOR).map_or(0, |table| table.rows.len()));
        let again = told.and_then(|at| at.checked_add(interval).ok()).filter(|at| *at > now);
        begun.max(again)
    }

    /// The names of the tags that this run of the server knows. The first cycle that asks remembers those that are there:
    /// until then, this program has added none.
    fn known_tags(&mut self, server: &Server, here: &Configuration) -> BTreeSet<String> {
        if let Some(known) = self.state.replica.server.as_ref().filter(|known| known.run == server.run) {
            return known.tags.clone();
        }
        let names = here.table(catalog::TAG).map(|tags| {
            tags.rows.iter().filter_map(|row| tags.value(row, catalog::NAME).as_text().map(str::to_owned)).collect()
        });
        let tags: BTreeSet<String> = names.unwrap_or_default();
        self.state.replica.server = Some(KnownServer { run: server.run.clone(), tags: tags.clone() });
        tags
    }

    /// Until when a running Uptime Kuma is not restarted, if it was for an apply a moment ago: for the configured interval,
    /// and for as long as its monitors take to begin. Otherwise a main that is edited all the time keeps some from ever beating.
    ///
    /// # Errors
    /// Those of the service and of the database.
    pub(super) async fn deferred_until(&mut self) -> Result<Option<Timestamp>> {
        let (interval, stopped, now) =
            (self.settings.replica.min_restart_interval, self.state.replica.stopped, self.host.now());
        // The server is only asked if it matters.
        let longest = decide::between_restarts(interval, None);
        if !self.waits() || decide::deferred_until(stopped, now, longest).is_none() {
            return Ok(None);
        }
        if self.host.activity().await? == Activity::Stopped {
            return Ok(None);
        }
        let takes = self.host.server().await?.takes;
        Ok(decide::deferred_until(stopped, now, decide::between_restarts(interval, Some(takes))))
    }

    /// What of `change`, which has to wait, can be in force now: what the server is told of, or at least what it reads.
    ///
    /// # Errors
    /// Those of [`Session::way`].
    pub(super) async fn without_wait(&mut self, change: &Change, here: &Configuration) -> Result<Option<Change>> {
        for grade in [Grade::Told, Grade::Read] {
            let Some(wanted) = without(grade, here, &change.wanted) else { continue };
            let mut part = Change::new(change.origin.clone(), here, &change.schema, wanted);
            part.limit = Some(grade);
            part.way = self.way(&part, here).await?;
            if matches!(part.way, Way::Live(_)) {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
}
