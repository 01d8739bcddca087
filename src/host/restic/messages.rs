//! What restic says on standard error, kept short and without secrets.
//!
//! Pure. Nothing of it reaches an error, and thereby the journal, before it went through [`Secrets`].

use std::cmp::Reverse;
use std::collections::VecDeque;

use serde::Deserialize;

use crate::config::without_credentials;

/// Only the end is kept: a restic that retries says the same for minutes.
const MAX_BYTES: usize = 8 << 10;

/// Longer lines are cut.
const MAX_LINE: usize = 2 << 10;

/// Shorter values are no secrets, but would mangle every text they are cut out of.
const MIN_SECRET: usize = 4;

/// The last lines that restic said.
#[derive(Debug, Default)]
pub(super) struct Said {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Said {
    /// Adds one line as it was written.
    pub(super) fn add(&mut self, line: &[u8]) {
        for line in message(&String::from_utf8_lossy(line)).lines() {
            let line = shortened(line);
            // Escape sequences for terminals, which 0.14 writes even into a pipe.
            let line = line.replace("\u{1b}[2K", "").replace(|c: char| c.is_control(), " ");
            let line = line.trim();
            if !line.is_empty() {
                self.bytes += line.len();
                self.lines.push_back(line.to_owned());
            }
        }
        while self.bytes > MAX_BYTES
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= line.len();
        }
    }

    /// The line said last.
    pub(super) fn last(&self) -> Option<&str> {
        self.lines.back().map(String::as_str)
    }

    /// All that is kept, one line below the other.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The end of it for people, on one line, without secrets. Of attempts that were repeated only the
    /// last one is shown, and what is said twice in a row is shown once.
    pub(super) fn summary(&self, secrets: &Secrets) -> String {
        const SHOWN: usize = 5;
        let retry = |line: &&str| line.contains("returned error, retrying after");
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let last_retry = lines.iter().rposition(retry);
        let mut shown: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(at, line)| !retry(line) || Some(*at) == last_retry)
            .map(|(_, line)| *line)
            .collect();
        shown.dedup();
        let tail = shown.get(shown.len().saturating_sub(SHOWN)..).unwrap_or_default();
        secrets.mask(&tail.join("; "))
    }
}

/// The beginning of a line that is too long, up to a space: half a secret would not be recognised as one.
fn shortened(line: &str) -> &str {
    let Some(from) = line.char_indices().map(|(at, _)| at).find(|at| *at >= MAX_LINE) else { return line };
    line.get(..from).and_then(|line| line.rsplit_once(' ')).map_or("", |(line, _)| line)
}

/// Later versions answer `--json` with JSON on standard error too ("Exit errors" in the manual).
fn message(line: &str) -> String {
    #[derive(Deserialize)]
    struct Written {
        message: Option<String>,
        error: Option<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        message: String,
    }
    if line.starts_with('{')
        && let Ok(written) = serde_json::from_str::<Written>(line)
        && let Some(message) = written.message.or(written.error.map(|error| error.message))
    {
        return message;
    }
    line.to_owned()
}

/// Texts that must not be shown.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Adds one, in its plain and in its percent-encoded forms.
    pub(super) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        for form in [secret.to_owned(), percent_encoded(secret), percent_decoded(secret), format!("{secret:?}")] {
            let form = form.trim_matches('"');
            if form.len() >= MIN_SECRET && !self.0.iter().any(|known| known == form) {
                self.0.push(form.to_owned());
            }
        }
        // A secret that contains another one goes first, or its rest would stay.
        self.0.sort_by_key(|known| Reverse(known.len()));
    }

    /// Adds what stands between `//` and `@` of a repository's address, and the password in it.
    pub(super) fn add_from_url(&mut self, url: &str) {
        let authority = url.split_once("://").and_then(|(_, rest)| rest.split('/').next());
        if let Some((user, _)) = authority.and_then(|authority| authority.rsplit_once('@'))
            && let Some((_, password)) = user.split_once(':')
        {
            self.add(user);
            self.add(password);
        }
    }

    /// `text` with every secret, and whatever else looks like credentials in an address, replaced.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            masked = masked.replace(secret, "***");
        }
        masked.split(' ').map(without_credentials).collect::<Vec<_>>().join(" ")
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

fn percent_decoded(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, Said, Secrets};

    fn said(lines: &[&str]) -> Said {
        let mut said = Said::default();
        lines.iter().for_each(|line| said.add(line.as_bytes()));
        said
    }

    #[test]
    fn keeps_the_end_and_no_more() {
        let mut said = Said::default();
        for number in 0..10_000 {
            said.add(format!("line {number} {}", "x".repeat(100)).as_bytes());
        }
        said.add(format!("words {}", "y".repeat(1 << 20)).as_bytes());
        assert!(said.text().len() < 2 * MAX_BYTES);
        assert!(said.text().contains("line 9999"));
        assert_eq!(said.last(), Some("words"));
        assert!(!said.text().contains("line 1 "));
    }

    #[test]
    fn unwraps_json_and_drops_what_is_for_terminals() {
        let said = said(&[
            r#"{"message_type":"error","error":{"message":"one"},"during":"archival","item":"/x"}"#,
            r#"{"message_type":"exit_error","code":10,"message":"Fatal: two\nthree"}"#,
            "\u{1b}[2Kfour\r",
            "",
            "{ five",
        ]);
        assert_eq!(said.text(), "one\nFatal: two\nthree\nfour\n{ five");
        assert_eq!(said.last(), Some("{ five"));
    }

    #[test]
    fn shows_the_last_of_many_attempts() {
        let said = said(&[
            "Save(<lock/1>) returned error, retrying after 1s: denied",
            "Save(<lock/1>) returned error, retrying after 2s: denied",
            "Fatal: denied",
            "Fatal: denied",
        ]);
        assert_eq!(
            said.summary(&Secrets::default()),
            "Save(<lock/1>) returned error, retrying after 2s: denied; Fatal: denied"
        );
    }

    #[test]
    fn masks_secrets_in_every_form() {
        let mut secrets = Secrets::default();
        secrets.add_from_url("rest:https://user:pa%40ss+w@host:8000/path/");
        secrets.add_from_url("/srv/repo");
        secrets.add_from_url("sftp://root@host//srv");
        secrets.add("AKIA/secret+key=");
        secrets.add("AKIA/secret+key=longer");
        secrets.add(" abc ");
        let text = "rest:https://user:pa%40ss+w@host:8000/path/ pa@ss+w user:pa@ss+w AKIA/secret+key=longer AKIA/secret+key= \
                    AKIA%2Fsecret%2Bkey%3D abc root https://other:unknown@host/x (\"s3://k:v@h/\")";
        assert_eq!(
            secrets.mask(text),
            "rest:https://***@host:8000/path/ *** *** *** *** *** abc root https://***@host/x (\"s3://***@h/\")"
        );
    }
}
