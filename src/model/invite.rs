//! The line with which a main invites a replica: the repository, its password and what else a replica needs to reach it.
//!
//! ```text
//! kuma-replicator-invite-1:PAYLOAD:CHECKSUM
//! ```
//!
//! A person carries it over a terminal, where an end is easily lost. So it is one word, it checks itself, and a part that is
//! missing is told from one that was changed. It is a contract: see `docs/format.md`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// What every line begins with, before the number of its format.
const NAME: &str = "kuma-replicator-invite-";

/// The format that this program writes.
const FORMAT: &str = "1";

/// The length of a checksum: the first half of a SHA-256, in hexadecimal digits.
const CHECKSUM: usize = 32;

/// What a replica needs to know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Invite {
    /// The repository, as for `restic -r`. It may contain credentials.
    pub repository: String,
    /// Its password.
    pub password: String,
    /// Lines of an environment file with the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Lines for the `known_hosts` of ssh(1), for a repository over SFTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
    /// A private key for ssh(1), without a passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<String>,
}

impl fmt::Debug for Invite {
    /// Without its content, all of which is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite").finish_non_exhaustive()
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds only strings: this cannot fail.
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default());
        write!(f, "{NAME}{FORMAT}:{payload}:{}", checksum(&payload))
    }
}

/// Why a text is not an invite that can be used. No text shows its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no text.
    Missing,
    /// It is something else.
    Foreign,
    /// It has a format that this program does not know.
    Format,
    /// Its beginning is missing.
    NoBeginning,
    /// Its end is missing.
    NoEnd,
    /// It does not have its checksum.
    Changed,
    /// It has its checksum, and not the content that it should have.
    Content,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is empty",
            Self::Foreign => "it does not begin with kuma-replicator-invite-",
            Self::Format => "its format is not known to this version of kuma-replicator",
            Self::NoBeginning => "it is cut: its beginning is missing",
            Self::NoEnd => "it is cut: its end is missing",
            Self::Changed => "characters in it are missing, added or changed",
            Self::Content => "its content is not that of an invite",
        })
    }
}

impl std::error::Error for Fault {}

impl FromStr for Invite {
    type Err = Fault;

    /// Reads a line, wherever a terminal or a mail has broken it.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if text.is_empty() {
            return Err(Fault::Missing);
        }
        let Some(named) = text.strip_prefix(NAME) else {
            let end = text.rsplit_once(':').map(|(_, end)| end);
            return Err(if end.is_some_and(is_checksum) { Fault::NoBeginning } else { Fault::Foreign });
        };
        let (format, rest) = named.split_once(':').ok_or(Fault::NoEnd)?;
        if format != FORMAT {
            let number = !format.is_empty() && format.bytes().all(|byte| byte.is_ascii_digit());
            return Err(if number { Fault::Format } else { Fault::Changed });
        }
        let (payload, sum) = rest.split_once(':').ok_or(Fault::NoEnd)?;
        match checksum(payload) {
            wanted if wanted == sum => {}
            wanted if wanted.starts_with(sum) => return Err(Fault::NoEnd),
            _ => return Err(Fault::Changed),
        }
        let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Fault::Content)?;
        serde_json::from_slice(&bytes).map_err(|_| Fault::Content)
    }
}

fn checksum(payload: &str) -> String {
    Digest::of(payload.as_bytes()).hex().chars().take(CHECKSUM).collect()
}

fn is_checksum(text: &str) -> bool {
    text.len() == CHECKSUM && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::{Fault, Invite, NAME, checksum};

    fn invite() -> Invite {
        Invite {
            repository: "s3:https://s3.example.org/bucket/kuma".to_owned(),
            password: "geheim \"ü\"".to_owned(),
            environment: Some("AWS_ACCESS_KEY_ID=A\n".to_owned()),
            known_hosts: None,
            ssh_key: None,
        }
    }

    #[test]
    fn an_invite_is_read_as_it_is_written_and_wherever_it_was_broken() {
        let line = invite().to_string();
        assert_eq!(line.parse(), Ok(invite()));
        let broken: Vec<&str> =
            line.as_bytes().chunks(40).map(|part| std::str::from_utf8(part).expect("text")).collect();
        assert_eq!(format!("  {}\r\n", broken.join("\n  ")).parse(), Ok(invite()));
        assert!(!format!("{:?}", invite()).contains("geheim"));
    }

    #[test]
    fn every_cut_is_noticed_and_named() {
        let line = invite().to_string();
        for end in NAME.len()..line.len() {
            assert_eq!(line[..end].parse::<Invite>(), Err(Fault::NoEnd), "{}", &line[..end]);
        }
        for start in 1..line.len() - 33 {
            assert_eq!(line[start..].parse::<Invite>(), Err(Fault::NoBeginning), "{}", &line[start..]);
        }
        for at in NAME.len() + 2..line.len() {
            let without = format!("{}{}", &line[..at], &line[at + 1..]);
            assert!(without.parse::<Invite>().is_err(), "without character {at}");
        }
        assert_eq!(format!("{line}x").parse::<Invite>(), Err(Fault::Changed));
        assert_eq!(line.replace("-1:", "-1:A").parse::<Invite>(), Err(Fault::Changed));
    }

    #[test]
    fn what_is_no_invite_is_refused() {
        for (text, fault) in [
            ("", Fault::Missing),
            (" \n", Fault::Missing),
            ("correct horse battery staple", Fault::Foreign),
            ("kuma-replicator-invite-2:AAAA:00", Fault::Format),
            ("kuma-replicator-invite-one:AAAA:00", Fault::Changed),
            ("kuma-replicator-invite-1", Fault::NoEnd),
            ("kuma-replicator-invite-1:", Fault::NoEnd),
        ] {
            assert_eq!(text.parse::<Invite>(), Err(fault), "{text}");
        }
        for payload in ["!", "AAAA", "e30", "W10"] {
            let line = format!("{NAME}1:{payload}:{}", checksum(payload));
            assert_eq!(line.parse::<Invite>(), Err(Fault::Content), "{payload}");
        }
    }
}
