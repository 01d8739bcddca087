//! What root's ssh has for a repository over SFTP: a key of this program's own, and the keys of servers that it knows.
//!
//! Nothing that is there is changed: lines are only added, and the key has a file of its own, which `~/.ssh/config` names for
//! that server and user alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{is_this_host, name, own_keys, run};
use crate::config::SshTarget;
use crate::error::{Error, Kind, Result};
use crate::host::system::files::{self, PRIVATE};
use crate::model::limits::MAX_SETTINGS;

/// The name of the key of this program.
const KEY: &str = "kuma-replicator";

/// The files of root's ssh.
#[derive(Debug, Clone)]
pub struct Ssh {
    directory: PathBuf,
}

impl Ssh {
    /// Those of the user with this home.
    pub fn of(home: &Path) -> Self {
        Self { directory: home.join(".ssh") }
    }

    /// Where the key of this program is.
    pub fn key(&self) -> PathBuf {
        self.directory.join(KEY)
    }

    /// The public part of the key of this program; `None` if there is no key.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn public_key(&self) -> Result<Option<String>> {
        if !self.key().exists() {
            return Ok(None);
        }
        let key = self.key().display().to_string();
        run("read the ssh key", Command::new("ssh-keygen").args(["-y", "-f", &key]))
            .map(|text| Some(text.trim().to_owned()))
    }

    /// Makes a key for `target`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_key(&self, target: &SshTarget) -> Result<()> {
        self.make_directory()?;
        let key = self.key().display().to_string();
        let comment = format!("kuma-replicator@{}", crate::host::host_name());
        run(
            "make an ssh key",
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", &comment, "-f", &key]),
        )?;
        self.use_key(target)
    }

    /// Takes over a key for `target`. Returns whether it was new.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there is another key already.
    pub fn install_key(&self, text: &str, target: &SshTarget) -> Result<bool> {
        self.make_directory()?;
        let path = self.key();
        let text = format!("{}\n", text.trim());
        match files::read_small_text(&path, MAX_SETTINGS) {
            Ok(there) if there.trim() == text.trim() => self.use_key(target).map(|()| false),
            Ok(_) => {
                let what = format!("there is another ssh key in {}", path.display());
                Err(Error::new(Kind::Usage, what).with_hint("move it away, if nothing needs it"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::replace(&path, text.as_bytes())?;
                self.use_key(target).map(|()| true)
            }
            Err(error) => Err(Error::io(format!("read {}", path.display()), error)),
        }
    }

    /// Lets ssh use the key of this program for `target`.
    fn use_key(&self, target: &SshTarget) -> Result<()> {
        let user = target.user.as_ref().map(|user| format!(" user {user}")).unwrap_or_default();
        let line = format!("Match originalhost {}{user}\n    IdentityFile {}\n", target.host, self.key().display());
        self.add_once("config", &line)
    }

    /// Adds lines to `known_hosts`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn trust(&self, lines: &str) -> Result<()> {
        self.make_directory()?;
        self.add_once("known_hosts", lines)
    }

    /// The lines of `known_hosts` about `target`; empty if it is not known. Those of this host itself are known.
    pub fn known(&self, target: &SshTarget) -> String {
        let file = self.directory.join("known_hosts").display().to_string();
        let found = run("find a host key", Command::new("ssh-keygen").args(["-F", &name(target), "-f", &file]));
        let lines: Vec<String> = found
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        match lines.is_empty() && is_this_host(&target.host) {
            true => own_keys(target),
            false => lines.concat(),
        }
    }

    fn make_directory(&self) -> Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|error| Error::io(format!("make {}", self.directory.display()), error))
    }

    /// Adds `text` to a file, unless it is there.
    fn add_once(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        let there = match fs::read_to_string(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            there => there.unwrap_or_default(),
        };
        if there.contains(text) {
            return Ok(());
        }
        let gap = if there.is_empty() || there.ends_with('\n') { "" } else { "\n" };
        let file = OpenOptions::new().append(true).create(true).mode(PRIVATE).open(&path);
        file.and_then(|mut file| file.write_all(format!("{gap}{text}").as_bytes())).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Ssh;
    use crate::config::SshTarget;

    #[test]
    fn lines_are_added_once_and_nothing_is_lost() {
        let home = tempfile::tempdir().expect("a directory");
        let ssh = Ssh::of(home.path());
        let target = SshTarget { user: Some("kuma".to_owned()), host: "backup.example.org".to_owned(), port: None };
        ssh.trust("a ssh-ed25519 AAAA\n").expect("written");
        std::fs::write(home.path().join(".ssh/known_hosts"), "mine").expect("written");
        for _ in 0..2 {
            ssh.trust("a ssh-ed25519 AAAA\n").expect("written");
        }
        let text = std::fs::read_to_string(home.path().join(".ssh/known_hosts")).expect("text");
        assert_eq!(text, "mine\na ssh-ed25519 AAAA\n");
        for (wanted, key) in [(Some(true), "KEY"), (Some(false), "KEY\n\n"), (None, "OTHER")] {
            assert_eq!(ssh.install_key(key, &target).ok(), wanted, "{key}");
        }
        let text = std::fs::read_to_string(home.path().join(".ssh/config")).expect("text");
        let key = ssh.key().display().to_string();
        assert_eq!(text, format!("Match originalhost backup.example.org user kuma\n    IdentityFile {key}\n"));
    }
}
