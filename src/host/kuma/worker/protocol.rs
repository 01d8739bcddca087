//! Requests, replies, and the frames in which they cross the pipe.
//!
//! A frame is the length of its head (4 bytes) and of its body (8 bytes, both little-endian), the head in JSON, and the
//! body: up to two configurations, each as the body of a dump.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cycle::History;
use crate::error::{Error, Kind};
use crate::host::kuma::database::Progress;
use crate::host::kuma::socket::Tokens;
use crate::model::content::Content;
use crate::model::limits::MAX_DUMP;
use crate::model::schema::Schema;

/// The version of this protocol. Both sides are the same program, unless a person starts the worker.
pub(super) const VERSION: u32 = 1;

/// The longest head, in bytes: the schema and a warning for each uploaded file fit.
const MAX_HEAD: usize = 4 << 20;

/// The longest body, in bytes.
const MAX_BODY: usize = 2 * MAX_DUMP;

/// The number of bytes before the head.
pub(super) const LENGTHS: usize = 12;

/// What the first process asks for. Those that write or read a database mean the one that was opened last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Means the database at this path from now on. Answered by [`Reply::Done`].
    Open {
        /// The bytes of the path.
        path: Vec<u8>,
    },
    /// Answered by [`Reply::Export`].
    Export,
    /// Answered by [`Reply::Content`].
    Content,
    /// Answered by [`Reply::Done`] if nothing is damaged.
    CheckIntact,
    /// Answered by [`Reply::Done`] if the database, and files beside it, can be written.
    CheckWritable {
        /// How many bytes the write may take.
        room: u64,
        /// Whether uploaded files are written.
        uploads: bool,
    },
    /// Answered by [`Reply::Done`] if this user can open the database and write beside it.
    CheckUsableBy {
        /// The id of the user.
        uid: u32,
    },
    /// Answered by [`Reply::Processes`] with those that have the database open.
    Holders,
    /// Answered by [`Reply::Texts`] with the paths of the databases that these processes have open, as far as this user
    /// can see them.
    OpenIn {
        /// The ids of the processes.
        processes: Vec<u32>,
    },
    /// Answered by [`Reply::Text`] with the migration that is running.
    Migrating,
    /// Answered by [`Reply::Texts`] with the names of unknown tables.
    UnknownTables,
    /// The body is the rows here, and those that are wanted. Answered by [`Reply::Done`] if the database accepts them.
    Rehearse {
        /// The length of the first configuration in the body, in bytes.
        here: u64,
    },
    /// The body is as for `Rehearse`. Answered by [`Reply::Texts`] with warnings.
    WriteLive {
        /// The length of the first configuration in the body, in bytes.
        here: u64,
        /// The schema that the database must have.
        schema: Box<Schema>,
    },
    /// Claims the database. Answered by [`Reply::Done`].
    Claim {
        /// How long to wait until no other process has it open.
        within: Duration,
    },
    /// The body is the rows that are wanted in the claimed database. Answered by [`Reply::Texts`] with warnings.
    Write {
        /// What becomes of the history under ids that other monitors take over.
        history: History,
    },
    /// Answered by [`Reply::Count`] with the rows that are left.
    SetHistoryAside {
        /// The ids of the monitors.
        monitors: Vec<i64>,
        /// How long to go on.
        within: Duration,
    },
    /// Answered by [`Reply::Count`] with the rows that are left.
    TidyHistory {
        /// Whether history that was set aside goes back to its monitors.
        bring_back: bool,
        /// How long to go on.
        within: Duration,
    },
    /// Answered by [`Reply::Count`] with the rows of history that no monitor has.
    OrphanedHistory,
    /// Answered by [`Reply::Server`].
    Server {
        /// The processes of the unit, one of which is the server.
        processes: Vec<u32>,
        /// How long ago the unit was started, where that is when the server was.
        age: Option<Duration>,
    },
    /// Answered by [`Reply::Tokens`].
    Tokens,
    /// Answered by [`Reply::Monitors`] with those of `monitors` that have the result of a check since then.
    Beats {
        /// The ids of the monitors.
        monitors: BTreeSet<i64>,
        /// A time in UTC, as Uptime Kuma writes it.
        since: String,
    },
    /// Reads small files. Answered by [`Reply::Files`].
    Read {
        /// The bytes of a path, or of a pattern as in glob(7).
        pattern: Vec<u8>,
    },
}

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// The first frame, without a request: the worker has given its rights up.
    Ready {
        /// The version of the protocol.
        protocol: u32,
        /// The version of the program.
        program: String,
    },
    /// It was done.
    Done,
    /// The configuration is the body.
    Export {
        /// The schema of the database.
        schema: Box<Schema>,
        /// What was left out and why, for people.
        warnings: Vec<String>,
        /// What `Content` is answered with until something of it changes; none for a claimed database.
        source: Option<Content>,
    },
    /// What identifies all that would be exported.
    Content(Content),
    /// A number of rows.
    Count(u64),
    /// A text, or none.
    Text(Option<String>),
    /// Texts.
    Texts(Vec<String>),
    /// The ids of processes.
    Processes(BTreeSet<u32>),
    /// The contents of files.
    Files(Vec<String>),
    /// The run of the server, and how far it is; none if it cannot be known when the server was started.
    Server(Option<(String, Progress)>),
    /// What the sessions with the server are authorised by. The secret itself stays with the worker.
    Tokens(Tokens),
    /// The ids of monitors.
    Monitors(BTreeSet<i64>),
    /// It failed.
    Failed {
        /// The kind of failure.
        kind: Kind,
        /// What was tried, on what.
        what: String,
        /// What to do next, if the kind's own hint is not exact.
        hint: Option<String>,
        /// Why it failed.
        cause: Option<String>,
    },
}

impl Reply {
    /// A failure that crosses the pipe.
    pub(super) fn failed(error: &Error) -> Self {
        let (kind, what) = (error.kind(), error.to_string());
        let chain = error.chain();
        let cause = chain.strip_prefix(&what).and_then(|rest| rest.strip_prefix(": ")).map(str::to_owned);
        let hint = Some(error.hint()).filter(|hint| *hint != kind.hint()).map(str::to_owned);
        Self::Failed { kind, what, hint, cause }
    }
}

/// Why bytes are not a frame.
#[derive(Debug)]
pub struct Fault(pub String);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// A frame for `head` and `body`, without the body.
pub(super) fn beginning(head: &impl Serialize, body: usize) -> Result<Vec<u8>, Fault> {
    let head = serde_json::to_vec(head).map_err(|error| Fault(error.to_string()))?;
    let lengths = u32::try_from(head.len()).map(|length| (length.to_le_bytes(), (body as u64).to_le_bytes()));
    let (first, second) = lengths.map_err(|_| Fault("its head is too long".to_owned()))?;
    Ok([first.as_slice(), second.as_slice(), head.as_slice()].concat())
}

/// The lengths of head and body, from the first bytes of a frame.
///
/// # Errors
/// If one is beyond its limit.
pub(super) fn lengths(bytes: [u8; LENGTHS]) -> Result<(usize, usize), Fault> {
    let [a, b, c, d, rest @ ..] = bytes;
    let (head, body) = (u64::from(u32::from_le_bytes([a, b, c, d])), u64::from_le_bytes(rest));
    let within = |what: &str, length: u64, limit: usize| {
        let length = usize::try_from(length).ok().filter(|length| *length <= limit);
        length.ok_or_else(|| Fault(format!("its {what} is longer than {limit} bytes")))
    };
    Ok((within("head", head, MAX_HEAD)?, within("body", body, MAX_BODY)?))
}

/// The head of a frame.
///
/// # Errors
/// If it is not one that this version knows.
pub(super) fn head<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault(format!("its head cannot be read: {error}")))
}

/// Reads a frame; `None` at the end of the input. Memory is allocated for what has arrived, not for what is announced.
///
/// # Errors
/// If it is cut, breaks a limit, or has an unknown head.
pub fn read_frame<T: DeserializeOwned>(input: &mut impl Read) -> Result<Option<(T, Vec<u8>)>, Fault> {
    let failed = |error: std::io::Error| Fault(error.to_string());
    let mut part = |length: usize| -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        input.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    };
    let start = part(LENGTHS)?;
    if start.is_empty() {
        return Ok(None);
    }
    let cut = || Fault("it is cut".to_owned());
    let (head_length, body_length) = lengths(start.try_into().map_err(|_| cut())?)?;
    let (head_bytes, body) = (part(head_length)?, part(body_length)?);
    if head_bytes.len() < head_length || body.len() < body_length {
        return Err(cut());
    }
    Ok(Some((head(&head_bytes)?, body)))
}

/// Writes a frame.
pub(super) fn write_frame(output: &mut impl Write, head: &impl Serialize, body: &[u8]) -> Result<(), Fault> {
    let beginning = beginning(head, body.len())?;
    let written = output.write_all(&beginning).and_then(|()| output.write_all(body)).and_then(|()| output.flush());
    written.map_err(|error| Fault(error.to_string()))
}
