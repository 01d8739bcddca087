//! A host in memory: an Uptime Kuma, its service, a repository and a state file, with a fault at any call.
//!
//! It keeps the contracts that `cycle::Host` promises, and panics where a cycle breaks one: stopping without
//! an intent on disk, writing to a database that runs or is not claimed, starting while it is claimed.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::{Debug, Display};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kuma_replicator::config::{self, Alerts, Role, Settings};
use kuma_replicator::cycle::{
    Activity, Claim, Conclusion, Event, Export, History, Kuma, Level, Options, Ready, Repository, Session, Store,
    Surroundings,
};
use kuma_replicator::error::{Error, Kind, Result};
use kuma_replicator::model::configuration::{Configuration, Row};
use kuma_replicator::model::content::Content;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump;
use kuma_replicator::model::looked::LookCost;
use kuma_replicator::model::manifest::Place;
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::schema::Schema;
use kuma_replicator::model::server::Server;
use kuma_replicator::model::snapshot::{Listing, MainId, Snapshot, SnapshotId, Tags};
use kuma_replicator::model::state::{Decision, LocalRows, State};
use kuma_replicator::model::told::Told;
use kuma_replicator::model::value::Value;
use kuma_replicator::model::zone::Zone;
use kuma_replicator::plan::{Plan, Uptake, plan, uptake};

use super::rows;

/// What goes wrong at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and has done nothing.
    ErrorBefore,
    /// It fails although it has done its work, where that can be: a lost answer, a job that timed out.
    ErrorAfter,
    /// The process is killed before the call does anything.
    KillBefore,
    /// The process is killed when the call has done its work.
    KillAfter,
}

/// All of them.
pub(crate) const FAULTS: [Fault; 4] = [Fault::ErrorBefore, Fault::ErrorAfter, Fault::KillBefore, Fault::KillAfter];

/// What stops with Uptime Kuma.
const DEPENDENT: &str = "page.service";

/// What a killed process unwinds with; nothing of the cycle may run after it.
struct Killed;

/// How a cycle ended.
#[derive(Debug)]
pub(crate) enum End {
    /// As designed.
    Done(Conclusion),
    /// With an error.
    Failed(Error),
    /// It was killed.
    Killed,
}

impl End {
    /// Whether rows were written, as designed.
    pub(crate) fn applied(&self) -> bool {
        matches!(self, Self::Done(Conclusion::Applied(_)))
    }

    /// Whether there was nothing to do.
    pub(crate) fn up_to_date(&self) -> bool {
        matches!(self, Self::Done(Conclusion::UpToDate))
    }

    /// The kind of the failure.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Failed(error) => Some(error.kind()),
            _ => None,
        }
    }
}

/// What happens during one process: its calls, and what goes wrong at them. The claim of the database shares it with the
/// world.
#[derive(Debug, Default)]
struct Tape {
    calls: Vec<String>,
    count: usize,
    fired: usize,
    faults: Vec<(usize, Fault)>,
    named: Vec<(&'static str, Fault)>,
    kinds: Vec<(&'static str, Kind)>,
    claimed: bool,
    /// The events that were reported, with their levels.
    story: Vec<(&'static str, Level)>,
    /// What a claim has committed, and the world does not know yet.
    committed: Option<(Configuration, Histories)>,
}

/// The ids of the monitors that have history, and of those whose history is set aside.
type Histories = (BTreeSet<Value>, BTreeSet<Value>);

/// The claimed database of a world.
pub(crate) struct ClaimedRows {
    tape: Rc<RefCell<Tape>>,
    export: Export,
    history: Histories,
}

/// The tape of one world: its copy has a tape of its own.
#[derive(Debug, Default)]
struct OwnTape(Rc<RefCell<Tape>>);

impl Clone for OwnTape {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Everything outside.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// What is committed in the database.
    pub(crate) rows: Configuration,
    /// The ids of the monitors that have history, and of those whose history is set aside.
    pub(crate) history: Histories,
    /// The schema of the database.
    pub(crate) schema: Schema,
    /// The time zone of Uptime Kuma where it has no setting of its own.
    pub(crate) zone: Option<Zone>,
    /// What could not be exported.
    pub(crate) warnings: Vec<String>,
    /// Whether the service runs.
    pub(crate) running: bool,
    /// The rows after an edit that a person makes while a snapshot is fetched.
    pub(crate) edited: Option<Configuration>,
    /// The rows after the next waits, while a person saves an edit in steps.
    pub(crate) edits: VecDeque<Configuration>,
    /// The rows at the next stop, after a person saved something until then.
    pub(crate) at_stop: Option<Configuration>,
    /// Rows with which Uptime Kuma runs but does not answer.
    pub(crate) poison: Option<Configuration>,
    /// Rows with which Uptime Kuma runs until it is told of them.
    pub(crate) deadly: Option<Configuration>,
    /// Whether it died.
    pub(crate) dead: bool,
    /// What the server has in memory: the rows at its start, and those that it was told.
    pub(crate) memory: Configuration,
    /// What is known of the server.
    pub(crate) server: Server,
    /// Why it would take no orders, if it would not.
    pub(crate) refuses: Option<String>,
    /// How often it was told something.
    pub(crate) tellings: Vec<Told>,
    /// Monitors that do not beat.
    pub(crate) silent: BTreeSet<i64>,
    /// Monitors that go on after they were paused, until they are told once more.
    pub(crate) stubborn: BTreeSet<i64>,
    /// What the repository holds.
    pub(crate) repository: Vec<(Snapshot, Vec<u8>)>,
    /// How many snapshots were forgotten.
    pub(crate) forgotten: usize,
    /// How many snapshots of other programs lie in it.
    pub(crate) others: usize,
    /// Why the storage refuses to remove even a lock, if it does.
    pub(crate) keeps_locks: Option<String>,
    /// How often it was pruned.
    pub(crate) prunes: usize,
    /// Locks in the repository whose owners are gone.
    pub(crate) left_locks: usize,
    /// How many looks asked for names first.
    pub(crate) by_name: usize,
    /// Whether a timer started this process.
    pub(crate) by_timer: bool,
    /// How the next fetch fails, if the newest snapshot or its data are pruned before it.
    pub(crate) pruned: Option<Kind>,
    /// The state file.
    pub(crate) disk: Option<Vec<u8>>,
    /// The dump of the previous configuration.
    pub(crate) previous: Option<Vec<u8>>,
    /// The dump of the snapshot in force.
    pub(crate) applied: Option<Vec<u8>>,
    /// The settings that are published without being here.
    pub(crate) inherited: Option<Vec<u8>>,
    /// The configuration file.
    pub(crate) configuration: String,
    /// The time.
    pub(crate) clock: Timestamp,
    /// When this host was booted.
    pub(crate) booted: Timestamp,
    /// Who this host is.
    pub(crate) id: MainId,
    /// The role that was written into the configuration file, if one was.
    pub(crate) role: Option<Role>,
    /// Every call and every event so far, by name.
    pub(crate) calls: Vec<String>,
    /// The events of the last process, with their levels.
    pub(crate) story: Vec<(&'static str, Level)>,
    /// How often the service was stopped.
    pub(crate) stops: usize,
    /// How often rows were committed.
    pub(crate) commits: usize,
    /// The calls, counted from now on, at which something goes wrong.
    pub(crate) faults: Vec<(usize, Fault)>,
    /// The same by the name of the call, whenever it is made.
    pub(crate) named: Vec<(&'static str, Fault)>,
    /// Kinds of errors that replace the usual ones, by call.
    pub(crate) kinds: Vec<(&'static str, Kind)>,
    /// How many of `faults` were reached and applied.
    pub(crate) fired: usize,
    /// Calls in this cycle.
    pub(crate) count: usize,
    tape: OwnTape,
}

impl World {
    /// A host whose Uptime Kuma has `rows` and runs; nothing else is there.
    pub(crate) fn new(rows: Configuration) -> Self {
        Self {
            schema: rows::schema(&rows, &["2025-01-01-0000-first.js"]),
            history: (rows::ids(&rows, "monitor"), BTreeSet::new()),
            memory: rows.clone(),
            server: Server {
                run: "1".to_owned(),
                version: Some("2.5.3".to_owned()),
                beginning: Duration::ZERO,
                takes: Duration::ZERO,
                last_monitor: last_id(&rows),
                users: rows::ids(&rows, "user").iter().filter_map(Value::as_integer).collect(),
            },
            refuses: None,
            tellings: Vec::new(),
            silent: BTreeSet::new(),
            stubborn: BTreeSet::new(),
            deadly: None,
            dead: false,
            rows,
            zone: "UTC".parse().ok(),
            warnings: Vec::new(),
            running: true,
            edited: None,
            edits: VecDeque::new(),
            at_stop: None,
            poison: None,
            repository: Vec::new(),
            forgotten: 0,
            others: 0,
            keeps_locks: None,
            prunes: 0,
            left_locks: 0,
            by_name: 0,
            by_timer: false,
            pruned: None,
            disk: None,
            previous: None,
            applied: None,
            inherited: None,
            configuration: "role = \"replica\"\nrepository = \"/srv/r\"\n".to_owned(),
            clock: "2026-01-01T00:00:00Z".parse().unwrap(),
            booted: "2025-12-31T00:00:00Z".parse().unwrap(),
            id: main_id('a'),
            role: None,
            calls: Vec::new(),
            story: Vec::new(),
            stops: 0,
            commits: 0,
            faults: Vec::new(),
            named: Vec::new(),
            kinds: Vec::new(),
            fired: 0,
            count: 0,
            tape: OwnTape::default(),
        }
    }

    /// Starts another run of the server, which reads all rows.
    fn begin_run(&mut self) {
        let run: u32 = self.server.run.parse().unwrap();
        self.server.run = (run + 1).to_string();
        self.memory = self.rows.clone();
        self.dead = false;
    }

    /// Fails if the server runs with other rows than those in its database, where it has them in memory.
    pub(crate) fn assert_in_force(&self) {
        let plan = plan(&self.memory, &self.rows);
        let needs = uptake(&plan, &self.memory, &self.rows);
        let told = needs.told.has_rows();
        assert!(!self.running || (needs.restart.is_empty() && !told), "in the database, and not in force: {plan:?}");
    }

    /// Runs one cycle from the state on disk, as a new process would.
    pub(crate) fn cycle(&mut self, settings: &Settings) -> End {
        self.cycle_with(settings, &Options::default())
    }

    /// The same with options. If nothing goes wrong in between, the end is the one that a preview predicts.
    pub(crate) fn cycle_with(&mut self, settings: &Settings, options: &Options) -> End {
        if self.state().intent.is_none() {
            // What a person edits on the page, the server knows.
            self.memory = self.rows.clone();
        }
        let predicted = self.is_predictable().then(|| self.predict(settings, *options));
        let end = self.process(async |world, state| Session::new(world, settings, state, *options).run().await);
        if matches!(end, End::Done(_)) && settings.role == Role::Replica {
            self.assert_in_force();
        }
        if let End::Done(conclusion) = &end {
            self.assert_story_ends(conclusion.outcome());
        }
        if let Some(predicted) = predicted {
            self.assert_predicted(&predicted, &end);
        }
        end
    }

    /// If the journal keeps anything of a cycle, it keeps its end. A failure is reported by the command, and ends it, too.
    fn assert_story_ends(&self, outcome: Outcome) {
        let mut kept = self.story.iter().filter(|(_, level)| *level != Level::Info).map(|(name, _)| *name).peekable();
        if kept.peek().is_some() {
            // Work on the history of removed monitors follows what was applied or published, and may only warn.
            let end = kept.rfind(|name| *name != "warning");
            assert_eq!(end, Some(&*outcome.name().replace(' ', "-")), "a story without an end: {:?}", self.story);
        }
    }

    /// What the next cycle would do. Nothing of the world changes.
    pub(crate) fn predict(&self, settings: &Settings, options: Options) -> Result<Ready> {
        let mut world = self.clone();
        let mut ready = None;
        let end = world.process(async |world, state| {
            ready = Some(Session::new(world, settings, state, options).prepare().await);
            Ok(Conclusion::Unchanged)
        });
        assert!(matches!(end, End::Done(_)), "{end:?}");
        for call in [
            "save",
            "publish",
            "forget",
            "prune",
            "stop",
            "start",
            "claim",
            "write_live",
            "tell",
            "keep_applied",
            "keep_previous",
        ] {
            assert_eq!(world.did(call), 0, "{call}: a preview changes nothing");
        }
        ready.unwrap()
    }

    /// Whether nothing happens between a preview and the cycle, and nothing goes wrong in it.
    fn is_predictable(&self) -> bool {
        let faults = self.faults.is_empty() && self.named.is_empty() && self.kinds.is_empty();
        let changes = self.edited.is_some() || self.at_stop.is_some() || self.pruned.is_some();
        faults && !changes && self.poison.is_none() && self.deadly.is_none() && self.state().intent.is_none()
    }

    fn assert_predicted(&self, predicted: &Result<Ready>, end: &End) {
        match (predicted, end) {
            (Err(predicted), End::Failed(error)) => {
                assert_eq!((predicted.kind(), predicted.chain()), (error.kind(), error.chain()));
            }
            (Ok(ready), End::Done(conclusion)) => {
                assert_eq!(ready.outcome(), conclusion.outcome());
                match ready {
                    Ready::Publish(publication) => {
                        let tags = &self.repository.last().unwrap().0.tags;
                        let predicted = (&publication.place, publication.canonical.digest);
                        assert_eq!(predicted, (&tags.place, tags.digest));
                    }
                    Ready::Apply(application) => {
                        if let Some((_, last)) = application.changes.last() {
                            rows::assert_reached(&self.rows, &last.wanted);
                        }
                    }
                    Ready::Blocked { reason, .. } => assert_eq!(Some(reason.as_str()), conclusion.reason()),
                    _ => {}
                }
            }
            (predicted, end) => panic!("predicted {predicted:?}, and then {end:?}"),
        }
    }

    /// Carries out what an operator orders, as a process of its own; its end as designed has no other outcome.
    pub(crate) fn order(&mut self, order: impl AsyncFnOnce(&mut World, &mut State) -> Result<()>) -> End {
        self.process(async |world, state| order(world, state).await.map(|()| Conclusion::Unchanged))
    }

    fn process(&mut self, work: impl AsyncFnOnce(&mut World, &mut State) -> Result<Conclusion>) -> End {
        self.clock = self.clock.checked_add(SignedDuration::from_mins(1)).unwrap();
        *self.tape.0.borrow_mut() = Tape {
            faults: std::mem::take(&mut self.faults),
            named: std::mem::take(&mut self.named),
            kinds: self.kinds.clone(),
            ..Tape::default()
        };
        let mut state = self.state();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let end = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work(self, &mut state))));
        self.take_committed();
        let tape = self.tape.0.take();
        (self.calls, self.count, self.fired, self.story) = (tape.calls, tape.count, tape.fired, tape.story);
        match end {
            Ok(result) => {
                assert!(!tape.claimed, "the database is still claimed at the end of a cycle");
                match result {
                    Ok(conclusion) => End::Done(conclusion),
                    Err(error) => End::Failed(error),
                }
            }
            Err(panic) if panic.is::<Killed>() => End::Killed,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Sees what a claim has committed.
    fn take_committed(&mut self) {
        if let Some((rows, history)) = self.tape.0.borrow_mut().committed.take() {
            (self.rows, self.history) = (rows, history);
            self.commits += 1;
        }
    }

    /// The state on disk; it can always be read.
    pub(crate) fn state(&self) -> State {
        self.disk.as_ref().map_or_else(State::default, |bytes| State::parse(bytes).expect("a state that can be read"))
    }

    /// The snapshot that this host has rejected, if it has.
    pub(crate) fn rejected(&self) -> Option<SnapshotId> {
        self.verdict(|decision| matches!(decision, Decision::Rejected { .. }))
    }

    /// The snapshot that is in backoff, if one is.
    pub(crate) fn in_backoff(&self) -> Option<SnapshotId> {
        self.verdict(|decision| matches!(decision, Decision::Backoff { .. }))
    }

    /// The snapshot that is blocked by the schema, if one is.
    pub(crate) fn blocked(&self) -> Option<SnapshotId> {
        self.verdict(|decision| matches!(decision, Decision::Blocked { .. }))
    }

    /// The snapshot that is deferred, if one is.
    pub(crate) fn deferred(&self) -> Option<SnapshotId> {
        self.verdict(|decision| matches!(decision, Decision::Deferred { .. }))
    }

    fn verdict(&self, wanted: impl Fn(&Decision) -> bool) -> Option<SnapshotId> {
        self.state().replica.verdict.filter(|verdict| wanted(&verdict.decision)).map(|verdict| verdict.snapshot)
    }

    /// What is remembered of the rows of the last apply.
    pub(crate) fn local_rows(&self) -> Option<LocalRows> {
        self.state().replica.applied.map(|applied| applied.rows)
    }

    /// Puts a snapshot of `configuration` into the repository, as some main would.
    pub(crate) fn offer(
        &mut self,
        configuration: &Configuration,
        main: &MainId,
        epoch: u64,
        sequence: u64,
    ) -> SnapshotId {
        let place = Place { main: main.clone(), epoch, sequence };
        let manifest = rows::manifest(configuration, Some(place.clone()));
        let bytes = dump::render(&manifest, dump::body(configuration));
        let fleet = self.repository.last().map_or_else(|| main.clone(), |(before, _)| before.tags.fleet.clone());
        let tags =
            Tags { format: manifest.format, place, fleet, digest: manifest.digest, schema: manifest.fingerprint };
        self.store(bytes, tags)
    }

    fn store(&mut self, bytes: Vec<u8>, tags: Tags) -> SnapshotId {
        let number = self.repository.len() + self.forgotten;
        let id: SnapshotId = Digest::of(format!("snapshot {number}").as_bytes()).hex().parse().unwrap();
        let snapshot = Snapshot { id: id.clone(), time: self.clock, host: "alpha".to_owned(), tags };
        self.repository.push((snapshot, bytes));
        id
    }

    /// Sees the repository as `other` does.
    pub(crate) fn share(&mut self, other: &World) {
        self.repository.clone_from(&other.repository);
    }

    /// Sees also what `other` alone has published.
    pub(crate) fn merge(&mut self, other: &World) {
        for (snapshot, bytes) in &other.repository {
            if !self.repository.iter().any(|(known, _)| known.tags == snapshot.tags) {
                self.store(bytes.clone(), snapshot.tags.clone());
            }
        }
    }

    /// The calls of the last cycle without events.
    pub(crate) fn did(&self, name: &str) -> usize {
        self.calls.iter().filter(|call| *call == name).count()
    }

    /// The beginning of a call; `usual` is the kind it fails with, if it can fail.
    fn enter(&mut self, name: &str, usual: Option<Kind>) -> Result<()> {
        self.take_committed();
        self.tape.0.borrow_mut().enter(name, usual)
    }

    /// The end of a call; `usual` is set where its failure does not mean that nothing was done.
    fn leave(&mut self, name: &str, usual: Option<Kind>) -> Result<()> {
        self.tape.0.borrow_mut().leave(name, usual)
    }

    fn is_claimed(&self) -> bool {
        self.tape.0.borrow().claimed
    }
}

impl Tape {
    fn fault(&mut self, name: &str, wanted: &[Fault]) -> Option<Fault> {
        let at = self.count - 1;
        let numbered = self.faults.iter().filter(|(call, _)| *call == at).map(|(_, fault)| *fault);
        let named = self.named.iter().filter(|(call, _)| *call == name).map(|(_, fault)| *fault);
        let fault = numbered.chain(named).find(|fault| wanted.contains(fault))?;
        self.fired += 1;
        Some(fault)
    }

    /// The beginning of a call; `usual` is the kind it fails with, if it can fail.
    fn enter(&mut self, name: &str, usual: Option<Kind>) -> Result<()> {
        self.calls.push(name.to_owned());
        self.count += 1;
        let possible =
            if usual.is_some() { &[Fault::ErrorBefore, Fault::KillBefore][..] } else { &[Fault::KillBefore] };
        self.strike(name, usual, possible)
    }

    /// The end of a call; `usual` is set where its failure does not mean that nothing was done.
    fn leave(&mut self, name: &str, usual: Option<Kind>) -> Result<()> {
        let possible = if usual.is_some() { &[Fault::ErrorAfter, Fault::KillAfter][..] } else { &[Fault::KillAfter] };
        self.strike(name, usual, possible)
    }

    fn strike(&mut self, name: &str, usual: Option<Kind>, possible: &[Fault]) -> Result<()> {
        match self.fault(name, possible) {
            None => Ok(()),
            Some(Fault::KillBefore | Fault::KillAfter) => resume_unwind(Box::new(Killed)),
            Some(_) => {
                let special = self.kinds.iter().find(|(call, _)| *call == name).map(|(_, kind)| *kind);
                Err(Error::new(special.or(usual).unwrap(), format!("{name} was made to fail")))
            }
        }
    }
}

/// Gives `order` to what `prepare` makes, with something going wrong at each call in turn, in each way. `then` sees
/// every world that was struck, how the order ended, and what was done to it. Returns how many there were.
pub(crate) fn at_every_call<E: Debug>(
    prepare: impl Fn() -> World,
    order: impl Fn(&mut World) -> E,
    mut then: impl FnMut(World, E, Fault, &str),
) -> usize {
    let mut struck = 0;
    for fault in FAULTS {
        for at in 0.. {
            let mut world = prepare();
            world.faults = vec![(at, fault)];
            let end = order(&mut world);
            if world.count <= at {
                break;
            }
            // Not every call can fail in every way.
            if world.fired > 0 {
                struck += 1;
                let context = format!("{fault:?} at call {at}, {:?}, {end:?}", world.calls.last());
                then(world, end, fault, &context);
            }
        }
    }
    struck
}

/// The highest id of a monitor.
fn last_id(rows: &Configuration) -> i64 {
    rows::ids(rows, "monitor").iter().filter_map(Value::as_integer).max().unwrap_or(0)
}

/// What a host of this role is configured to do; tests have no time to lose between two restarts.
pub(crate) fn settings(role: impl Display) -> Settings {
    let text = format!("role = \"{role}\"\nrepository = \"/r\"\n[replica]\nmin-restart-interval = \"0s\"");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

/// What a replica with these keys is configured to do.
pub(crate) fn replica(keys: &str) -> Settings {
    let text = format!("role = \"replica\"\nrepository = \"/r\"\n[replica]\n{keys}");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

/// The same without patience between two restarts.
pub(crate) fn eager(keys: &str) -> Settings {
    replica(&format!("min-restart-interval = \"0s\"\n{keys}"))
}

/// A main id of one letter.
pub(crate) fn main_id(letter: char) -> MainId {
    letter.to_string().repeat(32).parse().unwrap()
}

impl Repository for World {
    async fn look(&mut self) -> Result<Listing> {
        self.enter("look", Some(Kind::RepositoryUnreachable))?;
        let snapshots = self.repository.iter().map(|(snapshot, _)| snapshot.clone()).collect();
        self.leave("look", None)?;
        Ok(Listing { snapshots, unreadable: Vec::new(), others: self.others })
    }

    async fn look_by_name(&mut self) -> Result<Listing> {
        self.by_name += 1;
        self.look().await
    }

    fn cost_of_look(&mut self) -> LookCost {
        LookCost::Little
    }

    async fn fetch(&mut self, id: &SnapshotId) -> Result<Vec<u8>> {
        self.enter("fetch", Some(Kind::RepositoryUnreachable))?;
        if let Some(rows) = self.edited.take() {
            self.rows = rows;
        }
        if let Some(kind) = self.pruned.take() {
            self.repository.retain(|(snapshot, _)| !snapshot.id.same(id));
            return Err(Error::new(kind, "pruned"));
        }
        let found = self.repository.iter().find(|(snapshot, _)| snapshot.id.same(id));
        let bytes = found.expect("a snapshot that was looked at").1.clone();
        self.leave("fetch", None)?;
        Ok(bytes)
    }

    async fn publish(&mut self, bytes: &[u8], tags: &Tags) -> Result<SnapshotId> {
        self.enter("publish", Some(Kind::RepositoryUnreachable))?;
        let main = self.state().main.expect("the attempt is on disk before the publish");
        let attempt = main.publishing.expect("the attempt is on disk before the publish");
        assert_eq!((attempt.sequence, attempt.digest), (tags.place.sequence, tags.digest));
        let id = self.store(bytes.to_vec(), tags.clone());
        self.leave("publish", Some(Kind::RepositoryUnreachable))?;
        Ok(id)
    }

    async fn check_publishable(&mut self) -> Result<Option<String>> {
        self.enter("check_publishable", Some(Kind::RepositoryDenied))?;
        self.leave("check_publishable", Some(Kind::RepositoryDenied))?;
        Ok(self.keeps_locks.clone())
    }

    async fn forget(&mut self, ids: &[SnapshotId]) -> Result<()> {
        self.enter("forget", Some(Kind::RepositoryDenied))?;
        let before = self.repository.len();
        self.repository.retain(|(snapshot, _)| !ids.contains(&snapshot.id));
        self.forgotten += before - self.repository.len();
        self.leave("forget", Some(Kind::RepositoryUnreachable))
    }

    async fn prune(&mut self) -> Result<()> {
        self.enter("prune", Some(Kind::RepositoryLocked))?;
        self.prunes += 1;
        self.leave("prune", Some(Kind::RepositoryUnreachable))
    }

    async fn remove_stale_locks(&mut self) -> Result<usize> {
        self.enter("remove_stale_locks", Some(Kind::RepositoryUnreachable))?;
        self.leave("remove_stale_locks", Some(Kind::RepositoryUnreachable))?;
        Ok(std::mem::take(&mut self.left_locks))
    }
}

impl Kuma for World {
    type Claim = ClaimedRows;

    async fn export(&mut self) -> Result<Export> {
        self.enter("export", Some(Kind::DatabaseBusy))?;
        let (configuration, schema) = (self.rows.clone(), self.schema.clone());
        let source = Some(Content::of(&configuration, &schema));
        self.leave("export", None)?;
        Ok(Export { configuration, schema, warnings: self.warnings.clone(), source })
    }

    async fn content(&mut self) -> Result<Content> {
        self.enter("content", Some(Kind::DatabaseBusy))?;
        let content = Content::of(&self.rows, &self.schema);
        self.leave("content", None)?;
        Ok(content)
    }

    async fn server_zone(&mut self, setting: Option<&str>) -> Result<Option<Zone>> {
        self.enter("server_zone", Some(Kind::BusUnavailable))?;
        let zone = setting.and_then(|zone| zone.parse().ok()).or_else(|| self.zone.clone());
        self.leave("server_zone", None)?;
        Ok(zone)
    }

    async fn rehearse(&mut self, here: &Configuration, wanted: &Configuration) -> Result<()> {
        self.enter("rehearse", Some(Kind::Unwritable))?;
        rows::assert_reached(&rows::carry_out(&plan(here, wanted), here), wanted);
        self.leave("rehearse", None)
    }

    async fn check_intact(&mut self) -> Result<()> {
        self.enter("check_intact", Some(Kind::DatabaseCorrupt))?;
        self.leave("check_intact", None)
    }

    async fn check_writable(&mut self, _: &Plan) -> Result<()> {
        self.enter("check_writable", Some(Kind::NotPermitted))?;
        self.leave("check_writable", None)
    }

    async fn check_in_use(&mut self) -> Result<()> {
        self.enter("check_in_use", Some(Kind::DatabaseNotInUse))?;
        self.leave("check_in_use", None)
    }

    async fn activity(&mut self) -> Result<Activity> {
        self.enter("activity", Some(Kind::BusUnavailable))?;
        let activity = if self.running { Activity::Running } else { Activity::Stopped };
        self.leave("activity", None)?;
        Ok(activity)
    }

    async fn check_stoppable(&mut self) -> Result<()> {
        self.enter("check_stoppable", Some(Kind::ServiceBusy))?;
        assert!(self.running, "asked whether a stopped service may be stopped");
        self.leave("check_stoppable", None)
    }

    async fn dependents(&mut self) -> Result<Vec<String>> {
        self.enter("dependents", Some(Kind::BusUnavailable))?;
        self.leave("dependents", None)?;
        Ok(vec![DEPENDENT.to_owned()])
    }

    async fn stop(&mut self) -> Result<()> {
        self.enter("stop", Some(Kind::StopFailed))?;
        let intent = self.state().intent;
        assert!(intent.is_some_and(|intent| intent.start), "stopped without an intent on disk");
        self.rows = self.at_stop.take().unwrap_or_else(|| self.rows.clone());
        self.running = false;
        self.stops += 1;
        self.leave("stop", Some(Kind::StopFailed))
    }

    async fn start(&mut self, dependents: &[String]) -> Result<()> {
        self.enter("start", Some(Kind::StartFailed))?;
        assert_eq!(dependents, [DEPENDENT], "what stopped with it stays stopped");
        assert!(!self.is_claimed(), "started while the database is claimed: Uptime Kuma would die");
        self.running = true;
        self.begin_run();
        self.leave("start", Some(Kind::StartFailed))
    }

    async fn check_healthy(&mut self) -> Result<()> {
        self.enter("check_healthy", Some(Kind::Unhealthy)).inspect_err(|error| {
            self.running &= error.kind() != Kind::ServiceStopped;
        })?;
        let healthy = self.running && !self.dead && self.poison.as_ref() != Some(&self.rows);
        self.leave("check_healthy", None)?;
        if healthy { Ok(()) } else { Err(Error::new(Kind::Unhealthy, "it does not answer")) }
    }

    async fn claim(&mut self) -> Result<ClaimedRows> {
        self.enter("claim", Some(Kind::DatabaseBusy))?;
        if self.running {
            return Err(Error::new(Kind::DatabaseBusy, "Uptime Kuma has it open"));
        }
        self.leave("claim", None)?;
        self.tape.0.borrow_mut().claimed = true;
        let (configuration, schema) = (self.rows.clone(), self.schema.clone());
        let export = Export { configuration, schema, warnings: self.warnings.clone(), source: None };
        Ok(ClaimedRows { tape: Rc::clone(&self.tape.0), export, history: self.history.clone() })
    }

    async fn write_live(&mut self, here: &Export, wanted: &Configuration) -> Result<Vec<String>> {
        let plan = plan(&here.configuration, wanted);
        assert!(self.running && !self.is_claimed(), "written live while it is stopped");
        let Uptake { restart, told } = uptake(&plan, &here.configuration, wanted);
        assert!(restart.is_empty(), "a running server would not pick that up: {restart:?}");
        let telling = self.state().intent.expect("written without an intent on disk").telling;
        let announced = telling.as_ref().map(|telling| telling.told.clone()).unwrap_or_default();
        assert!(told.monitors.is_subset(&announced.monitors), "nobody would tell it of {told:?}");
        assert!(told.maintenances.is_subset(&announced.maintenances), "nobody would tell it of {told:?}");
        self.enter("write_live", Some(Kind::DatabaseBusy))?;
        let touched = |rows: &Configuration| -> Vec<_> {
            plan.tables.iter().map(|changed| rows.table(changed.spec.name).cloned()).collect()
        };
        if touched(&here.configuration) != touched(&self.rows) {
            return Err(Error::new(Kind::DatabaseBusy, "edited meanwhile"));
        }
        self.rows = rows::carry_out(&plan, &self.rows);
        assert_eq!(touched(&self.rows), touched(wanted));
        self.commits += 1;
        self.leave("write_live", None)?;
        Ok(Vec::new())
    }

    async fn server(&mut self) -> Result<Server> {
        self.enter("server", Some(Kind::DatabaseBusy))?;
        self.server.last_monitor = self.server.last_monitor.max(last_id(&self.rows));
        let server = self.server.clone();
        self.leave("server", None)?;
        Ok(server)
    }

    async fn probe(&mut self) -> Result<Option<String>> {
        self.enter("probe", Some(Kind::DatabaseBusy))?;
        let refuses = self.refuses.clone();
        self.leave("probe", None)?;
        Ok(refuses)
    }

    async fn tell(&mut self, told: &Told, rows: &Configuration) -> Result<()> {
        self.enter("tell", Some(Kind::ServiceBusy))?;
        assert!(self.running, "a stopped server was told something");
        assert_eq!(&self.rows, rows, "told what is not in its database");
        self.tellings.push(told.clone());
        for (name, ids) in [("monitor", &told.monitors), ("maintenance", &told.maintenances)] {
            let (Some(rows), Some(memory)) = (self.rows.table(name), self.memory.table_mut(name)) else { continue };
            let at = rows.position("id").unwrap();
            let is_told = |row: &Row| row[at].as_integer().is_some_and(|id| ids.contains(&id));
            memory.rows.retain(|row| !is_told(row));
            memory.rows.extend(rows.rows.iter().filter(|row| is_told(row)).cloned());
            memory.sort();
        }
        self.dead |= self.deadly.as_ref() == Some(&self.rows);
        self.leave("tell", Some(Kind::ServiceBusy))
    }

    async fn beats(&mut self, monitors: &BTreeSet<i64>, _: Timestamp) -> Result<BTreeSet<i64>> {
        self.enter("beats", Some(Kind::DatabaseBusy))?;
        let monitors: BTreeSet<i64> = monitors.difference(&self.silent).copied().collect();
        let active = |id: &i64| {
            let table = self.rows.table("monitor").unwrap();
            let row = table.rows.iter().find(|row| table.value(row, "id").as_integer() == Some(*id));
            row.is_some_and(|row| *table.value(row, "active") != Value::Integer(0))
        };
        let beat = monitors.iter().filter(|id| active(id) || self.stubborn.contains(id)).copied().collect();
        self.stubborn.retain(|id| !monitors.contains(id));
        self.leave("beats", None)?;
        Ok(beat)
    }

    async fn set_history_aside(&mut self, monitors: &[i64]) -> Result<u64> {
        self.enter("set_history_aside", Some(Kind::DatabaseBusy))?;
        let (there, aside) = &mut self.history;
        for id in monitors {
            aside.extend(there.take(&Value::Integer(*id)));
        }
        self.leave("set_history_aside", Some(Kind::DatabaseBusy))?;
        Ok(0)
    }

    async fn tidy_history(&mut self, bring_back: bool) -> Result<u64> {
        // Its failure is reported, and changes nothing for the cycle.
        self.enter("tidy_history", None)?;
        let (there, aside) = &mut self.history;
        let back = std::mem::take(aside);
        if bring_back {
            there.extend(back);
        }
        let monitors = rows::ids(&self.rows, "monitor");
        there.retain(|id| monitors.contains(id));
        self.leave("tidy_history", None)?;
        Ok(0)
    }
}

impl Claim for ClaimedRows {
    async fn export(&mut self) -> Result<Export> {
        self.tape.borrow_mut().enter("export", Some(Kind::DatabaseBusy))?;
        self.tape.borrow_mut().leave("export", None)?;
        Ok(self.export.clone())
    }

    async fn write(mut self, wanted: &Configuration, history: History) -> Result<Vec<String>> {
        let plan = plan(&self.export.configuration, wanted);
        self.tape.borrow_mut().enter("write", Some(Kind::WriteFailed))?;
        let (there, aside) = &mut self.history;
        for id in plan.taken_over() {
            if there.remove(&id) && history == History::SetAside {
                aside.insert(id);
            }
        }
        let written = rows::carry_out(&plan, &self.export.configuration);
        rows::assert_reached(&written, wanted);
        self.tape.borrow_mut().committed = Some((written, self.history.clone()));
        self.tape.borrow_mut().leave("write", None)?;
        Ok(Vec::new())
    }
}

impl Drop for ClaimedRows {
    fn drop(&mut self) {
        // A killed process unwinds with the tape borrowed by the call that it died in.
        if let Ok(mut tape) = self.tape.try_borrow_mut() {
            tape.claimed = false;
            tape.calls.push("release".to_owned());
        }
    }
}

impl Store for World {
    fn save(&mut self, state: &State) -> Result<()> {
        self.enter("save", Some(Kind::DiskFull))?;
        self.disk = Some(state.render());
        self.leave("save", Some(Kind::Files))
    }

    fn keep_previous(&mut self, dump: &[u8]) -> Result<()> {
        self.enter("keep_previous", Some(Kind::DiskFull))?;
        self.previous = Some(dump.to_vec());
        self.leave("keep_previous", Some(Kind::Files))
    }

    fn previous(&mut self) -> Result<Option<Vec<u8>>> {
        self.enter("previous", Some(Kind::Files))?;
        let previous = self.previous.clone();
        self.leave("previous", Some(Kind::Files))?;
        Ok(previous)
    }

    fn keep_applied(&mut self, dump: &[u8]) -> Result<()> {
        self.enter("keep_applied", Some(Kind::DiskFull))?;
        self.applied = Some(dump.to_vec());
        self.leave("keep_applied", Some(Kind::Files))
    }

    fn applied(&mut self) -> Result<Option<Vec<u8>>> {
        self.enter("applied", Some(Kind::Files))?;
        let kept = self.applied.clone();
        self.leave("applied", None)?;
        Ok(kept)
    }

    fn keep_inherited(&mut self, settings: &[u8]) -> Result<()> {
        self.enter("keep_inherited", Some(Kind::DiskFull))?;
        self.inherited = Some(settings.to_vec());
        self.leave("keep_inherited", Some(Kind::Files))
    }

    fn inherited(&mut self) -> Result<Option<Vec<u8>>> {
        self.enter("inherited", Some(Kind::Files))?;
        let kept = self.inherited.clone();
        self.leave("inherited", None)?;
        Ok(kept)
    }

    fn set_role(&mut self, role: Role) -> Result<()> {
        self.enter("set_role", Some(Kind::NotPermitted))?;
        self.role = Some(role);
        self.leave("set_role", None)
    }

    fn set_alerts(&mut self, alerts: Alerts) -> Result<Settings> {
        self.enter("set_alerts", Some(Kind::NotPermitted))?;
        let text =
            config::with(&self.configuration, &["replica", "alerts"], &alerts.to_string(), Path::new("config.toml"))?;
        let settings = Settings::parse(&text, Path::new("config.toml"))?;
        self.configuration = text;
        self.leave("set_alerts", None)?;
        Ok(settings)
    }
}

impl Surroundings for World {
    fn now(&self) -> Timestamp {
        self.clock
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }

    fn booted(&self) -> Timestamp {
        self.booted
    }

    fn name(&self) -> String {
        "alpha".to_owned()
    }

    async fn is_started_by_timer(&self) -> bool {
        self.by_timer
    }

    fn main_id(&self) -> Result<MainId> {
        Ok(self.id.clone())
    }

    fn report(&mut self, event: &Event) {
        assert!(!event.message_id().is_empty() && !event.to_string().is_empty());
        let name = format!("report {}", event.name());
        self.tape.0.borrow_mut().story.push((event.name(), event.level()));
        let reported = self.enter(&name, None).and_then(|()| self.leave(&name, None));
        assert!(reported.is_ok(), "a report cannot fail");
    }

    async fn pause(&mut self, _: Duration) -> Result<()> {
        self.enter("pause", None)?;
        if let Some(edit) = self.edits.pop_front() {
            self.rows = edit;
        }
        self.leave("pause", None)
    }

    fn check_interrupted(&self) -> Result<()> {
        // It cannot count, being `&self`: interruption has a test of its own, through `kinds`.
        match self.kinds.iter().find(|(call, _)| *call == "check_interrupted") {
            Some((_, kind)) => Err(Error::new(*kind, "received a signal to stop")),
            None => Ok(()),
        }
    }
}
