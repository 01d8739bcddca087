//! Watching a host while it works, closely enough to strike between two steps of a program on it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::process::{arguments, children};
use super::{LIMIT, Machine, Result};

/// The journal of a host as it is written.
pub(crate) struct Watch {
    reader: Child,
    entries: Receiver<Value>,
}

impl Machine {
    /// Watches what `identifier` writes to the journal from now on.
    pub(crate) fn watch(&self, identifier: &str) -> Result<Watch> {
        // From out here: a process of ours inside would keep the host from ending when it shuts down.
        let mut reader = Command::new("journalctl")
            .arg("--directory")
            .arg(self.root().join("var/log/journal"))
            .args(["--follow", "--lines=0", "--output=json", "--quiet", "-t", identifier])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (send, entries) = channel();
        let lines = BufReader::new(reader.stdout.take().ok_or("no standard output")?).lines();
        thread::spawn(move || {
            for entry in lines.map_while(std::io::Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
                if send.send(entry).is_err() {
                    break;
                }
            }
        });
        let watch = Watch { reader, entries };
        // It is watching when it sees what is written now.
        let deadline = Instant::now() + LIMIT;
        while watch.next(Duration::from_millis(100))?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("{}: nothing can be seen in the journal", self.name).into());
            }
            self.run(&["logger", "-t", identifier, "the watch begins"])?;
        }
        Ok(watch)
    }

    /// The number, out here, of the process that process 1 of the host has started with these arguments.
    pub(crate) fn process(&self, command: &[&str]) -> Option<Pid> {
        let found = children(self.init()?).into_iter().find(|pid| arguments(*pid) == command)?;
        Pid::from_raw(found.try_into().ok()?)
    }
}

impl Watch {
    /// The next entry, if one comes within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Result<Option<Value>> {
        match self.entries.recv_timeout(patience) {
            Ok(entry) => Ok(Some(entry)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("the journal cannot be watched any more".into()),
        }
    }

    /// All that has come so far.
    pub(crate) fn all(&self) -> Vec<Value> {
        self.entries.try_iter().collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended with its host.
        let _ = self.reader.kill();
        let _ = self.reader.wait();
    }
}

/// Sends a signal; `false` if the process has ended.
pub(crate) fn signal(process: Pid, signal: Signal) -> bool {
    kill_process(process, signal).is_ok()
}
