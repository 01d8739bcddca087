//! Text from elsewhere, made harmless: names in a snapshot, what restic or a server said, what a file contains.
//!
//! Nothing of it may move the cursor of a terminal, colour it, turn the reading direction or begin a line of its
//! own in a log. Every text form goes through here before it is shown. JSON means the same before and after.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The longest message that is kept or shown, in bytes; what is longer came from elsewhere.
pub const LONGEST: usize = 4096;

/// The longest text from elsewhere that a message quotes, in characters.
const QUOTED: usize = 80;

/// `text` as one line: control characters, line ends and marks of direction are written as escapes.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, harmful)
}

/// `text` as lines: as [`line`], but line feeds stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && harmful(c))
}

/// The same JSON with each harmful character as `\uXXXX`. Valid JSON has them only inside its strings.
pub fn json(json: &str) -> Cow<'_, str> {
    replaced(
        json,
        |c| c != '\n' && harmful(c),
        |c, out| {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        },
    )
}

/// `text` for a quotation in a message: its beginning, if it is long.
pub fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// A time for people, in `zone`: `2026-11-26 07:15:00 CET`. JSON has times in RFC 3339 instead.
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%F %T %Z").to_string()
}

/// `count` things: `1 row`, `3 rows`. The plural of `thing` ends in s.
pub fn count(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Cuts `text` to [`LONGEST`] bytes.
pub fn limit(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn escaped(text: &str, harmful: impl Fn(char) -> bool) -> Cow<'_, str> {
    replaced(text, harmful, |c, out| out.extend(c.escape_default()))
}

fn replaced(text: &str, harmful: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Controls (C0, DEL, C1), separators of lines and paragraphs, and everything that turns the reading direction
/// (Unicode, UAX #9) or hides text between annotation marks.
fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, count, json, limit, line, lines, short, time};

    #[test]
    fn only_harmful_characters_are_escaped() {
        let cases = [
            ("plain é 👩\u{200d}👧 → \"x\" \\", "plain é 👩\u{200d}👧 → \"x\" \\"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred\u{1b}]0;title\u{7}", "\\u{1b}[31mred\\u{1b}]0;title\\u{7}"),
            ("\u{9b}2J\u{7f}\u{0}", "\\u{9b}2J\\u{7f}\\u{0}"),
            ("gnp.\u{202e}exe \u{2066}x\u{2069}", "gnp.\\u{202e}exe \\u{2066}x\\u{2069}"),
            ("one\u{2028}two\u{85}three", "one\\u{2028}two\\u{85}three"),
        ];
        for (text, wanted) in cases {
            assert_eq!(line(text), wanted);
            assert_eq!(lines(text), wanted.replace("\\n", "\n"));
        }
    }

    #[test]
    fn escaped_json_keeps_its_meaning() {
        let value = "\u{1b}[0m \u{9b}2J \u{202e} \u{7f} \u{e0041} \n plain";
        let text = serde_json::to_string(value).expect("JSON");
        let shown = json(&text);
        assert!(!shown.chars().any(super::harmful), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), value);
    }

    #[test]
    fn a_time_is_local_and_has_its_zone_and_no_fraction() {
        let at = "2026-07-01T22:15:00.123456789Z".parse().expect("a time");
        let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        assert_eq!(time(at, &zone), "2026-07-02 00:15:00 CEST");
        assert_eq!(time(at, &jiff::tz::TimeZone::UTC), "2026-07-01 22:15:00 UTC");
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!([count(0, "row"), count(1, "row"), count(2, "row")], ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(short("abc"), "abc");
        assert_eq!(short(&"é".repeat(81)).chars().count(), 81);
        for extra in 0..4 {
            let long = limit(format!("{}{}", "x".repeat(extra), "€".repeat(LONGEST)));
            assert!(long.len() <= LONGEST + 3 && long.ends_with('…'));
        }
    }
}
