//! The server that a repository over SFTP is on, as ssh sees it, without asking anybody anything.

use std::fs;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::config::SshTarget;
use crate::error::{Error, Kind, Result};

/// The key of a server, as it shows it.
#[derive(Debug, Clone)]
pub struct HostKeys {
    /// Lines for `known_hosts`.
    pub lines: String,
    /// One fingerprint for each of them, with the type of the key.
    pub fingerprints: Vec<String>,
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

/// The lines that `known_hosts` has about this host, if it has a server of its own.
pub(super) fn own_keys(target: &SshTarget) -> String {
    let files = ["ed25519", "ecdsa", "rsa"].map(|kind| format!("/etc/ssh/ssh_host_{kind}_key.pub"));
    let keys = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    let line = |text: String| {
        let mut words = text.split_whitespace();
        Some(format!("{} {} {}\n", name(target), words.next()?, words.next()?))
    };
    keys.filter_map(line).collect()
}

/// Whether this is a name or an address of this host: only such a one can be listened on.
pub(super) fn is_this_host(host: &str) -> bool {
    UdpSocket::bind((host, 0)).is_ok()
}

/// How `known_hosts` names a host: with its port, if that is not the usual one.
pub(super) fn name(target: &SshTarget) -> String {
    match target.port {
        Some(port) if port != 22 => format!("[{}]:{port}", target.host),
        _ => target.host.clone(),
    }
}

/// What a program prints.
pub(super) fn run(what: &str, command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| Error::io(what, error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Files, format!("cannot {what}")).because(said))
}

#[cfg(test)]
mod tests {
    use super::{Attempt, failed, fingerprint, is_this_host, name};
    use crate::config::SshTarget;

    fn target(port: Option<u16>) -> SshTarget {
        SshTarget { user: Some("kuma".to_owned()), host: "backup.example.org".to_owned(), port }
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
