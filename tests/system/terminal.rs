//! What people and scripts see on a host: a terminal, the pages and completions of the package, documents, and a status that is
//! well again once a person has seen to it.

use std::process::Command;

use serde_json::{Value, json};

use crate::Test;
use crate::package::bare;
use crate::testbed::{Machine, Result, part};
use crate::world::{Pair, Setup, expect, package, typed};

pub const TESTS: &[Test] = &[
    ("a_terminal_on_a_host_gets_lines_that_fit_and_bash_completes", on_a_terminal),
    ("a_run_on_a_host_says_as_json_how_it_ended", runs_as_json),
    ("status_on_a_host_is_well_at_once_after_a_demotion", well_after_a_demotion),
];

/// Tests that need the part `shells` of the testbed.
pub const IN_OTHER_SHELLS: &[Test] = &[("zsh_fish_and_man_know_the_package", in_other_shells)];

/// `text` without what moves the cursor or gives colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        plain + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default()
    })
}

fn on_a_terminal() -> Result<()> {
    let machine = bare()?;
    machine
        .sh("printf 'role = \"main\"\\nrepository = \"/srv/kuma-repository\"\\n' >/etc/kuma-replicator/config.toml")?;
    let check = "kuma-replicator check";
    let typed = format!("stty cols 60 rows 50; TERM=xterm {check}");
    let shown = String::from_utf8(machine.output(&["script", "-qec", &typed, "/dev/null"])?.stdout)?;
    assert!(shown.contains("\u{1b}[32mok\u{1b}[0m       sandbox"), "{shown:?}");
    assert!(shown.contains("failed\u{1b}[0m   database"), "{shown:?}");
    // What a spinner has shown is gone by the end of its line.
    let lines: Vec<String> =
        plain(&shown).lines().map(|line| line.rsplit('\r').next().unwrap_or_default().to_owned()).collect();
    assert!(
        lines.len() > 10 && lines.iter().all(|line| line.chars().count() <= 60 || !line.trim().contains(' ')),
        "{lines:#?}"
    );
    let piped = String::from_utf8(machine.output(&["sh", "-c", check])?.stdout)?;
    assert!(!piped.contains('\u{1b}') && piped.lines().any(|line| line.len() > 100), "{piped}");
    // A bash as people have it, with the script where its package looks for it.
    let script = "/usr/share/bash-completion/completions/kuma-replicator";
    let complete = |words: &str, last: usize| {
        machine.run(&["bash", "--norc", "-ec", &format!(
            ". {script}; [[ $(complete -p kuma-replicator) =~ -F\\ ([^ ]+) ]]; COMP_WORDS=({words}); COMP_CWORD={last}; \
             ${{BASH_REMATCH[1]}} kuma-replicator \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last} - 1]}}\"; \
             printf '%s ' \"${{COMPREPLY[@]}}\""
        )])
    };
    assert_eq!(complete("kuma-replicator st", 1)?.trim(), "status");
    let flags = complete("kuma-replicator run --", 2)?;
    for flag in ["--retry", "--look", "--confirm-shrink", "--json", "--config", "--help"] {
        assert!(flags.split(' ').any(|word| word == flag), "{flag}: {flags}");
    }
    assert_eq!(complete("kuma-replicator alerts o", 2)?.trim(), "on off");
    Ok(())
}

/// The one document on standard output of a command that has to end with this exit code.
fn document(machine: &Machine, code: i32, arguments: &[&str]) -> Result<Value> {
    let output = machine.output(&[&["kuma-replicator"], arguments].concat())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    Ok(serde_json::from_str(&text).map_err(|error| format!("{arguments:?}: {error}: {text}"))?)
}

fn runs_as_json() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let published = document(main, 0, &["run", "--json"])?;
        assert_eq!((&published["role"], &published["outcome"]), (&json!("main"), &json!("published")), "{published:#}");
        assert_eq!((&published["epoch"], &published["sequence"]), (&json!(1), &json!(1)), "{published:#}");
        let applied = document(replica, 0, &["run", "--json"])?;
        assert_eq!((&applied["role"], &applied["outcome"]), (&json!("replica"), &json!("applied")), "{applied:#}");
        assert_eq!(applied["sequence"], 1, "{applied:#}");
        // restic 0.14 says only the beginning of the id of a new snapshot.
        let ids = [&applied, &published].map(|document| document["snapshot"].as_str().unwrap_or("none").to_owned());
        assert!(ids[0].starts_with(&ids[1]) && ids[0].len() == 64, "{ids:?}");
        let names = |document: &Value| -> Vec<String> {
            let events = document["events"].as_array().cloned().unwrap_or_default();
            events.iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let story = names(&applied);
        assert_eq!(
            (story.first().map(String::as_str), story.last().map(String::as_str)),
            (Some("fetched"), Some("applied"))
        );
        assert!(applied["milliseconds"].as_u64().is_some_and(|millis| millis > 0), "{applied:#}");
        let same = document(replica, 0, &["run", "--json"])?;
        assert_eq!((&same["outcome"], names(&same)), (&json!("up to date"), vec!["up-to-date".to_owned()]), "{same:#}");
        // A second hold says what it replaces.
        typed(replica, 0, &["hold", "--reason", "the first"])?;
        let said = typed(replica, 0, &["hold", "--for", "2h", "--reason", "the second"])?;
        assert!(said.contains("this replaces the hold until kuma-replicator release: the first"), "{said}");
        let held = document(replica, 0, &["run", "--json"])?;
        assert_eq!((&held["outcome"], &held["message"]), (&json!("on hold"), &json!("the second")), "{held:#}");
        typed(replica, 0, &["release"])?;
        replica.sh("sed -i 's|^repository = .*|repository = \"/srv/nowhere\"|' /etc/kuma-replicator/config.toml")?;
        let failed = document(replica, 78, &["run", "--json"])?;
        assert_eq!(failed["error"]["kind"], "repository-missing", "{failed:#}");
        assert_eq!(names(&failed), ["failed"]);
        assert_eq!(document(replica, 78, &["snapshots", "--json"])?["error"]["exit_code"], 78);
        Ok(())
    })
}

fn well_after_a_demotion() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        pair.replicate()?;
        typed(replica, 0, &["promote"])?;
        let fenced = document(main, 4, &["run", "--look", "--json"])?;
        assert_eq!(fenced["error"]["kind"], "fenced", "{fenced:#}");
        typed(main, 4, &["status"])?;
        typed(main, 0, &["demote"])?;
        let said = typed(main, 0, &["status"])?;
        assert!(said.contains("failed, before demote"), "{said}");
        let status = document(main, 0, &["status", "--json"])?;
        assert_eq!((&status["problem"], &status["last_order"]["verb"]), (&Value::Null, &json!("demote")), "{status:#}");
        expect(main, 0, "up to date")?;
        let status = document(main, 0, &["status", "--json"])?;
        assert_eq!(status["last_order"], Value::Null, "{status:#}");
        Ok(())
    })
}

/// On this machine, with the shells of the testbed and the files of the package.
fn in_other_shells() -> Result<()> {
    let (shells, directory) = (part("shells")?, tempfile::tempdir()?);
    let tree = directory.path().join("tree");
    let said = |command: &mut Command| -> Result<String> {
        let output = command.env("HOME", directory.path()).env("LC_ALL", "C.UTF-8").output()?;
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        if output.status.success() { Ok(text) } else { Err(format!("{command:?}: {text}").into()) }
    };
    said(Command::new("dpkg-deb").arg("--extract").arg(package()?).arg(&tree))?;
    let share = tree.join("usr/share");
    let libraries = shells.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));

    let script = share.join("fish/vendor_completions.d/kuma-replicator.fish");
    let fish = |typed: &str| {
        let order = format!("source {}; complete -C '{typed}'", script.display());
        said(Command::new(shells.join("usr/bin/fish")).env("LD_LIBRARY_PATH", &libraries).args([
            "--no-config",
            "-c",
            &order,
        ]))
    };
    assert!(fish("kuma-replicator st")?.starts_with("status\tShow the role"), "{}", fish("kuma-replicator st")?);
    assert!(fish("kuma-replicator run --re")?.starts_with("--retry\t"), "{}", fish("kuma-replicator run --re")?);

    let zsh = || Command::new(shells.join("bin/zsh"));
    let (completions, functions) = (share.join("zsh/vendor-completions"), shells.join("usr/share/zsh/functions"));
    assert_eq!(said(zsh().arg("-n").arg(completions.join("_kuma-replicator")))?, "");
    let order = format!(
        "module_path=({}/zsh/*(/)); fpath=({} {functions} {functions}/*(/)); autoload -Uz compinit; \
         compinit -u -D; echo $_comps[kuma-replicator]",
        libraries.display(),
        completions.display(),
        functions = functions.display()
    );
    assert_eq!(said(zsh().args(["-fc", &order]))?, "_kuma-replicator\n");

    let pages = share.join("man");
    for page in ["kuma-replicator", "kuma-replicator.toml", "kuma-replicator-plan", "kuma-replicator-run"] {
        let found = said(Command::new("man").env("MANPATH", &pages).args(["-w", page]))?;
        let shown = said(Command::new("man").args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", found.trim()]))?;
        assert!(!shown.contains("warning:") && shown.len() > 1000, "{page}: {shown:.2000}");
    }
    Ok(())
}
