//! Requests over HTTP, as this program sends them: with a limit of time, to trusted servers, without following redirects.

use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::host::system::files;

/// The certificates that this system trusts, where Debian has them and restic reads them.
pub(super) const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The largest file of certificates that is read, in bytes.
const MAX_ROOTS: usize = 4 << 20;

/// Sends requests to `url`, with the certificates in the file `roots`. An answer of any status is an answer. A redirect is not
/// followed: the credentials are for this server.
///
/// # Errors
/// If `url` needs certificates, and they cannot be read.
pub(super) fn agent(url: &str, roots: &str, timeout: Duration, proxy: Option<Proxy>) -> std::io::Result<Agent> {
    let roots = if url.starts_with("https:") { certificates(roots)? } else { Vec::new() };
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .user_agent(concat!("kuma-replicator/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls);
    Ok(config.build().new_agent())
}

fn certificates(file: &str) -> std::io::Result<Vec<Certificate<'static>>> {
    let pem = files::read_small(file.as_ref(), MAX_ROOTS)?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect())
}

/// `text` as a part of an address.
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// The text that [`percent_encoded`] makes `text` of.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        match from.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = from.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
