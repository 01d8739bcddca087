//! Promise: the manual pages and the completions have every verb, flag and exit code of the program.

#[path = "../../packaging/manual/render.rs"]
mod render;

use std::collections::BTreeMap;

use clap::CommandFactory as _;
use kuma_replicator::cli::Cli;
use kuma_replicator::error::Exit;

fn files() -> BTreeMap<String, String> {
    render::files().unwrap().into_iter().map(|(path, content)| (path, String::from_utf8(content).unwrap())).collect()
}

/// roff escapes hyphens and apostrophes.
fn escaped(name: &str) -> String {
    name.replace('-', "\\-").replace('\'', "\\*(Aq")
}

#[test]
fn every_verb_and_flag_has_its_place_in_the_manual_and_the_completions() {
    let files = files();
    let main = &files["usr/share/man/man8/kuma-replicator.8"];
    let completions: Vec<&String> =
        files.iter().filter(|(path, _)| !path.contains("/man/")).map(|(_, content)| content).collect();
    assert_eq!(completions.len(), 3);
    // Those of the program and of its configuration file.
    let mut pages = 2;
    for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        assert!(main.contains(&escaped(&format!("kuma-replicator-{name}(8)"))), "{name}");
        let page = &files[&format!("usr/share/man/man8/kuma-replicator-{name}.8")];
        let shown = verb.get_arguments().filter(|argument| !argument.is_hide_set());
        for flag in shown.filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&escaped(&format!("--{flag}"))), "{name} --{flag}");
            for script in &completions {
                assert!(script.contains(flag), "{name} --{flag}");
            }
        }
        pages += 1;
    }
    assert_eq!(files.len(), pages + completions.len(), "no page without a verb");
}

#[test]
fn no_shell_offers_what_is_hidden_and_bash_knows_each_verb_by_one_name() {
    let files = files();
    for (path, script) in files.iter().filter(|(path, _)| !path.contains("/man/")) {
        for verb in Cli::command().get_subcommands() {
            let hidden = verb.get_arguments().filter(|argument| argument.is_hide_set());
            for flag in hidden.filter_map(|argument| argument.get_long()) {
                assert!(!script.contains(flag), "{path} offers --{flag}");
            }
            assert!(!verb.is_hide_set() || !script.contains(verb.get_name()), "{path} offers {}", verb.get_name());
        }
    }
    let bash = &files["usr/share/bash-completion/completions/kuma-replicator"];
    for found in bash.split("cmd=\"").skip(1).filter_map(|rest| rest.split('"').next()).filter(|name| !name.is_empty())
    {
        assert_eq!(bash.matches(&format!("\n        {found})\n")).count(), 1, "{found}");
    }
}

#[test]
fn the_page_of_the_configuration_file_has_every_key_with_its_default() {
    let files = files();
    let page = &files["usr/share/man/man5/kuma-replicator.toml.5"];
    let mut keys = 0;
    for line in kuma_replicator::config::EXAMPLE.lines() {
        if let Some(section) = line.strip_prefix('[') {
            assert!(page.contains(&format!(".SH \"KEYS IN [{section}\"\n")), "{section}");
        }
        let Some((key, default)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) else { continue };
        if !key.contains(' ') {
            let entry = format!("\\fB{}\\fR = {}\n", escaped(key), escaped(default));
            assert_eq!(page.matches(&entry).count(), 1, "{entry}");
            keys += 1;
        }
    }
    assert!(keys > 30, "{keys}");
    // Nothing of the text is lost, and no line of it begins a request.
    let shown: String = page.lines().filter(|line| !line.starts_with('.')).collect::<Vec<_>>().join("\n");
    for line in kuma_replicator::config::EXAMPLE.lines().filter_map(|line| line.strip_prefix("# ")) {
        assert!(shown.contains(escaped(line).trim()), "{line}");
    }
}

#[test]
fn the_manual_has_every_exit_code_with_its_meaning() {
    let files = files();
    let main = &files["usr/share/man/man8/kuma-replicator.8"];
    let section = main.split(".SH \"EXIT STATUS\"\n").nth(1).unwrap().split(".SH ").next().unwrap();
    let rows: Vec<(u8, String)> = section
        .split(".TP 4\n")
        .skip(1)
        .map(|row| {
            let (code, meaning) = row.split_once('\n').unwrap();
            (
                code.trim_start_matches("\\fB").trim_end_matches("\\fR").parse().unwrap(),
                meaning.trim().replace("\\-", "-"),
            )
        })
        .collect();
    let exits: Vec<(u8, String)> = Exit::ALL.iter().map(|exit| (exit.code(), exit.meaning().to_owned())).collect();
    assert_eq!(rows, exits);
    let sections: Vec<&str> = main.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FILES", "ENVIRONMENT", "EXAMPLES", "\"SEE ALSO\""] {
        assert!(sections.iter().any(|found| found.trim_matches('"') == section.trim_matches('"')), "{section}");
    }
}
