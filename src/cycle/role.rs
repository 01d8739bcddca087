//! Who is the main: promote and demote. Each step leaves a host that the next cycle, or the same command, can go
//! on from.

use crate::config::{Role, Settings};
use crate::decide;
use crate::error::{Error, Kind, Result};
use crate::model::state::{MainState, State};

use super::replace::recover;
use super::{Event, Host, Orders, Outcome, prepare, publish::first_state, run};

/// What became of the role of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It had it already.
    Already,
    /// It has it now.
    Turned,
}

/// Makes this host the main: takes the newest snapshot unless `as_is`, raises the epoch, publishes. The former
/// main, if it comes back, is fenced by the epoch.
///
/// # Errors
/// [`Kind::OnHold`]; those of an apply, with nothing promoted; those of a publish, with this host as the main:
/// its next cycle publishes.
pub async fn promote<H: Host>(host: &mut H, settings: &Settings, state: &mut State, as_is: bool) -> Result<Turn> {
    begin(host, settings, state).await?;
    if settings.role == Role::Main && reigns(host, state).await? {
        return Ok(Turn::Already);
    }
    if !as_is && !host.look().await?.snapshots.is_empty() {
        let replica = Settings { role: Role::Replica, ..settings.clone() };
        let orders = Orders { at_once: true, as_main: true, ..Orders::default() };
        let taken = run(host, &replica, state, &orders).await.map_err(or_as_is)?;
        if let Outcome::Held(reason) = taken {
            let what = "the newest snapshot cannot be taken over";
            return Err(or_as_is(Error::new(Kind::OnHold, what).because(reason)));
        }
    }
    let newest = host.look().await?.newest().first().map_or(0, |newest| newest.label.place.epoch);
    let own = state.main.as_ref().map_or(0, |main| main.epoch);
    let main = MainState { epoch: newest.max(own) + 1, ..first_state(host)? };
    let epoch = main.epoch;
    state.main = Some(main);
    host.save(state)?;
    host.set_role(Role::Main)?;
    host.tell(&Event::Promoted { epoch });
    let settings = Settings { role: Role::Main, ..settings.clone() };
    run(host, &settings, state, &Orders::default()).await?;
    Ok(Turn::Turned)
}

/// Makes this host a replica: publishes what changed here unless `as_is` or fenced, and follows the main from
/// the next cycle on.
///
/// # Errors
/// [`Kind::OnHold`]; those of a publish, with nothing demoted.
pub async fn demote<H: Host>(host: &mut H, settings: &Settings, state: &mut State, as_is: bool) -> Result<Turn> {
    begin(host, settings, state).await?;
    if settings.role == Role::Replica {
        return Ok(Turn::Already);
    }
    if !as_is {
        match run(host, settings, state, &Orders::default()).await {
            Err(error) if error.kind() != Kind::Fenced => return Err(or_as_is(error)),
            _ => {}
        }
    }
    host.set_role(Role::Replica)?;
    host.tell(&Event::Demoted);
    Ok(Turn::Turned)
}

async fn begin<H: Host>(host: &mut H, settings: &Settings, state: &mut State) -> Result<()> {
    recover(host, settings, state).await?;
    match decide::on_hold(state.hold.as_ref(), host.now()) {
        None => Ok(()),
        Some(reason) => Err(Error::new(Kind::OnHold, "this host changes nothing").because(reason)),
    }
}

/// Whether this host is the main and nobody contests it.
async fn reigns<H: Host>(host: &mut H, state: &State) -> Result<bool> {
    let mut main = match &state.main {
        Some(main) => main.clone(),
        None => first_state(host)?,
    };
    let listing = host.look().await?;
    main.epoch = decide::epoch(&listing, &main);
    let content = prepare(host).await?.content();
    let contested = main.fenced.is_some() || decide::publish(&listing, &main, content).is_err();
    let newest = listing.newest().first().map(|newest| newest.label.place.epoch);
    Ok(!contested && newest.is_none_or(|epoch| epoch == main.epoch))
}

fn or_as_is(error: Error) -> Error {
    let advice = format!("{}; or give --as-is to do without", error.advice());
    error.hint(advice)
}
