//! Whether the database is as it was at the last full export. Then a digest, which the worker computes as it reads, replaces
//! an export, which this process would have to read again, check and render.

use crate::error::Result;
use crate::localise;
use crate::model::configuration::Configuration;
use crate::model::content::Content;
use crate::model::digest::{Digest, Hasher};
use crate::model::dump;
use crate::model::state::{FollowedZone, Seen};
use crate::model::zone;

use super::outside::Host;
use super::{CanonicalExport, Export, Session};

impl<H: Host> Session<'_, H> {
    /// What this main would publish, with the settings that it has `inherited`, if that is known without a full export.
    ///
    /// # Errors
    /// Those of an export.
    pub(super) async fn seen_as_main(&mut self, inherited: &Configuration) -> Result<Option<Content>> {
        self.seen(by_main(inherited)).await
    }

    /// What this host publishes as a main, with the settings that it has `inherited`.
    ///
    /// # Errors
    /// Those of an export.
    pub(super) async fn export_as_main(&mut self, inherited: &Configuration) -> Result<CanonicalExport> {
        let mut export = self.host.export().await?;
        let source = export.source;
        export.add_zone(async |setting| self.host.server_zone(setting).await).await?;
        let zone = (zone::followers(&export.configuration) > 0).then(|| FollowedZone {
            setting: export.configuration.setting(zone::SETTING),
            found: export.configuration.zone.clone(),
        });
        localise::add_inherited(&mut export.configuration, inherited);
        let canonical = CanonicalExport::of_main(export);
        let content = canonical.content();
        self.state.seen = source.map(|database| Seen { database, by: by_main(inherited), zone, content });
        Ok(canonical)
    }

    /// What identifies the rows that this replica takes over, as they are in its database.
    ///
    /// # Errors
    /// Those of an export.
    pub(super) async fn managed_content(&mut self) -> Result<Content> {
        let by = self.by_replica();
        if let Some(content) = self.seen(by).await? {
            return Ok(content);
        }
        let export = self.host.export().await?;
        let source = export.source;
        let content = self.content(export);
        self.state.seen = source.map(|database| Seen { database, by, zone: None, content });
        Ok(content)
    }

    /// What identifies the part of `export` that this replica takes over.
    pub(super) fn content(&self, export: Export) -> Content {
        let managed = localise::managed(export.configuration, &self.settings.replica.customization);
        Content::of(&managed, &export.schema)
    }

    /// What came of the last full export, if nothing of what it was derived from has changed.
    async fn seen(&mut self, by: Digest) -> Result<Option<Content>> {
        let Some(seen) = self.state.seen.clone().filter(|seen| seen.by == by) else { return Ok(None) };
        if self.host.content().await? != seen.database {
            return Ok(None);
        }
        if let Some(FollowedZone { setting, found }) = seen.zone
            && self.host.server_zone(setting.as_deref()).await? != found
        {
            return Ok(None);
        }
        Ok(Some(seen.content))
    }

    fn by_replica(&self) -> Digest {
        by("replica", self.settings.replica.customization.digest().hex().as_bytes())
    }
}

fn by_main(inherited: &Configuration) -> Digest {
    by("main", &dump::body(inherited))
}

/// Another version of this program may derive something else.
fn by(role: &str, what: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    for part in [env!("CARGO_PKG_VERSION").as_bytes(), b"\n", role.as_bytes(), b"\n", what] {
        hasher.update(part);
    }
    hasher.finish()
}
