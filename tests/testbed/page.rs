//! A page of the manual that is tried: its blocks of code, in their order.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use super::{Machine, Result};

#[path = "../support/blocks.rs"]
mod blocks;

use blocks::{Block, blocks};

/// The blocks of a page that are still to be tried.
pub(crate) struct Page {
    name: &'static str,
    blocks: VecDeque<Block>,
    /// What the page calls by another name than the hosts of the test: as on the page, as here.
    replacements: Vec<(String, String)>,
}

impl Page {
    /// Reads a page, such as `docs/hold.md`.
    pub(crate) fn open(name: &'static str) -> Result<Self> {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))?;
        Ok(Self { name, blocks: blocks(&text), replacements: Vec::new() })
    }

    /// Whether a page has blocks at all.
    pub(crate) fn has_blocks(text: &str) -> bool {
        !blocks(text).is_empty()
    }

    /// From now on, commands have `here` where the page has `there`.
    pub(crate) fn replace(&mut self, there: &str, here: &str) {
        self.replacements.push((there.to_owned(), here.to_owned()));
    }

    /// Types the commands of the next block on a host, and returns what they print on standard output.
    pub(crate) fn run(&mut self, machine: &Machine) -> Result<String> {
        let (place, script) = self.next()?;
        machine.sh(&script).map_err(|error| format!("{place}: {error}").into())
    }

    /// The lines of the next block, with the replacements.
    pub(crate) fn lines(&mut self) -> Result<Vec<String>> {
        Ok(self.next()?.1.lines().map(str::to_owned).collect())
    }

    /// The next block, with the replacements.
    pub(crate) fn text(&mut self) -> Result<String> {
        Ok(self.next()?.1)
    }

    /// Does what the next two blocks say: `systemctl edit UNIT`, and the text that is typed there.
    pub(crate) fn edit_unit(&mut self, machine: &Machine) -> Result<()> {
        let (place, command) = self.next()?;
        let unit = command.trim().strip_prefix("systemctl edit ").ok_or_else(|| format!("{place}: {command}"))?;
        let unit = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
        let directory = machine.root().join(format!("etc/systemd/system/{unit}.d"));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("override.conf"), self.next()?.1)?;
        machine.run(&["systemctl", "daemon-reload"]).map(drop)
    }

    /// Fails unless the next block shows this output. Numbers, ids, times and the width of columns may be others. With
    /// `KUMA_REPLICATOR_BLESS` in the environment, the page gets what it should show.
    pub(crate) fn shows(&mut self, output: &str) -> Result<()> {
        let (place, sample) = self.next()?;
        let shape = |text: &str| -> Vec<String> { text.trim_end().lines().map(shape).collect() };
        if shape(&sample) == shape(output) {
            return Ok(());
        }
        if std::env::var_os("KUMA_REPLICATOR_BLESS").is_some() {
            return self.bless(&sample, output);
        }
        Err(format!("{place} shows\n{sample}\nbut it is\n{output}\n").into())
    }

    fn bless(&self, sample: &str, output: &str) -> Result<()> {
        let undo = |text: &str| {
            self.replacements.iter().fold(text.to_owned(), |text, (there, here)| text.replace(here, there))
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.name);
        let text = fs::read_to_string(&path)?;
        let blessed = text.replacen(&undo(sample), &undo(&format!("{}\n", output.trim_end())), 1);
        if blessed == text {
            return Err(format!("{}: cannot be changed by itself: {output}", self.name).into());
        }
        Ok(fs::write(path, blessed)?)
    }

    /// Passes over the next block, which shows no command and no output.
    pub(crate) fn pass(&mut self) -> Result<()> {
        self.next().map(drop)
    }

    /// Whether the next block begins so.
    pub(crate) fn is_at(&self, begin: &str) -> bool {
        self.blocks.front().is_some_and(|block| block.text.starts_with(begin))
    }

    /// Ends the page; all of it must have been tried.
    pub(crate) fn end(self) -> Result<()> {
        match self.blocks.front() {
            Some(block) => Err(format!("{}:{}: was not tried", self.name, block.line).into()),
            None => Ok(()),
        }
    }

    /// Where the next block is, and its text with the replacements.
    fn next(&mut self) -> Result<(String, String)> {
        let block = self.blocks.pop_front().ok_or_else(|| format!("{}: has no more blocks", self.name))?;
        let text = self.replacements.iter().fold(block.text, |text, (there, here)| text.replace(there, here));
        Ok((format!("{}:{}", self.name, block.line), text))
    }
}

/// A line without what differs from run to run: numbers, ids, times, how long ago it was, and how far columns are apart.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    let mut words = line.split(' ').filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        // (40 s ago), (1 min 3 s ago)
        if word.starts_with('(') && word[1..].chars().all(|c| c.is_ascii_digit()) {
            while words.next_if(|word| !word.starts_with("ago)")).is_some() {}
            shape += "(#) ";
            words.next();
            continue;
        }
        let is_id = |word: &str| word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
        let parts = word.split_inclusive(|c: char| !c.is_alphanumeric());
        for part in parts {
            let (inner, end) = match part.char_indices().next_back() {
                Some((at, last)) if !last.is_alphanumeric() => part.split_at(at),
                _ => (part, ""),
            };
            if is_id(inner) || (!inner.is_empty() && inner.chars().all(|c| c.is_ascii_digit())) {
                shape.push('#');
            } else {
                shape += inner;
            }
            shape += end;
        }
        shape.push(' ');
    }
    shape.trim_end().to_owned()
}
