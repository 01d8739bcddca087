//! What a replica customizes: which part of the main's configuration it takes over, and what differs here.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::catalog;
use crate::model::digest::Digest;

use super::local_entities::LocalEntities;
use super::overrides::Override;

/// What a replica takes over, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The whole configuration, whenever the newest snapshot is not the one applied last.
    #[default]
    Snapshot,
    /// The configuration without notifications, whenever the rows here differ from the newest snapshot's.
    Default,
    /// The whole configuration in two groups, the notifications and the rest; each whenever its rows here differ from
    /// the newest snapshot's.
    NotificationsInsertMerge,
}

/// Whether a replica sends alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Alerts {
    /// It sends the alerts that the main sends.
    #[default]
    On,
    /// It sends none: it is a silent standby.
    Off,
}

impl fmt::Display for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// Whose time zone a maintenance has that runs in the zone of its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceTimezone {
    /// The main's: it begins at the same moment on all hosts.
    #[default]
    Main,
    /// That of each host: it begins at the same time of day.
    Local,
}

/// What a replica does not take over from the main.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Exclude {
    /// Tables. Tables whose rows belong to rows of these are excluded as well.
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

    fn check(&self) -> Result<(), String> {
        if self.tables.iter().any(|table| table == catalog::SETTING) {
            return Err(
                "replica.exclude.tables: of 'setting', only the rows in replica.settings are taken over".to_owned()
            );
        }
        if let Some(table) = self.tables.iter().find(|table| catalog::find(table).is_none()) {
            return Err(format!("replica.exclude.tables: '{table}' is not a replicated table; {}", tables()));
        }
        for (key, names) in [
            ("monitor-tags", &self.monitor_tags),
            ("monitor-names", &self.monitor_names),
            ("monitor-types", &self.monitor_types),
            ("monitor-groups", &self.monitor_groups),
        ] {
            if names.iter().any(String::is_empty) {
                return Err(format!("replica.exclude.{key} has an empty text in it"));
            }
        }
        Ok(())
    }
}

/// The tables that a key can name, for messages.
pub(super) fn tables() -> String {
    let names: Vec<&str> =
        catalog::TABLES.iter().map(|spec| spec.name).filter(|name| *name != catalog::SETTING).collect();
    format!("there are {}", names.join(", "))
}

/// How the configuration of a replica differs from the main's.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Customization {
    /// Which part is taken over, and when.
    pub strategy: Strategy,
    /// What is not taken over.
    pub exclude: Exclude,
    /// Tables whose rows keep the values of this host.
    pub local_entities: LocalEntities,
    /// Types of monitors that are paused here, because they check the host that they run on, or wait for requests.
    pub paused_types: Vec<String>,
    /// Columns with other values than on the main.
    pub overrides: Vec<Override>,
    /// Added to the names of its monitors, which alerts contain.
    pub label: Option<String>,
    /// Whether monitors on status pages keep the main's names despite the label.
    pub clean_status_pages: bool,
    /// Whether it sends alerts.
    pub alerts: Alerts,
    /// Keys of settings that are taken over.
    pub settings: Vec<String>,
    /// Whose time zone maintenances have that run in the zone of their server.
    pub maintenance_timezone: MaintenanceTimezone,
}

/// Types of monitors that make no sense on two hosts.
pub(super) const PAUSED_TYPES: [&str; 5] = ["docker", "pm2", "push", "system-service", "tailscale-ping"];

/// The longest label, in characters: it is part of the name of each monitor.
const MAX_LABEL: usize = 40;

impl Customization {
    /// The identity of this customization: another one has another digest.
    pub fn digest(&self) -> Digest {
        // Strings, numbers and maps with string keys: it cannot fail.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether this host has its own notifications.
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

    /// Refuses what cannot be customized, whatever the main has.
    pub(super) fn check(&self) -> Result<(), String> {
        self.settings.iter().try_for_each(|key| check_setting(key))?;
        self.exclude.check()?;
        for (number, one) in (1..).zip(&self.overrides) {
            one.check().map_err(|reason| format!("replica.overrides, number {number}: {reason}"))?;
        }
        self.check_label()?;
        if self.alerts == Alerts::Off && self.own_notifications() {
            return Err(
                "replica.alerts: this host has its own notifications, so they cannot be switched off here; use \
                        another strategy, or detach them from the monitors in Uptime Kuma"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn check_label(&self) -> Result<(), String> {
        let Some(label) = &self.label else { return Ok(()) };
        let plain = !label.trim().is_empty() && !label.chars().any(char::is_control);
        if !plain || label.chars().count() > MAX_LABEL {
            return Err(format!("replica.label must have 1 to {MAX_LABEL} characters, such as \"fra1\""));
        }
        if self.excluded().any(|table| table == catalog::MONITOR) {
            return Err(
                "replica.label: this host has its own monitors, so name them in Uptime Kuma; remove the label, \
                        or the table \"monitor\" from replica.exclude.tables"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Refuses a setting that is not replicated.
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
