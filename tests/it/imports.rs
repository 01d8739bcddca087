//! Promise: the picture in src/lib.rs is true. Imports point down and inward, what decides does no I/O and
//! reads no clock, and every file says what it is for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may import, beside itself.
const PICTURE: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("terminal", &["text"]),
    ("model", &["error", "text"]),
    ("error", &["text"]),
    ("config", &["error", "model", "text"]),
    ("plan", &["model", "text"]),
    ("localise", &["config", "error", "model", "text"]),
    ("decide", &["config", "error", "model", "text"]),
    ("cycle", &["config", "decide", "error", "localise", "model", "plan", "text"]),
    ("metrics", &["config", "cycle", "error", "model"]),
    ("host", &["config", "cycle", "error", "logging", "metrics", "model", "plan", "terminal", "text"]),
    ("logging", &["cycle", "error", "terminal", "text"]),
    ("report", &["config", "error", "localise", "model", "plan", "terminal", "text"]),
    ("cli", &["config", "error"]),
    (
        "command",
        &[
            "cli", "config", "cycle", "decide", "error", "host", "localise", "logging", "metrics", "model", "plan",
            "report", "terminal", "text",
        ],
    ),
];

/// Only plain values in, plain values out.
const PURE: &[&str] = &["model", "decide", "localise", "metrics", "plan", "text"];

const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::io",
    "std::thread",
    "std::os",
    "tokio",
    "rusqlite",
    "rustix",
    "zbus",
    "ureq",
    "tracing",
    "sd_notify",
    "println!",
    "eprintln!",
    "env::var",
];

const CLOCK: &[&str] = &["Timestamp::now", "Zoned::now", "SystemTime", "Instant", "async", "await"];

struct Source {
    /// The path of the module: `["host", "database", "read"]`; empty for lib.rs, `["main"]` for main.rs.
    module: Vec<String>,
    name: String,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 20);
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = code(&text);
            Source { module, name, text, code }
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `text` without comments and without the content of literals.
fn code(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if let Some(hashes) = raw_string(rest, out.chars().last()) {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = rest.find('"').unwrap() + 1;
            rest = rest[open..].find(&close).map_or("", |end| &rest[open + end + close.len()..]);
            out.push_str("\"\"");
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = end.map_or("", |end| &rest[end + 2..]);
            out.push_str("\"\"");
        } else if let Some(length) = character(rest) {
            rest = &rest[length..];
            out.push_str("''");
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The number of `#` if a raw string begins here.
fn raw_string(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let rest = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a character literal, as opposed to a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        return Some(2 + escape[1..].find('\'')? + 2);
    }
    let c = inner.chars().next()?;
    inner[c.len_utf8()..].starts_with('\'').then(|| c.len_utf8() + 2)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names that follow `prefix` (such as `crate::`) in `code`: one, or those of a group.
fn after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].chars().last().is_some_and(|c| is_name(c) || c == ':') {
            continue;
        }
        let rest = code[at + prefix.len()..].trim_start();
        match rest.strip_prefix('{') {
            None => found.push((at, rest.chars().take_while(|c| is_name(*c)).collect())),
            Some(group) => {
                let mut depth = 0;
                let mut name = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth > 0 => depth -= 1,
                        ',' | '}' if depth == 0 => {
                            found.push((at, name.trim().split("::").next().unwrap().to_owned()));
                            name.clear();
                            if c == '}' {
                                break;
                            }
                        }
                        _ if depth == 0 => name.push(c),
                        _ => {}
                    }
                }
            }
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

/// The top-level modules that a file names, whichever way.
fn imports(source: &Source) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = after(&source.code, "crate::").into_iter().map(|(_, name)| name).collect();
    // `super::` that leaves the top-level module. Inside an inline `mod` there is one level more.
    for levels in 1..=4 {
        for (at, name) in after(&source.code, &"super::".repeat(levels)) {
            let inline =
                source.code[..at].matches("\nmod ").filter(|_| source.code[..at].contains("\nmod tests {")).count();
            let depth = source.module.len() + usize::from(inline > 0);
            if name != "super" && levels >= depth {
                found.insert(name);
            }
        }
    }
    if source.module == ["main"] {
        found.extend(after(&source.code, "kuma_replicator::").into_iter().map(|(_, name)| name));
    }
    found
}

#[test]
fn this_test_can_read() {
    let text = "//! crate::a\nuse crate::{b::{x, y}, c, d::e};\n/* crate::f */ let s = \"crate::g \\\" crate::h\";\n\
                let r = r#\"crate::i \" \"#; let c = '\"'; let l: &'a str = crate::j::k(); use super::super::l::m;";
    let source = Source {
        module: vec!["x".to_owned(), "y".to_owned()],
        name: String::new(),
        text: String::new(),
        code: code(text),
    };
    assert_eq!(imports(&source).into_iter().collect::<Vec<_>>(), ["b", "c", "d", "j", "l"]);
}

#[test]
fn imports_follow_the_picture() {
    let modules: BTreeSet<&str> = PICTURE.iter().map(|(module, _)| *module).collect();
    let mut seen = BTreeSet::new();
    for source in sources() {
        let found = imports(&source);
        let Some(top) = source.module.first() else {
            // lib.rs has the modules, all of them, and nothing else.
            let declared: BTreeSet<&str> =
                source.code.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
            assert_eq!(declared, modules);
            assert!(found.is_empty());
            for module in &modules {
                assert!(source.text.contains(&format!("[`{module}`]")), "src/lib.rs says what {module} is for");
            }
            continue;
        };
        let allowed: &[&str] = match top.as_str() {
            "main" => &["cli", "command", "error", "logging"],
            top => {
                PICTURE
                    .iter()
                    .find(|(module, _)| *module == top)
                    .unwrap_or_else(|| panic!("{top} is not in the picture"))
                    .1
            }
        };
        for name in found.iter().filter(|name| *name != top) {
            assert!(modules.contains(name.as_str()), "src/{}: crate::{name} is no module", source.name);
            assert!(allowed.contains(&name.as_str()), "src/{} must not import {name}", source.name);
            seen.insert((top.clone(), name.clone()));
        }
    }
    // Nothing is allowed here that is not used, except the settings that `decide` may need.
    for (module, allowed) in PICTURE {
        for name in allowed.iter().filter(|name| (*module, **name) != ("decide", "config")) {
            assert!(seen.contains(&((*module).to_owned(), (*name).to_owned())), "{module} does not import {name}");
        }
    }
}

#[test]
fn pure_modules_use_no_io_and_no_clock() {
    for source in sources() {
        let Some(top) = source.module.first().map(String::as_str) else { continue };
        let mut forbidden: Vec<&str> = Vec::new();
        if PURE.contains(&top) || top == "cycle" {
            forbidden.extend(WORLD);
        }
        if PURE.contains(&top) {
            forbidden.extend(CLOCK);
        }
        for word in forbidden {
            for (at, _) in source.code.match_indices(word) {
                let before = source.code[..at].chars().last();
                let after = source.code[at + word.len()..].chars().next();
                let whole = !before.is_some_and(is_name) && !after.is_some_and(is_name);
                assert!(!whole, "src/{} uses {word}", source.name);
            }
        }
        if PURE.contains(&top) || top == "cycle" {
            for (_, name) in after(&source.code, "std::") {
                let world = format!("std::{name}");
                assert!(!WORLD.contains(&world.as_str()), "src/{} uses {world}", source.name);
            }
        }
    }
}

/// One module style: an index declares and re-exports, and logic has a file with a name.
#[test]
fn an_index_has_no_logic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    for path in paths {
        let beside = path.with_extension("");
        assert!(!beside.is_dir(), "{} and {} are one module", path.display(), beside.display());
        if path.file_name().is_some_and(|name| name == "mod.rs") {
            let code = code(&fs::read_to_string(&path).unwrap());
            for item in ["fn ", "struct ", "enum ", "trait ", "impl", "const ", "static ", "macro_rules"] {
                assert!(!code.contains(item), "{} has logic: {item}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    collect(&root.join("tests"), &mut paths);
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! ") && first.len() > 15, "{} starts with: {first}", path.display());
    }
}
