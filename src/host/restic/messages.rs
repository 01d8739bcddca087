//! restic's messages on standard error: the last ones, shortened, without secrets.
//!
//! Pure. Nothing of them reaches an error, and so the journal, without [`Secrets::mask`].

use std::collections::VecDeque;

use serde::Deserialize;

use super::secrets::Secrets;

/// How much of the end is kept, in bytes: a restic that retries writes the same for minutes.
const MAX_BYTES: usize = 8 << 10;

/// Longer lines are cut, in bytes.
const MAX_LINE: usize = 2 << 10;

/// The last lines that restic wrote.
#[derive(Debug, Default)]
pub(super) struct Messages {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Messages {
    /// Adds one line as restic wrote it.
    pub(super) fn add(&mut self, line: &[u8]) {
        for line in message(&String::from_utf8_lossy(line)).lines() {
            let line = shortened(line);
            // 0.14 writes escape sequences for terminals even into a pipe.
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

    /// The last line.
    pub(super) fn last(&self) -> Option<&str> {
        self.lines.back().map(String::as_str)
    }

    /// All lines that are kept.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The last lines for people, on one line, without secrets. Of repeated attempts only the last one is shown, and
    /// equal lines in a row are shown once.
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

/// The beginning of a line that is too long, up to a space: half a secret would not be masked.
fn shortened(line: &str) -> &str {
    let Some(from) = line.char_indices().map(|(at, _)| at).find(|at| *at >= MAX_LINE) else { return line };
    line.get(..from).and_then(|line| line.rsplit_once(' ')).map_or("", |(line, _)| line)
}

/// The text of a message: with `--json`, later versions write JSON on standard error too ("Exit errors" in the manual).
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

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, Messages, Secrets};

    fn messages(lines: &[&str]) -> Messages {
        let mut messages = Messages::default();
        lines.iter().for_each(|line| messages.add(line.as_bytes()));
        messages
    }

    #[test]
    fn keeps_the_end_and_no_more() {
        let mut messages = Messages::default();
        for number in 0..10_000 {
            messages.add(format!("line {number} {}", "x".repeat(100)).as_bytes());
        }
        messages.add(format!("words {}", "y".repeat(1 << 20)).as_bytes());
        assert!(messages.text().len() < 2 * MAX_BYTES);
        assert!(messages.text().contains("line 9999"));
        assert_eq!(messages.last(), Some("words"));
        assert!(!messages.text().contains("line 1 "));
    }

    #[test]
    fn unwraps_json_and_drops_escape_sequences() {
        let messages = messages(&[
            r#"{"message_type":"error","error":{"message":"one"},"during":"archival","item":"/x"}"#,
            r#"{"message_type":"exit_error","code":10,"message":"Fatal: two\nthree"}"#,
            "\u{1b}[2Kfour\r",
            "",
            "{ five",
        ]);
        assert_eq!(messages.text(), "one\nFatal: two\nthree\nfour\n{ five");
        assert_eq!(messages.last(), Some("{ five"));
    }

    #[test]
    fn shows_the_last_of_many_attempts() {
        let messages = messages(&[
            "Save(<lock/1>) returned error, retrying after 1s: denied",
            "Save(<lock/1>) returned error, retrying after 2s: denied",
            "Fatal: denied",
            "Fatal: denied",
        ]);
        assert_eq!(
            messages.summary(&Secrets::default()),
            "Save(<lock/1>) returned error, retrying after 2s: denied; Fatal: denied"
        );
    }
}
