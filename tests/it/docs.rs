//! Promise: the documents describe this program. Every link leads to a page and a heading that exist, every key, verb and
//! flag is documented, and every document that the program names is one that the package installs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kuma_replicator::error::Exit;

/// Where the package puts `docs/`.
const INSTALLED: &str = "/usr/share/doc/kuma-replicator/";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `directory` whose names end so, relative to the root.
fn files(directory: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root()).unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(relative.to_str().unwrap(), end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(relative);
        }
    }
    found.sort();
    found
}

/// All documents.
fn documents() -> Vec<PathBuf> {
    let mut all = files("docs", ".md");
    all.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from));
    all
}

/// The lines of a document outside its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchor of a heading, as forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The rows of the tables in `text`, each with the heading it is under, without the row of dashes.
fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    let mut heading = String::new();
    let mut rows = Vec::new();
    for line in prose(text) {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut heading);
        } else if let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'))
            && !row.starts_with("---")
        {
            rows.push((heading.clone(), row.split('|').map(|cell| cell.trim().to_owned()).collect()));
        }
    }
    rows
}

/// The text between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() {
    for document in documents() {
        let text = read(&document);
        let directory = document.parent().unwrap();
        let prose: Vec<&str> = prose(&text).collect();
        let prose = prose.join("\n");
        for link in prose.split("](").skip(1).filter_map(|after| Some(after.split_once(')')?.0)) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { document.clone() } else { directory.join(file) };
            assert!(root().join(&target).is_file(), "{} links to {link}: no such file", document.display());
            if let Some(heading) = heading {
                assert!(
                    anchors(&read(&target)).contains(heading),
                    "{} links to {link}: no such heading",
                    document.display()
                );
            }
        }
    }
}

#[test]
fn every_page_is_in_the_index() {
    for (index, pages) in [("docs/README.md", "docs"), ("docs/decisions/README.md", "docs/decisions")] {
        let text = read(index);
        for page in files(pages, ".md").iter().filter(|page| page.parent() == Some(Path::new(pages))) {
            let name = page.file_name().unwrap().to_str().unwrap();
            assert!(name == "README.md" || text.contains(&format!("]({name})")), "{index} does not list {name}");
        }
    }
}

/// Every key of the shipped configuration with its default, as `section.key`.
fn shipped_keys() -> BTreeMap<String, String> {
    let mut section = String::new();
    let mut keys = BTreeMap::new();
    for line in read("packaging/usr/share/doc/kuma-replicator/config.toml").lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) {
            // A commented key starts right after the sign, prose after a space.
            if !key.contains(' ') {
                keys.insert(format!("{section}.{key}"), value.to_owned());
            }
        }
    }
    keys
}

#[test]
fn every_key_is_documented_with_its_default() {
    let mut documented = BTreeMap::new();
    for (heading, cells) in rows(&read("docs/configuration.md")) {
        let section = code(&heading).next().unwrap_or_default().trim_matches(['[', ']']);
        let Some(key) = code(&cells[0]).next() else { continue };
        assert!(cells[2].len() > 4, "{key} is not explained");
        documented.insert(format!("{section}.{key}"), cells[1].clone());
    }
    let overrides = documented.keys().filter(|key| key.starts_with("replica.overrides."));
    assert_eq!(overrides.count(), 4, "table, where, set, clear: the shipped file has them in an example");
    let receivers = documented.keys().filter(|key| key.starts_with("notify.NAME."));
    assert_eq!(receivers.count(), 9, "the shipped file has the keys of a receiver in an example");
    documented.retain(|key, _| !key.starts_with("replica.overrides.") && !key.starts_with("notify.NAME."));
    let shipped = shipped_keys();
    assert_eq!(documented.keys().collect::<Vec<_>>(), shipped.keys().collect::<Vec<_>>());
    for (key, default) in documented {
        if let Some(value) = default.strip_prefix('`').and_then(|value| value.strip_suffix('`')) {
            assert_eq!(value, shipped[&key], "the default of {key}");
        } else {
            assert!(
                ["required", "discovered"].contains(&default.as_str()) || default.starts_with("see "),
                "{key}: {default}"
            );
        }
    }
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kuma-replicator")).args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_verb_and_flag_is_documented() {
    let text = read("docs/commands.md");
    let documented: BTreeSet<&str> =
        code(&text).filter_map(|span| span.strip_prefix("kuma-replicator ")?.split(' ').next()).collect();
    let listing = help(&[]);
    let (_, verbs) = listing.split_once("Commands:\n").or_else(|| listing.split_once("Verbs:\n")).unwrap();
    let verbs: BTreeSet<&str> = verbs
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.contains("run") && verbs.len() > 10, "{verbs:?}");
    assert_eq!(
        documented.into_iter().filter(|verb| !verb.starts_with('-') && *verb != "VERB").collect::<BTreeSet<_>>(),
        verbs
    );
    for verb in verbs {
        for flag in help(&[verb]).split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = flag.trim_matches(|c: char| !c.is_ascii_lowercase() && c != '-');
            let known = ["--help", "--version", "--config", "--database"].contains(&flag);
            assert!(known || text.contains(flag), "docs/commands.md does not have {flag} of {verb}");
        }
    }
}

#[test]
fn every_table_of_exit_codes_is_complete() {
    let all = [
        Exit::Success,
        Exit::Bug,
        Exit::Usage,
        Exit::RolledBack,
        Exit::NeedsPerson,
        Exit::Refused,
        Exit::TryAgain,
        Exit::NotPermitted,
        Exit::Config,
    ]
    .map(|exit| exit as u8);
    for document in ["docs/monitoring.md", "docs/format.md"] {
        let codes: Vec<u8> = rows(&read(document))
            .into_iter()
            .filter(|(heading, _)| heading == "Exit codes")
            .filter_map(|(_, cells)| cells[0].parse().ok())
            .collect();
        assert_eq!(codes, all, "{document}");
    }
}

#[test]
fn every_check_is_documented() {
    let source =
        read("src/command/check.rs") + &read("src/command/checks.rs") + &read("src/command/repository_checks.rs");
    let calls = [".add(\"", ".ok(\"", ".warn(\""].into_iter().flat_map(|call| source.split(call).skip(1));
    let made: BTreeSet<&str> = calls.filter_map(|after| after.split('"').next()).collect();
    assert!(made.len() > 10, "{made:?}");
    let format = read("docs/format.md");
    let (_, names) = format.split_once("Names are ").unwrap();
    let documented: BTreeSet<&str> = code(names.split_once('.').unwrap().0).collect();
    assert_eq!(documented, made);
}

#[test]
fn every_document_that_is_named_is_installed() {
    assert_eq!(read("debian/kuma-replicator.docs").trim(), "docs/*", "the package installs all of docs/");
    let sources = ["src", "packaging", "systemd"].into_iter().flat_map(|directory| files(directory, ""));
    let mut named = 0;
    for source in sources.chain(documents()) {
        let Ok(text) = fs::read_to_string(root().join(&source)) else { continue };
        // With its path, wherever it is.
        for after in text.split(INSTALLED).skip(1) {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c)).unwrap_or(after.len());
            let name = after[..end].trim_end_matches(['.', '/']);
            let there = root().join("docs").join(name).exists()
                || root().join("packaging").join(&INSTALLED[1..]).join(name).exists();
            assert!(there, "{} names {INSTALLED}{name}, which is not installed", source.display());
            named += usize::from(!name.is_empty());
        }
        // By its name alone, in what the program and the package tell.
        if source.starts_with("docs") || source.parent() == Some(Path::new("")) {
            continue;
        }
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c)) {
            let Some(name) = word.rsplit('/').next().filter(|name| name.len() > 3 && name.ends_with(".md")) else {
                continue;
            };
            let there = ["docs", "docs/decisions", ""].iter().any(|place| root().join(place).join(name).is_file());
            assert!(there, "{} names {name}, which does not exist", source.display());
        }
    }
    assert!(named > 3, "{named}");
}

/// Words that an earlier vocabulary had for something that has another name now.
const FORMER: [&str; 9] =
    ["postpone", "setback", "way back", "wish", "somebody", "whoever", "asks no network", "operating.md", "but for"];

#[test]
fn the_documents_use_one_word_per_thing() {
    for document in documents().into_iter().filter(|path| path != Path::new("CHANGELOG.md")) {
        let text = read(&document);
        for line in prose(&text) {
            let spoken: String = line.split('`').step_by(2).collect();
            let spoken = spoken.to_lowercase();
            if let Some(word) = FORMER.iter().find(|word| spoken.contains(**word)) {
                panic!("{}: '{word}' in: {line}", document.display());
            }
        }
    }
}
