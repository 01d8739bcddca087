//! One request to a server.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::host::system::files;

/// The certificates that this system trusts, where Debian has them and restic reads them.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The largest file of certificates that is read, in bytes.
const MAX_ROOTS: usize = 4 << 20;

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
        Some(Self { roots: file.unwrap_or(ROOTS).to_owned() })
    }

    /// Sends GET requests to `url`, which may be one of several. A redirect is not followed: the credentials are for this
    /// server.
    pub(super) fn agent(&self, url: &str, timeout: Duration) -> Option<Agent> {
        let roots = if url.starts_with("https:") { self.roots()? } else { Vec::new() };
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("kuma-replicator/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls);
        Some(config.build().new_agent())
    }

    fn roots(&self) -> Option<Vec<Certificate<'static>>> {
        let pem = files::read_small(self.roots.as_ref(), MAX_ROOTS).ok()?;
        let certificates = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        Some(certificates.collect())
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
