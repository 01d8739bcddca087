//! Processes that end with the test, and what `/proc` shows of them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use super::Result;

/// A process that says `ready` on standard output and ends when its standard input closes: when
/// this value is dropped, and also when the test is killed.
pub(super) struct Holder {
    child: Child,
}

impl Holder {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the terminal must not kill the one that cleans up.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let holder = Holder { child };
        if line.trim() == "ready" { Ok(holder) } else { Err(format!("{command:?} did not get ready").into()) }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    pub(super) fn order(&self, line: &str) -> Result<()> {
        let mut stdin = self.child.stdin.as_ref().ok_or("the holder takes no options")?;
        Ok(writeln!(stdin, "{line}")?)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Nothing can be done about a failure: what it holds ends with it in any case.
        let _ = self.child.wait();
    }
}

/// The living children of a process.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let listed = children_of_threads(parent).unwrap_or_else(|_| {
        // A kernel that does not list them. To search all processes is slow where many hosts run.
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    });
    listed.into_iter().filter(|pid| is_living_child(*pid, parent) == Some(true)).collect()
}

/// The children that the threads of a process started, in the order of their numbers.
fn children_of_threads(parent: u32) -> std::io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{parent}/task"))? {
        let listed = fs::read_to_string(thread?.path().join("children"))?;
        children.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    children.sort_unstable();
    Ok(children)
}

/// See proc(5): the name of the program, in parentheses, may itself contain blanks and parentheses.
fn is_living_child(pid: u32, parent: u32) -> Option<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    Some(state != "Z" && fields.next()?.parse() == Ok(parent))
}

/// Whether a process is the first of its namespace of processes.
pub(super) fn is_init(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("NSpid:"));
    line.and_then(|line| line.split_whitespace().last()) == Some("1")
}

/// The arguments of a process, its program first; none if it has ended.
pub(super) fn arguments(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&line).into_owned();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// The only child of a process, once it has started one.
pub(super) fn only_child(parent: u32) -> Result<u32> {
    children(parent).first().copied().ok_or_else(|| format!("process {parent} has no child").into())
}

/// Runs a program to its end.
pub(super) fn output(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output();
    output.map_err(|error| format!("cannot run {command:?}: {error}").into())
}

/// Runs a program to its end, takes its standard output, and makes its failure an error.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status).into())
}
