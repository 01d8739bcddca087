//! The variables and arguments with which systemd starts Uptime Kuma.

use std::collections::BTreeMap;

use super::files::Files;
use super::properties::ServiceProperties;
use crate::host::system::environment;

/// The environment of the process in the order of systemd.exec(5), and the variables that dotenv adds.
pub(super) fn variables(service: &ServiceProperties, files: &Files) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    all.extend(service.environment.iter().filter_map(|text| pair(text)));
    for text in &files.environment {
        all.extend(environment::parse_like_systemd(text));
    }
    for unset in &service.unset_environment {
        match unset.split_once('=') {
            Some((name, value)) if all.get(name).is_some_and(|old| old == value) => all.remove(name),
            Some(_) => None,
            None => all.remove(unset),
        };
    }
    for (name, value) in files.dotenv.as_deref().map(dotenv).unwrap_or_default() {
        all.entry(name).or_insert(value);
    }
    all
}

/// A `.env` as dotenv 16 reads it: `export` allowed, quotes removed, `#` ends an unquoted value. Values over several
/// lines are left out; no variable that counts here has one.
fn dotenv(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line = line.trim();
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let quoted = ['"', '\'', '`'].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
        let value = match quoted {
            Some((inside, _)) => inside,
            None => value.split('#').next().unwrap_or_default().trim_end(),
        };
        (!name.is_empty() && name.chars().all(plain)).then(|| (name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// The `--name=value` words with their variables expanded; the last one wins. The command in `sh -c` is not parsed.
pub(super) fn arguments(
    words: &[String],
    variables: &BTreeMap<String, String>,
    state_directories: &[String],
) -> BTreeMap<String, String> {
    let value_of = |name: &str| match (variables.get(name), name) {
        (Some(value), _) => value.clone(),
        (None, "STATE_DIRECTORY") => {
            let paths: Vec<String> = state_directories.iter().map(|name| format!("/var/lib/{name}")).collect();
            paths.join(":")
        }
        (None, _) => String::new(),
    };
    let expanded = words.iter().skip(1).map(|word| match word.strip_prefix('$') {
        Some(name) if !name.starts_with(['{', '$']) => value_of(name),
        _ => expand(word, value_of),
    });
    let option = |word: String| {
        let word = word.strip_prefix('-').map(|word| word.strip_prefix('-').unwrap_or(word))?;
        let (name, value) = word.split_once(['=', ' '])?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    expanded.filter_map(option).collect()
}

/// `word` with every `${NAME}` expanded, as in systemd.service(5) under "Command lines".
fn expand(word: &str, value_of: impl Fn(&str) -> String) -> String {
    let mut pieces = word.split("${");
    let mut expanded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((name, rest)) => expanded.extend([value_of(name).as_str(), rest]),
            None => expanded.extend(["${", piece]),
        }
    }
    expanded
}
