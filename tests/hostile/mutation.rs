//! Ways to break a valid document: bytes, lines, and single values of the JSON in it.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change to a document.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    /// Other bits in one byte.
    Flip(Index, u8),
    /// Something between two bytes.
    Insert(Index, Vec<u8>),
    /// A piece is gone.
    Cut(Index, Index),
    /// A piece is there twice.
    Copy(Index, Index),
    /// A line is gone.
    DropLine(Index),
    /// A line is there twice.
    RepeatLine(Index),
    /// Two lines exchange their places.
    SwapLines(Index, Index),
    /// A string, a number or a literal of the JSON is another one: also a key.
    Replace(Index, Vec<u8>),
    /// A string has something more in it.
    Extend(Index, Vec<u8>),
}

/// JSON, and what is nearly JSON, in place of any value.
fn tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "2",
        "0.0",
        "-0.0",
        "1.0",
        "1.5",
        "1e5",
        "1E5",
        "1e999",
        "-1e999",
        "5e-324",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "01",
        "+1",
        "NaN",
        "Infinity",
        "",
        "[]",
        "{}",
        "[1]",
        "{\"a\":1}",
        "{\"a\":{\"b\":[]}}",
        "\"\"",
        "\"null\"",
        "\"1\"",
        "\"true\"",
        "\"1e3\"",
        "\" 1 \"",
        "\"x\"",
        "'x'",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\u0000\"",
        "\"\\u001b[2J\\u001b]0;x\\u0007\"",
        "\"\\u202e\\u2066\"",
        "\"\\n\\nerror: forged\"",
        "\"\\/\"",
        "\"\\x\"",
        "\"../../etc/passwd\"",
        "\"/etc/shadow\"",
        "\"..\"",
        "\".hidden\"",
        "\"a/b\"",
        "\"/upload/../../x\"",
        "\"/upload/logo1.png\"",
        "{\"$blob\":\"AAD/\"}",
        "{\"$blob\":\"A\"}",
        "{\"$text\":\"//4=\"}",
        "{\"$text\":\"YQ==\"}",
        "{\"$real\":\"inf\"}",
        "{\"$real\":\"nan\"}",
        "{\"$blob\":\"AA==\",\"$blob\":\"AA==\"}",
        "{\"$x\":1}",
        "\"setting\"",
        "\"sqlite_master\"",
        "\"monitor\"",
        "\"user\"",
        "\"id\"",
        "\"parent\"",
        "\"kuma-replicator\"",
        "\"2026-13-45T99:99:99Z\"",
        "\"99999-01-01T00:00:00Z\"",
        "\"0123456789abcdef0123456789abcdef\"",
        "\"sha256:00\"",
        "1,\"id\":2",
        "1},{\"id\":2",
    ]
    .iter()
    .map(|token| token.as_bytes().to_vec())
    .collect();
    for depth in [20, 127, 200, 100_000] {
        tokens.push([b"[".repeat(depth), b"]".repeat(depth)].concat());
        tokens.push([b"{\"a\":".repeat(depth), b"1".to_vec(), b"}".repeat(depth)].concat());
        tokens.push(b"[".repeat(depth));
    }
    tokens.push(b"7".repeat(5000));
    tokens.push([b"\"", &*b"x".repeat(100_000), b"\""].concat());
    tokens.push([b"\"", &*"\u{202e}\u{9b}".repeat(3000).into_bytes(), b"\""].concat());
    tokens.push([b"[", &*b"0,".repeat(50_000), b"0]"].concat());
    tokens.push([b"[", &*b"\"\",".repeat(50_000), b"\"\"]"].concat());
    tokens.extend(
        [&b"\"\xff\xfe\""[..], b"\"\xed\xa0\x80\"", b"\"\x01\x1b\x7f\"", b"\"\0\"", b"\0", b"\xef\xbb\xbf1"]
            .map(<[u8]>::to_vec),
    );
    tokens
}

/// Pieces of strings that an attacker may want to smuggle in.
const PIECES: &[&[u8]] = &[
    b"\\u001b[31m",
    b"\x1b[31m",
    "\u{202e}".as_bytes(),
    "\u{9b}2J".as_bytes(),
    b"\\n",
    b"\n",
    b"\xff",
    b"\\u0000",
    b"/../",
    b"'--",
    b"%s%n",
];

/// Any mutation.
pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || any::<Index>();
    prop_oneof![
        2 => (at(), 1..=255_u8).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        1 => (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::Cut(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::Copy(from, to)),
        1 => at().prop_map(Mutation::DropLine),
        1 => at().prop_map(Mutation::RepeatLine),
        1 => (at(), at()).prop_map(|(one, other)| Mutation::SwapLines(one, other)),
        8 => (at(), select(tokens())).prop_map(|(at, token)| Mutation::Replace(at, token)),
        3 => (at(), select(PIECES)).prop_map(|(at, piece)| Mutation::Extend(at, piece.to_vec())),
    ]
}

/// A document, shown by its beginning if it is long: a failure is to be read.
#[derive(Clone)]
pub(crate) struct Document(pub(crate) Vec<u8>);

impl std::ops::Deref for Document {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes: {}", self.len(), self.get(..20_000).unwrap_or(self).escape_ascii())
    }
}

/// `document` after one to four mutations.
pub(crate) fn mutated(document: Vec<u8>) -> impl Strategy<Value = Document> {
    vec(mutation(), 1..5).prop_map(move |mutations| {
        Document(mutations.iter().fold(document.clone(), |document, mutation| mutation.apply(document)))
    })
}

impl Mutation {
    /// The document after it.
    pub(crate) fn apply(&self, mut document: Vec<u8>) -> Vec<u8> {
        if document.is_empty() {
            return document;
        }
        // No piece of more than a few hundred bytes is removed or doubled, or little would be left of most documents.
        let piece = |from: &Index, length: &Index| {
            let from = from.index(document.len());
            from..document.len().min(from + 1 + length.index(300))
        };
        match self {
            Self::Flip(at, bits) => {
                let at = at.index(document.len());
                document[at] ^= bits;
            }
            Self::Insert(at, bytes) => {
                let at = at.index(document.len());
                document.splice(at..at, bytes.iter().copied());
            }
            Self::Cut(from, length) => drop(document.drain(piece(from, length))),
            Self::Copy(from, length) => {
                let piece = piece(from, length);
                let copy = document[piece.clone()].to_vec();
                document.splice(piece.end..piece.end, copy);
            }
            Self::DropLine(at) => drop(document.drain(pick(&lines(&document), at))),
            Self::RepeatLine(at) => {
                let line = pick(&lines(&document), at);
                let copy = document[line.clone()].to_vec();
                document.splice(line.end..line.end, copy);
            }
            Self::SwapLines(one, other) => {
                let lines = lines(&document);
                let mut order: Vec<usize> = (0..lines.len()).collect();
                order.swap(one.index(lines.len()), other.index(lines.len()));
                return order.into_iter().flat_map(|line| document[lines[line].clone()].to_vec()).collect();
            }
            Self::Replace(at, token) => {
                let values = values(&document);
                if !values.is_empty() {
                    document.splice(pick(&values, at), token.iter().copied());
                }
            }
            Self::Extend(at, piece) => {
                let strings: Vec<_> =
                    values(&document).into_iter().filter(|value| document[value.start] == b'"').collect();
                if !strings.is_empty() {
                    let from = pick(&strings, at).start + 1;
                    document.splice(from..from, piece.iter().copied());
                }
            }
        }
        document
    }
}

fn pick(ranges: &[Range<usize>], at: &Index) -> Range<usize> {
    ranges[at.index(ranges.len())].clone()
}

/// The lines, each with its end.
fn lines(document: &[u8]) -> Vec<Range<usize>> {
    let mut from = 0;
    document
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            let line = from..from + line.len();
            from = line.end;
            line
        })
        .collect()
}

/// Strings, numbers and literals of JSON, or of what looks like it.
fn values(document: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < document.len() {
        let from = at;
        if document[at] == b'"' {
            at += 1;
            while at < document.len() && document[at] != b'"' && document[at] != b'\n' {
                at += if document[at] == b'\\' { 2 } else { 1 };
            }
            at = (at + 1).min(document.len());
            found.push(from..at);
        } else if document[at].is_ascii_alphanumeric() || document[at] == b'-' {
            while at < document.len() && (document[at].is_ascii_alphanumeric() || b"+-.".contains(&document[at])) {
                at += 1;
            }
            found.push(from..at);
        } else {
            at += 1;
        }
    }
    found
}
