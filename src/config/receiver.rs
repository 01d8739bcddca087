//! Receivers: who is told of failures and of other events, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration::{WrittenDuration, duration};
use super::names::is_address;
use super::occasion::Occasion;
use super::template::Template;

/// How many receivers there may be. Each gets a thread of its own.
const MAX_RECEIVERS: usize = 8;

/// The keys of a receiver, in the order of the documented file.
pub(super) const KEYS: [&str; 9] =
    ["kind", "url", "url-file", "token-file", "events", "priority", "tags", "template", "ping-every"];

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiverKind {
    /// A topic of an ntfy server.
    Ntfy,
    /// Any server that takes JSON.
    Webhook,
    /// A push monitor of an Uptime Kuma.
    UptimeKuma,
    /// A check of healthchecks.io, or of a server that understands the same pings.
    Healthchecks,
}

impl ReceiverKind {
    /// Whether it is pinged as long as cycles end well, instead of being told of events.
    pub fn is_pinged(self) -> bool {
        matches!(self, Self::UptimeKuma | Self::Healthchecks)
    }

    /// Whether it wants to know when a cycle begins.
    pub fn counts_starts(self) -> bool {
        self == Self::Healthchecks
    }
}

impl fmt::Display for ReceiverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ntfy => "ntfy",
            Self::Webhook => "webhook",
            Self::UptimeKuma => "uptime-kuma",
            Self::Healthchecks => "healthchecks",
        })
    }
}

/// The address of a receiver. Anyone who has it can send messages there, so only its host is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Checks `text`, without the white space around it.
    ///
    /// # Errors
    /// What it must be, without what it is.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !is_address(text) {
            return Err("it must be a whole address, such as https://ntfy.sh/my-topic".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The whole address, for a request only.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The host, with its port.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }
}

/// The address without what makes it a secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.split_once("://").map_or("", |(scheme, _)| scheme);
        write!(f, "{scheme}://{}/***", self.host())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Someone who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// The name of its table.
    pub name: String,
    /// What it understands.
    pub kind: ReceiverKind,
    /// Its address, if it is in the configuration file itself.
    pub url: Option<Address>,
    /// A file with its address.
    pub url_file: Option<PathBuf>,
    /// A file with a token that it asks for.
    pub token_file: Option<PathBuf>,
    /// What it is told of.
    pub events: Vec<Occasion>,
    /// The priority of its messages, 1 to 5, if it does not depend on the event.
    pub priority: Option<u8>,
    /// Tags that its messages get beside that of the event.
    pub tags: Vec<String>,
    /// The JSON that it gets in place of the usual document.
    pub template: Option<Template>,
    /// How often it is pinged while cycles end well.
    pub ping_every: Duration,
}

/// The keys as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct WrittenReceiver {
    kind: ReceiverKind,
    url: Option<String>,
    url_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    events: Option<Vec<Occasion>>,
    priority: Option<u8>,
    tags: Option<Vec<String>>,
    template: Option<String>,
    ping_every: Option<WrittenDuration>,
}

/// The receivers, in the order of their names.
///
/// # Errors
/// Which key is wrong and why, for people.
pub(super) fn receivers(written: BTreeMap<String, WrittenReceiver>) -> Result<Vec<Receiver>, String> {
    if written.len() > MAX_RECEIVERS {
        return Err(format!("notify has {} receivers; there may be {MAX_RECEIVERS}", written.len()));
    }
    written.into_iter().map(|(name, written)| written.check(name)).collect()
}

impl WrittenReceiver {
    fn check(self, name: String) -> Result<Receiver, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
            return Err(format!(
                "notify.{}: the name of a receiver has 1 to 32 characters, a to z, 0 to 9 and -",
                crate::text::short(&name)
            ));
        }
        self.check_keys(&name)?;
        let key = |key: &str| format!("notify.{name}.{key}");
        if let Some(priority) = self.priority.filter(|priority| !(1..=5).contains(priority)) {
            return Err(format!("{} is {priority}; it must be 1 (lowest) to 5 (highest)", key("priority")));
        }
        let url = self.url.as_deref().map(Address::new).transpose();
        let template = self.template.as_deref().map(Template::new).transpose();
        Ok(Receiver {
            kind: self.kind,
            url: url.map_err(|problem| format!("{}: {problem}", key("url")))?,
            url_file: super::written::absolute(&key("url-file"), self.url_file)?,
            token_file: super::written::absolute(&key("token-file"), self.token_file)?,
            events: self.events.unwrap_or_else(|| Occasion::USUAL.to_vec()),
            priority: self.priority,
            tags: self.tags.unwrap_or_default(),
            template: template.map_err(|problem| format!("{}: {problem}", key("template")))?,
            ping_every: duration(&key("ping-every"), self.ping_every, Duration::from_secs(60))?,
            name,
        })
    }

    /// Refuses keys that would do nothing.
    fn check_keys(&self, name: &str) -> Result<(), String> {
        if self.url.is_some() && self.url_file.is_some() {
            return Err(format!("notify.{name} has url and url-file: write one of them"));
        }
        let (ntfy, webhook) = (self.kind == ReceiverKind::Ntfy, self.kind == ReceiverKind::Webhook);
        let pinged = self.kind.is_pinged();
        for (key, is_written, fits) in [
            ("token-file", self.token_file.is_some(), ntfy || webhook),
            ("events", self.events.is_some(), !pinged),
            ("priority", self.priority.is_some(), ntfy),
            ("tags", self.tags.is_some(), ntfy),
            ("template", self.template.is_some(), webhook),
            ("ping-every", self.ping_every.is_some(), pinged),
        ] {
            if is_written && !fits {
                let kinds = match key {
                    "token-file" | "events" => "\"ntfy\" and \"webhook\"",
                    "template" => "\"webhook\"",
                    "ping-every" => "\"uptime-kuma\" and \"healthchecks\"",
                    _ => "\"ntfy\"",
                };
                return Err(format!(
                    "notify.{name}.{key} means nothing with kind \"{}\", only with {kinds}",
                    self.kind
                ));
            }
        }
        Ok(())
    }
}
