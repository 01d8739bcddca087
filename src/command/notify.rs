//! Telling receivers: after a run, and `notify test`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::Cli;
use crate::config::{Receiver, Settings};
use crate::cycle::{Conclusion, Event};
use crate::decide::{self, Ended, Run};
use crate::error::{Error, Exit, Kind, Result};
use crate::host::notify::{Delivery, LIMIT, Parcel, Sender, Start, deliver, no_answer};
use crate::host::store::{self, Notices};
use crate::host::system::interrupt::Interrupt;
use crate::host::{Directories, host_name};
use crate::logging;
use crate::model::notify::{Memory, Notice, Ping, Pinged, Trouble, Weight};
use crate::model::state::{LastCycle, State};

use super::check::{Order, through_the_service};
use super::findings::{Findings, Form};
use super::settings::settings;

/// Tells receivers of pings that a cycle begins, if one will be due at its end.
pub(super) fn begin(settings: &Settings, directory: &Path) -> Vec<Start> {
    let mut counting = settings.receivers.iter().filter(|receiver| receiver.kind.counts_starts()).peekable();
    if counting.peek().is_none() {
        return Vec::new();
    }
    let (memory, now) = (store::read_memory(directory), Timestamp::now());
    let due = counting.filter(|receiver| {
        let known = memory.as_ref().and_then(|memory| memory.receivers.get(&receiver.name));
        decide::is_ping_due(receiver, known, true, now) && decide::is_tried(known, now)
    });
    due.filter_map(Start::begin).collect()
}

/// What a run leaves for [`tell`].
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The configuration file, once it is read.
    pub(super) settings: Option<Settings>,
    /// What was begun with [`begin`].
    pub(super) starts: Vec<Start>,
    /// How the cycle ended, and how long it took in milliseconds; none if nothing was due.
    pub(super) ended: Option<(Ended, u64)>,
}

/// How a run ended, as receivers are told: none if nothing was due, or if only the command line was wrong.
pub(super) fn ended(result: &Result<Option<Conclusion>>, took: Duration) -> Option<(Ended, u64)> {
    let ended = match result {
        Ok(None) => return None,
        Err(error) if error.kind().exit() == Exit::Usage => return None,
        Ok(Some(end)) => Ended::Well { outcome: end.outcome(), reason: end.reason().unwrap_or_default().to_owned() },
        Err(error) => Ended::Badly { kind: error.kind(), text: error.chain(), hint: error.hint().to_owned() },
    };
    Some((ended, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
}

/// Tells receivers what they have to know after a run. Nothing of it fails the run, or takes longer than [`LIMIT`].
pub(super) async fn tell(left: Left, directories: &Directories) {
    let Some(settings) = left.settings.as_ref().filter(|settings| !settings.receivers.is_empty()) else { return };
    let state = match store::read_state(&directories.state) {
        Ok(state) => state.unwrap_or_default(),
        Err(error) if error.kind() == Kind::StateDamaged => State::default(),
        // Nothing is concluded from what cannot be read for now.
        Err(_) => return,
    };
    let (ended, millis) = match left.ended {
        Some((ended, millis)) => (ended, Some(millis)),
        None => match before(&state) {
            Some(ended) => (ended, None),
            None => return,
        },
    };
    let run = Run { settings, state: &state, ended, millis, now: Timestamp::now(), zone: TimeZone::system() };
    if let Err(error) = try_tell(&run, left.starts, &directories.state).await {
        logging::report(&Event::Warning { text: format!("cannot tell receivers: {}", error.chain()) });
    }
}

/// How the cycle before ended.
fn before(state: &State) -> Option<Ended> {
    let LastCycle { outcome, message, error, .. } = state.last_cycle.clone()?;
    Some(match error {
        None => Ended::Well { outcome, reason: message },
        Some(kind) => Ended::Badly { kind, text: message, hint: kind.hint().to_owned() },
    })
}

async fn try_tell(run: &Run<'_>, starts: Vec<Start>, directory: &Path) -> Result<()> {
    // Another run tells them.
    let Some(notices) = Notices::lock(directory)? else { return Ok(()) };
    let known = notices.memory();
    let mut memory = known.clone().unwrap_or_else(|| Memory::new(run.now));
    notices.take(|noticed| {
        decide::notice(&mut memory, &noticed, run);
        // On disk before anything is sent, so that a kill loses nothing.
        if known.as_ref() == Some(&memory) { Ok(()) } else { notices.save(&memory) }
    })?;
    let before = memory.clone();
    deliver_all(run, starts, &mut memory).await;
    if memory == before { Ok(()) } else { notices.save(&memory) }
}

async fn deliver_all(run: &Run<'_>, starts: Vec<Start>, memory: &mut Memory) {
    let deadline = Instant::now() + LIMIT;
    let mut begun = BTreeMap::new();
    for start in starts {
        let name = start.receiver.clone();
        let is_sent = start.end(deadline).await;
        if !is_sent {
            record(memory, &name, Delivery { failure: Some(no_answer()), ..Delivery::default() }, run.now, true);
        }
        begun.insert(name, is_sent);
    }
    let ping = decide::ping(run, memory.since);
    let parcels = parcels(run, memory, &ping, &begun);
    let names: Vec<String> = parcels.iter().map(|parcel| parcel.receiver.name.clone()).collect();
    let sender = Sender { host: host_name(), role: run.settings.role };
    for (name, delivery) in names.into_iter().zip(deliver(parcels, &sender, deadline).await) {
        record(memory, &name, delivery, run.now, ping.up);
    }
}

/// What each receiver is sent now. One that knows that the cycle has begun has to know its end; one of which that is not
/// certain (`false`) would have it before the beginning.
fn parcels(run: &Run<'_>, memory: &Memory, ping: &Ping, begun: &BTreeMap<String, bool>) -> Vec<Parcel> {
    let tried = run.settings.receivers.iter().filter_map(|receiver| {
        let known = memory.receivers.get(&receiver.name);
        let is_due = match begun.get(&receiver.name) {
            Some(is_certain) => *is_certain,
            None => receiver.kind.is_pinged() && decide::is_ping_due(receiver, known, ping.up, run.now),
        };
        let notices: Vec<Notice> = known.map(|known| known.waiting.iter().cloned().collect()).unwrap_or_default();
        if !decide::is_tried(known, run.now) || (notices.is_empty() && !is_due) {
            return None;
        }
        let left_out = known.map_or(0, |known| known.left_out);
        Some(Parcel { receiver: receiver.clone(), notices, left_out, ping: is_due.then(|| ping.clone()) })
    });
    tried.collect()
}

/// Remembers what became of a delivery. The journal has one warning for a receiver that takes nothing.
fn record(memory: &mut Memory, name: &str, delivery: Delivery, now: Timestamp, up: bool) {
    let known = memory.receivers.entry(name.to_owned()).or_default();
    known.waiting.drain(..delivery.taken.min(known.waiting.len()));
    if delivery.taken > 0 {
        known.left_out = 0;
    }
    if delivery.is_pinged {
        known.pinged = Some(Pinged { at: now, up });
    }
    if delivery.is_left {
        return;
    }
    known.trouble = delivery.failure.map(|reason| match known.trouble.take() {
        Some(trouble) => Trouble { tried: now, reason, ..trouble },
        None => {
            let text = format!("receiver {name} takes nothing: {reason}; it is tried again once a minute");
            logging::report(&Event::Warning { text });
            Trouble { since: now, tried: now, reason }
        }
    });
}

/// `notify test`: sends each receiver, or the one of this name, a message, and prints what became of it.
pub(super) async fn test(cli: &Cli, name: Option<&str>, steps: bool) -> Result<()> {
    let configured = settings(cli)?;
    let receivers = chosen(&configured, name)?;
    let mut findings = Findings::new(if steps { Form::Steps } else { Form::Text });
    let mut arguments = vec!["notify", "test", "--steps"];
    arguments.extend(name);
    let order = Order { arguments: &arguments, must: false, is_step: steps };
    if !through_the_service(cli, order, &mut findings, &Interrupt::install()?).await? {
        let sender = Sender { host: host_name(), role: configured.role };
        let parcels: Vec<Parcel> = receivers.iter().map(test_parcel).collect();
        let deadline = Instant::now() + LIMIT;
        for (receiver, delivery) in receivers.into_iter().zip(deliver(parcels, &sender, deadline).await) {
            let kind = receiver.kind;
            findings.add(&receiver.name, result(delivery), |()| format!("it took the test message ({kind})"));
        }
    }
    findings.end()
}

fn chosen(settings: &Settings, name: Option<&str>) -> Result<Vec<Receiver>> {
    let receivers = &settings.receivers;
    if receivers.is_empty() {
        let hint = "write a table [notify.NAME] into config.toml; /usr/share/doc/kuma-replicator/notifications.md has examples";
        return Err(Error::new(Kind::Usage, "no receiver is configured").with_hint(hint));
    }
    let chosen: Vec<Receiver> =
        receivers.iter().filter(|receiver| name.is_none_or(|name| receiver.name == name)).cloned().collect();
    if chosen.is_empty() {
        let names: Vec<&str> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
        let what = format!("there is no receiver '{}'", crate::text::short(name.unwrap_or_default()));
        return Err(Error::new(Kind::Usage, what).with_hint(format!("there is: {}", names.join(", "))));
    }
    Ok(chosen)
}

fn test_parcel(receiver: &Receiver) -> Parcel {
    let text = "this is a test: kuma-replicator notify test was typed on this host".to_owned();
    let (notices, ping) = if receiver.kind.is_pinged() {
        (Vec::new(), Some(Ping { up: true, text, millis: None }))
    } else {
        let (event, at) = ("test".to_owned(), Timestamp::now());
        let notice = Notice { event, level: Weight::Notice, text, hint: None, error: None, fields: [].into(), at };
        (vec![notice], None)
    };
    Parcel { receiver: receiver.clone(), notices, left_out: 0, ping }
}

fn result(delivery: Delivery) -> Result<()> {
    match delivery {
        Delivery { failure: Some(reason), .. } => {
            Err(Error::new(Kind::NotifyFailed, "it did not take the test message").because(reason))
        }
        Delivery { is_left: true, .. } => {
            let what = "its address is a credential, which only the service has";
            Err(Error::new(Kind::NotPermitted, what).with_hint("run kuma-replicator notify test as root"))
        }
        _ => Ok(()),
    }
}
