//! Names of things outside: the repository, shown without its credentials, and the unit, checked.

use std::fmt;

/// A restic repository. It may contain credentials, so it is shown without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(pub(super) String);

impl Location {
    /// The repository with its credentials, for restic only.
    pub fn secret(&self) -> &str {
        &self.0
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

/// `url` with the part between `//` and the last `@` replaced by `***`. A password may contain an unescaped
/// slash, so everything before the `@` is replaced as soon as it contains a colon.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((secret, host)) if secret.contains(':') || !secret.contains('/') => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
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
