//! An export with its canonical bytes.

use jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::model::content::Content;
use crate::model::dangling;
use crate::model::digest::Digest;
use crate::model::dump;
use crate::model::manifest::{FORMAT, Manifest, Place};
use crate::model::zone::{self, Zone};
use crate::text;

use super::Export;

impl Export {
    /// Adds the time zone of its Uptime Kuma, if a maintenance runs in that. `find` finds it by the setting that Uptime Kuma has.
    ///
    /// # Errors
    /// Those of `find`.
    pub async fn add_zone(&mut self, find: impl AsyncFnOnce(Option<&str>) -> Result<Option<Zone>>) -> Result<()> {
        self.configuration.zone = None;
        let followers = zone::followers(&self.configuration);
        if followers == 0 {
            return Ok(());
        }
        let setting = self.configuration.setting(zone::SETTING);
        self.configuration.zone = find(setting.as_deref()).await?;
        if self.configuration.zone.is_none() {
            let rows = text::count(followers as u64, "maintenance");
            self.warnings.push(format!(
                "the time zone of Uptime Kuma on this host cannot be found: {rows} that follow it run in the zone of each \
                 replica"
            ));
        }
        Ok(())
    }
}

/// An export, the body of its dump, and the digest of that body.
#[derive(Debug)]
pub struct CanonicalExport {
    /// What was exported.
    pub export: Export,
    /// The body of its dump.
    pub body: Vec<u8>,
    /// The digest of the body.
    pub digest: Digest,
}

impl CanonicalExport {
    /// Renders `export` and computes its digest.
    pub fn new(export: Export) -> Self {
        let body = dump::body(&export.configuration);
        let digest = Digest::of(&body);
        Self { export, body, digest }
    }

    /// What a main publishes of `export`: without references to rows that do not exist, of which its warnings then tell.
    /// A replica whose database has its foreign keys would refuse them.
    pub fn of_main(mut export: Export) -> Self {
        export.warnings.extend(dangling::leave_out(&mut export.configuration));
        Self::new(export)
    }

    /// What identifies it.
    pub fn content(&self) -> Content {
        Content { digest: self.digest, schema: self.export.schema.fingerprint() }
    }

    /// The whole dump; `place` is `None` outside a publish.
    ///
    /// # Errors
    /// [`Kind::SnapshotDamaged`] if it would be larger than any reader accepts.
    pub fn dump(self, host: &str, now: Timestamp, place: Option<Place>) -> Result<Vec<u8>> {
        let manifest = Manifest {
            format: FORMAT,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            host: host.to_owned(),
            created: now,
            place,
            digest: self.digest,
            fingerprint: self.export.schema.fingerprint(),
            schema: self.export.schema,
            counts: self.export.configuration.counts(),
            files: self.export.configuration.files.len() as u64,
        };
        let bytes = dump::render(&manifest, self.body);
        if bytes.len() > dump::MAX_DUMP {
            let what = format!("the dump would have {} bytes; the limit is {}", bytes.len(), dump::MAX_DUMP);
            let hint = "remove large texts from monitors on this host";
            return Err(Error::new(Kind::SnapshotDamaged, what).with_hint(hint));
        }
        Ok(bytes)
    }
}
