//! The main's sequence: export, compare, guard, look, publish, record.

use jiff::Timestamp;

use crate::config::Settings;
use crate::decide::{self, Content, Publish};
use crate::error::{Error, Kind, Result};
use crate::model::digest::Digest;
use crate::model::dump;
use crate::model::manifest::{Manifest, Place};
use crate::model::snapshot::{Snapshot, Tags};
use crate::model::state::{Attempt, Fenced, MainState, Published, State};

use super::{Event, Export, Host, Options, Outcome, report_stray, verify};

/// The epoch of the first main of a repository.
const FIRST_EPOCH: u64 = 1;

/// An export with its canonical bytes.
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
    /// Renders `export` and takes its digest.
    pub fn new(export: Export) -> Self {
        let body = dump::body(&export.configuration);
        let digest = Digest::of(&body);
        Self { export, body, digest }
    }

    /// What identifies it.
    pub fn content(&self) -> Content {
        Content { digest: self.digest, schema: self.export.schema.fingerprint() }
    }

    /// The whole dump; `place` is `None` outside a publish.
    ///
    /// # Errors
    /// [`Kind::SnapshotDamaged`] if it would be larger than any reader accepts.
    pub fn dump(&self, host: &str, now: Timestamp, place: Option<Place>) -> Result<Vec<u8>> {
        let manifest = Manifest {
            format: dump::format(&self.export.configuration),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            host: host.to_owned(),
            created: now,
            place,
            digest: self.digest,
            fingerprint: self.export.schema.fingerprint(),
            schema: self.export.schema.clone(),
            counts: self.export.configuration.counts(),
            files: self.export.configuration.files.len() as u64,
        };
        let bytes = dump::render(&manifest, &self.body);
        if bytes.len() > dump::MAX_DUMP {
            let what = format!("the dump would have {} bytes; the limit is {}", bytes.len(), dump::MAX_DUMP);
            return Err(
                Error::new(Kind::SnapshotDamaged, what).with_hint("remove large texts from monitors on this host")
            );
        }
        Ok(bytes)
    }
}

/// Exports the live configuration and takes its digest.
///
/// # Errors
/// Those of [`Host::export`].
pub async fn prepare<H: Host>(host: &mut H) -> Result<CanonicalExport> {
    Ok(CanonicalExport::new(host.export().await?))
}

/// What a main remembers that has never published, or has lost its state.
///
/// # Errors
/// Those of [`Host::main_id`].
pub fn first_state<H: Host>(host: &H) -> Result<MainState> {
    Ok(MainState {
        id: host.main_id()?,
        epoch: FIRST_EPOCH,
        published: None,
        publishing: None,
        looked: None,
        fenced: None,
    })
}

pub(super) async fn run<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    options: &Options,
) -> Result<Outcome> {
    if let Some(fenced) = state.main.as_ref().and_then(|main| main.fenced.as_ref()) {
        return Err(decide::fenced_since(fenced));
    }
    let prepared = prepare(host).await?;
    let digest = prepared.digest;
    let mut main = match state.main.take() {
        Some(main) => main,
        None => first_state(host)?,
    };
    state.main = Some(main.clone());
    let content = prepared.content();
    if decide::unchanged(&main, content, host.now(), host.booted(), settings.main.look_every) {
        return Ok(unchanged(host, state, digest));
    }
    guard(&prepared.export, &main, settings, options)?;
    host.check_interrupted()?;

    let listing = host.look().await?;
    main.epoch = decide::epoch(&listing, &main);
    if let Some(Snapshot { id, host: name, tags, .. }) = decide::succeeded(&listing, &main) {
        // Remembered for good: a repository that loses this snapshot does not make this host the main again.
        let (snapshot, place, name, at) = (id.clone(), tags.place.clone(), name.clone(), host.now());
        let fenced = Fenced { snapshot, place, host: name, at };
        let error = decide::fenced_since(&fenced);
        main.fenced = Some(fenced);
        state.main = Some(main);
        return Err(error);
    }
    report_stray(host, state, decide::stray(&listing));
    let step = decide::publish(&listing, &main, content)?;
    main.looked = Some(host.now());
    let counts = prepared.export.configuration.counts();
    let schema = content.schema;
    let record = |snapshot, sequence, at| Published { snapshot, sequence, digest, schema, counts: counts.clone(), at };
    let place = match step {
        Publish::AlreadyThere(snapshot) => {
            main.published = Some(record(snapshot.id.clone(), snapshot.tags.place.sequence, snapshot.time));
            main.publishing = None;
            state.main = Some(main);
            tidy(host).await;
            return Ok(unchanged(host, state, digest));
        }
        Publish::At(place) => place,
    };
    // Damage elsewhere in the file says that what was read cannot be trusted either.
    host.check_intact().await?;
    report_stray(host, state, decide::overruled(&listing, &place, content, state.replica.applied.as_ref()));
    for text in &prepared.export.warnings {
        host.report(&Event::Warning { text: text.clone() });
    }

    // Written before the deed: a snapshot of this sequence that is found later is this host's own.
    main.publishing = Some(Attempt { sequence: place.sequence, digest });
    state.main = Some(main.clone());
    host.save(state)?;
    let sequence = place.sequence;
    let bytes = prepared.dump(&host.name(), host.now(), Some(place.clone()))?;
    let tags = Tags { format: dump::format(&prepared.export.configuration), place, digest, schema };
    let snapshot = host.publish(&bytes, &tags).await?;

    let rows = counts.values().sum();
    main.published = Some(record(snapshot.clone(), sequence, host.now()));
    main.publishing = None;
    // Another main may have published at the same moment: the next cycle looks once more.
    main.looked = None;
    state.main = Some(main);
    host.report(&Event::Published { snapshot: snapshot.clone(), sequence, digest, rows, bytes: bytes.len() });
    Ok(Outcome::Published(snapshot))
}

/// Removes what killed publishes left behind. Such a lock hinders nobody but a prune, so this fails nothing.
async fn tidy<H: Host>(host: &mut H) {
    let text = match host.remove_left_locks().await {
        Ok(0) => return,
        Ok(removed) => format!("removed {removed} locks from the repository that killed publishes of this host left"),
        Err(error) => format!("{} — {}", error.chain(), error.hint()),
    };
    host.report(&Event::Warning { text });
}

fn unchanged<H: Host>(host: &mut H, state: &State, digest: Digest) -> Outcome {
    let again = state.last.as_ref().is_some_and(|last| last.outcome == Outcome::Unchanged.name());
    host.report(&Event::Unchanged { digest, again });
    Outcome::Unchanged
}

/// Refuses to put what is here in the place of `newest` if too many of its rows are not here. If that cannot be
/// read, there is nothing to compare with, and it is told.
///
/// # Errors
/// [`Kind::NoUser`], [`Kind::Shrunk`]; those of an export and of a fetch.
pub(super) async fn guard_against<H: Host>(
    host: &mut H,
    newest: Option<&Snapshot>,
    settings: &Settings,
    options: &Options,
) -> Result<()> {
    let export = host.export().await?;
    require_user(&export)?;
    let Some(newest) = newest.filter(|_| !options.confirm_shrink) else { return Ok(()) };
    match verify(&host.fetch(&newest.id).await?, Some(newest)) {
        Ok(verified) => {
            let before = verified.0.configuration.counts();
            decide::shrink(&before, &export.configuration.counts(), settings.main.max_shrink)
        }
        Err(error) => {
            let text = format!("what is here cannot be compared with the newest snapshot: {}", error.chain());
            host.report(&Event::Warning { text });
            Ok(())
        }
    }
}

/// Nothing that lost its users, or more rows than allowed, leaves this host by itself.
fn guard(export: &Export, main: &MainState, settings: &Settings, options: &Options) -> Result<()> {
    require_user(export)?;
    match &main.published {
        Some(published) if !options.confirm_shrink => {
            decide::shrink(&published.counts, &export.configuration.counts(), settings.main.max_shrink)
        }
        _ => Ok(()),
    }
}

/// Nothing without a user who could log in is published, whatever a person options.
pub(super) fn require_user(export: &Export) -> Result<()> {
    if export.configuration.has_user() {
        return Ok(());
    }
    Err(Error::new(Kind::NoUser, "the database has no user who could log in; nothing is published"))
}
