//! What a replica customization for itself: which part of the main's configuration it takes over, and what differs here.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::catalog;
use crate::model::digest::Digest;

use super::overrides::Override;
use super::tables;

/// What a replica takes over, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All configuration, whenever the newest snapshot is not the one applied last.
    #[default]
    Snapshot,
    /// All but the notifications, whenever the rows here differ from the newest snapshot's.
    Default,
    /// All, in two groups: the notifications, and the rest; each whenever its rows here differ from the newest
    /// snapshot's.
    NotificationsInsertMerge,
}

/// Whose values the rows of a table have that must exist on every host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// The main's.
    #[default]
    Follow,
    /// This host's own, as soon as a row is here.
    Keep,
}

/// Which alerts a replica sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alerts {
    /// Those that the main sends.
    #[default]
    All,
    /// None: it is a silent standby.
    None,
}

impl fmt::Display for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::None => "none",
        })
    }
}

/// What of the main's configuration is not taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Exclude {
    /// Whole tables, and those whose rows belong to rows of them.
    pub tables: Vec<String>,
    /// Monitors that have one of these tags, by the tag's name.
    pub monitor_tags: Vec<String>,
    /// Monitors with a name that matches one of these patterns.
    pub monitor_names: Vec<String>,
    /// Monitors of these types.
    pub monitor_types: Vec<String>,
    /// Groups of monitors with a name that matches one of these patterns, and everything in them.
    pub monitor_groups: Vec<String>,
}

impl Exclude {
    /// Whether it names any monitors.
    pub fn monitors(&self) -> bool {
        let Self { tables: _, monitor_tags, monitor_names, monitor_types, monitor_groups } = self;
        [monitor_tags, monitor_names, monitor_types, monitor_groups].into_iter().any(|names| !names.is_empty())
    }
}

/// Whose values rows have, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalEntities {
    /// Who logs in here. Rows are matched by id, so that what users own stays theirs.
    pub user: Values,
    /// Proxies.
    pub proxy: Values,
    /// Docker hosts.
    pub docker_host: Values,
    /// Remote browsers.
    pub remote_browser: Values,
}

impl LocalEntities {
    /// Whose values the rows of `table` have.
    pub fn values(&self, table: &str) -> Values {
        match table {
            catalog::USER => self.user,
            "proxy" => self.proxy,
            "docker_host" => self.docker_host,
            "remote_browser" => self.remote_browser,
            _ => Values::Follow,
        }
    }
}

/// All that makes the configuration of a replica another one than the main's.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Customization {
    /// What is taken over, and when.
    pub strategy: Strategy,
    /// What is not.
    pub exclude: Exclude,
    /// Whose values some tables have.
    pub local_entities: LocalEntities,
    /// Types of monitors that are paused here, because they look at the host they run on, or wait for it to be
    /// called.
    pub paused_types: Vec<String>,
    /// Values of its own.
    pub overrides: Vec<Override>,
    /// What its monitors are called in alerts beside their names.
    pub label: Option<String>,
    /// Whether monitors on status pages have the main's names all the same.
    pub clean_status_pages: bool,
    /// Which alerts it sends.
    pub alerts: Alerts,
    /// Keys of settings that are taken over.
    pub settings: Vec<String>,
}

/// Types of monitors that make no sense on two hosts.
pub(super) const PAUSED_TYPES: [&str; 5] = ["docker", "pm2", "push", "system-service", "tailscale-ping"];

/// The longest label, in characters: it stands in the name of each monitor.
const MAX_LABEL: usize = 40;

impl Customization {
    /// Which customization these are: others have another digest.
    pub fn digest(&self) -> Digest {
        // Strings, numbers and maps with string keys: it cannot fail.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether the notifications here are left alone.
    pub fn own_notifications(&self) -> bool {
        self.strategy == Strategy::Default
            || self
                .excluded()
                .any(|table| [catalog::NOTIFICATION, catalog::MONITOR_NOTIFICATION, catalog::MONITOR].contains(&table))
    }

    /// The tables that are excluded by name.
    pub fn excluded(&self) -> impl Iterator<Item = &str> {
        let notifications = (self.strategy == Strategy::Default).then_some(catalog::NOTIFICATION);
        self.exclude.tables.iter().map(String::as_str).chain(notifications)
    }

    /// Says what cannot be wished for.
    pub(super) fn check(&self) -> Result<(), String> {
        self.settings.iter().try_for_each(|key| check_setting(key))?;
        if self.exclude.tables.iter().any(|table| table == catalog::SETTING) {
            return Err(
                "replica.exclude.tables: nothing of 'setting' is taken over but what replica.settings lists".to_owned()
            );
        }
        if let Some(table) = self.exclude.tables.iter().find(|table| catalog::find(table).is_none()) {
            return Err(format!("replica.exclude.tables: '{table}' is not a table that is replicated; {}", tables()));
        }
        let Exclude { tables: _, monitor_tags, monitor_names, monitor_types, monitor_groups } = &self.exclude;
        for (key, names) in [
            ("monitor-tags", monitor_tags),
            ("monitor-names", monitor_names),
            ("monitor-types", monitor_types),
            ("monitor-groups", monitor_groups),
        ] {
            if names.iter().any(String::is_empty) {
                return Err(format!("replica.exclude.{key} has an empty text in it"));
            }
        }
        for (number, one) in (1..).zip(&self.overrides) {
            one.check().map_err(|reason| format!("replica.overrides, number {number}: {reason}"))?;
        }
        if let Some(label) = &self.label {
            let plain = !label.trim().is_empty() && !label.chars().any(char::is_control);
            if !plain || label.chars().count() > MAX_LABEL {
                return Err(format!("replica.label must have 1 to {MAX_LABEL} characters, such as \"fra1\""));
            }
            if self.excluded().any(|table| table == catalog::MONITOR) {
                return Err(
                    "replica.label: the monitors of this host are not the main's, so they are named here; leave \
                            the label out, or the table \"monitor\" in replica.exclude.tables"
                        .to_owned(),
                );
            }
        }
        if self.alerts == Alerts::None && self.own_notifications() {
            return Err(
                "replica.alerts: the notifications of this host are not the main's, so they cannot be switched \
                        off here; use another strategy, or detach them from the monitors in Uptime Kuma"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Says why the setting of that key cannot be taken over.
fn check_setting(key: &str) -> Result<(), String> {
    if catalog::setting(key).is_some() {
        return Ok(());
    }
    if let Some(why) = catalog::setting_stays(key) {
        return Err(format!("replica.settings: '{key}' cannot be taken over: {why}"));
    }
    let keys: Vec<&str> = catalog::SETTINGS.iter().map(|setting| setting.key).collect();
    Err(format!("replica.settings: '{key}' is not a setting that can be taken over; there are {}", keys.join(", ")))
}
