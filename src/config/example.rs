//! The documented file of the package: every key with its default, in comments.

/// The file.
pub const EXAMPLE: &str = include_str!("../../packaging/usr/share/doc/kuma-replicator/config.toml");

/// Keys without a default that could be written: required, discovered, or found in several places.
const WITHOUT_DEFAULT: [&str; 6] = ["role", "repository", "password-file", "environment-file", "data-directory", "url"];

/// Keys for what is not done unless they are written.
const NOT_SET: [&str; 1] = ["metrics-file"];

/// A key of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// The section that it is in; empty at the top.
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// Its value in TOML, if it has one that is not written.
    pub(super) default: Option<&'static str>,
    /// What it means that it is not written.
    pub(super) unwritten: &'static str,
}

/// All keys, in their order.
pub(super) fn keys() -> impl Iterator<Item = Key> {
    let mut section = "";
    EXAMPLE.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            return None;
        }
        // A key starts right after the sign, prose after a space.
        let (name, value) = line.strip_prefix('#')?.split_once(" = ").filter(|(name, _)| !name.contains(' '))?;
        let (default, unwritten) = match name {
            name if WITHOUT_DEFAULT.contains(&name) => (None, "found on this host"),
            name if NOT_SET.contains(&name) => (None, "not set"),
            _ => (Some(value), "default"),
        };
        Some(Key { section, name, default, unwritten })
    })
}
