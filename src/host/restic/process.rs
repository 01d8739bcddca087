//! One restic at a time: started, listened to, and never left behind.
//!
//! It ends with the agent whatever ends the agent, at its deadline, and when the agent is told to stop.
//! What its words mean is decided in [`super::failure`].

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::failure;
use super::messages::Said;
use crate::error::Kind;
use crate::host::system::interrupt::Interrupt;

/// How long restic may take to remove its lock when it is asked to end.
const GRACE: Duration = Duration::from_secs(2);

/// After so many attempts that are not worth more of them, restic is ended.
const HOPELESS: u32 = 3;

/// The longest answer on standard error that counts as one line.
const MAX_LINE: u64 = 64 << 10;

/// How a restic ended.
#[derive(Debug)]
pub(super) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// By us: it took too long.
    Deadline,
    /// By us: the agent was told to stop.
    Interrupted,
    /// By us: it wrote more than allowed.
    TooLong,
    /// By us: it went on trying what is not worth it.
    Hopeless(Kind),
}

/// What a restic left.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended.
    pub(super) end: End,
    /// Its standard output.
    pub(super) output: Vec<u8>,
    /// Its standard error.
    pub(super) said: Said,
}

/// What to run, and within which bounds.
pub(super) struct Run {
    /// Program, arguments and environment.
    pub(super) command: std::process::Command,
    /// Standard input; nothing if there is none.
    pub(super) input: Option<OwnedFd>,
    /// The longest output, in bytes.
    pub(super) limit: usize,
    /// How long it may take.
    pub(super) timeout: Duration,
}

impl Run {
    /// Runs it to its end.
    ///
    /// # Errors
    /// Why it could not be started or waited for.
    pub(super) async fn start_and_wait(self, interrupt: &Interrupt) -> io::Result<Ended> {
        let (timeout, limit) = (self.timeout, self.limit);
        let mut child = self.spawn()?;
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let (mut output, mut said) = (Vec::new(), Said::default());
        let end = tokio::select! {
            biased;
            end = listen(&mut stdout, &mut stderr, limit, &mut output, &mut said) => end?,
            () = interrupt.wait() => Some(End::Interrupted),
            () = tokio::time::sleep(timeout) => Some(End::Deadline),
        };
        let end = match end {
            Some(end) => {
                dismiss(&mut child, stdout, stderr).await?;
                end
            }
            // Both outputs are closed, so it has ended, or is about to.
            None => End::Exited(match tokio::time::timeout(GRACE, child.wait()).await {
                Ok(status) => status?,
                Err(_) => dismiss(&mut child, stdout, stderr).await?,
            }),
        };
        Ok(Ended { end, output, said })
    }

    fn spawn(self) -> io::Result<Child> {
        let mut command = Command::from(self.command);
        command
            .stdin(self.input.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A ^C at the terminal is for the agent, which then ends restic in its own way.
            .process_group(0)
            .kill_on_drop(true);
        let agent = Pid::from_raw(i32::try_from(std::process::id()).unwrap_or_default());
        let end_with_agent = move || {
            // Sent when the thread ends that starts restic; here that is the one that waits for it.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The agent may have died before the line above; nobody would send the signal then.
            if rustix::process::getppid() != agent {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
            }
            Ok(())
        };
        #[allow(unsafe_code, reason = "between fork and exec it makes two system calls and allocates nothing")]
        // SAFETY: both calls are async-signal-safe, and the closure touches no memory but its copy of a pid.
        unsafe {
            command.pre_exec(end_with_agent);
        }
        command.spawn()
    }
}

/// Reads both outputs to their ends, or until there is a reason not to go on.
async fn listen(
    stdout: &mut Option<ChildStdout>,
    stderr: &mut Option<ChildStderr>,
    limit: usize,
    output: &mut Vec<u8>,
    said: &mut Said,
) -> io::Result<Option<End>> {
    let read_output = async {
        let Some(stdout) = stdout else { return Ok(()) };
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        stdout.take(most).read_to_end(output).await.map_err(Err)?;
        if output.len() > limit { Err(Ok(End::TooLong)) } else { Ok(()) }
    };
    let read_said = async {
        let Some(stderr) = stderr else { return Ok(()) };
        let mut stderr = BufReader::new(stderr);
        let (mut in_vain, mut within) = (0, false);
        loop {
            let mut line = Vec::new();
            if (&mut stderr).take(MAX_LINE).read_until(b'\n', &mut line).await.map_err(Err)? == 0 {
                return Ok(());
            }
            // Of a longer line only the beginning counts: the rest might begin in the middle of a secret, which
            // would not be recognised as one.
            if std::mem::replace(&mut within, !line.ends_with(b"\n")) {
                continue;
            }
            said.add(&line);
            if let Some(kind) = said.last().and_then(failure::hopeless) {
                in_vain += 1;
                if in_vain == HOPELESS {
                    return Err(Ok(End::Hopeless(kind)));
                }
            }
        }
    };
    match tokio::try_join!(read_output, read_said) {
        Ok(((), ())) => Ok(None),
        Err(early) => early.map(Some),
    }
}

/// Asks restic to end, so that it removes its lock, and ends it if it does not.
async fn dismiss(
    child: &mut Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
) -> io::Result<ExitStatus> {
    // It has an id until it was waited for, so this cannot hit another process.
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // That it ended in the meantime is as good.
        let _ = rustix::process::kill_process(pid, Signal::INT);
        // It says that it was interrupted before it removes the lock, and would die of a closed pipe.
        let ended = async { tokio::join!(child.wait(), drain(stdout), drain(stderr)).0 };
        if let Ok(status) = tokio::time::timeout(GRACE, ended).await {
            return status;
        }
        // With it go the helpers it started, such as ssh or rclone.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    child.wait().await
}

async fn drain(output: Option<impl AsyncRead + Unpin>) {
    if let Some(mut output) = output {
        // What it is worth is known already: nothing.
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    }
}

/// `dump` as a file for restic to read from.
///
/// Not a pipe: if the agent dies while it fills a pipe, restic sees a proper end of its input, and stores
/// a truncated dump as a good snapshot. This file is complete before restic starts, and sealed, so that
/// it stays so; and it never has a name on any disk.
pub(super) fn sealed(dump: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("dump", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(dump)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// What an exit is called in messages.
pub(super) fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("restic ended with exit code {code}"),
        (None, Some(signal)) => format!("restic was ended by signal {signal}"),
        (None, None) => "restic ended".to_owned(),
    }
}
