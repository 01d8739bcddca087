//! The cycle of a main: export, compare, guard, look; then publish and record.

use crate::decide::{self, Publish};
use crate::error::{Error, Kind, Result};
use crate::model::configuration::Configuration;
use crate::model::content::Content;
use crate::model::digest::Digest;
use crate::model::manifest::FORMAT;
use crate::model::outcome::Outcome;
use crate::model::sanity;
use crate::model::snapshot::{Listing, Snapshot, Tags};
use crate::model::state::{Attempt, Fenced, MainState, Published, Retention};

use super::outside::{Host, Surroundings};
use super::session::Conclusion;
use super::verify::verify_beside;
use super::{CanonicalExport, Event, Export, Publication, Ready, Session, Tidying};

/// How often a changing configuration is exported in one cycle.
const MAX_EXPORTS: usize = 6;

/// The epoch of the first main of a repository.
const FIRST_EPOCH: u64 = 1;

impl<H: Host> Session<'_, H> {
    pub(super) async fn prepare_publish(&mut self) -> Result<Ready> {
        if let Some(fenced) = self.state.main.as_ref().and_then(|main| main.fenced.as_ref()) {
            return Err(decide::fenced_since(fenced, &self.host.zone()));
        }
        let address = self.settings.repository.digest();
        let is_asked = self.options.look;
        let main = self.main_state()?;
        // The configuration of this main may be in another repository than the one it speaks of.
        let is_asked = is_asked || main.repository != Some(address);
        main.looked.take_if(|_| is_asked);
        let main = main.clone();
        let inherited = self.inherited()?;
        let (now, booted, look_every) = (self.host.now(), self.host.booted(), self.settings.main.look_every);
        let by_name = !is_asked && !decide::is_overdue(&main, now, booted, look_every);
        let unchanged = |content| decide::unchanged(&main, content, now, booted, look_every);
        let published = main.published.as_ref().map(|published| published.content);
        if let Some(content) = published.filter(|content| unchanged(*content))
            && self.seen_as_main(&inherited).await? == Some(content)
        {
            return Ok(unchanged_now(content));
        }
        let canonical = self.settled(&main, &inherited).await?;
        let content = canonical.content();
        if unchanged(content) {
            return Ok(unchanged_now(content));
        }
        self.guard(&canonical.export, &main).await?;
        self.host.check_interrupted()?;
        let listing = if by_name { self.listing_by_name().await? } else { self.listing().await? };
        self.fence(&listing)?;
        self.report_stray(decide::stray(&listing));
        let step = decide::publish(&listing, self.main_state()?, content)?;
        let looked = self.host.now();
        let main = self.main_state()?;
        (main.looked, main.repository) = (Some(looked), Some(address));
        let fleet = decide::fleet(&listing, main);
        self.state.fleet.get_or_insert(fleet);
        match step {
            Publish::AlreadyThere(snapshot) => {
                match self.host.check_in_use().await {
                    // It is starting, after a boot for example. Nothing is published.
                    Err(error) if error.kind() == Kind::ServiceBusy => {}
                    proved => proved?,
                }
                let (id, sequence, at) = (snapshot.id.clone(), snapshot.tags.place.sequence, snapshot.time);
                let counts = canonical.export.configuration.counts();
                self.remember_published(Published { snapshot: id, sequence, content, counts, at })?;
                let tidying = self.prepare_tidying(&listing)?;
                Ok(Ready::Unchanged { digest: content.digest, found: Some(snapshot.clone()), tidying })
            }
            Publish::At(place) => {
                self.host.check_in_use().await?;
                // Damage elsewhere in the file means that what was read cannot be trusted either.
                self.host.check_intact().await?;
                let applied = self.state.replica.applied.as_ref();
                self.report_stray(decide::overruled(&listing, &place, content, applied));
                let newest = listing.newest().first().map(|newest| (*newest).clone());
                Ok(Ready::Publish(Publication { canonical, place, newest }))
            }
        }
    }

    /// The configuration of this main, if it is that published last or once two exports in a row are the same: Uptime Kuma
    /// saves some edits in several steps.
    ///
    /// # Errors
    /// Those of an export; [`Kind::DatabaseBusy`] if it changes all the time.
    async fn settled(&mut self, main: &MainState, inherited: &Configuration) -> Result<CanonicalExport> {
        let settle = self.settings.main.settle;
        let mut last = None;
        for _ in 0..MAX_EXPORTS {
            let canonical = self.export_as_main(inherited).await?;
            let content = canonical.content();
            let is_published = main.published.as_ref().is_some_and(|published| published.content == content);
            if is_published || settle.is_zero() || last == Some(content) {
                return Ok(canonical);
            }
            last = Some(content);
            self.host.pause(settle).await?;
        }
        let what = "the configuration changes all the time, so an edit may be half saved";
        Err(Error::new(Kind::DatabaseBusy, what).with_hint("the next cycle publishes once nobody edits"))
    }

    pub(super) async fn publish(&mut self, publication: Publication) -> Result<Conclusion> {
        let Publication { canonical, place, .. } = publication;
        for text in &canonical.export.warnings {
            self.report(&Event::Warning { text: text.clone() });
        }
        let (sequence, content) = (place.sequence, canonical.content());
        let Content { digest, schema } = content;
        // Saved before the publish: a snapshot of this sequence that is found later is this host's own.
        self.main_state()?.publishing = Some(Attempt { sequence, digest });
        self.host.save(self.state)?;
        let counts = canonical.export.configuration.counts();
        let dump = canonical.dump(&self.host.name(), self.host.now(), Some(place.clone()))?;
        let own = self.main_state()?.id.clone();
        let fleet = self.state.fleet.clone().unwrap_or(own);
        let tags = Tags { format: FORMAT, place, fleet, digest, schema };
        let snapshot = match self.host.publish(&dump, &tags).await {
            Err(error) if error.kind() == Kind::RepositoryLocked => {
                // By a prune of this host that was killed, perhaps.
                self.remove_stale_locks().await;
                return Err(error);
            }
            result => result?,
        };

        let (rows, at) = (counts.values().sum(), self.host.now());
        self.remember_published(Published { snapshot: snapshot.clone(), sequence, content, counts, at })?;
        // Another main may have published at the same moment: the next cycle looks once more.
        self.main_state()?.looked = None;
        self.report(&Event::Published { snapshot: snapshot.clone(), sequence, digest, rows, bytes: dump.len() });
        Ok(Conclusion::Published(snapshot))
    }

    pub(super) async fn unchanged(&mut self, digest: Digest, looked: bool, tidying: &Tidying) -> Result<Conclusion> {
        if looked {
            self.remove_stale_locks().await;
        }
        self.tidy(tidying).await?;
        let again = self.ended_before_as(Outcome::Unchanged, "");
        self.ending = Some(Event::Unchanged { digest, again });
        Ok(Conclusion::Unchanged)
    }

    /// What this main remembers. One that never published, or lost its state, begins with the first epoch.
    pub(super) fn main_state(&mut self) -> Result<&mut MainState> {
        if self.state.main.is_none() {
            self.state.main = Some(first_state(self.host)?);
        }
        self.state.main.as_mut().ok_or_else(|| Error::new(Kind::Bug, "the state of the main was set and is missing"))
    }

    /// Takes the epoch that the repository has for this main. If another host was promoted, remembers it for good: a
    /// repository that loses this snapshot does not make this host the main again.
    pub(super) fn fence(&mut self, listing: &Listing) -> Result<()> {
        let (at, zone) = (self.host.now(), self.host.zone());
        let main = self.main_state()?;
        main.epoch = decide::epoch(listing, main);
        let Some(Snapshot { id, host, tags, .. }) = decide::succeeded(listing, main) else { return Ok(()) };
        let fenced = Fenced { snapshot: id.clone(), place: tags.place.clone(), host: host.clone(), at };
        let error = decide::fenced_since(&fenced, &zone);
        main.fenced = Some(fenced);
        Err(error)
    }

    fn remember_published(&mut self, published: Published) -> Result<()> {
        let main = self.main_state()?;
        main.published = Some(published);
        main.publishing = None;
        Ok(())
    }

    /// Removes the locks that killed restics left. A failure ends nothing.
    async fn remove_stale_locks(&mut self) {
        let text = match self.host.remove_stale_locks().await {
            Ok(0) => return,
            Ok(1) => "removed a lock from the repository that a killed restic of this host left".to_owned(),
            Ok(removed) => {
                format!("removed {removed} locks from the repository that killed restics of this host left")
            }
            Err(error) => format!("{} — {}", error.chain(), error.hint()),
        };
        self.report(&Event::Warning { text });
    }

    /// Refuses an export that lost its users, or more rows than allowed.
    async fn guard(&mut self, export: &Export, main: &MainState) -> Result<()> {
        require_user(export)?;
        if let Some(problem) = sanity::first_problem(&export.configuration) {
            let what = format!("nothing is published: Uptime Kuma could not run with it: {problem}");
            return Err(Error::new(Kind::Unwritable, what).with_hint("correct the named row on this host"));
        }
        let Some(published) = main.published.as_ref().filter(|_| !self.options.confirm_shrink) else { return Ok(()) };
        let max_shrink = self.settings.main.max_shrink;
        let Err(error) = decide::shrink(&published.counts, &export.configuration.counts(), max_shrink) else {
            return Ok(());
        };
        // Only then it is worth a fetch: the rows say more than their number.
        let here = &export.configuration;
        let before = self.host.fetch(&published.snapshot).await.and_then(|bytes| verify_beside(&bytes, None, here));
        match before {
            Ok(before) => decide::shrink_of(&before.0.configuration, here, max_shrink),
            Err(_) => Err(error),
        }
    }

    /// Refuses to replace `newest` by what is in this database if too many of its rows are missing here. If `newest`
    /// cannot be read, there is nothing to compare with, and a warning says so.
    ///
    /// # Errors
    /// [`Kind::NoUser`], [`Kind::Shrunk`]; those of an export and of a fetch.
    pub(super) async fn guard_against(&mut self, newest: Option<&Snapshot>) -> Result<()> {
        let export = self.host.export().await?;
        require_user(&export)?;
        let Some(newest) = newest.filter(|_| !self.options.confirm_shrink) else { return Ok(()) };
        match verify_beside(&self.host.fetch(&newest.id).await?, Some(newest), &export.configuration) {
            Ok(verified) => {
                let before = &verified.0.configuration;
                decide::shrink_of(before, &export.configuration, self.settings.main.max_shrink)
            }
            Err(error) => {
                let text = format!("this host cannot be compared with the newest snapshot: {}", error.chain());
                self.report(&Event::Warning { text });
                Ok(())
            }
        }
    }

    /// The configuration of the newest snapshot, for a comparison with a publication.
    ///
    /// # Errors
    /// Those of a fetch and of [`verify`].
    pub async fn published_before(&mut self, publication: &Publication) -> Result<Option<Configuration>> {
        match &publication.newest {
            Some(newest) if newest.tags.readable() => {
                let here = &publication.canonical.export.configuration;
                let verified = verify_beside(&self.host.fetch(&newest.id).await?, Some(newest), here)?;
                Ok(Some(verified.0.configuration))
            }
            _ => Ok(None),
        }
    }
}

/// What a main remembers that has never published, or has lost its state.
///
/// # Errors
/// Those of [`Surroundings::main_id`].
pub(super) fn first_state<S: Surroundings>(surroundings: &S) -> Result<MainState> {
    Ok(MainState {
        id: surroundings.main_id()?,
        epoch: FIRST_EPOCH,
        published: None,
        publishing: None,
        looked: None,
        repository: None,
        fenced: None,
        retention: Retention::default(),
    })
}

/// What a cycle does that need not look.
fn unchanged_now(content: Content) -> Ready {
    Ready::Unchanged { digest: content.digest, found: None, tidying: Tidying::default() }
}

/// Nothing without a user who could log in is published, whatever an operator orders.
pub(super) fn require_user(export: &Export) -> Result<()> {
    if export.configuration.has_user() {
        return Ok(());
    }
    Err(Error::new(Kind::NoUser, "the database has no user who could log in; nothing is published"))
}
