//! What a person puts in force by hand: an earlier snapshot, or what the last apply replaced. Cycles are held
//! from then on, so that none undoes it.

use crate::config::{Role, Settings};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::localise;
use crate::model::configuration::Configuration;
use crate::model::digest::Digest;
use crate::model::schema::Schema;
use crate::model::snapshot::SnapshotId;
use crate::model::state::{Hold, State};
use crate::plan::{Plan, plan};

use super::replace::{Goal, recover, replace};
use super::{Event, Export, Host, Verified, verify};

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A snapshot in the repository.
    Snapshot(SnapshotId),
    /// What the last apply or restore replaced on this host.
    Previous,
}

/// A restore that is ready to be carried out.
#[derive(Debug)]
pub struct Restoration {
    /// What is restored, for people.
    pub name: String,
    /// The row changes.
    pub changes: Plan,
    digest: Digest,
    dump: Configuration,
    source: Source,
    schema: Schema,
    /// The way back as it is now: the replacement overwrites it.
    previous: Option<Vec<u8>>,
}

/// Fetches, verifies and plans. Changes nothing but what an interrupted apply left.
///
/// # Errors
/// [`Kind::Usage`] if there is no such snapshot, [`Kind::SchemaDiffers`] if Uptime Kuma was upgraded since,
/// those of [`verify`] and of what the host is asked for.
pub async fn prepare_restore<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    source: &Source,
) -> Result<Restoration> {
    recover(host, settings, state).await?;
    let previous = host.previous()?;
    let (name, Verified(dump)) = match source {
        Source::Snapshot(id) => {
            let listing = host.look().await?;
            let Some(snapshot) = listing.snapshots.iter().find(|snapshot| snapshot.id.same(id)) else {
                let what = format!("there is no snapshot {id} of kuma-replicator in the repository");
                return Err(Error::new(Kind::Usage, what).with_hint("kuma-replicator snapshots lists them"));
            };
            let bytes = host.fetch(&snapshot.id).await?;
            (format!("snapshot {}", snapshot.id.short()), verify(&bytes, Some(snapshot))?)
        }
        Source::Previous => {
            let Some(bytes) = &previous else {
                let what = "no apply has replaced anything on this host yet";
                return Err(Error::new(Kind::Usage, what).with_hint("restore a snapshot: kuma-replicator snapshots"));
            };
            let verified = verify(bytes, None).map_err(|error| match error.kind() {
                Kind::NoUser => error.with_hint("restore a snapshot instead: kuma-replicator snapshots"),
                _ => error,
            })?;
            ("the previous configuration".to_owned(), verified)
        }
    };
    let here = host.export().await?;
    if let Some(reason) = decide::schema_gate(&here.schema, &dump.manifest.schema, settings.replica.schema) {
        let what = format!("{name} was made by another version of Uptime Kuma");
        return Err(Error::new(Kind::SchemaDiffers, what).because(reason));
    }
    let Export { configuration: here, schema, .. } = here;
    let (digest, main, dump) = (dump.manifest.digest, dump.manifest.schema, dump.configuration);
    let wanted = wanted(settings, source, &dump, &here)?;
    let changes = plan(&here, &wanted);
    let tried = host.rehearse(&changes, &here, &wanted).await;
    tried.map_err(|error| decide::unwritable(error, &schema, &main))?;
    let source = source.clone();
    Ok(Restoration { name, changes, digest, dump, source, schema, previous })
}

/// What of `dump` is put in force on a host that has the rows `here`.
fn wanted(settings: &Settings, source: &Source, dump: &Configuration, here: &Configuration) -> Result<Configuration> {
    match (settings.role, source) {
        (Role::Replica, Source::Snapshot(_)) => {
            localise::wanted(dump, here, &settings.replica.customization).map(|wanted| wanted.configuration)
        }
        // What was here before has the customization of this host in it already. Its settings stay as they are.
        _ => localise::fitting(dump, here, &[]),
    }
}

/// Carries it out, and holds the cycles of this host from then on.
///
/// # Errors
/// Those of an apply; what was there is then in force, and the hold and the way back are as they were.
pub async fn restore<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    restoration: Restoration,
) -> Result<()> {
    let Restoration { name, changes, digest, dump, source, schema, previous } = restoration;
    let size = changes.size();
    // Before the deed: if this is killed, no cycle undoes what it has done.
    let hold = Hold { reason: format!("restore of {name}"), since: host.now(), until: None };
    let before = (state.hold.replace(hold), state.replica.restored.replace(digest));
    host.save(state)?;
    let wanted = |here: &Configuration| wanted(settings, &source, &dump, here);
    let goal = Goal { wanted: &wanted, changes: &changes, schema: &schema };
    if !changes.is_empty()
        && let Err(error) = replace(host, settings, state, None, goal).await
    {
        // With an intent left, the rows may be in force.
        if state.intent.is_none() {
            (state.hold, state.replica.restored) = before;
            // What could not be restored now may be all that is left of it.
            if let Some(Err(second)) = previous.map(|dump| host.keep_previous(&dump)) {
                host.report(&Event::Warning { text: second.chain() });
            }
        }
        // Not saved, it stays on hold; the failure itself is what has to be told.
        if let Err(second) = host.save(state) {
            host.report(&Event::Warning { text: second.chain() });
        }
        return Err(error);
    }
    state.intent = None;
    if let Source::Snapshot(id) = source {
        // Uptime Kuma runs with it.
        state.replica.refused.take_if(|refused| refused.snapshot.same(&id));
        state.replica.setback.take_if(|setback| setback.snapshot.same(&id));
    }
    host.save(state)?;
    host.report(&Event::Restored { name, digest, size });
    Ok(())
}
