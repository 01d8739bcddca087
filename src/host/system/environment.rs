//! `NAME=value` lines in the syntax of systemd's `EnvironmentFile=`, as systemd.exec(5) describes it.
//!
//! Pure. An error names the line but not its content, because these files contain secrets. [`parse`] is stricter than
//! systemd, which skips lines that it cannot read: a missing credential is harder to find than an error. It also accepts
//! `export NAME=value`, common in `.env` files. [`parse_like_systemd`] finds what systemd finds.

use std::iter::Peekable;
use std::str::Chars;

/// The names and values in `text`, in their order; a name that occurs twice is returned twice.
///
/// # Errors
/// The number of the first wrong line and what is wrong with it, without its content.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut parser = Parser::new(text, true);
    let mut pairs = Vec::new();
    while let Some(pair) = parser.pair()? {
        pairs.push(pair);
    }
    Ok(pairs)
}

/// The names and values that systemd takes from `text`: it skips assignments whose name is not valid, and `export NAME`
/// is none.
pub fn parse_like_systemd(text: &str) -> Vec<(String, String)> {
    let mut parser = Parser::new(text, false);
    // After an error it stands behind what is wrong.
    std::iter::from_fn(|| parser.pair().transpose()).flatten().collect()
}

/// The text of an environment file with these names and values.
pub fn render(pairs: &[(String, String)]) -> String {
    pairs.iter().fold(String::new(), |mut text, (name, value)| {
        text.extend([name, "=\""]);
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '`' | '$') {
                text.push('\\');
            }
            text.push(c);
        }
        text + "\"\n"
    })
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    /// Whether `export` may stand before a name.
    exports: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, exports: bool) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable(), line: 1, exports }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next();
        if c == Some('\n') {
            self.line += 1;
        }
        c
    }

    fn pair(&mut self) -> Result<Option<(String, String)>, String> {
        loop {
            while self.rest.next_if(|c| c.is_ascii_whitespace() && *c != '\n').is_some() {}
            match self.rest.peek() {
                None => return Ok(None),
                Some('\n' | '#' | ';') => self.skip_line(),
                Some(_) => break,
            }
        }
        let line = self.line;
        let name = self.name().ok_or_else(|| format!("line {line} has no '='"))?;
        let value = self.value().map_err(|reason| format!("line {line} {reason}"))?;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || !plain || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("line {line} has no valid name before the '='"));
        }
        if value.contains('\0') {
            return Err(format!("line {line} contains a NUL character"));
        }
        Ok(Some((name, value)))
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    /// What stands before the `=` in this line.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            match self.rest.next_if(|c| *c != '\n')? {
                '=' => break,
                c => name.push(c),
            }
        }
        let name = name.trim();
        Some(name.strip_prefix("export ").filter(|_| self.exports).unwrap_or(name).trim().to_owned())
    }

    /// Quotes count only at the beginning of a value and right after another quoted part.
    fn value(&mut self) -> Result<String, &'static str> {
        let mut value = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Ok(value),
                Some('\'') => self.single_quoted(&mut value)?,
                Some('"') => self.double_quoted(&mut value)?,
                Some(c) if c.is_ascii_whitespace() => {}
                Some(c) => {
                    self.plain(c, &mut value);
                    return Ok(value);
                }
            }
        }
    }

    fn single_quoted(&mut self, value: &mut String) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or("opens a quote that is never closed")? {
                '\'' => return Ok(()),
                c => value.push(c),
            }
        }
    }

    fn double_quoted(&mut self, value: &mut String) -> Result<(), &'static str> {
        let open = "opens a quote that is never closed";
        loop {
            match self.next().ok_or(open)? {
                '"' => return Ok(()),
                '\\' => match self.next().ok_or(open)? {
                    '\n' => {}
                    c @ ('"' | '\\' | '`' | '$') => value.push(c),
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
    }

    /// The unquoted rest of a line, which begins with `first`, without white space at its end.
    fn plain(&mut self, first: char, value: &mut String) {
        let mut kept = value.len();
        let mut next = Some(first);
        while let Some(c) = next.filter(|c| *c != '\n') {
            if c == '\\' {
                if let Some(escaped) = self.next().filter(|c| *c != '\n') {
                    value.push(escaped);
                }
                kept = value.len();
            } else {
                value.push(c);
                if !c.is_ascii_whitespace() {
                    kept = value.len();
                }
            }
            next = self.next();
        }
        value.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_systemd_reads() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("\n  \n\t\n", &[]),
            ("# comment\n; comment = too\nA=1\n", &[("A", "1")]),
            ("# no continuation \\\nA=1", &[("A", "1")]),
            ("A=1", &[("A", "1")]),
            ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
            ("  A = 1 2 \t\n", &[("A", "1 2")]),
            ("A=", &[("A", "")]),
            ("A=\nB=x", &[("A", ""), ("B", "x")]),
            ("A=1\nA=2", &[("A", "1"), ("A", "2")]),
            ("A='x y'", &[("A", "x y")]),
            ("A='x\\ny\" $Z # '", &[("A", "x\\ny\" $Z # ")]),
            ("A=\"x \\\" \\\\ \\$ \\` \\n y\"", &[("A", "x \" \\ $ ` \\n y")]),
            ("A=\"two\nlines\"\nB=1", &[("A", "two\nlines"), ("B", "1")]),
            ("A=\"one \\\nline\"", &[("A", "one line")]),
            ("A=one \\\nline", &[("A", "one line")]),
            ("A=x\\ \nB=1", &[("A", "x "), ("B", "1")]),
            ("A=\"a\"'b'c", &[("A", "abc")]),
            ("A=a\"b\"", &[("A", "a\"b\"")]),
            ("A=x#y ;z", &[("A", "x#y ;z")]),
            ("A=k=v==", &[("A", "k=v==")]),
            ("A=\\", &[("A", "")]),
            ("export A=1", &[("A", "1")]),
            ("\u{feff}A=ä€", &[("A", "ä€")]),
        ];
        for (text, wanted) in cases {
            let pairs = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(&pairs, wanted, "{text:?}");
        }
    }

    #[test]
    fn what_is_rendered_is_read_again() {
        let values = ["", "x", " a b ", "a\"b\\c`d$e'f", "two\nlines \\", "#;=é"];
        let pairs: Vec<_> = values.iter().map(|value| ("A_1".to_owned(), (*value).to_owned())).collect();
        assert_eq!(parse(&super::render(&pairs)), Ok(pairs));
    }

    #[test]
    fn skips_what_systemd_skips() {
        let text = "export A=1\nB=2\nno assignment\n1C='x\ny'\nD = 4\n=5\nE=\"open\nF=6";
        let pairs = super::parse_like_systemd(text);
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("B", "2"), ("D", "4")]);
    }

    #[test]
    fn names_the_line_and_not_its_content() {
        let cases = [
            ("A=1\ngeheim\n", "line 2 has no '='"),
            ("geheim", "line 1 has no '='"),
            ("\n\n1A=geheim", "line 3 has no valid name before the '='"),
            ("=geheim", "line 1 has no valid name before the '='"),
            ("GE HEIM=geheim", "line 1 has no valid name before the '='"),
            ("A='geheim\nB=2", "line 1 opens a quote that is never closed"),
            ("A=\"x\ny\"\nB=\"geheim", "line 3 opens a quote that is never closed"),
            ("A=\"geheim\\", "line 1 opens a quote that is never closed"),
            ("A=x\0y", "line 1 contains a NUL character"),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse(text).expect_err(text), wanted, "{text:?}");
        }
    }
}
