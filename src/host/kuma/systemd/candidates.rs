//! The units that seem to run Uptime Kuma, whatever their names are.

use std::collections::BTreeSet;

use zbus::OwnedObjectPath;

use super::bus::{Systemd, failure};
use crate::config::UnitName;
use crate::error::{Kind, Result};
use crate::host::kuma::discovery::{Likeness, likeness};

impl Systemd {
    /// Whether there is a unit of this name.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn has(&self, name: &UnitName) -> Result<bool> {
        Ok(self.find(name.as_ref()).await?.is_some())
    }

    /// The services that are most like Uptime Kuma, by name: those that systemd has loaded, and those whose files have a name
    /// that speaks for it.
    ///
    /// # Errors
    /// [`Kind::BusUnavailable`].
    pub async fn candidates(&self) -> Result<Vec<UnitName>> {
        /// `ssssssouso`: the name, and what is known about it.
        type Loaded = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);
        let failed = |error| failure(Kind::BusUnavailable, "list the units of systemd", error);
        let none: Vec<&str> = Vec::new();
        let loaded: Vec<Loaded> =
            self.call("ListUnitsByPatterns", &(&none, vec!["*.service"])).await.map_err(failed)?;
        let patterns = vec!["*kuma*.service", "uptime*.service", "pm2-*.service"];
        let files: Vec<(String, String)> =
            self.call("ListUnitFilesByPatterns", &(&none, patterns)).await.map_err(failed)?;
        let file_names = files.iter().filter_map(|(path, _)| path.rsplit('/').next()).map(str::to_owned);
        let names: BTreeSet<String> = loaded.into_iter().map(|unit| unit.0).chain(file_names).collect();
        let mut best = (Likeness::Pm2, Vec::new());
        // A template is no unit.
        for name in names.iter().filter(|name| !name.contains("@.")) {
            let Ok(unit) = UnitName::new(name) else { continue };
            // One that is masked, or has gone in the meantime, runs nothing.
            let Ok(properties) = self.properties(&unit).await else { continue };
            let likeness = likeness(name, &properties);
            if likeness > best.0 {
                best = (likeness, Vec::new());
            }
            if likeness == best.0 {
                best.1.push(unit);
            }
        }
        Ok(best.1)
    }
}
