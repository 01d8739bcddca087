//! The manual pages and completions as files of the package.

use std::env;
use std::io;

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use jiff::Timestamp;
use kuma_replicator::cli::Cli;
use kuma_replicator::error::Exit;
use roff::{Roff, bold, roman};

#[path = "configuration.rs"]
mod configuration;

/// The sections after EXIT STATUS, which no declaration in the program contains.
const SECTIONS: &str = include_str!("manual.roff");

const SECTION: &str = "8";

/// The path of every file below `/`, with its content.
pub(crate) fn files() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command();
    // Without "help", a verb that clap adds and --help replaces.
    command = command.disable_help_subcommand(true).subcommand_help_heading("VERBS");
    command.build();
    let name = command.get_name().to_owned();
    let mut files = vec![(page_path(&name, SECTION), main_page(&command)?)];
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        files.push((page_path(&format!("{name}-{}", verb.get_name()), SECTION), verb_page(&name, verb)?));
    }
    let page = configuration::page(date().as_deref(), &source())?;
    files.push((page_path(configuration::NAME, configuration::SECTION), page));
    for (shell, path) in [
        (Shell::Bash, format!("usr/share/bash-completion/completions/{name}")),
        (Shell::Zsh, format!("usr/share/zsh/vendor-completions/_{name}")),
        (Shell::Fish, format!("usr/share/fish/vendor_completions.d/{name}.fish")),
    ] {
        let mut script = Vec::new();
        generate(shell, &mut shown(&Cli::command()), &name, &mut script);
        files.push((path, if shell == Shell::Bash { with_one_name(&script, &name) } else { script }));
    }
    Ok(files)
}

/// The script for bash, which names the verbs of a program with a hyphen in one way where it finds them and in another where
/// it lists their flags, and so completes no flag (clap_complete 4.6.11).
fn with_one_name(script: &[u8], name: &str) -> Vec<u8> {
    let script = String::from_utf8_lossy(script);
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__")).into_bytes()
}

/// `command` without the verbs and flags that nobody types, which a completion would offer.
fn shown(command: &Command) -> Command {
    // Names in clap live as long as the program, and this one does not live long.
    let name: &'static str = Box::leak(command.get_name().to_owned().into_boxed_str());
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let shown = Command::new(name)
        .about(command.get_about().cloned().unwrap_or_default())
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned())
        .subcommands(verbs.map(self::shown))
        .disable_help_subcommand(true);
    match command.get_version() {
        Some(_) => shown.version(env!("CARGO_PKG_VERSION")),
        None => shown,
    }
}

fn page_path(page: &str, section: &str) -> String {
    format!("usr/share/man/man{section}/{page}.{section}")
}

/// The program and its version.
fn source() -> String {
    format!("kuma-replicator {}", env!("CARGO_PKG_VERSION"))
}

fn man(command: &Command) -> Man {
    let man = Man::new(command.clone()).section(SECTION).source(source()).manual("System administration");
    match date() {
        Some(date) => man.date(date),
        None => man,
    }
}

/// The day of the release, which the package build gives in `SOURCE_DATE_EPOCH`.
fn date() -> Option<String> {
    let seconds = env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()?;
    Some(Timestamp::from_second(seconds).ok()?.strftime("%Y-%m-%d").to_string())
}

fn main_page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = man(command);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    exit_status().to_writer(&mut page)?;
    page.extend_from_slice(SECTIONS.as_bytes());
    Ok(page)
}

fn verb_page(name: &str, verb: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = man(verb);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut end = Roff::new();
    end.control("SH", ["SEE ALSO"]);
    end.text([bold(name), roman(format!("({SECTION}) has the exit codes, files and examples."))]);
    end.to_writer(&mut page)?;
    Ok(page)
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        roff.control("TP", ["4"]);
        roff.text([bold(exit.code().to_string())]);
        roff.text([roman(exit.meaning())]);
    }
    roff
}
