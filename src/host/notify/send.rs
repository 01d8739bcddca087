//! One request to a receiver, within a limit of time.

use std::io::Read as _;
use std::time::{Duration, Instant};

use ureq::Proxy;

use super::request::{Request, judge};
use crate::config::ReceiverKind;
use crate::host::http;
use crate::host::system::unit;

/// How much of an answer is read, in bytes: ntfy repeats the message in its own.
const MAX_ANSWER: u64 = 64 << 10;

/// Sends a request, whose answer must be there at the `deadline`.
///
/// # Errors
/// Why the receiver has not taken it, for people and without a secret.
pub(super) fn send(kind: ReceiverKind, request: Request, deadline: Instant) -> Result<(), String> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left < Duration::from_millis(10) {
        return Err("there was no time left for it".to_owned());
    }
    let roots = std::env::var("SSL_CERT_FILE").ok().filter(|file| !file.is_empty());
    let roots = roots.as_deref().unwrap_or(http::ROOTS);
    // Of a shell nothing is inherited, as for restic.
    let proxy = if unit::is_its_main_process() { Proxy::try_from_env() } else { None };
    let agent = http::agent(&request.url, roots, left, proxy).map_err(|error| {
        format!("the certificates in {roots} cannot be read ({error}): apt install ca-certificates")
    })?;
    let answer = match request.body {
        None => {
            request.headers.iter().fold(agent.get(&request.url), |get, (name, value)| get.header(*name, value)).call()
        }
        Some(body) => request
            .headers
            .iter()
            .fold(agent.post(&request.url), |post, (name, value)| post.header(*name, value))
            .send(body),
    };
    let mut answer = answer.map_err(|error| reason(&error))?;
    let mut body = Vec::new();
    // What a webhook answers beside its status does not matter.
    if kind != ReceiverKind::Webhook {
        let read = answer.body_mut().as_reader().take(MAX_ANSWER).read_to_end(&mut body);
        read.map_err(|error| format!("its answer was cut: {}", error.kind()))?;
    }
    judge(kind, answer.status().as_u16(), &body)
}

/// Why there is no answer, without the address, which some of these errors repeat.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::HostNotFound => "its name cannot be resolved".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Tls(reason) => (*reason).to_owned(),
        ureq::Error::Rustls(error) => error.to_string(),
        ureq::Error::ConnectionFailed => "the connection failed".to_owned(),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            "the proxy of the service failed".to_owned()
        }
        _ => "it does not answer as a web server".to_owned(),
    }
}
