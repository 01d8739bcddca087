//! Names of things outside: the repository, shown without its credentials, and the unit, checked.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::model::digest::Digest;

/// What the service has for itself (`PrivateTmp=`).
const PRIVATE: [&str; 2] = ["/tmp", "/var/tmp"];

/// A restic repository. It may contain credentials, so it is shown without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(pub(super) String);

impl Location {
    /// The repository with its credentials, for restic only.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The digest of its address without credentials, by which a host knows that it speaks of the same repository.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }

    /// The folder that it is, if it is one: as restic does, it takes what has no kind before a colon for one.
    pub fn folder(&self) -> Option<&Path> {
        let path = self.0.strip_prefix("local:").unwrap_or(&self.0);
        let has_kind = path.len() == self.0.len() && path.split('/').next().is_some_and(|first| first.contains(':'));
        (!has_kind).then(|| Path::new(path))
    }

    /// What ssh(1) connects to, if it is reached over SFTP, and if its name is plain.
    pub fn ssh(&self) -> Option<SshTarget> {
        let rest = self.0.strip_prefix("sftp:")?;
        let (target, port) = match rest.strip_prefix("//") {
            Some(url) => {
                let target = url.split('/').next()?;
                match target.rsplit_once(':') {
                    Some((target, port)) if !port.ends_with(']') => (target, Some(port.parse().ok()?)),
                    _ => (target, None),
                }
            }
            None => (rest.split(':').next()?, None),
        };
        let (user, host) = match target.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, target),
        };
        let plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-[]:".contains(c))
        };
        (plain(host) && user.is_none_or(plain)).then(|| SshTarget {
            user: user.map(str::to_owned),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        })
    }

    /// Whether there are credentials in it.
    pub fn has_credentials(&self) -> bool {
        without_credentials(&self.0) != self.0
    }

    /// Why the service could not use it, if it is a folder that it could not use on any host.
    pub(super) fn problem(&self) -> Option<String> {
        let folder = self.folder()?;
        let shown = folder.display();
        if !folder.is_absolute() {
            return Some(format!(
                "repository is '{shown}'; write the whole path of a folder, such as \"/srv/kuma\", or another kind of \
                 repository, such as \"sftp:user@host:/srv/kuma\""
            ));
        }
        let mut plain = PathBuf::new();
        for component in folder.components() {
            match component {
                Component::ParentDir => drop(plain.pop()),
                component => plain.push(component),
            }
        }
        PRIVATE.iter().any(|private| plain.starts_with(private)).then(|| {
            format!("repository is '{shown}'; the service has its own /tmp and cannot see it: write \"/srv/kuma\", say")
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What ssh(1) connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// The name of the user there, if it is said.
    pub user: Option<String>,
    /// The name or address of the host, without brackets.
    pub host: String,
    /// Its port, if it is said.
    pub port: Option<u16>,
}

impl fmt::Display for SshTarget {
    /// As the arguments of ssh(1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(port) = self.port {
            write!(f, "-p {port} ")?;
        }
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }
    }
}

/// `url` with the part between `//` and the last `@` replaced by `***`. A password may contain an unescaped
/// slash, so everything before the `@` is replaced as soon as it contains a colon.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((secret, host)) if secret.contains(':') || !secret.contains('/') => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
}

/// Whether `url` is a whole address of a web server.
pub(super) fn is_address(url: &str) -> bool {
    let uri = url.parse::<ureq::http::Uri>();
    uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// The name of a systemd service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitName(String);

impl UnitName {
    /// The unit of Uptime Kuma where none is configured.
    pub(super) fn uptime_kuma() -> Self {
        Self("uptime-kuma.service".to_owned())
    }

    /// Checks `name`; `.service` is added where it has no suffix.
    ///
    /// # Errors
    /// That it is not the name of a service, for people.
    pub fn new(name: &str) -> Result<Self, String> {
        let name = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:\\".contains(c);
        if !name.ends_with(".service") || name.len() > 255 || name.len() < 9 || !name.chars().all(plain) {
            return Err(format!("'{name}' is not the name of a service unit"));
        }
        Ok(Self(name))
    }
}

impl AsRef<str> for UnitName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
