//! Who is the main: promote and demote. Each step leaves a host that the next cycle, or the same command, can go
//! on from.

use crate::config::{Alerts, Role, Settings};
use crate::decide::{self, Apply};
use crate::error::{Error, Kind, Result};
use crate::model::snapshot::Listing;
use crate::model::state::{MainState, State};

use super::publish::{first_state, guard_against, require_user};
use super::replace::recover;
use super::{Event, Host, Options, Outcome, prepare, run};

/// What became of the role of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleChange {
    /// It had the role already.
    Unchanged,
    /// It has the role now.
    Changed,
}

/// What a person may order for a promotion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promotion {
    /// Publish what is here, without taking over the newest snapshot first.
    pub as_is: bool,
    /// Also if more rows of the newest snapshot are missing here than allowed.
    pub confirm_shrink: bool,
}

/// Makes this host the main: takes the newest snapshot unless told otherwise, raises the epoch, publishes. The
/// former main, if it comes back, is fenced by the epoch.
///
/// # Errors
/// [`Kind::OnHold`], [`Kind::NoUser`], [`Kind::Usage`] for a silent standby as it is; those of an apply, with nothing promoted; those of a publish, with this
/// host as the main: its next cycle publishes.
pub async fn promote<H: Host>(
    host: &mut H,
    settings: &Settings,
    state: &mut State,
    promotion: Promotion,
) -> Result<RoleChange> {
    begin(host, settings, state).await?;
    let options =
        Options { at_once: true, as_main: true, confirm_shrink: promotion.confirm_shrink, ..Options::default() };
    if settings.role == Role::Main {
        match standing(host, state).await? {
            Standing::Reigns => return Ok(RoleChange::Unchanged),
            // Its rows are the truth already, with all that was edited since: nothing is taken.
            Standing::Elected => {
                run(host, settings, state, &options).await?;
                return Ok(RoleChange::Changed);
            }
            Standing::Contested => {}
        }
    }
    let listing = if promotion.as_is {
        require_voice(settings)?;
        let listing = host.look().await?;
        guard_against(host, listing.newest().first().copied(), settings, &options).await?;
        listing
    } else {
        take(host, settings, state, &options).await.map_err(or_as_is)?
    };
    // A host that could publish nothing is not made the main.
    require_user(&host.export().await?)?;
    let epoch = decide::next_epoch(&listing, state);
    state.main = Some(MainState { epoch, ..first_state(host)? });
    host.save(state)?;
    host.set_role(Role::Main)?;
    host.report(&Event::Promoted { epoch });
    let settings = Settings { role: Role::Main, ..settings.clone() };
    run(host, &settings, state, &options).await?;
    Ok(RoleChange::Changed)
}

/// A silent standby has no monitor that tells anybody; nor would any host that takes it over.
fn require_voice(settings: &Settings) -> Result<()> {
    if settings.role == Role::Replica && settings.replica.customization.alerts == Alerts::None {
        let what = "this host is a silent standby: published as it is, it would silence all others";
        return Err(Error::new(Kind::Usage, what).with_hint("run kuma-replicator alerts on first"));
    }
    Ok(())
}

/// Takes the newest snapshot over as a replica does, and looks again: the former main may publish meanwhile.
/// Returns what the last look found.
async fn take<H: Host>(host: &mut H, settings: &Settings, state: &mut State, options: &Options) -> Result<Listing> {
    const ROUNDS: usize = 3;
    let replica = Settings { role: Role::Replica, ..settings.clone() };
    let mut listing = host.look().await?;
    for _ in 0..ROUNDS {
        if listing.snapshots.is_empty() && state.replica.applied.is_none() {
            return Ok(listing);
        }
        if let Outcome::Held(reason) = run(host, &replica, state, options).await? {
            let what = "the newest snapshot cannot be taken over";
            return Err(Error::new(Kind::OnHold, what).because(reason));
        }
        listing = host.look().await?;
        if let Apply::UpToDate(_) = decide::apply(&listing, &state.replica)? {
            return Ok(listing);
        }
    }
    let what = "the main publishes faster than this host takes over";
    Err(Error::new(Kind::OutOfOrder, what).with_hint("run kuma-replicator demote on the main first"))
}

/// Makes this host a replica: publishes what changed here unless `as_is` or fenced, and follows the main from
/// the next cycle on.
///
/// # Errors
/// [`Kind::OnHold`]; those of a publish, with nothing demoted.
pub async fn demote<H: Host>(host: &mut H, settings: &Settings, state: &mut State, as_is: bool) -> Result<RoleChange> {
    begin(host, settings, state).await?;
    if settings.role == Role::Replica {
        return Ok(RoleChange::Unchanged);
    }
    if !as_is {
        match run(host, settings, state, &Options::default()).await {
            Err(error) if error.kind() != Kind::Fenced => return Err(or_as_is(error)),
            _ => {}
        }
    }
    host.set_role(Role::Replica)?;
    host.report(&Event::Demoted);
    Ok(RoleChange::Changed)
}

pub(super) async fn begin<H: Host>(host: &mut H, settings: &Settings, state: &mut State) -> Result<()> {
    recover(host, settings, state).await?;
    match decide::on_hold(state.hold.as_ref(), host.now()) {
        None => Ok(()),
        Some(reason) => Err(Error::new(Kind::OnHold, "this host changes nothing").because(reason)),
    }
}

/// How a host stands that has the role of the main.
enum Standing {
    /// It is the main, and nobody contests it.
    Reigns,
    /// It was promoted, and its first snapshot is not published yet.
    Elected,
    /// Another host, or a copy of this one, published in its place.
    Contested,
}

async fn standing<H: Host>(host: &mut H, state: &State) -> Result<Standing> {
    let mut main = match &state.main {
        Some(main) => main.clone(),
        None => first_state(host)?,
    };
    let listing = host.look().await?;
    main.epoch = decide::epoch(&listing, &main);
    let content = prepare(host).await?.content();
    let contested = main.fenced.is_some() || decide::publish(&listing, &main, content).is_err();
    let newest = listing.newest().first().map(|newest| newest.tags.place.epoch);
    Ok(match newest {
        _ if contested => Standing::Contested,
        Some(epoch) if epoch < main.epoch => Standing::Elected,
        _ => Standing::Reigns,
    })
}

fn or_as_is(error: Error) -> Error {
    let advice = format!("{}; or give --as-is to do without", error.hint());
    error.with_hint(advice)
}
