//! The side of the first process.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::process::Process;
use super::protocol::{self, Fault, LENGTHS, Reply, Request};
use crate::cycle::{Export, History};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::database::Progress;
use crate::host::kuma::socket::Tokens;
use crate::host::system::owner;
use crate::host::system::users::Identity;
use crate::model::catalog;
use crate::model::configuration::Configuration;
use crate::model::content::Content;
use crate::model::dump;
use crate::model::schema::Schema;
use crate::text;

/// This program, even if its package was upgraded since it was started.
const PROGRAM: &str = "/proc/self/exe";

/// How long a worker may take for an answer, beyond what the request itself grants.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long it may take for one that reads or writes as much as there is of history.
const LONG_TIMEOUT: Duration = Duration::from_secs(700);

/// Why a pipe to or from a worker is closed.
const ENDED: &str = "it has ended";

/// The kinds of failure that a worker can report. Any other says something about what it does not know.
const KINDS: &[Kind] = &[
    Kind::Bug,
    Kind::DatabaseBusy,
    Kind::DatabaseCorrupt,
    Kind::DatabaseMissing,
    Kind::DiskFull,
    Kind::Files,
    Kind::NotPermitted,
    Kind::SchemaDiffers,
    Kind::SchemaUnknown,
    Kind::ServiceBusy,
    Kind::SnapshotDamaged,
    Kind::Unwritable,
    Kind::WriteFailed,
];

/// A running worker. It ends when this is dropped.
#[derive(Debug)]
pub struct Worker {
    // Closed before the end of the process is waited for.
    input: Option<ChildStdin>,
    output: ChildStdout,
    process: Process,
    /// The database that it means; empty before one was opened.
    database: PathBuf,
    /// The last configuration that it exported, or another one that it probably exports next. What is the same is kept once.
    known: Configuration,
}

/// A worker with a claimed database, which is free again when this is dropped.
#[derive(Debug)]
pub struct Claimed(Worker);

impl Worker {
    /// Starts a worker that acts as `identity`, or as the user of this process.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] if this process may not become that user; [`Kind::WorkerFailed`].
    pub async fn start(identity: Option<&Identity>) -> Result<Self> {
        Self::start_program(Path::new(PROGRAM), identity).await
    }

    /// As [`Worker::start`], with the `program` to run.
    ///
    /// # Errors
    /// As for [`Worker::start`].
    pub async fn start_program(program: &Path, identity: Option<&Identity>) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("worker");
        if let Some(identity) = identity {
            command.arg(format!("--as={identity}"));
        }
        // The secrets of this process are none of the worker's business. A ^C at the terminal must not end it in the
        // middle of a write.
        command.env_clear().current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let failed = |error: io::Error| Error::new(Kind::WorkerFailed, "cannot start the worker").because(error);
        let mut process = Process::start(command).await.map_err(failed)?;
        let Some((input, output)) = process.pipes() else {
            return Err(Error::new(Kind::Bug, "the worker has no pipes"));
        };
        let (database, known) = (PathBuf::new(), Configuration::default());
        let mut worker = Self { input: Some(input), output, process, database, known };
        match worker.reply(ANSWER_TIMEOUT).await? {
            (Reply::Ready { protocol, program }, _)
                if protocol == protocol::VERSION && program == env!("CARGO_PKG_VERSION") =>
            {
                Ok(worker)
            }
            _ => Err(worker.failed("it is not of this version")),
        }
    }

    /// A worker of its own for the database at `path`, as the user that the database belongs to.
    ///
    /// # Errors
    /// As for [`owner::opener`], [`Worker::start`] and [`Worker::open`].
    pub async fn for_database(path: &Path) -> Result<Self> {
        let mut worker = Self::start(owner::opener(path)?.as_ref()).await.map_err(|error| refused(path, error))?;
        worker.open(path).await?;
        Ok(worker)
    }

    /// The id of its process; `None` if it has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Takes the rows of `known` in place of equal ones in the next export.
    pub fn know(&mut self, known: &Configuration) {
        self.known.clone_from(known);
    }

    /// Another worker of its own for the same database, which knows the rows that this one has exported.
    ///
    /// # Errors
    /// As for [`Worker::for_database`].
    pub async fn another(&self) -> Result<Self> {
        let worker = Self::for_database(&self.database).await?;
        Ok(Self { known: self.known.clone(), ..worker })
    }

    /// Whether it can be asked: it has not failed before.
    pub fn is_usable(&self) -> bool {
        self.input.is_some()
    }

    /// The database that this worker means.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Means the database at `path` from now on.
    ///
    /// # Errors
    /// [`Kind::DatabaseMissing`], or why it cannot be found; [`Kind::WorkerFailed`].
    pub async fn open(&mut self, path: &Path) -> Result<()> {
        self.done(Request::Open { path: path.as_os_str().as_bytes().to_owned() }, &[]).await?;
        path.clone_into(&mut self.database);
        Ok(())
    }

    /// Exports the configuration in one read transaction of the live database.
    ///
    /// # Errors
    /// As for [`Database::export`](crate::host::kuma::database::Database::export); [`Kind::WorkerFailed`].
    pub async fn export(&mut self) -> Result<Export> {
        match self.ask(Request::Export, &[]).await? {
            (Reply::Export { schema, warnings, source }, body) => {
                Ok(Export { source, ..self.believe(*schema, warnings, &body)? })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// What identifies the configuration that [`Worker::export`] would export.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn content(&mut self) -> Result<Content> {
        match self.ask(Request::Content, &[]).await? {
            (Reply::Content(content), _) => Ok(content),
            _ => Err(self.unexpected()),
        }
    }

    /// Has SQLite read the whole database.
    ///
    /// # Errors
    /// As for [`Database::check_intact`](crate::host::kuma::database::Database::check_intact); [`Kind::WorkerFailed`].
    pub async fn check_intact(&mut self) -> Result<()> {
        self.done(Request::CheckIntact, &[]).await
    }

    /// Proves that the database can be written, which may take this many bytes of `room`, and the `uploads` beside it.
    ///
    /// # Errors
    /// As for [`Database::check_writable`](crate::host::kuma::database::Database::check_writable);
    /// [`Kind::WorkerFailed`].
    pub async fn check_writable(&mut self, room: u64, uploads: bool) -> Result<()> {
        self.done(Request::CheckWritable { room, uploads }, &[]).await
    }

    /// Proves that the user `uid` can open the database and write beside it.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`], naming the path; [`Kind::WorkerFailed`].
    pub async fn check_usable_by(&mut self, uid: u32) -> Result<()> {
        self.done(Request::CheckUsableBy { uid }, &[]).await
    }

    /// The ids of the processes that have the database open.
    ///
    /// # Errors
    /// If the database cannot be opened; [`Kind::WorkerFailed`].
    pub async fn holders(&mut self) -> Result<BTreeSet<u32>> {
        match self.ask(Request::Holders, &[]).await? {
            (Reply::Processes(ids), _) => Ok(ids),
            _ => Err(self.unexpected()),
        }
    }

    /// The databases that `processes` have open, as far as the user of this worker can see them.
    ///
    /// # Errors
    /// [`Kind::WorkerFailed`].
    pub async fn open_in(&mut self, processes: Vec<u32>) -> Result<Vec<String>> {
        self.texts(Request::OpenIn { processes }, &[]).await
    }

    /// Which migration Uptime Kuma is running, if any.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn migrating(&mut self) -> Result<Option<String>> {
        match self.ask(Request::Migrating, &[]).await? {
            (Reply::Text(text), _) => Ok(text),
            _ => Err(self.unexpected()),
        }
    }

    /// The names of the tables that are neither replicated nor known to be local.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn unknown_tables(&mut self) -> Result<Vec<String>> {
        self.texts(Request::UnknownTables, &[]).await
    }

    /// Tries the changes from the rows `here` to those that are `wanted` in a copy of the tables in memory.
    ///
    /// # Errors
    /// As for [`rehearse`](crate::host::kuma::database::rehearse); [`Kind::WorkerFailed`].
    pub async fn rehearse(&mut self, here: &Configuration, wanted: &Configuration) -> Result<()> {
        // After the apply, which this is before, that is what it exports.
        self.know(wanted);
        let (here, wanted) = (dump::body(here), dump::body(wanted));
        self.done(Request::Rehearse { here: here.len() as u64 }, &[&here, &wanted]).await
    }

    /// Writes the changes from the rows `here` to those that are `wanted` in one transaction of the live database.
    /// Returns what failed after the commit, for people.
    ///
    /// # Errors
    /// As for [`Database::write_live`](crate::host::kuma::database::Database::write_live); [`Kind::WorkerFailed`], after
    /// which it is not known whether they were written.
    pub async fn write_live(&mut self, here: &Export, wanted: &Configuration) -> Result<Vec<String>> {
        let schema = Box::new(here.schema.clone());
        let (here, wanted) = (dump::body(&here.configuration), dump::body(wanted));
        self.texts(Request::WriteLive { here: here.len() as u64, schema }, &[&here, &wanted]).await
    }

    /// Claims the database, within this time.
    ///
    /// # Errors
    /// As for [`Database::claim`](crate::host::kuma::database::Database::claim); [`Kind::WorkerFailed`].
    pub async fn claim(mut self, within: Duration) -> Result<Claimed> {
        self.done(Request::Claim { within }, &[]).await?;
        Ok(Claimed(self))
    }

    /// Sets the history of `monitors` aside, within this time. Returns how many rows are left.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn set_history_aside(&mut self, monitors: &[i64], within: Duration) -> Result<u64> {
        self.count(Request::SetHistoryAside { monitors: monitors.to_vec(), within }).await
    }

    /// Removes history that no monitor has, or brings it back, and removes unfinished files, within this time. Returns
    /// how many rows are left.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn tidy_history(&mut self, bring_back: bool, within: Duration) -> Result<u64> {
        self.count(Request::TidyHistory { bring_back, within }).await
    }

    /// How many rows of history no monitor has.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn orphaned_history(&mut self) -> Result<u64> {
        self.count(Request::OrphanedHistory).await
    }

    /// The run of the server, which is one of `processes`, and how far it is; `None` if it cannot be known when it was
    /// started. `age` is how long its unit has run, where that is the same.
    ///
    /// # Errors
    /// As for [`Worker::holders`] and [`Worker::export`].
    pub async fn server(&mut self, processes: Vec<u32>, age: Option<Duration>) -> Result<Option<(String, Progress)>> {
        match self.ask(Request::Server { processes, age }, &[]).await? {
            (Reply::Server(server), _) => Ok(server),
            _ => Err(self.unexpected()),
        }
    }

    /// What sessions with the server are authorised by, for a minute.
    ///
    /// # Errors
    /// [`Kind::SchemaUnknown`] if the server has no secret; as for [`Worker::export`].
    pub async fn tokens(&mut self) -> Result<Tokens> {
        match self.ask(Request::Tokens, &[]).await? {
            (Reply::Tokens(tokens), _) => Ok(tokens),
            _ => Err(self.unexpected()),
        }
    }

    /// Which of these `monitors` have the result of a check that began at `since` or later.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn beats(&mut self, monitors: &BTreeSet<i64>, since: Timestamp) -> Result<BTreeSet<i64>> {
        let since = since.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
        match self.ask(Request::Beats { monitors: monitors.clone(), since }, &[]).await? {
            (Reply::Monitors(seen), _) => Ok(seen),
            _ => Err(self.unexpected()),
        }
    }

    /// The texts of the files that match `pattern`, sorted by name.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] for a file that the user of the worker may not read; [`Kind::WorkerFailed`].
    pub async fn read(&mut self, pattern: &Path) -> Result<Vec<String>> {
        let pattern = pattern.as_os_str().as_bytes().to_owned();
        match self.ask(Request::Read { pattern }, &[]).await? {
            (Reply::Files(texts), _) => Ok(texts),
            _ => Err(self.unexpected()),
        }
    }

    async fn done(&mut self, request: Request, bodies: &[&[u8]]) -> Result<()> {
        match self.ask(request, bodies).await? {
            (Reply::Done, _) => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    async fn count(&mut self, request: Request) -> Result<u64> {
        match self.ask(request, &[]).await? {
            (Reply::Count(rows), _) => Ok(rows),
            _ => Err(self.unexpected()),
        }
    }

    async fn texts(&mut self, request: Request, bodies: &[&[u8]]) -> Result<Vec<String>> {
        match self.ask(request, bodies).await? {
            (Reply::Texts(texts), _) => Ok(texts),
            _ => Err(self.unexpected()),
        }
    }

    /// Sends a request with the parts of its body and returns the answer.
    async fn ask(&mut self, request: Request, bodies: &[&[u8]]) -> Result<(Reply, Vec<u8>)> {
        let within = match &request {
            Request::CheckIntact | Request::Write { .. } | Request::WriteLive { .. } => LONG_TIMEOUT,
            Request::Claim { within }
            | Request::SetHistoryAside { within, .. }
            | Request::TidyHistory { within, .. } => *within + ANSWER_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        };
        let length = bodies.iter().map(|body| body.len()).sum();
        let beginning = protocol::beginning(&request, length).map_err(|fault| self.failed(fault))?;
        let Some(input) = &mut self.input else { return Err(self.failed("it failed before")) };
        let send = async {
            for part in std::iter::once(&beginning.as_slice()).chain(bodies) {
                input.write_all(part).await?;
            }
            input.flush().await
        };
        let sent = tokio::time::timeout(within, send).await;
        match sent {
            Ok(Ok(())) => self.reply(within).await,
            Ok(Err(_)) => Err(self.failed(ENDED)),
            Err(_) => Err(self.late(within)),
        }
    }

    /// Receives an answer. After a failure of the worker nothing more is asked of it.
    async fn reply(&mut self, within: Duration) -> Result<(Reply, Vec<u8>)> {
        match tokio::time::timeout(within, receive(&mut self.output)).await {
            Ok(Ok((Reply::Failed { kind, what, hint, cause }, _))) if KINDS.contains(&kind) => {
                let mut error = Error::new(kind, text::limit(what));
                if let Some(hint) = hint {
                    error = error.with_hint(text::limit(hint));
                }
                Err(match cause {
                    Some(cause) => error.because(text::limit(cause)),
                    None => error,
                })
            }
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(fault)) => Err(self.failed(fault)),
            Err(_) => Err(self.late(within)),
        }
    }

    fn unexpected(&mut self) -> Error {
        self.failed("its answer is not one to this request")
    }

    fn late(&mut self, within: Duration) -> Error {
        let hint = "see whether a disk hangs, or what stopped a process of the user of Uptime Kuma; the next cycle tries again";
        self.failed(format!("it did not answer within {} s", within.as_secs())).with_hint(hint)
    }

    fn failed(&mut self, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.input = None;
        Error::new(Kind::WorkerFailed, "the worker failed").because(reason)
    }

    /// The export in an answer, if it is one that a database of Uptime Kuma can have.
    fn believe(&mut self, schema: Schema, warnings: Vec<String>, body: &[u8]) -> Result<Export> {
        let what = format!("the configuration in {} cannot be replicated", self.database.display());
        let configuration = match dump::parse_body_beside(body, &self.known) {
            Ok(configuration) => configuration,
            Err(fault) => return Err(Error::new(Kind::SnapshotDamaged, what).because(fault)),
        };
        let missing = catalog::REQUIRED.iter().any(|name| configuration.table(name).is_none());
        if missing || !dump::describes(&schema, &configuration) {
            return Err(self.failed("its schema does not describe its rows"));
        }
        if configuration.zone.is_some() {
            return Err(self.failed("a database does not know a time zone"));
        }
        self.known.clone_from(&configuration);
        let warnings = warnings.into_iter().map(text::limit).collect();
        Ok(Export { configuration, schema, warnings, source: None })
    }
}

impl Claimed {
    /// Exports the configuration of the claimed database.
    ///
    /// # Errors
    /// As for [`Worker::export`].
    pub async fn export(&mut self) -> Result<Export> {
        self.0.export().await
    }

    /// Writes the rows that are `wanted`, and gives the database free. Returns what failed after the commit, for people.
    ///
    /// # Errors
    /// As for [`Claim::write`](crate::host::kuma::database::Claim::write); [`Kind::WorkerFailed`], after which it is not
    /// known whether they were written.
    pub async fn write(mut self, wanted: &Configuration, history: History) -> Result<Vec<String>> {
        self.0.texts(Request::Write { history }, &[&dump::body(wanted)]).await
    }
}

/// Names the file for which a worker was to be started.
pub(super) fn refused(path: &Path, error: Error) -> Error {
    if error.kind() != Kind::NotPermitted {
        return error;
    }
    let hint = error.hint().to_owned();
    Error::new(Kind::NotPermitted, format!("cannot open {}", path.display())).with_hint(hint).because(error)
}

/// Receives a frame. Memory is allocated for what has arrived, not for what is announced.
async fn receive(output: &mut ChildStdout) -> Result<(Reply, Vec<u8>), Fault> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault(ENDED.to_owned()),
        _ => Fault(error.to_string()),
    };
    let mut lengths = [0; LENGTHS];
    output.read_exact(&mut lengths).await.map_err(failed)?;
    let (head_length, body_length) = protocol::lengths(lengths)?;
    let (mut head, mut body) = (Vec::new(), Vec::new());
    output.take(head_length as u64).read_to_end(&mut head).await.map_err(failed)?;
    output.take(body_length as u64).read_to_end(&mut body).await.map_err(failed)?;
    if head.len() < head_length || body.len() < body_length {
        return Err(Fault(ENDED.to_owned()));
    }
    Ok((protocol::head(&head)?, body))
}
