//! Running one restic: starting it, reading its outputs, and ending it.
//!
//! It ends with this process, however that ends; at its deadline; and when this process receives a signal to stop.
//! [`super::failure`] knows what its messages mean.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::failure;
use super::messages::Messages;
use crate::error::Kind;

/// How long restic may take to remove its lock after an interrupt, and its outputs to be closed after its end.
pub(super) const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of hopeless retries after which restic is ended.
const MAX_HOPELESS_RETRIES: u32 = 3;

/// The longest line on standard error, in bytes. The rest of a longer one is skipped.
const MAX_LINE: u64 = 64 << 10;

/// How a restic ended.
#[derive(Debug)]
pub(super) enum End {
    /// It exited.
    Exited(ExitStatus),
    /// It was ended because it took too long.
    Deadline,
    /// It was ended because this process received a signal to stop, or something else goes first.
    Interrupted,
    /// It was ended because it wrote more than allowed.
    TooLong,
    /// It was ended because it retried something hopeless.
    Hopeless(Kind),
}

/// What a restic wrote, and how it ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) end: End,
    /// Its standard output.
    pub(super) output: Vec<u8>,
    /// Its standard error.
    pub(super) messages: Messages,
}

/// A restic to run.
pub(super) struct Process {
    /// Program, arguments and environment.
    pub(super) command: std::process::Command,
    /// Standard input; `None` for an empty one.
    pub(super) input: Option<OwnedFd>,
    /// The longest output, in bytes.
    pub(super) limit: usize,
    pub(super) timeout: Duration,
    /// How long it may take to remove its lock after an interrupt.
    pub(super) patience: Duration,
}

impl Process {
    /// Runs it to its end, which `stopped` brings early.
    ///
    /// # Errors
    /// If it cannot be started or waited for.
    pub(super) async fn run(self, stopped: impl Future<Output = ()>) -> io::Result<Finished> {
        let (timeout, limit, patience) = (self.timeout, self.limit, self.patience);
        let mut child = self.spawn()?;
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let (mut output, mut messages) = (Vec::new(), Messages::default());
        let end = {
            let mut reading = pin!(read(&mut stdout, &mut stderr, limit, &mut output, &mut messages));
            tokio::select! {
                biased;
                end = &mut reading => end?,
                () = stopped => Some(End::Interrupted),
                () = tokio::time::sleep(timeout) => Some(End::Deadline),
                // All that it wrote is in the pipes by now. What it has started, such as the agent of a password manager,
                // may keep them open for ever.
                _ = child.wait() => tokio::time::timeout(END_TIMEOUT, reading).await.unwrap_or(Ok(None))?,
            }
        };
        let end = match end {
            Some(end) => {
                end_child(&mut child, patience, stdout, stderr).await?;
                end
            }
            // It has ended, or has closed its outputs and is about to.
            None => End::Exited(match tokio::time::timeout(END_TIMEOUT, child.wait()).await {
                Ok(status) => status?,
                Err(_) => end_child(&mut child, patience, stdout, stderr).await?,
            }),
        };
        Ok(Finished { end, output, messages })
    }

    fn spawn(self) -> io::Result<Child> {
        let mut command = Command::from(self.command);
        command
            .stdin(self.input.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A ^C at the terminal must reach only this process, which then ends restic.
            .process_group(0)
            .kill_on_drop(true);
        let parent = Pid::from_raw(i32::try_from(std::process::id()).unwrap_or_default());
        let end_with_parent = move || {
            // The signal is sent when the thread that starts restic ends. The same thread waits for restic.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // If the parent died before the line above, no signal is sent.
            if rustix::process::getppid() != parent {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
            }
            Ok(())
        };
        #[allow(unsafe_code, reason = "between fork and exec it makes two system calls and allocates nothing")]
        // SAFETY: both calls are async-signal-safe, and the closure uses no memory except its copy of a pid.
        unsafe {
            command.pre_exec(end_with_parent);
        }
        command.spawn()
    }
}

/// Reads both outputs to their ends, or until restic has to be ended.
async fn read(
    stdout: &mut Option<ChildStdout>,
    stderr: &mut Option<ChildStderr>,
    limit: usize,
    output: &mut Vec<u8>,
    messages: &mut Messages,
) -> io::Result<Option<End>> {
    let read_output = async {
        let Some(stdout) = stdout else { return Ok(()) };
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        stdout.take(most).read_to_end(output).await.map_err(Err)?;
        if output.len() > limit { Err(Ok(End::TooLong)) } else { Ok(()) }
    };
    let read_messages = async {
        let Some(stderr) = stderr else { return Ok(()) };
        let mut stderr = BufReader::new(stderr);
        let (mut hopeless, mut in_line) = (0, false);
        loop {
            let mut line = Vec::new();
            if (&mut stderr).take(MAX_LINE).read_until(b'\n', &mut line).await.map_err(Err)? == 0 {
                return Ok(());
            }
            // Of a longer line only the beginning counts: the rest may begin in the middle of a secret, which would not be
            // masked.
            if std::mem::replace(&mut in_line, !line.ends_with(b"\n")) {
                continue;
            }
            messages.add(&line);
            if let Some(kind) = messages.last().and_then(failure::hopeless) {
                hopeless += 1;
                if hopeless == MAX_HOPELESS_RETRIES {
                    return Err(Ok(End::Hopeless(kind)));
                }
            }
        }
    };
    match tokio::try_join!(read_output, read_messages) {
        Ok(((), ())) => Ok(None),
        Err(early) => early.map(Some),
    }
}

/// Interrupts restic, so that it removes its lock, and kills it if it does not end.
async fn end_child(
    child: &mut Child,
    patience: Duration,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
) -> io::Result<ExitStatus> {
    // It keeps its id until it is waited for, so the signal cannot reach another process.
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // An error means that it has ended in the meantime.
        let _ = rustix::process::kill_process(pid, Signal::INT);
        // It writes a message before it removes the lock, and would die of a closed pipe.
        let ended = async { tokio::join!(child.wait(), drain(stdout), drain(stderr)).0 };
        if let Ok(status) = tokio::time::timeout(patience, ended).await {
            return status;
        }
        // The group contains its helpers, such as ssh or rclone.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    child.wait().await
}

async fn drain(output: Option<impl AsyncRead + Unpin>) {
    if let Some(mut output) = output {
        // The output is discarded, and so is an error in reading it.
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    }
}

/// `dump` as a file for restic to read from.
///
/// Not a pipe: if this process died while it fills a pipe, restic would read a proper end of its input and store a
/// truncated dump as a good snapshot. This file is complete and sealed before restic starts, and never has a name on a
/// disk.
pub(super) fn sealed(dump: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("dump", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(dump)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// An exit, for messages.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("restic ended with exit code {code}"),
        (None, Some(signal)) => format!("restic was killed by signal {signal}"),
        (None, None) => "restic ended".to_owned(),
    }
}
