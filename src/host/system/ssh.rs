//! What root's ssh needs for a repository over SFTP: a key of this program's own, and the key of the server.
//!
//! Nothing that is there is changed: lines are only added, and the key has a file of its own, which `~/.ssh/config` names for
//! that server and user alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::files::{self, PRIVATE};
use crate::config::SshTarget;
use crate::error::{Error, Kind, Result};
use crate::model::limits::MAX_SETTINGS;

/// The name of the key of this program.
const KEY: &str = "kuma-replicator";

/// The files of root's ssh.
#[derive(Debug, Clone)]
pub struct Ssh {
    directory: PathBuf,
}

/// The key of a server, as it shows it.
#[derive(Debug, Clone)]
pub struct HostKeys {
    /// Lines for `known_hosts`.
    pub lines: String,
    /// One fingerprint for each of them, with the type of the key.
    pub fingerprints: Vec<String>,
}

impl Ssh {
    /// Those of the user with this home.
    pub fn of(home: &Path) -> Self {
        Self { directory: home.join(".ssh") }
    }

    /// Fails if there is no ssh.
    ///
    /// # Errors
    /// [`Kind::ResticMissing`], which restic would end with.
    pub fn check_installed() -> Result<()> {
        match Command::new("ssh").arg("-V").stdin(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new(Kind::ResticMissing, "a repository over SFTP needs ssh")
                .with_hint("install it with apt install openssh-client")
                .because(error)),
        }
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

/// How an attempt to connect ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The server lets this host in.
    Reached,
    /// The key of the server is not known.
    UnknownHost,
    /// The server lets this host in with none of its keys: its words.
    Denied(String),
    /// Anything else, in the words of ssh.
    Unreachable(String),
}

/// Connects as restic will, and asks nobody anything.
///
/// # Errors
/// If ssh cannot be started.
pub fn attempt(target: &SshTarget) -> Result<Attempt> {
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ClearAllForwardings=yes"]);
    if let Some(port) = target.port {
        ssh.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &target.user {
        ssh.args(["-l", user]);
    }
    // Without input, the server of SFTP ends at once.
    let output = ssh.args(["-s", "--", &target.host, "sftp"]).env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).output();
    let output = output.map_err(|error| Error::io("start ssh", error))?;
    if output.status.success() {
        return Ok(Attempt::Reached);
    }
    Ok(failed(String::from_utf8_lossy(&output.stderr).trim()))
}

/// What the messages of an ssh that failed mean.
fn failed(said: &str) -> Attempt {
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("ssh says nothing").trim().to_owned();
    let has = |sign: &str| said.contains(sign);
    match () {
        // A key that has changed is for a person to look at.
        () if has("REMOTE HOST IDENTIFICATION HAS CHANGED") => Attempt::Unreachable(
            "it shows another host key than before: find out why, then ssh-keygen -R with its name".to_owned(),
        ),
        () if has("Host key verification failed") => Attempt::UnknownHost,
        () if has("Permission denied") => Attempt::Denied(last),
        () => Attempt::Unreachable(last),
    }
}

/// The keys that the server of `target` shows to anybody.
///
/// # Errors
/// [`Kind::RepositoryUnreachable`] if it shows none.
pub fn scan(target: &SshTarget) -> Result<HostKeys> {
    let port = target.port.unwrap_or(22).to_string();
    let mut scan = Command::new("ssh-keyscan");
    scan.args(["-T", "10", "-t", "ed25519,ecdsa,rsa", "-p", &port, "--", &target.host]);
    let lines: String = run("ask for the host key", &mut scan)
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    if lines.is_empty() {
        let what = format!("no ssh server answers at {} on port {port}", target.host);
        return Err(Error::new(Kind::RepositoryUnreachable, what)
            .with_hint("check name, address and port, and whether the server runs"));
    }
    let fingerprints = lines.lines().filter_map(fingerprint).collect();
    Ok(HostKeys { lines, fingerprints })
}

/// The fingerprint of the key in a line of `known_hosts`, after its type: as ssh(1) shows it.
fn fingerprint(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip(1);
    let (kind, key) = (words.next()?, STANDARD.decode(words.next()?).ok()?);
    Some(format!("{kind} SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key))))
}

/// The lines that `known_hosts` has about this host, if it has a server of its own.
fn own_keys(target: &SshTarget) -> String {
    let files = ["ed25519", "ecdsa", "rsa"].map(|kind| format!("/etc/ssh/ssh_host_{kind}_key.pub"));
    let keys = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    let line = |text: String| {
        let mut words = text.split_whitespace();
        Some(format!("{} {} {}\n", name(target), words.next()?, words.next()?))
    };
    keys.filter_map(line).collect()
}

/// Whether this is a name or an address of this host: only such a one can be listened on.
fn is_this_host(host: &str) -> bool {
    UdpSocket::bind((host, 0)).is_ok()
}

/// How `known_hosts` names a host: with its port, if that is not the usual one.
fn name(target: &SshTarget) -> String {
    match target.port {
        Some(port) if port != 22 => format!("[{}]:{port}", target.host),
        _ => target.host.clone(),
    }
}

/// What a program prints.
fn run(what: &str, command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| Error::io(what, error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Files, format!("cannot {what}")).because(said))
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Ssh, failed, fingerprint, is_this_host, name};
    use crate::config::SshTarget;

    fn target(port: Option<u16>) -> SshTarget {
        SshTarget { user: Some("kuma".to_owned()), host: "backup.example.org".to_owned(), port }
    }

    #[test]
    fn lines_are_added_once_and_nothing_is_lost() {
        let home = tempfile::tempdir().expect("a directory");
        let ssh = Ssh::of(home.path());
        ssh.trust("a ssh-ed25519 AAAA\n").expect("written");
        std::fs::write(home.path().join(".ssh/known_hosts"), "mine").expect("written");
        for _ in 0..2 {
            ssh.trust("a ssh-ed25519 AAAA\n").expect("written");
        }
        let text = std::fs::read_to_string(home.path().join(".ssh/known_hosts")).expect("text");
        assert_eq!(text, "mine\na ssh-ed25519 AAAA\n");
        for (wanted, key) in [(Some(true), "KEY"), (Some(false), "KEY\n\n"), (None, "OTHER")] {
            assert_eq!(ssh.install_key(key, &target(None)).ok(), wanted, "{key}");
        }
        let text = std::fs::read_to_string(home.path().join(".ssh/config")).expect("text");
        let key = ssh.key().display().to_string();
        assert_eq!(text, format!("Match originalhost backup.example.org user kuma\n    IdentityFile {key}\n"));
    }

    #[test]
    fn a_host_is_named_with_an_unusual_port() {
        assert_eq!(name(&target(Some(22))), "backup.example.org");
        assert_eq!(name(&target(Some(2222))), "[backup.example.org]:2222");
        assert!(is_this_host("127.0.0.1") && !is_this_host("192.0.2.1"));
    }

    #[test]
    fn what_ssh_says_has_a_meaning() {
        let denied = "kuma@host: Permission denied (publickey).";
        for (said, wanted) in [
            ("Host key verification failed.", Attempt::UnknownHost),
            (denied, Attempt::Denied(denied.to_owned())),
            (
                "ssh: connect to host h port 22: No route to host\r\n",
                Attempt::Unreachable("ssh: connect to host h port 22: No route to host".to_owned()),
            ),
            ("", Attempt::Unreachable("ssh says nothing".to_owned())),
        ] {
            assert_eq!(failed(said), wanted, "{said}");
        }
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.";
        assert!(matches!(failed(changed), Attempt::Unreachable(reason) if reason.contains("ssh-keygen -R")));
    }

    #[test]
    fn a_host_key_is_shown_by_its_fingerprint() {
        let line = "host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
        let shown = "ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
        assert_eq!(fingerprint(line).as_deref(), Some(shown));
        assert_eq!(fingerprint("host ssh-ed25519 !"), None);
    }
}
