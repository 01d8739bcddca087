//! One request to the server of a repository.

use std::time::Duration;

use ureq::Agent;

use crate::host::http;

/// The longest answer that is read, in bytes: a hundred thousand names.
const MAX_ANSWER: u64 = 16 << 20;

/// Variables that change how restic reaches a server.
const OTHERWISE: [&str; 9] = [
    "RESTIC_CACERT",
    "RESTIC_TLS_CLIENT_CERT",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// How a server is reached.
#[derive(Clone)]
pub(super) struct Client {
    /// The file of the certificates that are trusted.
    roots: String,
}

/// The answer of a server: status 200.
pub(super) struct Answer {
    pub(super) kind: String,
    pub(super) body: Vec<u8>,
}

impl Client {
    /// `None` if restic with these variables would reach it in another way.
    pub(super) fn find<'a>(variable: &impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        if OTHERWISE.iter().any(|name| variable(name).is_some_and(|value| !value.is_empty())) {
            return None;
        }
        let file = variable("SSL_CERT_FILE").filter(|file| !file.is_empty());
        Some(Self { roots: file.unwrap_or(http::ROOTS).to_owned() })
    }

    /// Sends GET requests to `url`, which may be one of several.
    pub(super) fn agent(&self, url: &str, timeout: Duration) -> Option<Agent> {
        http::agent(url, &self.roots, timeout, None).ok()
    }
}

/// Sends one request.
pub(super) fn get(agent: &Agent, url: &str, headers: &[(&str, String)]) -> Option<Answer> {
    let request = headers.iter().fold(agent.get(url), |request, (name, value)| request.header(*name, value));
    let mut response = request.call().ok()?;
    if response.status().as_u16() != 200 {
        return None;
    }
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_owned();
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().ok()?;
    Some(Answer { kind, body })
}
