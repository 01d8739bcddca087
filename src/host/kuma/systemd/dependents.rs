//! Units that systemd stops together with Uptime Kuma and does not start again with it.

use zbus::OwnedObjectPath;

use super::bus::{Systemd, failure, runs};
use crate::config::UnitName;
use crate::error::{Kind, Result};

impl Systemd {
    /// The running units that systemd stops together with `name`: those that require it by `Requires=`, `Requisite=`,
    /// `BindsTo=` or `PartOf=`, and those that require these.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn dependents(&self, name: &UnitName) -> Result<Vec<String>> {
        let mut found = vec![self.unit(name).await?.id];
        let mut next = 0;
        while let Some(unit) = found.get(next).cloned() {
            next += 1;
            for dependent in self.required_by(&unit).await? {
                if !found.contains(&dependent) && self.is_active(&dependent).await? {
                    found.push(dependent);
                }
            }
        }
        Ok(found.split_off(1))
    }

    /// Queues the start of `unit` without waiting for it.
    ///
    /// # Errors
    /// [`Kind::StartFailed`], [`Kind::NotPermitted`], [`Kind::BusUnavailable`].
    pub async fn begin_start(&self, unit: &str) -> Result<()> {
        let started: zbus::Result<OwnedObjectPath> = self.call("StartUnit", &(unit, "replace")).await;
        started.map(drop).map_err(|error| failure(Kind::StartFailed, format!("start {unit} again"), error))
    }

    /// The units that require `name` directly.
    async fn required_by(&self, name: &str) -> Result<Vec<String>> {
        let (_, mut all) = self.load(name).await?;
        let mut found = Vec::new();
        for property in ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf"] {
            found.extend(all.take::<Vec<String>>(property)?);
        }
        Ok(found)
    }

    /// Whether `name`, a unit of any type, runs or is starting.
    async fn is_active(&self, name: &str) -> Result<bool> {
        let (_, mut all) = self.load(name).await?;
        Ok(runs(&all.take::<String>("ActiveState")?))
    }
}
