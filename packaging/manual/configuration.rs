//! The manual page of the configuration file, from the documented file of the package: the same text, in another form.

use std::io;

use kuma_replicator::config::EXAMPLE;
use roff::{Roff, bold, roman};

/// The name of the page.
pub(crate) const NAME: &str = "kuma-replicator.toml";

/// Its section.
pub(crate) const SECTION: &str = "5";

/// The page, with this date if there is one.
pub(crate) fn page(date: Option<&str>, source: &str) -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", [NAME, SECTION, date.unwrap_or_default(), source, "File formats"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{NAME} - the configuration file of kuma-replicator"))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("/etc/kuma-replicator/config.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    let mut paragraphs = EXAMPLE.split("\n\n").peekable();
    // The first paragraph is the head of the file, up to its first key.
    for block in paragraphs.next().unwrap_or_default().split("\n#\n") {
        prose(&mut roff, block);
    }
    roff.control("SH", ["KEYS AT THE TOP"]);
    for paragraph in paragraphs {
        let (text, last) = paragraph.trim_end().rsplit_once('\n').unwrap_or(("", paragraph.trim_end()));
        if let Some(section) = last.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            roff.control("SH", [format!("KEYS IN [{section}]").as_str()]);
            prose(&mut roff, text);
        } else if let Some((key, default)) = key(last) {
            roff.control("TP", []);
            roff.text([bold(key), roman(format!(" = {default}"))]);
            lines(&mut roff, text);
        } else {
            for block in paragraph.split("\n#\n") {
                prose(&mut roff, block);
            }
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("kuma-replicator"),
        roman("(8), "),
        bold("kuma-replicator-config"),
        roman("(8), "),
        bold("restic"),
        roman("(1)"),
    ]);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// A commented key and its value: a key starts right after the sign, prose after a space.
fn key(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('#')?.split_once(" = ").filter(|(name, _)| !name.contains(' '))
}

/// A paragraph of comments.
fn prose(roff: &mut Roff, block: &str) {
    if !block.is_empty() {
        roff.control("PP", []);
        lines(roff, block);
    }
}

/// Comments, of which those that are indented stay as they are.
fn lines(roff: &mut Roff, block: &str) {
    let mut is_example = false;
    for line in block.lines() {
        let line = line.trim_start_matches('#');
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("  ") != is_example {
            is_example = !is_example;
            roff.control(if is_example { "EX" } else { "EE" }, []);
        }
        roff.text([roman(line)]);
    }
    if is_example {
        roff.control("EE", []);
    }
}
