//! Units that systemd stops together with Uptime Kuma and does not start again with it.

use zbus::OwnedObjectPath;

use super::bus::{Systemd, failure, runs};
use crate::config::UnitName;
use crate::error::{Kind, Result};

impl Systemd {
    /// The running units that systemd stops together with `name`: those that require it by `Requires=`, `Requisite=`,
    /// `BindsTo=` or `PartOf=`, and those that require these. Targets are left out: to start one would also start units
    /// that an administrator has stopped.
    ///
    /// # Errors
    /// [`Kind::ServiceMissing`], [`Kind::BusUnavailable`].
    pub async fn dependents(&self, name: &UnitName) -> Result<Vec<String>> {
        let unit = self.unit(name).await?.id;
        let found = self.reachable(&unit, &["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf"]).await?;
        let mut running = Vec::new();
        for dependent in found.into_iter().filter(|dependent| !is_target(dependent)) {
            if self.is_active(&dependent).await? {
                running.push(dependent);
            }
        }
        Ok(running)
    }

    /// Whether systemd stops `dependent` together with `name`, and it is no target. systemd forgets an inactive unit to
    /// which nothing refers, so this is asked of the dependent itself.
    ///
    /// # Errors
    /// As for [`Systemd::dependents`], and if `dependent` is not the name of a unit.
    pub async fn stops_with(&self, dependent: &str, name: &UnitName) -> Result<bool> {
        let unit = self.unit(name).await?.id;
        let required = self.reachable(dependent, &["Requires", "Requisite", "BindsTo", "PartOf"]).await?;
        Ok(!is_target(dependent) && required.contains(&unit))
    }

    /// The other units that can be reached from `unit` by these properties.
    async fn reachable(&self, unit: &str, properties: &[&str]) -> Result<Vec<String>> {
        let mut found = vec![unit.to_owned()];
        let mut next = 0;
        while let Some(unit) = found.get(next).cloned() {
            next += 1;
            let (_, mut all) = self.load(&unit).await?;
            for property in properties {
                for other in all.take::<Vec<String>>(property)? {
                    if !found.contains(&other) {
                        found.push(other);
                    }
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

    /// Whether `name`, a unit of any type, runs or is starting.
    async fn is_active(&self, name: &str) -> Result<bool> {
        let (_, mut all) = self.load(name).await?;
        Ok(runs(&all.take::<String>("ActiveState")?))
    }
}

fn is_target(unit: &str) -> bool {
    unit.ends_with(".target")
}
