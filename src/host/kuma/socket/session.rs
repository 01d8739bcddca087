//! A session of socket.io 5 (<https://github.com/socketio/socket.io-protocol>): log-in, events, acknowledgements. Blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::orders::{Order, orders};
use super::polling::Polling;
use super::token::{Token, Tokens};
use crate::model::configuration::Configuration;
use crate::model::server::Family;
use crate::model::told::Told;

/// How long the proof may take that the server would take orders.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a log-in may take, with all lists that follow it, and how long each order on top of that. A busy server with
/// 1,000 monitors needed a fifth of it.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(120);
const ORDER_TIMEOUT: Duration = Duration::from_millis(500);

/// How many events are sent at a time to 2.x, and the pause between two batches. Monitors that begin at the same time beat
/// in phase from then on.
const BATCH: usize = 20;
const BATCH_PAUSE: Duration = Duration::from_secs(1);

/// How much is sent at a time, in bytes: half of what the server accepts (`maxHttpBufferSize` of engine.io).
const MAX_SENT: usize = 500_000;

/// What a server says to the token of a user that it does not have: 2.x, and 1.23.
const NO_SUCH_USER: [&str; 2] = ["authUserInactiveOrDeleted", "The user is inactive or deleted."];

/// Proves that a server signs with the secret of these `tokens`, by a log-in as a user that does not exist.
///
/// # Errors
/// Why it would take no orders, for people.
pub fn probe(url: &str, family: Family, tokens: &Tokens) -> Result<(), String> {
    let mut session = Session::connect(url, family, Instant::now() + PROBE_TIMEOUT)?;
    let answers = session.call(&[json!(["loginByToken", tokens.nobody.as_str()])])?;
    session.polling.close();
    let answer = answers.into_iter().next().unwrap_or_default();
    match answer.msg {
        Some(text) if !answer.ok && NO_SUCH_USER.contains(&text.as_str()) => Ok(()),
        Some(text) => Err(format!("it does not accept a token that is signed with its secret: {text}")),
        None => Err("it accepts the token of a user that does not exist".to_owned()),
    }
}

/// How long [`tell`] may take.
pub fn limit(told: &Told, rows: &Configuration) -> Duration {
    limit_of(&orders(told, rows))
}

fn limit_of(orders: &[Order]) -> Duration {
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let each = (ORDER_TIMEOUT + BATCH_PAUSE).saturating_mul(number(orders.len()));
    LOGIN_TIMEOUT.saturating_mul(number(owners(orders).len().max(1))).saturating_add(each)
}

/// The users to whom the rows of `orders` belong.
fn owners(orders: &[Order]) -> BTreeSet<i64> {
    orders.iter().filter_map(|order| order.user).collect()
}

/// Tells the server the rows `told`, which are in its database as in `rows`: in one session for each user that owns some.
///
/// # Errors
/// What it did not acknowledge, for people.
pub fn tell(url: &str, family: Family, tokens: &Tokens, told: &Told, rows: &Configuration) -> Result<(), String> {
    let orders = orders(told, rows);
    let deadline = Instant::now() + limit_of(&orders);
    let Some(first) = owners(&orders).first().or_else(|| tokens.users.keys().next()).copied() else {
        return Err("it has no user who may log in".to_owned());
    };
    let mut by_user: BTreeMap<i64, Vec<Order>> = BTreeMap::new();
    for order in orders {
        by_user.entry(order.user.unwrap_or(first)).or_default().push(order);
    }
    for (user, orders) in by_user {
        let token = tokens.users.get(&user).ok_or_else(|| format!("user {user} may not log in"))?;
        let mut session = Session::connect(url, family, deadline)?;
        session.log_in(token)?;
        session.carry_out(orders)?;
        session.polling.close();
    }
    Ok(())
}

/// An answer to an event.
#[derive(Debug, Clone, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    msg: Option<String>,
}

struct Session {
    polling: Polling,
    family: Family,
    /// The number of the next event.
    next: usize,
}

impl Session {
    /// Connects, and waits until the server listens to events: 2.x drops without a word what comes before.
    fn connect(url: &str, family: Family, deadline: Instant) -> Result<Self, String> {
        let mut polling = Polling::open(url, deadline)?;
        polling.send(&["40".to_owned()])?;
        loop {
            let packet = polling.next()?;
            let listens = match family {
                Family::One => packet.starts_with("40"),
                Family::Two { .. } => is_event(&packet, "loginRequired") || is_event(&packet, "autoLogin"),
            };
            if listens {
                return Ok(Self { polling, family, next: 0 });
            }
            if packet.starts_with("44") {
                return Err("it refuses the connection".to_owned());
            }
        }
    }

    /// Logs in, and waits until the session belongs to the user. 1.23 acknowledges that at once, and sends all its lists
    /// then, which with a log-out are those of nobody. 2.x acknowledges it only after the lists, so one of them says it.
    fn log_in(&mut self, token: &Token) -> Result<(), String> {
        let id = self.emit(&[json!(["loginByToken", token.as_str()])])?;
        loop {
            let packet = self.polling.next()?;
            if self.family != Family::One && is_event(&packet, "statusPageList") {
                return Ok(());
            }
            match answer(&packet).filter(|(found, _)| *found == id) {
                Some((_, Answer { ok: true, .. })) => return Ok(()),
                Some((_, Answer { msg, .. })) => {
                    return Err(format!("it refuses the log-in: {}", msg.unwrap_or_default()));
                }
                None => {}
            }
        }
    }

    /// Sends the orders, and waits until each is acknowledged.
    fn carry_out(&mut self, orders: Vec<Order>) -> Result<(), String> {
        let (apart, together): (Vec<Order>, Vec<Order>) = orders.into_iter().partition(|order| order.or_else.is_some());
        for order in apart {
            let mut answer = self.call(&[event(order.event, &order)])?;
            if let (Some(other), false) = (order.or_else, answer.iter().all(|answer| answer.ok)) {
                answer = self.call(&[event(other, &order)])?;
            }
            check(&order, answer.first())?;
        }
        let mut rest = together.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(self.fitting(rest));
            let mut events: Vec<Json> = batch.iter().map(|order| event(order.event, order)).collect();
            // Without it, 1.23 sends the whole list once more for each order. Every order is checked before it.
            if self.family == Family::One && after.is_empty() {
                events.push(json!(["logout"]));
            }
            let answers = self.call(&events)?;
            for (at, order) in batch.iter().enumerate() {
                check(order, answers.get(at))?;
            }
            rest = after;
            if !rest.is_empty() {
                thread::sleep(BATCH_PAUSE);
            }
        }
        Ok(())
    }

    /// How many of these orders are sent at a time.
    fn fitting(&self, orders: &[Order]) -> usize {
        let mut bytes = 0;
        let fitting = orders.iter().take_while(|order| {
            bytes += event(order.event, order).to_string().len() + 16;
            bytes <= MAX_SENT
        });
        let most = if self.family == Family::One { usize::MAX } else { BATCH };
        fitting.take(most).count().max(1)
    }

    /// Sends events and waits until all are acknowledged. Returns the answers, in the order of the events.
    fn call(&mut self, events: &[Json]) -> Result<Vec<Answer>, String> {
        let first = self.emit(events)?;
        let mut answers: BTreeMap<usize, Answer> = BTreeMap::new();
        while answers.len() < events.len() {
            let packet = self.polling.next()?;
            if let Some((id, answer)) = answer(&packet).filter(|(id, _)| (first..self.next).contains(id)) {
                answers.insert(id, answer);
            }
        }
        Ok(answers.into_values().collect())
    }

    /// Sends events, each an array of its name and arguments. Returns the number of the first.
    fn emit(&mut self, events: &[Json]) -> Result<usize, String> {
        let first = self.next;
        self.next += events.len();
        let packets: Vec<String> = events.iter().zip(first..).map(|(event, id)| format!("42{id}{event}")).collect();
        self.polling.send(&packets)?;
        Ok(first)
    }
}

/// An order as the event of this name.
fn event(name: &str, order: &Order) -> Json {
    std::iter::once(json!(name)).chain(order.arguments.iter().cloned()).collect()
}

/// Fails if the server has not acknowledged an order. Its arguments are not shown: they may be secret.
fn check(order: &Order, answer: Option<&Answer>) -> Result<(), String> {
    match answer {
        Some(Answer { ok: true, .. }) => Ok(()),
        answer => {
            let reason = answer.and_then(|answer| answer.msg.as_deref()).unwrap_or("it says no more");
            Err(format!("it refuses {} {}: {reason}", order.event, order.id))
        }
    }
}

/// Whether `packet` is the event of this name.
fn is_event(packet: &str, name: &str) -> bool {
    packet.strip_prefix("42[\"").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('"'))
}

/// The number and the answer in an acknowledgement. One without an answer, as to a log-out, is a good one.
fn answer(packet: &str) -> Option<(usize, Answer)> {
    let rest = packet.strip_prefix("43")?;
    let (id, json) = rest.split_at(rest.find('[')?);
    let answers: Vec<Answer> = serde_json::from_str(json).unwrap_or_else(|_| vec![Answer::default()]);
    let answer = answers.into_iter().next().unwrap_or(Answer { ok: true, msg: None });
    Some((id.parse().ok()?, answer))
}
