//! Whether Uptime Kuma answers, and waiting until it does.
//!
//! Sends `GET /api/entry-page`, the only request that needs no credentials and distinguishes a server that is ready from
//! one that is migrating or not set up: `/` answers 200 during a migration too. A healthy answer means that HTTP and
//! database work, not that all monitors run: they start one after another for minutes. Nothing here starts or stops
//! anything.

use std::time::Duration;

use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::error::{Error, Kind, Result};

/// How long one answer may take. An idle server needs milliseconds, one with a busy database seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two requests. A start takes one to three seconds, so a shorter one gains nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The longest answer that is read, in bytes. A real one has less than 100.
const MAX_ANSWER: u64 = 64 * 1024;

/// Why there is no answer if no process listens.
const REFUSED: &str = "no process listens there (connection refused)";
/// What an Uptime Kuma 2.x answers whose database was not chosen yet.
const NOT_SET_UP: &str = "it is not set up yet: open its page and choose a database";

#[derive(Deserialize)]
struct EntryPage {
    #[serde(rename = "type")]
    kind: String,
}

/// Sends one request.
///
/// # Errors
/// Why the answer is not that of a server that is ready, for people.
pub async fn answer(url: &str) -> Result<(), String> {
    request(agent(), url).await
}

/// Sends requests until an answer is healthy, at most for `within`. `still_running` is called after each answer, even
/// a healthy one, which another program on the port may have sent. If it returns `false`, the wait ends.
///
/// # Errors
/// [`Kind::Unhealthy`] with the last reason; the errors of `still_running`.
pub async fn wait(url: &str, within: Duration, still_running: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let agent = agent();
    let deadline = Instant::now() + within;
    let mut last = "no request was sent".to_owned();
    loop {
        let healthy = match request(agent.clone(), url).await {
            Ok(()) => true,
            Err(reason) => {
                last = reason;
                false
            }
        };
        if !still_running().await? {
            let what = format!("Uptime Kuma ended instead of answering on {url}");
            return Err(Error::new(Kind::Unhealthy, what).because(last));
        }
        if healthy {
            return Ok(());
        }
        if Instant::now() + POLL_INTERVAL >= deadline {
            let what = format!("Uptime Kuma gave no healthy answer on {url} within {} s", within.as_secs());
            return Err(Error::new(Kind::Unhealthy, what).because(last));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Whether this is the reason of an Uptime Kuma 2.x that waits on its set-up page until a database is chosen.
pub fn waits_for_a_database(reason: &str) -> bool {
    reason == NOT_SET_UP
}

/// What to do about such a reason, if it is known: the port of a server that a wrapper or `sh -c` starts cannot be
/// discovered, and an Uptime Kuma 2.x without a database shows only its set-up page.
pub fn advice(reason: &str, url: &str) -> Option<String> {
    match reason {
        REFUSED => Some(format!(
            "if Uptime Kuma listens elsewhere than on {url}, because a wrapper sets its port, say: set url in [uptime-kuma]; \
             otherwise read the journal of the unit"
        )),
        NOT_SET_UP => Some(format!("open {url} and choose SQLite on its set-up page")),
        _ => None,
    }
}

/// A client for this host. It uses no proxy of the environment, takes a redirect for an answer, and does not verify the
/// certificate: that names the server's public address, not loopback. The address alone proves that the answer comes
/// from this host. A connection that is not in use is not kept: Node.js closes it at any time.
pub(super) fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(ANSWER_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("kuma-replicator/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .build()
        .new_agent()
}

async fn request(agent: Agent, url: &str) -> Result<(), String> {
    let address = format!("{url}/api/entry-page");
    spawn_blocking(move || request_blocking(&agent, &address))
        .await
        .unwrap_or_else(|error| Err(format!("the request was aborted: {error}")))
}

fn request_blocking(agent: &Agent, address: &str) -> Result<(), String> {
    let mut response = agent.get(address).call().map_err(|error| match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        error => error.to_string(),
    })?;
    match response.status().as_u16() {
        200 => {}
        // While it migrates, it serves only the page that says so.
        404 => return Err("it answers with status 404, as it does while it migrates its database".to_owned()),
        status => return Err(format!("it answers with status {status}")),
    }
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    let body = body.map_err(|error| format!("reading its answer: {error}"))?;
    let page: EntryPage =
        serde_json::from_slice(&body).map_err(|_| "its answer is not the JSON of Uptime Kuma".to_owned())?;
    match page.kind.as_str() {
        "entryPage" | "statusPageMatchedDomain" => Ok(()),
        "setup-database" => Err(NOT_SET_UP.to_owned()),
        other => Err(format!("it answers with an entry page of type '{other}'")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server on loopback that gives one answer per connection, then stops listening.
    fn server(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /api/entry-page HTTP/1.1\r\n"));
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        url
    }

    fn http(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    const READY: &str = r#"{"type":"entryPage","entryPage":"dashboard"}"#;

    #[test]
    fn answers_are_distinguished() {
        let table = [
            (http("200 OK", READY), None),
            (http("200 OK", r#"{"type":"entryPage","entryPage":null}"#), None),
            (http("200 OK", r#"{"type":"statusPageMatchedDomain","statusPageSlug":"x"}"#), None),
            (http("200 OK", r#"{"type":"setup-database"}"#), Some("choose a database")),
            (http("200 OK", r#"{"type":"somethingElse"}"#), Some("'somethingElse'")),
            (http("200 OK", "<html>Migration is in progress</html>"), Some("not the JSON")),
            (http("404 Not Found", "<html></html>"), Some("migrates")),
            (http("302 Found\r\nLocation: http://192.0.2.1/", ""), Some("status 302")),
            (http("503 Service Unavailable", ""), Some("status 503")),
            (http("200 OK", &format!("{READY}{}", " ".repeat(100_000))), Some("reading its answer")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_owned(), Some("reading its answer")),
            ("SSH-2.0-x\r\n".to_owned(), Some("")),
            (String::new(), Some("")),
        ];
        for (answer_text, expected) in table {
            let url = server(vec![answer_text.clone()]);
            match (run(answer(&url)), expected) {
                (Ok(()), None) => {}
                (Err(reason), Some(part)) => assert!(reason.contains(part), "{answer_text:?}: {reason}"),
                (result, _) => panic!("{answer_text:?}: {result:?}"),
            }
        }
    }

    #[test]
    fn a_closed_port_is_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let reason = run(answer(&url)).unwrap_err();
        assert!(reason.contains("refused"));
        assert!(advice(&reason, &url).is_some_and(|advice| advice.contains("set url in [uptime-kuma]")));
    }

    #[test]
    fn an_uptime_kuma_that_is_not_set_up_has_its_address_in_the_advice() {
        let url = server(vec![http("200 OK", r#"{"type":"setup-database"}"#)]);
        let reason = run(answer(&url)).unwrap_err();
        assert_eq!(advice(&reason, &url), Some(format!("open {url} and choose SQLite on its set-up page")));
        assert_eq!(advice("it answers with status 503", &url), None);
    }

    #[test]
    fn waits_through_a_migration() {
        let url = server(vec![http("404 Not Found", ""), http("404 Not Found", ""), http("200 OK", READY)]);
        run(wait(&url, Duration::from_secs(60), async || Ok(true))).unwrap();
    }

    #[test]
    fn the_last_reason_is_kept_at_the_deadline() {
        let url = server(vec![http("404 Not Found", "")]);
        let error = run(wait(&url, Duration::ZERO, async || Ok(true))).unwrap_err();
        assert_eq!(error.kind(), Kind::Unhealthy);
        assert!(error.chain().contains("migrates"), "{error:?}");
    }

    #[test]
    fn a_server_that_ended_is_not_waited_for() {
        let url = server(vec![http("503 Service Unavailable", ""), http("200 OK", READY)]);
        let asked = Cell::new(0);
        let still_running = async || {
            asked.set(asked.get() + 1);
            Ok(asked.get() < 2)
        };
        let error = run(wait(&url, Duration::from_secs(60), still_running)).unwrap_err();
        assert_eq!(error.kind(), Kind::Unhealthy);
        assert!(error.chain().contains("ended"), "{error:?}");
    }
}
