//! Promise: each kind of receiver gets what it documents, and one that hangs, resets, redirects, lies or floods delays
//! nothing, fails nothing and learns no secret.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver as Channel, channel};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kuma_replicator::config::{Receiver, Role, Settings};
use kuma_replicator::host::notify::{Delivery, Parcel, Sender, Start, deliver};
use kuma_replicator::model::notify::{Notice, Ping, Weight};
use serde_json::{Value, json};

/// How long a test waits for what happens at once.
const SOON: Duration = Duration::from_secs(60);

/// How a server answers.
#[derive(Clone)]
enum Manner {
    /// With this status and body.
    Says(u16, &'static str),
    /// With a redirect to this address.
    Redirects(String),
    /// It takes the request and says nothing.
    Hangs,
    /// It answers a byte at a time, without an end.
    Drips,
    /// It sends a body without an end.
    Floods,
    /// It resets the connection.
    Resets,
    /// It does not speak HTTP.
    Babbles,
}

/// What a server was sent.
#[derive(Debug)]
struct Sent {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A server on this machine, and what it is sent.
struct Server {
    url: String,
    sent: Channel<Sent>,
}

impl Server {
    fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, sent) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, sender) = (manner.clone(), sender.clone());
                thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    let _ = sender.send(request);
                    answer(stream, &manner);
                });
            }
        });
        Self { url, sent }
    }

    fn next(&self) -> Sent {
        self.sent.recv_timeout(SOON).unwrap()
    }

    fn nothing_more(&self) {
        assert!(self.sent.try_recv().is_err());
    }
}

fn read(stream: &TcpStream) -> Option<Sent> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Sent { line: line.trim().to_owned(), headers, body: String::from_utf8(body).unwrap() })
}

fn answer(mut stream: TcpStream, manner: &Manner) {
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} X\r\n{more}Connection: close\r\n");
    let written = match manner {
        Manner::Says(status, body) => {
            write!(stream, "{}Content-Length: {}\r\n\r\n{body}", head(*status, ""), body.len())
        }
        Manner::Redirects(to) => {
            write!(stream, "{}Content-Length: 0\r\n\r\n", head(302, &format!("Location: {to}\r\n")))
        }
        Manner::Babbles => write!(stream, "SSH-2.0-OpenSSH_9.2\r\n"),
        Manner::Resets => {
            let zero = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(&stream, zero).map_err(Into::into)
        }
        // Until the other side goes away.
        Manner::Hangs => stream.read(&mut [0; 1]).map(drop),
        Manner::Floods => {
            let mut result = write!(stream, "{}\r\n", head(200, ""));
            while result.is_ok() {
                result = stream.write_all(&[b'x'; 1 << 16]);
            }
            Ok(())
        }
        Manner::Drips => {
            let mut result = stream.write_all(b"HTTP/1.1 200 X\r\nX-Drip: ");
            while result.is_ok() {
                thread::sleep(Duration::from_millis(20));
                result = stream.write_all(b"x");
            }
            Ok(())
        }
    };
    drop(written);
}

fn receiver(keys: &str) -> Receiver {
    let text = format!("role = \"replica\"\nrepository = \"/r\"\n[notify.x]\n{keys}\n");
    let settings = Settings::parse(&text, Path::new("config.toml")).unwrap();
    settings.receivers.into_iter().next().unwrap()
}

fn notice() -> Notice {
    Notice {
        event: "failed".to_owned(),
        level: Weight::Error,
        text: "it \"broke\" \\ ü".to_owned(),
        hint: Some("do this".to_owned()),
        error: Some("wrong-password".to_owned()),
        fields: [("KUMA_EPOCH".to_owned(), "2".to_owned())].into(),
        at: "2026-01-02T12:00:00Z".parse::<Timestamp>().unwrap(),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn send(parcels: Vec<Parcel>, limit: Duration) -> Vec<Delivery> {
    let sender = Sender { host: "fra1".to_owned(), role: Role::Replica };
    run(deliver(parcels, &sender, Instant::now() + limit))
}

fn told(receiver: Receiver) -> Parcel {
    Parcel { receiver, notices: vec![notice()], left_out: 0, ping: None }
}

fn pinged(receiver: Receiver, up: bool) -> Parcel {
    let ping = Ping { up, text: "applied epoch 2 sequence 41, 7 s & more".to_owned(), millis: Some(7012) };
    Parcel { receiver, notices: Vec::new(), left_out: 0, ping: Some(ping) }
}

fn taken() -> Delivery {
    Delivery { taken: 1, ..Delivery::default() }
}

#[test]
fn ntfy_gets_what_it_documents() {
    let server = Server::new(Manner::Says(200, "{\"id\":\"x\",\"event\":\"message\",\"topic\":\"my-topic\"}"));
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "tk_secret\n").unwrap();
    let url = &server.url;
    let usual = receiver(&format!("kind = \"ntfy\"\nurl = \"{url}/my-topic\""));
    let other = receiver(&format!(
        "kind = \"ntfy\"\nurl = \"{}/my-topic/\"\ntoken-file = \"{}\"\npriority = 5\ntags = [\"kuma\"]",
        url.replace("http://", "http://user:p%40ss@"),
        token.display()
    ));
    let logged_in =
        receiver(&format!("kind = \"ntfy\"\nurl = \"{}/t\"", url.replace("http://", "http://user:p%40ss@")));
    assert_eq!(send(vec![told(usual)], SOON), [taken()]);
    let Sent { line, headers, body } = server.next();
    assert_eq!((line.as_str(), headers["content-type"].as_str()), ("POST / HTTP/1.1", "application/json"));
    assert!(!headers.contains_key("authorization"));
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({
            "topic": "my-topic",
            "title": "kuma-replicator on fra1: failed",
            "message": "it \"broke\" \\ ü\n→ do this",
            "priority": 4,
            "tags": ["rotating_light"],
        })
    );
    assert_eq!(send(vec![Parcel { left_out: 3, ..told(other) }], SOON), [taken()]);
    let Sent { headers, body, .. } = server.next();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(headers["authorization"], "Bearer tk_secret");
    assert_eq!((&body["priority"], &body["tags"]), (&json!(5), &json!(["rotating_light", "kuma"])));
    assert!(body["message"].as_str().unwrap().contains("(3 messages before this one left out)"), "{body}");
    assert_eq!(send(vec![told(logged_in)], SOON), [taken()]);
    assert_eq!(server.next().headers["authorization"], "Basic dXNlcjpwQHNz");
    for wrong in ["", "/", "/a/b"] {
        let wrong = receiver(&format!("kind = \"ntfy\"\nurl = \"{url}{wrong}\""));
        assert!(send(vec![told(wrong)], SOON)[0].failure.as_deref().unwrap().contains("not that of a topic"));
    }
    server.nothing_more();
}

#[test]
fn a_webhook_gets_the_documented_json_or_that_of_its_template() {
    let server = Server::new(Manner::Says(204, ""));
    let url = format!("{}/hook?a=b", server.url);
    let usual = receiver(&format!("kind = \"webhook\"\nurl = \"{url}\""));
    let template = "{\"text\": \"{{title}}: {{text}} {{hint}}\", \"n\": {\"level\":\"{{level}}\",\"at\":\"{{at}}\"}}";
    let own = receiver(&format!("kind = \"webhook\"\nurl = \"{url}\"\ntemplate = '{template}'"));
    assert_eq!(send(vec![told(usual)], SOON), [taken()]);
    let Sent { line, body, .. } = server.next();
    assert_eq!(line, "POST /hook?a=b HTTP/1.1");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, serde_json::from_str::<Value>(include_str!("../golden/webhook-1.json")).unwrap());
    let manual = include_str!("../../docs/notifications.md");
    let (_, section) = manual.split_once("\n## Webhook\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for field in body.as_object().unwrap().keys() {
        assert!(section.contains(&format!("`{field}`")), "the manual does not list {field}");
    }
    assert_eq!(send(vec![told(own)], SOON), [taken()]);
    assert_eq!(
        serde_json::from_str::<Value>(&server.next().body).unwrap(),
        json!({
            "text": "kuma-replicator on fra1: failed: it \"broke\" \\ ü do this",
            "n": { "level": "error", "at": "2026-01-02T12:00:00Z" },
        })
    );
}

#[test]
fn pings_are_those_of_uptime_kuma_and_of_healthchecks() {
    let push = Server::new(Manner::Says(200, "{\"ok\":true}"));
    let kuma = receiver(&format!("kind = \"uptime-kuma\"\nurl = \"{}/api/push/T?status=up&msg=OK&ping=\"", push.url));
    let done = Delivery { is_pinged: true, ..Delivery::default() };
    for (up, status) in [(true, "up"), (false, "down")] {
        assert_eq!(send(vec![pinged(kuma.clone(), up)], SOON), std::slice::from_ref(&done));
        let wanted = format!(
            "GET /api/push/T?status={status}&msg=applied%20epoch%202%20sequence%2041%2C%207%20s%20%26%20more&ping=7012 HTTP/1.1"
        );
        assert_eq!(push.next().line, wanted);
    }
    let checks = Server::new(Manner::Says(200, "OK"));
    let check = receiver(&format!("kind = \"healthchecks\"\nurl = \"{}/uuid?create=1\"", checks.url));
    assert!(run(Start::begin(&check).unwrap().end(Instant::now() + SOON)));
    assert_eq!(checks.next().line, "GET /uuid/start?create=1 HTTP/1.1");
    for (up, path) in [(true, "/uuid"), (false, "/uuid/fail")] {
        assert_eq!(send(vec![pinged(check.clone(), up)], SOON), std::slice::from_ref(&done));
        let Sent { line, body, .. } = checks.next();
        assert_eq!(line, format!("POST {path}?create=1 HTTP/1.1"));
        assert_eq!(body, "applied epoch 2 sequence 41, 7 s & more");
    }
}

#[test]
fn an_answer_that_is_none_is_told_from_one() {
    for (kind, status, body, said) in [
        ("uptime-kuma", 404, "{\"ok\":false,\"msg\":\"Monitor not found or not active.\"}", "no active push monitor"),
        ("uptime-kuma", 500, "{\"ok\":false,\"msg\":\"Monitor not found or not active.\"}", "no active push monitor"),
        ("uptime-kuma", 500, "geheim", "answered 500"),
        ("uptime-kuma", 404, "geheim", "does not know this address"),
        ("uptime-kuma", 200, "<!DOCTYPE html>", "no push monitor of an Uptime Kuma"),
        ("ntfy", 200, "<!DOCTYPE html>", "no ntfy server"),
        ("ntfy", 403, "{\"error\":\"forbidden\"}", "403: it refuses this address or token"),
        ("ntfy", 429, "", "too much in a short time"),
        ("healthchecks", 200, "OK (not found)", "no such check"),
        ("healthchecks", 404, "", "does not know this address"),
        ("webhook", 500, "/geheim", "answered 500"),
    ] {
        let server = Server::new(Manner::Says(status, body));
        let receiver = receiver(&format!("kind = \"{kind}\"\nurl = \"{}/geheim\"", server.url));
        let parcel = if receiver.kind.is_pinged() { pinged(receiver, true) } else { told(receiver) };
        let deliveries = send(vec![parcel], SOON);
        let failure = deliveries[0].failure.as_deref().unwrap();
        assert!(failure.contains(said) && !failure.contains("geheim"), "{kind} {status}: {failure}");
        assert_eq!((deliveries[0].taken, deliveries[0].is_pinged), (0, false));
    }
}

#[test]
fn a_hostile_receiver_holds_up_neither_the_others_nor_the_end() {
    let kind = |server: &Server, kind: &str, scheme: &str| {
        receiver(&format!("kind = \"{kind}\"\nurl = \"{}/geheim\"", server.url.replace("http", scheme)))
    };
    let elsewhere = Server::new(Manner::Says(204, ""));
    let servers = [
        (Manner::Hangs, "ntfy", "http", "did not answer"),
        (Manner::Drips, "webhook", "http", "did not answer"),
        (Manner::Floods, "uptime-kuma", "http", "no push monitor"),
        (Manner::Resets, "webhook", "http", ""),
        (Manner::Redirects(format!("{}/geheim", elsewhere.url)), "webhook", "http", "redirects, which is not followed"),
        (Manner::Babbles, "healthchecks", "http", ""),
        // It does not speak TLS.
        (Manner::Hangs, "webhook", "https", ""),
    ]
    .map(|(manner, name, scheme, said)| {
        let server = Server::new(manner);
        let receiver = kind(&server, name, scheme);
        (server, receiver, said)
    });
    let good = Server::new(Manner::Says(204, ""));
    let mut parcels: Vec<Parcel> = servers
        .iter()
        .map(
            |(_, receiver, _)| {
                if receiver.kind.is_pinged() { pinged(receiver.clone(), true) } else { told(receiver.clone()) }
            },
        )
        .collect();
    parcels.push(told(kind(&good, "webhook", "http")));
    // Nothing that hangs here ever ends: that this returns is the promise.
    let deliveries = send(parcels, Duration::from_secs(2));
    for ((_, receiver, said), delivery) in servers.iter().zip(&deliveries) {
        let failure = delivery.failure.as_deref().unwrap_or_else(|| panic!("{receiver:?}: {delivery:?}"));
        assert!(failure.contains(said) && !failure.contains("geheim"), "{receiver:?}: {failure}");
        assert_eq!((delivery.taken, delivery.is_pinged), (0, false));
    }
    assert_eq!(deliveries.last(), Some(&taken()), "the others are told");
    good.next();
    elsewhere.nothing_more();
}

/// The program on a host where every cycle fails and a person has to act.
struct Failing(tempfile::TempDir);

impl Failing {
    fn new(receivers: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("state")).unwrap();
        std::fs::write(root.path().join("state/state.json"), "{").unwrap();
        std::fs::write(root.path().join("c"), format!("role = \"main\"\nrepository = \"/r\"\n{receivers}")).unwrap();
        Self(root)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuma-replicator"));
        command
            .env_clear()
            .env("STATE_DIRECTORY", self.0.path().join("state"))
            .arg("--config")
            .arg(self.0.path().join("c"));
        command.args(arguments).output().unwrap()
    }

    /// A cycle, which fails as it would without receivers. What it says.
    fn cycle(&self) -> String {
        let output = self.run(&["run"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("state file") && !said.contains("geheim"), "{said}");
        said
    }

    fn memory(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.path().join("state/notify.json")).unwrap()).unwrap()
    }
}

#[test]
fn a_failed_cycle_is_told_once_and_outlasts_a_kill() {
    let server = Server::new(Manner::Says(204, ""));
    let host = Failing::new(&format!("[notify.x]\nkind = \"webhook\"\nurl = \"{}/geheim\"\n", server.url));
    host.cycle();
    let body: Value = serde_json::from_str(&server.next().body).unwrap();
    assert_eq!(
        (&body["event"], &body["error"], &body["level"]),
        (&json!("failed"), &json!("state-damaged"), &json!("error"))
    );
    assert_eq!(host.memory()["receivers"]["x"]["waiting"], json!([]));
    host.cycle();
    server.nothing_more();
    // As after a kill between the message and the record of it.
    let mut memory = host.memory();
    memory["receivers"]["x"]["waiting"] =
        json!([{ "event": "failed", "level": "error", "text": "x", "at": body["at"] }]);
    std::fs::write(host.0.path().join("state/notify.json"), memory.to_string()).unwrap();
    host.cycle();
    assert_eq!(serde_json::from_str::<Value>(&server.next().body).unwrap()["text"], "x");
    host.cycle();
    server.nothing_more();
}

#[test]
fn a_receiver_that_takes_nothing_is_one_warning_and_no_failure() {
    let server = Server::new(Manner::Hangs);
    let host = Failing::new(&format!("[notify.x]\nkind = \"webhook\"\nurl = \"{}/geheim\"\n", server.url));
    let said = host.cycle();
    assert!(said.contains("receiver x takes nothing: it did not answer"), "{said}");
    assert_eq!(host.memory()["receivers"]["x"]["waiting"].as_array().unwrap().len(), 1);
    server.next();
    // Left alone for a while, then tried again, without another warning.
    assert!(!host.cycle().contains("receiver"));
    server.nothing_more();
    let mut memory = host.memory();
    memory["receivers"]["x"]["trouble"]["tried"] = json!("2026-01-01T00:00:00Z");
    std::fs::write(host.0.path().join("state/notify.json"), memory.to_string()).unwrap();
    assert!(!host.cycle().contains("receiver"));
    server.next();
}

#[test]
fn a_test_message_shows_what_each_receiver_does() {
    let (good, bad) = (Server::new(Manner::Says(204, "")), Server::new(Manner::Says(403, "geheim")));
    let host = Failing::new(&format!(
        "[notify.bad]\nkind = \"webhook\"\nurl = \"{}/geheim\"\n[notify.good]\nkind = \"webhook\"\nurl = \"{}/geheim\"\n",
        bad.url, good.url
    ));
    let said = |arguments: &[&str]| {
        let output = host.run(arguments);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("geheim"), "{text}");
        (output.status.code(), text)
    };
    let (code, text) = said(&["notify", "test"]);
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("answered 403: it refuses this address or token"), "{text}");
    assert!(text.contains("it took the test message (webhook)") && text.contains("1 check failed"), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&good.next().body).unwrap()["event"], "test");
    assert_eq!(said(&["notify", "test", "good"]).0, Some(0));
    let (code, text) = said(&["notify", "test", "goood"]);
    assert!(code == Some(2) && text.contains("there is: bad, good"), "{text}");
    let output = Failing::new("").run(&["notify", "test"]);
    let (code, text) = (output.status.code(), String::from_utf8_lossy(&output.stderr));
    assert!(code == Some(2) && text.contains("no receiver is configured"), "{text}");
}
