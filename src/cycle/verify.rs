//! Proving that bytes are the dump they should be.

use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::model::dump::{self, Dump, Fault};
use crate::model::snapshot::{Snapshot, Tags};
use crate::model::state::Applied;

use super::outside::Host;
use super::{Event, Session};

/// A dump whose content, manifest and tags agree, and that may be applied.
#[derive(Debug)]
pub struct Verified(pub Dump);

/// Proves that `bytes` are a dump that may be applied, and, if they come from `snapshot`, the one that its tags promise.
///
/// # Errors
/// [`Kind::SnapshotDamaged`], [`Kind::FormatUnknown`] or [`Kind::NoUser`].
pub fn verify(bytes: &[u8], snapshot: Option<&Snapshot>) -> Result<Verified> {
    verify_beside(bytes, snapshot, &Configuration::default())
}

/// The same, with the rows `here` in place of equal ones: those of a dump are mostly here already.
///
/// # Errors
/// As for [`verify`].
pub(super) fn verify_beside(bytes: &[u8], snapshot: Option<&Snapshot>, here: &Configuration) -> Result<Verified> {
    let name = snapshot.map_or_else(|| "the dump".to_owned(), |snapshot| format!("snapshot {}", snapshot.id.short()));
    let dump = dump::parse_beside(bytes, here).map_err(|fault| {
        let kind = match fault {
            Fault::Format(_) => Kind::FormatUnknown,
            Fault::Damaged(_) => Kind::SnapshotDamaged,
        };
        Error::new(kind, format!("{name} cannot be used")).because(fault)
    })?;
    if let Some(Snapshot { tags: Tags { place, digest, schema, .. }, .. }) = snapshot {
        let manifest = &dump.manifest;
        let agree =
            manifest.place.as_ref() == Some(place) && manifest.digest == *digest && manifest.fingerprint == *schema;
        if !agree {
            return Err(Error::new(Kind::SnapshotDamaged, format!("{name} does not contain what its tags say")));
        }
    }
    if !dump.configuration.has_user() {
        let what = format!(
            "{name} has no user who could log in; without any user, Uptime Kuma shows its set-up page to everybody"
        );
        return Err(Error::new(Kind::NoUser, what));
    }
    Ok(Verified(dump))
}

/// The kept dump `bytes`, if it is that of the snapshot in force. An apply that was interrupted may have left the dump
/// of another snapshot. Rows that are `here` are taken from there.
///
/// # Errors
/// Those of [`verify`] if the dump is damaged.
pub fn in_force(bytes: &[u8], applied: &Applied, here: &Configuration) -> Result<Option<Verified>> {
    let verified = verify_beside(bytes, None, here)?;
    let manifest = &verified.0.manifest;
    let same = manifest.digest == applied.digest && manifest.place.as_ref() == Some(&applied.place);
    Ok(same.then_some(verified))
}

impl<H: Host> Session<'_, H> {
    /// The kept dump of the snapshot in force, if there is one that can be used. One that cannot is reported: the
    /// repository has another copy.
    pub(super) fn kept(&mut self, here: &Configuration) -> Option<Verified> {
        let applied = self.state.replica.applied.as_ref()?;
        let kept = self.host.applied().and_then(|bytes| match bytes {
            Some(bytes) => in_force(&bytes, applied, here),
            None => Ok(None),
        });
        kept.unwrap_or_else(|error| {
            let text = format!("the kept copy of the snapshot in force cannot be used: {}", error.chain());
            self.report(&Event::Warning { text });
            None
        })
    }
}
