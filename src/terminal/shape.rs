//! Colours and line breaks. They are put around finished text from which everything harmful is gone, so that no value in
//! it can have a colour of its own.

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The fewest columns for the text of a further line; a narrower terminal gets it at the left.
const FEWEST: usize = 24;

/// What the reader learns from a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    Plain,
    /// All is well, or something is added.
    Good,
    /// Something may be wrong, or changes.
    Warning,
    /// Something is wrong, or is removed.
    Bad,
    /// What to do next.
    Hint,
    /// The heading of a table.
    Heading,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Hint => AnsiColor::Cyan.on_default(),
            Self::Heading => Style::new().bold(),
        }
    }
}

/// How a terminal shows one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The colour of its beginning.
    pub tone: Tone,
    /// The length of that beginning in bytes.
    pub painted: usize,
    /// The column in which the line goes on below, if it is broken.
    pub indent: usize,
}

impl Shape {
    /// A line without a colour.
    pub const PLAIN: Self = Self { tone: Tone::Plain, painted: 0, indent: 0 };
}

/// What a stream can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether it shows colours.
    pub colours: bool,
    /// The column at which it breaks lines; none if it breaks none.
    pub width: Option<usize>,
}

impl Look {
    /// `text`, in which nothing is harmful, as this stream shows it. `shape` says how each line looks.
    pub fn show(self, text: &str, shape: impl Fn(&str) -> Shape) -> String {
        let mut out = String::with_capacity(text.len());
        for (at, line) in text.lines().enumerate() {
            if at > 0 {
                out.push('\n');
            }
            self.line(line, shape(line), &mut out);
        }
        out
    }

    fn line(self, line: &str, Shape { tone, painted, indent }: Shape, out: &mut String) {
        let pieces = match self.width {
            Some(width) => folded(line, width, indent),
            None => vec![line],
        };
        for (at, piece) in pieces.into_iter().enumerate() {
            if at > 0 {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', self.width.map_or(0, |width| hanging(width, indent))));
            }
            // The pieces are parts of the line.
            let offset = piece.as_ptr() as usize - line.as_ptr() as usize;
            let (coloured, rest) = piece.split_at_checked(painted.saturating_sub(offset)).unwrap_or((piece, ""));
            if self.colours && tone != Tone::Plain && !coloured.trim().is_empty() {
                let style = tone.style();
                out.push_str(&format!("{style}{coloured}{style:#}"));
            } else {
                out.push_str(coloured);
            }
            out.push_str(rest);
        }
    }
}

/// How many columns `text` takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The column in which a broken line goes on.
fn hanging(width: usize, indent: usize) -> usize {
    if indent + FEWEST <= width { indent } else { 0 }
}

/// `line` in pieces that fit, broken at spaces. A word that is longer than a line, such as a path, stays whole, so that it can
/// be copied; the terminal breaks it.
fn folded(line: &str, width: usize, indent: usize) -> Vec<&str> {
    let (mut pieces, mut rest, mut room) = (Vec::new(), line, width);
    loop {
        let end = fitting(rest, room);
        // The spaces before the column in which the line goes on are no place for a break.
        let least =
            if pieces.is_empty() { hanging(width, indent).max(rest.len() - rest.trim_start().len()) } else { 0 };
        let (fits, over) = rest.split_at(end);
        let before = if over.starts_with(' ') { Some(end) } else { fits.rfind(' ') };
        let broken = before.filter(|at| *at > least).or_else(|| over.find(' ').map(|at| end + at));
        let Some(at) = broken.filter(|_| end < rest.len()) else {
            pieces.push(rest);
            return pieces;
        };
        let (piece, after) = rest.split_at(at);
        pieces.push(piece.trim_end());
        rest = after.trim_start();
        room = width - hanging(width, indent);
    }
}

/// The length in bytes of as much of `text` as fits into `room` columns; at least one character.
fn fitting(text: &str, room: usize) -> usize {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > room && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{Look, Shape, Tone, columns, folded, hanging};

    #[test]
    fn a_line_is_broken_at_its_spaces_and_goes_on_in_its_column() {
        let cases: &[(&str, usize, usize, &[&str])] = &[
            ("short", 40, 4, &["short"]),
            ("", 40, 4, &[""]),
            ("12345 12345 12345", 11, 0, &["12345 12345", "12345"]),
            ("12345 12345  12345", 12, 0, &["12345 12345", "12345"]),
            // A word that is longer than a line, and one that is as long.
            ("a 1234567890123 b", 10, 0, &["a", "1234567890123", "b"]),
            ("1234567890 b", 10, 0, &["1234567890", "b"]),
            // Characters that take two columns, or none.
            ("日本語 日本語", 6, 0, &["日本語", "日本語"]),
            ("e\u{301}e\u{301}e\u{301} x", 3, 0, &["e\u{301}e\u{301}e\u{301}", "x"]),
            // The indentation of the line itself is no place for a break.
            ("      1234567890 x", 10, 0, &["      1234567890", "x"]),
            ("日", 1, 0, &["日"]),
            // A value that is one long word stays beside its label.
            ("label        123456789012345678901234567890", 40, 13, &["label        123456789012345678901234567890"]),
        ];
        for (line, width, indent, wanted) in cases {
            assert_eq!(folded(line, *width, *indent), *wanted, "{line} at {width}");
        }
    }

    #[test]
    fn no_line_with_two_words_is_wider_than_the_terminal_and_no_word_is_lost() {
        let line =
            "ok       repository     日本語 of kuma-replicator → é 👩\u{200d}👧 and a word-that-is-long-by-itself, "
                .repeat(5);
        for width in 1..=130 {
            let look = Look { colours: false, width: Some(width) };
            let shown = look.show(&line, |_| Shape { indent: 24, ..Shape::PLAIN });
            let begun = hanging(width, 24);
            for line in shown.lines().filter(|line| columns(line) > width) {
                assert!(!line.get(begun..).unwrap_or(line).trim().contains(' '), "{width}: {shown}");
            }
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&shown), words(&line), "{width}");
        }
    }

    #[test]
    fn only_the_beginning_has_the_colour() {
        let look = Look { colours: true, width: Some(30) };
        let shape = |_: &str| Shape { tone: Tone::Good, painted: 2, indent: 3 };
        let shown = look.show("ok 1234567890 1234567890 1234567890", shape);
        assert_eq!(shown, "\u{1b}[32mok\u{1b}[0m 1234567890 1234567890\n   1234567890");
        assert_eq!(Look::default().show("ok x\ny", shape), "ok x\ny");
    }
}
