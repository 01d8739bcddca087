//! Settings of a replica: its customization, and how it applies snapshots.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::customization::{Alerts, Customization, Exclude, MaintenanceTimezone, PAUSED_TYPES, Strategy};
use super::duration::{WrittenDuration, WrittenInterval, duration, duration_or_none};
use super::local_entities::LocalEntities;
use super::overrides::Override;

/// What a replica does about drift.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// It reports the edits and keeps them until the next snapshot.
    #[default]
    Report,
    /// It reports the edits and applies the newest snapshot again.
    Overwrite,
}

/// When a replica restarts Uptime Kuma for an apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Only if a value changes that a running server has in memory.
    #[default]
    WhenNeeded,
    /// For every change.
    Always,
}

/// Into which schemas a replica writes the rows of the main.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaPolicy {
    /// Only into the same schema.
    #[default]
    Exact,
    /// Also into one that has all migrations and columns of the main's, and more.
    Superset,
}

/// How often a replica looks into the repository when the timer starts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LookEvery {
    /// As often as suits what a look costs.
    #[default]
    Auto,
    /// Not before this time has passed since the last look.
    Every(Duration),
}

/// Settings of a replica.
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    /// How its configuration differs from the main's.
    pub customization: Customization,
    /// Whether the newest snapshot is applied again after each boot, as if its rows had been edited.
    pub apply_on_boot: bool,
    /// How often it looks into the repository.
    pub look_every: LookEvery,
    /// When an apply restarts Uptime Kuma.
    pub restart: Restart,
    /// How long an apply waits after Uptime Kuma was last stopped for one; zero does not wait.
    pub min_restart_interval: Duration,
    /// What is done about drift.
    pub on_drift: OnDrift,
    /// Into which schemas rows are written.
    pub schema: SchemaPolicy,
}

/// The keys as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct WrittenReplica {
    strategy: Option<Strategy>,
    apply_on_boot: Option<bool>,
    look_every: Option<WrittenInterval>,
    paused_types: Option<Vec<String>>,
    label: Option<String>,
    clean_status_pages: Option<bool>,
    alerts: Option<Alerts>,
    settings: Option<Vec<String>>,
    maintenance_timezone: Option<MaintenanceTimezone>,
    restart: Option<Restart>,
    min_restart_interval: Option<WrittenDuration>,
    on_drift: Option<OnDrift>,
    schema: Option<SchemaPolicy>,
    #[serde(default)]
    exclude: Exclude,
    #[serde(default)]
    local_entities: LocalEntities,
    #[serde(default)]
    overrides: Vec<Override>,
}

impl WrittenReplica {
    pub(super) fn check(self) -> Result<Replica, String> {
        let strategy = self.strategy.unwrap_or_default();
        let on_drift = match (strategy, self.on_drift) {
            (Strategy::Snapshot, on_drift) => on_drift.unwrap_or_default(),
            (_, Some(OnDrift::Report)) => {
                return Err(
                    "replica.on-drift: edits are kept only with strategy \"snapshot\"; the other strategies overwrite \
                     them in each cycle"
                        .to_owned(),
                );
            }
            (_, _) => OnDrift::Overwrite,
        };
        let customization = Customization {
            strategy,
            exclude: self.exclude,
            local_entities: self.local_entities,
            paused_types: self.paused_types.unwrap_or_else(|| PAUSED_TYPES.map(str::to_owned).to_vec()),
            overrides: self.overrides,
            label: self.label.filter(|label| !label.is_empty()),
            clean_status_pages: self.clean_status_pages.unwrap_or_default(),
            alerts: self.alerts.unwrap_or_default(),
            settings: self.settings.unwrap_or_default(),
            maintenance_timezone: self.maintenance_timezone.unwrap_or_default(),
        };
        customization.check()?;
        Ok(Replica {
            customization,
            apply_on_boot: self.apply_on_boot.unwrap_or_default(),
            look_every: match self.look_every {
                None | Some(WrittenInterval::Auto) => LookEvery::Auto,
                Some(WrittenInterval::Every(every)) => {
                    LookEvery::Every(duration("replica.look-every", Some(every), Duration::ZERO)?)
                }
            },
            restart: self.restart.unwrap_or_default(),
            min_restart_interval: duration_or_none(
                "replica.min-restart-interval",
                self.min_restart_interval,
                Duration::from_secs(300),
            )?,
            on_drift,
            schema: self.schema.unwrap_or_default(),
        })
    }
}
