//! The request that a receiver understands, and whether its answer says that it has taken it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::address::{Place, Token};
use crate::config::{Receiver, ReceiverKind, Role};
use crate::host::http::{percent_decoded, percent_encoded};
use crate::model::notify::{Notice, Ping, Weight};
use crate::text;

/// The version of the JSON that a webhook gets.
const VERSION: u32 = 1;

/// The longest text of a message, in bytes: ntfy takes 4096.
const MAX_TEXT: usize = 3500;

/// The longest text in an address, in bytes.
const MAX_MESSAGE: usize = 300;

/// Who tells.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The name of this host.
    pub host: String,
    /// Its role.
    pub role: Role,
}

/// A request to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// A request without a body is a GET, one with a body a POST.
    pub(super) body: Option<String>,
}

impl Sender {
    fn title(&self, notice: &Notice) -> String {
        format!("kuma-replicator on {}: {}", self.host, notice.event)
    }
}

/// The request that tells `receiver` of `notice`; before it, `left_out` messages were lost.
///
/// # Errors
/// What is wrong with its address, for people.
pub(super) fn message(
    receiver: &Receiver,
    place: &Place,
    sender: &Sender,
    notice: &Notice,
    left_out: u64,
) -> Result<Request, String> {
    let mut notice = notice.clone();
    if left_out > 0 {
        notice.text.push_str(&format!(" ({} before this one left out)", text::count(left_out, "message")));
    }
    let (url, mut headers) = plain(place.address.secret());
    headers.push(("Content-Type", "application/json".to_owned()));
    if let Some(Token(token)) = &place.token {
        headers.retain(|(name, _)| *name != "Authorization");
        headers.push(("Authorization", format!("Bearer {token}")));
    }
    let (url, body) = match receiver.kind {
        ReceiverKind::Ntfy => {
            let (server, topic) = topic(&url)?;
            (server, ntfy(receiver, sender, &notice, topic).to_string())
        }
        _ => match &receiver.template {
            Some(template) => (url, template.fill(|name| placeholder(name, sender, &notice))),
            None => (url, webhook(sender, &notice).to_string()),
        },
    };
    Ok(Request { url, headers, body: Some(body) })
}

/// The request that pings `receiver`.
pub(super) fn ping(receiver: &Receiver, place: &Place, ping: &Ping) -> Request {
    let (url, headers) = plain(place.address.secret());
    match receiver.kind {
        ReceiverKind::UptimeKuma => {
            // Uptime Kuma shows the address with an example of the query.
            let url = url.split('?').next().unwrap_or_default();
            let status = if ping.up { "up" } else { "down" };
            let message = percent_encoded(&cut(&ping.text, MAX_MESSAGE));
            let millis = ping.millis.map(|millis| millis.to_string()).unwrap_or_default();
            Request { url: format!("{url}?status={status}&msg={message}&ping={millis}"), headers, body: None }
        }
        _ => {
            let url = if ping.up { url } else { below(&url, "fail") };
            Request { url, headers, body: Some(cut(&ping.text, MAX_TEXT)) }
        }
    }
}

/// The request that tells a receiver of pings that a cycle begins.
pub(super) fn start(place: &Place) -> Request {
    let (url, headers) = plain(place.address.secret());
    Request { url: below(&url, "start"), headers, body: None }
}

/// Whether an answer says that the request was taken.
///
/// # Errors
/// What it says instead, for people. Nothing that the server wrote is repeated: it may repeat the address.
pub(super) fn judge(kind: ReceiverKind, status: u16, body: &[u8]) -> Result<(), String> {
    let says = |key: &str| serde_json::from_slice::<Value>(body).ok().and_then(|body| body.get(key).cloned());
    match (kind, status) {
        (_, 301 | 302 | 303 | 307 | 308) => Err(format!(
            "answered {status}: it redirects, which is not followed; write the address that it redirects to"
        )),
        (_, 401 | 403) => Err(format!("answered {status}: it refuses this address or token")),
        // Newer versions answer with 500.
        (ReceiverKind::UptimeKuma, 404 | 500) if says("ok") == Some(Value::Bool(false)) => {
            Err(format!("answered {status}: no active push monitor has this token"))
        }
        (_, 404) => Err("answered 404: it does not know this address".to_owned()),
        (_, 429) => Err("answered 429: it was sent too much in a short time".to_owned()),
        (ReceiverKind::UptimeKuma, 200) if says("ok") == Some(Value::Bool(true)) => Ok(()),
        (ReceiverKind::UptimeKuma, 200) => Err("answered as no push monitor of an Uptime Kuma does".to_owned()),
        (ReceiverKind::Ntfy, 200) if says("id").is_some_and(|id| id.is_string()) => Ok(()),
        (ReceiverKind::Ntfy, 200) => Err("answered as no ntfy server does".to_owned()),
        (ReceiverKind::Healthchecks, 200) if body.starts_with(b"OK (not found)") => {
            Err("answered that it has no such check".to_owned())
        }
        (_, 200..=299) => Ok(()),
        (_, status) => Err(format!("answered {status}")),
    }
}

/// What ntfy documents under "Publish as JSON".
fn ntfy(receiver: &Receiver, sender: &Sender, notice: &Notice, topic: &str) -> Value {
    let (tag, priority) = match notice.level {
        Weight::Good => ("white_check_mark", 3),
        Weight::Notice => ("information_source", 3),
        Weight::Warning => ("warning", 3),
        Weight::Error => ("rotating_light", 4),
    };
    let tags: Vec<&str> = [tag].into_iter().chain(receiver.tags.iter().map(String::as_str)).collect();
    json!({
        "topic": topic,
        "title": sender.title(notice),
        "message": cut(&notice.body(), MAX_TEXT),
        "priority": receiver.priority.unwrap_or(priority),
        "tags": tags,
    })
}

/// The JSON of a webhook without a template: a contract, see `docs/notifications.md`.
fn webhook(sender: &Sender, notice: &Notice) -> Value {
    json!({
        "version": VERSION,
        "event": notice.event,
        "level": notice.level.name(),
        "host": sender.host,
        "role": sender.role,
        "title": sender.title(notice),
        "text": notice.text,
        "hint": notice.hint,
        "error": notice.error,
        "fields": notice.fields,
        "at": notice.at,
    })
}

fn placeholder(name: &str, sender: &Sender, notice: &Notice) -> String {
    match name {
        "event" => notice.event.clone(),
        "level" => notice.level.name().to_owned(),
        "host" => sender.host.clone(),
        "role" => sender.role.to_string(),
        "title" => sender.title(notice),
        "text" => notice.text.clone(),
        "hint" => notice.hint.clone().unwrap_or_default(),
        "at" => notice.at.to_string(),
        _ => String::new(),
    }
}

/// An address without a log-in in it, which becomes a header.
fn plain(url: &str) -> (String, Vec<(&'static str, String)>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), Vec::new()) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        None => (url.to_owned(), Vec::new()),
        Some((login, host)) => {
            let header = ("Authorization", format!("Basic {}", STANDARD.encode(percent_decoded(login))));
            (format!("{scheme}://{host}{path}"), vec![header])
        }
    }
}

/// The server and the topic in the address of an ntfy topic.
fn topic(url: &str) -> Result<(String, &str), String> {
    let found = url.split_once("://").and_then(|(scheme, rest)| {
        let (host, topic) = rest.split_once('/')?;
        let topic = topic.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        (!topic.is_empty() && topic.chars().all(plain)).then(|| (format!("{scheme}://{host}/"), topic))
    });
    found.ok_or_else(|| "its address is not that of a topic, such as https://ntfy.sh/my-topic".to_owned())
}

/// `url` with `name` at the end of its path.
fn below(url: &str, name: &str) -> String {
    let (path, query) = url.find(['?', '#']).map_or((url, ""), |at| url.split_at(at));
    format!("{}/{name}{query}", path.trim_end_matches('/'))
}

/// The beginning of `text`, of at most `limit` bytes.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", text.get(..end).unwrap_or_default())
}
