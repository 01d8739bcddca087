//! All receivers at the same time, each in a thread of its own: one that hangs delays neither the others nor this process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::address::find;
use super::request::{self, Sender};
use super::send::send;
use crate::config::Receiver;
use crate::model::notify::{Notice, Ping};

/// How long all deliveries of one run may take together.
pub const LIMIT: Duration = Duration::from_secs(5);

/// What one receiver is sent.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The receiver.
    pub receiver: Receiver,
    /// The messages, the oldest first.
    pub notices: Vec<Notice>,
    /// How many messages before them were lost.
    pub left_out: u64,
    /// The ping, if one is due.
    pub ping: Option<Ping>,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How many of the messages it has taken, the oldest first.
    pub taken: usize,
    /// Whether it has taken the ping.
    pub is_pinged: bool,
    /// Why it has not taken all, for people and without a secret.
    pub failure: Option<String>,
    /// Whether only the service can deliver it, because it alone has the credentials.
    pub is_left: bool,
}

/// Why a receiver that hangs has taken nothing.
pub fn no_answer() -> String {
    format!("it did not answer within {} seconds", LIMIT.as_secs())
}

/// Delivers all of them, and returns at the `deadline` at the latest, whatever the receivers do.
pub async fn deliver(parcels: Vec<Parcel>, sender: &Sender, deadline: Instant) -> Vec<Delivery> {
    let begun: Vec<_> = parcels.into_iter().map(|parcel| begin(parcel, sender.clone(), deadline)).collect();
    let mut ended = Vec::new();
    for (progress, end) in begun {
        let left = deadline.saturating_duration_since(Instant::now());
        let in_time = tokio::time::timeout(left, end).await.is_ok();
        // A thread that is still at work ends with this process.
        let mut delivery = locked(&progress).clone();
        if !in_time && delivery.failure.is_none() {
            delivery.failure = Some(no_answer());
        }
        ended.push(delivery);
    }
    ended
}

type Begun = (Arc<Mutex<Delivery>>, oneshot::Receiver<()>);

fn begin(parcel: Parcel, sender: Sender, deadline: Instant) -> Begun {
    let progress = Arc::new(Mutex::new(Delivery::default()));
    let (ended, end) = oneshot::channel();
    let own = Arc::clone(&progress);
    let work = move || {
        if let Err(reason) = hand_over(&parcel, &sender, deadline, &own) {
            locked(&own).failure = Some(reason);
        }
        // Nobody waits any more if the time is over.
        let _ = ended.send(());
    };
    if let Err(error) = thread::Builder::new().name("receiver".to_owned()).spawn(work) {
        locked(&progress).failure = Some(format!("cannot start a thread: {error}"));
    }
    (progress, end)
}

fn locked(progress: &Mutex<Delivery>) -> MutexGuard<'_, Delivery> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hand_over(
    Parcel { receiver, notices, left_out, ping }: &Parcel,
    sender: &Sender,
    deadline: Instant,
    progress: &Mutex<Delivery>,
) -> Result<(), String> {
    let Some(place) = find(receiver)? else {
        locked(progress).is_left = true;
        return Ok(());
    };
    let mut left_out = *left_out;
    for notice in notices {
        send(receiver.kind, request::message(receiver, &place, sender, notice, left_out)?, deadline)?;
        left_out = 0;
        locked(progress).taken += 1;
    }
    if let Some(ping) = ping {
        send(receiver.kind, request::ping(receiver, &place, ping), deadline)?;
        locked(progress).is_pinged = true;
    }
    Ok(())
}

/// A ping that says that a cycle begins, sent beside it.
#[derive(Debug)]
pub struct Start {
    /// The name of the receiver.
    pub receiver: String,
    end: oneshot::Receiver<()>,
}

impl Start {
    /// Begins to send it. Whether the receiver takes it does not matter, only that it has it before the end of the cycle.
    pub fn begin(receiver: &Receiver) -> Option<Self> {
        let place = find(receiver).ok().flatten()?;
        let (kind, deadline) = (receiver.kind, Instant::now() + LIMIT);
        let (ended, end) = oneshot::channel();
        let work = move || {
            let _ = send(kind, request::start(&place), deadline);
            let _ = ended.send(());
        };
        thread::Builder::new().name("receiver".to_owned()).spawn(work).ok()?;
        Some(Self { receiver: receiver.name.clone(), end })
    }

    /// Waits until it is sent, or until the `deadline`. Whether it is sent.
    pub async fn end(self, deadline: Instant) -> bool {
        tokio::time::timeout(deadline.saturating_duration_since(Instant::now()), self.end).await.is_ok()
    }
}
