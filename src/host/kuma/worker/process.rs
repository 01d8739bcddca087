//! The process of a worker: starting it, and ending it, also where this process may not send it a signal.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long it may take to end by itself, and then to be killed.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that has ended when this is dropped: only then is a database that it had claimed free for Uptime Kuma.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Dropped, it ends the thread that started the process. The kernel then kills the process, as whichever user it runs
    /// (`PR_SET_PDEATHSIG`, which the worker sets): the service has no right to send a signal to another user.
    thread: Option<mpsc::Sender<()>>,
}

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// If it, or the thread that starts it, cannot be started.
    pub(super) async fn start(mut command: Command) -> io::Result<Self> {
        let (thread, end) = mpsc::channel();
        let (sender, started) = oneshot::channel();
        let runtime = Handle::current();
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let _context = runtime.enter();
            if sender.send(command.spawn()).is_ok() {
                // It ends when the sender is dropped, with an error that says so.
                let _ = end.recv();
            }
        })?;
        let child = started.await.map_err(io::Error::other)??;
        Ok(Self { child, thread: Some(thread) })
    }

    /// Its standard input and output, once.
    pub(super) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        self.child.stdin.take().zip(self.child.stdout.take())
    }

    /// Its id; `None` if it has ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it ends within [`END_TIMEOUT`].
    fn ends(&mut self) -> bool {
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Process {
    /// The end of its input is a request to end. One that hangs in the kernel outlives this, and is killed there.
    fn drop(&mut self) {
        if !self.ends() {
            self.thread = None;
            // For a program that is no worker, in a test. Fails if it runs as another user.
            let _ = self.child.start_kill();
            self.ends();
        }
    }
}
