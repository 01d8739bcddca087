//! The side of the worker: it does what it is asked for, one request after another, until its input ends.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::MatchOptions;

use super::protocol::{self, Fault, Reply, Request, read_frame, write_frame};
use crate::cycle::{Export, History};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::database::{self, Claim, Database, Progress};
use crate::host::kuma::socket;
use crate::host::system::{files, process};
use crate::model::configuration::Configuration;
use crate::model::dump;
use crate::model::limits::MAX_SETTINGS;
use crate::model::schema::Schema;
use crate::plan::plan;

/// Answers the requests in `input` until it ends. The rights of this process have been given up.
///
/// # Errors
/// If a frame cannot be read or written: then nothing more can be understood.
pub fn serve(input: &mut impl Read, output: &mut impl Write) -> Result<(), Fault> {
    let ready = Reply::Ready { protocol: protocol::VERSION, program: env!("CARGO_PKG_VERSION").to_owned() };
    write_frame(output, &ready, b"")?;
    let mut open = Open::default();
    while let Some((request, body)) = read_frame(input)? {
        match open.answer(request, body) {
            Ok((reply, body)) => write_frame(output, &reply, &body)?,
            Err(error) => write_frame(output, &Reply::failed(&error), b"")?,
        }
    }
    Ok(())
}

/// Answers that this process could not give its rights up, and serves nothing.
///
/// # Errors
/// As for [`serve`].
pub fn refuse(output: &mut impl Write, error: &Error) -> Result<(), Fault> {
    write_frame(output, &Reply::failed(error), b"")
}

/// What is open.
#[derive(Default)]
struct Open {
    database: Option<Database>,
    /// The claim, and the rows that it exported.
    claim: Option<(Claim, Option<Configuration>)>,
}

impl Open {
    fn answer(&mut self, request: Request, body: Vec<u8>) -> Result<(Reply, Vec<u8>)> {
        let reply = match request {
            Request::Open { path } => {
                let database = Database::new(PathBuf::from(OsString::from_vec(path)));
                database.find()?;
                (self.claim, self.database) = (None, Some(database));
                Reply::Done
            }
            Request::Export => return self.export(),
            Request::Content => Reply::Content(self.database()?.content()?),
            Request::CheckIntact => done(self.database()?.check_intact())?,
            Request::CheckWritable { room, uploads } => done(self.database()?.check_writable(room, uploads))?,
            Request::CheckUsableBy { uid } => done(self.database()?.check_usable_by(uid))?,
            Request::Holders => Reply::Processes(self.database()?.holders()?),
            Request::OpenIn { processes } => Reply::Texts(open_in(&processes)),
            Request::Migrating => Reply::Text(self.database()?.migrating()?),
            Request::UnknownTables => Reply::Texts(self.database()?.unknown_tables()?),
            Request::Rehearse { here } => {
                let (here, wanted) = configurations(body, here)?;
                done(database::rehearse(self.database()?, &plan(&here, &wanted), &here, &wanted))?
            }
            Request::WriteLive { here, schema } => Reply::Texts(self.write_live(body, here, *schema)?),
            Request::Claim { within } => {
                self.claim = Some((self.database()?.claim(within)?, None));
                Reply::Done
            }
            Request::Write { history } => Reply::Texts(self.write(body, history)?),
            Request::SetHistoryAside { monitors, within } => {
                Reply::Count(self.database()?.set_history_aside(&monitors, within)?)
            }
            Request::TidyHistory { bring_back, within } => {
                Reply::Count(self.database()?.tidy_history(bring_back, within)?)
            }
            Request::OrphanedHistory => Reply::Count(self.database()?.orphaned_history()?),
            Request::Server { processes, age } => Reply::Server(self.server(&processes, age)?),
            Request::Tokens => Reply::Tokens(socket::tokens(&self.database()?.credentials()?, now())),
            Request::Beats { monitors, since } => Reply::Monitors(self.database()?.beats(&monitors, &since)?),
            Request::Read { pattern } => Reply::Files(read(Path::new(&OsString::from_vec(pattern)))?),
        };
        Ok((reply, Vec::new()))
    }

    fn database(&self) -> Result<&Database> {
        self.database.as_ref().ok_or_else(|| unexpected("no database was opened"))
    }

    fn export(&mut self) -> Result<(Reply, Vec<u8>)> {
        let export = match &mut self.claim {
            Some((claim, _)) => claim.export()?,
            None => self.database()?.export()?,
        };
        let body = dump::body(&export.configuration);
        let Export { configuration, schema, warnings, source } = export;
        if let Some((_, here)) = &mut self.claim {
            *here = Some(configuration);
        }
        Ok((Reply::Export { schema: Box::new(schema), warnings, source }, body))
    }

    /// The run of the server that has the database open, and how far it is. This process may not see when it was
    /// started if it has other rights; then that of the unit counts.
    fn server(&self, processes: &[u32], age: Option<Duration>) -> Result<Option<(String, Progress)>> {
        let database = self.database()?;
        let holders = database.holders()?;
        let Some((id, boot)) = holders.iter().find(|id| processes.contains(id)).zip(process::boot()) else {
            return Ok(None);
        };
        let (run, age) = match (process::started(*id), age) {
            (Some((ticks, age)), _) => (format!("{boot} {id} {ticks}"), age),
            (None, Some(age)) => (format!("{boot} {id}"), age),
            (None, None) => return Ok(None),
        };
        Ok(Some((run, database.progress(age)?)))
    }

    fn write_live(&self, body: Vec<u8>, here: u64, schema: Schema) -> Result<Vec<String>> {
        let (here, wanted) = configurations(body, here)?;
        let changes = plan(&here, &wanted);
        let here = Export { configuration: here, schema, ..Export::default() };
        self.database()?.write_live(&changes, &here, &wanted)
    }

    fn write(&mut self, body: Vec<u8>, history: History) -> Result<Vec<String>> {
        let (claim, here) = self.claim.take().ok_or_else(|| unexpected("the database was not claimed"))?;
        let here = match here {
            Some(here) => here,
            None => claim.export()?.configuration,
        };
        let wanted = configuration(&body, &here)?;
        drop(body);
        claim.write(&plan(&here, &wanted), &wanted, history)
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn done(result: Result<()>) -> Result<Reply> {
    result.map(|()| Reply::Done)
}

fn unexpected(reason: &str) -> Error {
    Error::new(Kind::Bug, "the worker received an unexpected request").because(reason)
}

/// The configuration in `body`, with the rows `here` in place of equal ones.
fn configuration(body: &[u8], here: &Configuration) -> Result<Configuration> {
    let failed = |fault| Error::new(Kind::Bug, "the worker received an unusable configuration").because(fault);
    dump::parse_body_beside(body, here).map_err(failed)
}

/// The two configurations in `body`, the first of which has `first` bytes. The memory of the body is free when this returns.
fn configurations(body: Vec<u8>, first: u64) -> Result<(Configuration, Configuration)> {
    let parts = usize::try_from(first).ok().and_then(|first| body.split_at_checked(first));
    let (here, wanted) = parts.ok_or_else(|| unexpected("its body is too short"))?;
    let here = configuration(here, &Configuration::default())?;
    let wanted = configuration(wanted, &here)?;
    Ok((here, wanted))
}

/// The databases that these processes have open, sorted by path.
fn open_in(processes: &[u32]) -> Vec<String> {
    let files = processes.iter().filter_map(|id| std::fs::read_dir(format!("/proc/{id}/fd")).ok()).flatten();
    let paths =
        files.filter_map(|file| Some(std::fs::read_link(file.ok()?.path()).ok()?.to_string_lossy().into_owned()));
    let databases: BTreeSet<String> = paths.filter(|path| path.starts_with('/') && path.ends_with(".db")).collect();
    databases.into_iter().collect()
}

/// The texts of the files that match a pattern, sorted by name. As in glob(7), `*` matches no leading dot. A file that
/// is missing or not text is left out: systemd and Uptime Kuma ignore it, too.
///
/// # Errors
/// [`Kind::NotPermitted`] for a file that this user may not read.
pub(in crate::host::kuma) fn read(pattern: &Path) -> Result<Vec<String>> {
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let paths = pattern.to_str().and_then(|pattern| glob::glob_with(pattern, options).ok());
    let mut texts = Vec::new();
    for found in paths.into_iter().flatten() {
        let (path, text) = match found {
            Ok(path) => (path.clone(), files::read_small_text(&path, MAX_SETTINGS)),
            Err(error) => (error.path().to_owned(), Err(error.into())),
        };
        match text {
            Ok(text) => texts.push(text),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let what = format!("read {}, which the unit of Uptime Kuma uses", path.display());
                let hint = "let this user read it, or set data-directory and url in [uptime-kuma]";
                return Err(Error::io(what, error).with_hint(hint));
            }
            Err(_) => {}
        }
    }
    Ok(texts)
}
