//! The cycle of a replica: obtain, check the schema, localise, plan, rehearse; then put in force and record.

use jiff::Timestamp;

use crate::config::SchemaPolicy;
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::localise::{self, Localised, Part};
use crate::model::configuration::Configuration;
use crate::model::dump::Dump;
use crate::model::origin::Origin;
use crate::model::schema::Schema;
use crate::model::snapshot::{Snapshot, SnapshotId};
use crate::model::state::{Applied, Decision, Verdict};
use crate::plan::{Plan, plan};

use super::change::{Change, Cleared, Written};
use super::obtain::{Found, Obtained};
use super::outside::Host;
use super::ready::desired;
use super::session::Conclusion;
use super::verify::verify_beside;
use super::way::{WHY_DEFERRED, Way};
use super::{Application, Event, Export, Ready, Session, Verified};

/// The changes of a snapshot: those that are written now, and until when others wait.
struct Steps {
    changes: Vec<(Part, Change)>,
    deferred: Option<Timestamp>,
}

/// The reason of a backoff after an apply that was killed.
const INTERRUPTED: &str = "the apply was interrupted";

impl<H: Host> Session<'_, H> {
    pub(super) async fn prepare_apply(&mut self) -> Result<Ready> {
        let Found { snapshot, cause, here, dump: Verified(dump), fetched } = match self.obtain().await? {
            Obtained::Snapshot(found) => found,
            Obtained::Nothing(ready) => return Ok(ready),
        };
        let policy = self.settings.replica.schema;
        if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, policy) {
            let (schema, exact) = (here.schema.fingerprint(), policy == SchemaPolicy::Exact);
            self.decide(&snapshot.id, reason.clone(), Decision::Blocked { schema, exact });
            return Ok(Ready::Blocked { reason, snapshot: Some(snapshot) });
        }
        let as_main = self.options.as_main;
        let Localised { configuration: wanted, notes } = self.localise(&dump, &here, &snapshot.id)?;
        if self.state.replica.applied.is_none() && !self.options.confirm_shrink {
            decide::first_contact(&here.configuration.counts(), &wanted.counts())?;
        }
        let Steps { changes, deferred } = self.plan(&snapshot, &here, wanted, &dump.manifest.schema).await?;
        let plans: Vec<&Plan> = changes.iter().map(|(_, change)| &change.plan).collect();
        let clearance = if plans.is_empty() { None } else { Some(self.clear(&plans).await?) };
        Ok(Ready::Apply(Application {
            snapshot,
            cause,
            dump,
            fetched,
            here,
            changes,
            clearance,
            deferred,
            notes,
            as_main,
        }))
    }

    fn localise(&mut self, dump: &Dump, here: &Export, snapshot: &SnapshotId) -> Result<Localised> {
        let customization = &self.settings.replica.customization;
        let desired = desired(dump, customization, self.options.as_main, Part::Whole);
        desired.on(&here.configuration).inspect_err(|error| {
            if is_fault_of_snapshot(error) {
                self.reject(snapshot, error);
            }
        })
    }

    /// Plans the parts in which the strategy writes, each against the rows that the one before leaves, and rehearses
    /// them. What has to wait for a restart, or for the server to begin its monitors, waits; the rest does not.
    async fn plan(
        &mut self,
        snapshot: &Snapshot,
        here: &Export,
        wanted: Configuration,
        main: &Schema,
    ) -> Result<Steps> {
        let parts = match self.options.as_main {
            true => &[Part::Whole],
            false => localise::parts(self.settings.replica.customization.strategy),
        };
        let mut steps = Steps { changes: Vec::new(), deferred: None };
        let (mut wanted, mut left) = (Some(wanted), parts.len());
        for part in parts {
            left -= 1;
            let rows = steps.changes.last().map_or(&here.configuration, |(_, before): &(Part, Change)| &before.wanted);
            // The last part takes the rows themselves.
            let whole = if left == 0 { wanted.take() } else { wanted.clone() }.unwrap_or_default();
            let mut change =
                Change::new(Origin::Snapshot { id: snapshot.id.clone() }, rows, &here.schema, part.of(whole, rows));
            if change.plan.is_empty() {
                continue;
            }
            change.way = self.way(&change, rows).await?;
            if let Some(until) = self.waits_until(&change.way).await? {
                steps.deferred = steps.deferred.max(Some(until));
                match self.without_wait(&change, rows).await? {
                    Some(part) => change = part,
                    None => continue,
                }
            }
            self.rehearse(&change, rows, main).await.inspect_err(|error| {
                if is_fault_of_snapshot(error) {
                    self.reject(&snapshot.id, error);
                }
            })?;
            steps.changes.push((*part, change));
        }
        Ok(steps)
    }

    /// Until when a change waits that comes into force in this way.
    async fn waits_until(&mut self, way: &Way) -> Result<Option<Timestamp>> {
        match way {
            Way::Live(_) => Ok(None),
            Way::Restart(_) => self.deferred_until().await,
            Way::Later(until) => Ok(Some(*until)),
        }
    }

    /// Tries a change on a copy of the tables.
    pub(super) async fn rehearse(&mut self, change: &Change, here: &Configuration, main: &Schema) -> Result<()> {
        self.report_once(&Event::Planned { origin: change.origin.clone(), size: change.plan.size() });
        let tried = self.host.rehearse(here, &change.wanted).await;
        tried.map_err(|error| decide::unwritable(error, &change.schema, main))
    }

    pub(super) async fn apply(&mut self, application: Application) -> Result<Conclusion> {
        let Application { snapshot, dump, fetched, here, changes, clearance, mut deferred, as_main, .. } = application;
        let (mut here, mut written) = (here, Written::default());
        for (part, mut change) in changes {
            let Some(clearance) = &clearance else { break };
            let desired = desired(&dump, &self.settings.replica.customization, as_main, part);
            if !written.is_empty() {
                // Uptime Kuma completes some rows at its start.
                here = self.host.export().await?;
                change = self.planned_again(change, &here, &desired)?;
                if change.plan.is_empty() {
                    continue;
                }
                change.way = self.way(&change, &here.configuration).await?;
                if let Way::Later(until) = change.way {
                    deferred = deferred.max(Some(until));
                    continue;
                }
            }
            let cleared = Cleared { change, here: &here, desired, clearance };
            // After an apply that failed, `restore previous` gives what it gave before.
            let previous = self.host.previous()?;
            match self.with_verdict(async |session| session.put_in_force(cleared).await).await {
                Ok(done) => written += done,
                Err(error) => {
                    self.keep_previous_again(previous);
                    return Err(error);
                }
            }
        }
        if let Some(until) = deferred {
            let reason = WHY_DEFERRED.to_owned();
            let customization = self.settings.replica.customization.digest();
            self.decide(&snapshot.id, reason, Decision::Deferred { until, customization });
            return Ok(self.deferred(&snapshot.id, until));
        }
        let unwritten = written.is_empty().then_some(here);
        self.record_applied(&snapshot, fetched, unwritten, as_main).await;
        let (id, digest) = (snapshot.id, snapshot.tags.digest);
        if written.is_empty() {
            return Ok(self.up_to_date(id));
        }
        let Written { size, restarted } = written;
        self.report(&Event::Applied { snapshot: id.clone(), digest, size, restarted });
        Ok(Conclusion::Applied(id))
    }

    /// Keeps the previous configuration as it was, unless an unfinished apply still needs that which it replaced.
    fn keep_previous_again(&mut self, previous: Option<Vec<u8>>) {
        if self.state.intent.is_none()
            && let Some(Err(error)) = previous.map(|dump| self.host.keep_previous(&dump))
        {
            self.warn(&error);
        }
    }

    /// Runs `work` without a verdict of an earlier cycle. From here on a retry counts: if this process is killed, the
    /// next cycle goes on as after any other apply. If the work fails before it changed anything, the verdict stays.
    async fn with_verdict(&mut self, work: impl AsyncFnOnce(&mut Self) -> Result<Written>) -> Result<Written> {
        let before = self.state.replica.verdict.clone();
        self.state
            .replica
            .verdict
            .take_if(|verdict| self.options.retry && matches!(verdict.decision, Decision::Rejected { .. }));
        let result = work(self).await;
        match &result {
            Ok(_) => self.state.intent = None,
            Err(_) if self.state.intent.is_none() && self.state.replica.verdict.is_none() => {
                self.state.replica.verdict = before;
            }
            Err(_) => {}
        }
        result
    }

    async fn record_applied(
        &mut self,
        snapshot: &Snapshot,
        fetched: Option<Vec<u8>>,
        unwritten: Option<Export>,
        as_main: bool,
    ) {
        let rows = self.rows_after_apply(unwritten).await;
        if let Some(Err(error)) = fetched.map(|dump| self.host.keep_applied(&dump)) {
            // The next cycle that needs it asks the repository.
            let text = format!("the snapshot in force is not kept on this host: {}", error.chain());
            self.report(&Event::Warning { text });
        }
        let customization = (!as_main).then(|| self.settings.replica.customization.digest());
        let (id, place, digest) = (snapshot.id.clone(), snapshot.tags.place.clone(), snapshot.tags.digest);
        let at = self.host.now();
        self.state.fleet = Some(snapshot.tags.fleet.clone());
        self.state.replica.verdict = None;
        self.state.replica.applied = Some(Applied { snapshot: id, place, digest, at, customization, rows });
    }

    /// Remembers that `snapshot` is not tried again by itself, so that Uptime Kuma is not stopped for it every minute.
    pub(super) fn reject(&mut self, snapshot: &SnapshotId, error: &Error) {
        let customization = self.settings.replica.customization.digest();
        self.decide(snapshot, error.chain(), Decision::Rejected { customization });
    }

    /// How often `snapshot` was tried and failed, though it was not to blame.
    pub(super) fn attempts(&self, snapshot: &SnapshotId) -> u32 {
        match self.state.replica.verdict_on(snapshot) {
            Some(Verdict { decision: Decision::Backoff { attempts }, .. }) => *attempts,
            _ => 0,
        }
    }

    /// Remembers that `snapshot` failed once more after so many `attempts`, though it is not to blame.
    pub(super) fn back_off(&mut self, snapshot: &SnapshotId, attempts: u32, error: &Error) {
        self.decide(snapshot, error.chain(), Decision::Backoff { attempts: attempts.saturating_add(1) });
    }

    /// Counts an attempt at `snapshot` that was killed after it had begun to change this host. The first one may have been
    /// a power cut, and is followed by another at once; then backoff begins.
    pub(super) fn count_interrupted(&mut self, snapshot: &SnapshotId, since: Timestamp) {
        let attempts = match self.state.replica.verdict_on(snapshot) {
            None => 0,
            // Decided before this attempt began; otherwise the attempt was counted when it failed.
            Some(Verdict { at, reason, decision: Decision::Backoff { attempts }, .. })
                if reason == INTERRUPTED || *at < since =>
            {
                attempts.saturating_add(1)
            }
            Some(_) => return,
        };
        self.decide(snapshot, INTERRUPTED.to_owned(), Decision::Backoff { attempts });
    }

    fn decide(&mut self, snapshot: &SnapshotId, reason: String, decision: Decision) {
        let (snapshot, at) = (snapshot.clone(), self.host.now());
        self.state.replica.verdict = Some(Verdict { snapshot, at, reason, decision });
    }

    /// What it takes to undo the edits on this replica: the changes to the snapshot in force.
    ///
    /// # Errors
    /// Those of an export, of a fetch and of [`localise`].
    pub async fn undo_drift(&mut self, snapshot: &Snapshot) -> Result<(Plan, Vec<localise::Note>)> {
        let here = self.host.export().await?;
        let Verified(dump) = match self.kept(&here.configuration) {
            Some(verified) => verified,
            None => verify_beside(&self.host.fetch(&snapshot.id).await?, Some(snapshot), &here.configuration)?,
        };
        let Localised { configuration, notes } =
            desired(&dump, &self.settings.replica.customization, false, Part::Whole).on(&here.configuration)?;
        Ok((plan(&here.configuration, &configuration), notes))
    }
}

/// Whether the content of the snapshot is the reason of an error.
fn is_fault_of_snapshot(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unwritable | Kind::NoUser)
}
