//! Promise: a terminal shows colours, lines that fit, and what is waited for; a pipe and a file get plain text and documents
//! that can be read, also if something fails.

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::check::{self, host};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kuma-replicator");

/// The program, or a shell around it, on a terminal that can show everything.
fn command(directory: &Path, program: &str) -> Command {
    let mut command = check::command(directory, program);
    // With CI a dumb terminal has colours, too.
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "CI"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm-256color");
    command
}

/// What `typed` shows on a terminal of this width, byte by byte; script(1) makes one.
fn on_terminal(directory: &Path, width: usize, typed: &str) -> String {
    let typed = format!("stty cols {width} rows 500; {typed}");
    let output = command(directory, "script").args(["-qec", &typed, "/dev/null"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The lines that are left on the screen of a terminal that was sent `text`, without their colours.
fn screen(text: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\u{1b}' => {
                assert_eq!(rest.next(), Some('['), "{text:?}");
                let mut number = String::new();
                match rest.find(|c| {
                    number.push(*c);
                    c.is_ascii_alphabetic()
                }) {
                    Some('m') => {}
                    Some('K') if number.starts_with('2') => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('A') => row -= number.trim_end_matches('A').parse().unwrap_or(1),
                    other => panic!("{other:?} in {text:?}"),
                }
            }
            c => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

/// The words of a text.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn lines_fit_the_terminal_and_a_pipe_gets_them_whole() {
    let directory = tempfile::tempdir().unwrap();
    let long = format!("role = \"main\"\nrepository = \"/srv/{}\"\n", "a-long-name/".repeat(12));
    let config = directory.path().join("config.toml");
    fs::write(&config, long).unwrap();
    let reason = "the disk is being replaced, ".repeat(8);
    let held = command(directory.path(), PROGRAM).args(["hold", "--reason", reason.trim()]).output().unwrap();
    assert!(held.status.success(), "{}", String::from_utf8_lossy(&held.stderr));
    let typed = format!("{PROGRAM} --config {} status", config.display());
    let plain = command(directory.path(), "sh").args(["-c", &format!("{typed} 2>/dev/null")]).output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(!plain.contains('\u{1b}') && plain.lines().any(|line| line.len() > 150), "{plain}");
    for width in [40, 80, 120] {
        let shown = screen(&on_terminal(directory.path(), width, &format!("{typed} 2>/dev/null")));
        let wide: Vec<_> = shown.iter().filter(|line| line.chars().count() > width).collect();
        // The path stays whole, so that it can be copied.
        assert!(
            wide.iter().all(|line| line.starts_with("repository    /srv/")) && wide.len() == 1,
            "{width}: {wide:?}"
        );
        assert!(shown.len() > plain.lines().count() + 200 / width, "{width}: {shown:#?}");
        let labels: Vec<&str> = plain.lines().map(|line| &line[..14]).collect();
        for line in shown.iter().filter(|line| !line.is_empty()) {
            // What follows a broken line begins in the column of the values.
            assert!(labels.iter().any(|label| line.starts_with(label)) || line.starts_with(&" ".repeat(14)), "{line}");
        }
        assert_eq!(shown.concat().replace(' ', ""), plain.replace([' ', '\n'], ""), "{width}");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.toml"), "role = \"main\"\nrepository = \"/srv/x\"\n").unwrap();
    let typed = format!("{PROGRAM} --config {}/config.toml check", directory.path().display());
    let shown = on_terminal(directory.path(), 100, &typed);
    for coloured in
        ["\u{1b}[32mok\u{1b}[0m       configuration", "mfailed\u{1b}[0m   ", "merror:\u{1b}[0m ", "mhint:\u{1b}[0m "]
    {
        assert!(shown.contains(coloured), "{coloured:?}: {shown:?}");
    }
    for without in ["NO_COLOR=1", "TERM=dumb", "CLICOLOR=0"] {
        let plain = on_terminal(directory.path(), 100, &format!("{without} {typed}"));
        assert!(!plain.contains("\u{1b}[3") && !plain.contains("\u{1b}[1"), "{without}: {plain:?}");
        assert_eq!(screen(&plain), screen(&shown), "{without}");
    }
    // An empty one counts as none: https://no-color.org.
    assert!(on_terminal(directory.path(), 100, &format!("NO_COLOR= {typed}")).contains("\u{1b}[32m"));
    let piped = on_terminal(directory.path(), 100, &format!("{typed} 2>&1 | cat"));
    assert!(!piped.contains('\u{1b}') && piped.contains("error: "), "{piped:?}");
}

#[test]
fn a_spinner_says_what_is_waited_for_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let config = host(directory.path());
    for (verb, waits) in [("check", "starting restic"), ("snapshots", "looking into repository /srv/nowhere")] {
        let typed = format!("{PROGRAM} --config {config} {verb}");
        let mut terminal = command(directory.path(), "script")
            .args(["-qec", &format!("stty cols 100; {typed}"), "/dev/null"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = terminal.stdout.take().unwrap();
        let mut said = Vec::new();
        // restic waits for as long as this takes.
        while !String::from_utf8_lossy(&said).contains(waits) {
            let mut some = [0; 4096];
            let length = output.read(&mut some).unwrap();
            assert!(length > 0, "{verb} ended early: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&some[..length]);
        }
        let gate = directory.path().join("gate");
        // Whatever else is started is let go at once.
        fs::write(directory.path().join("restic"), "#!/bin/sh\nexit 1\n").unwrap();
        fs::write(&gate, "go\n").unwrap();
        output.read_to_end(&mut said).unwrap();
        terminal.wait().unwrap();
        let shown = screen(&String::from_utf8(said).unwrap());
        assert!(shown.iter().all(|line| !line.contains(waits)), "{verb}: {shown:#?}");
        assert!(shown.iter().any(|line| line.starts_with("error: ")), "{verb}: {shown:#?}");
        fs::write(directory.path().join("restic"), format!("#!/bin/sh\nread go <{}\nexit 1\n", gate.display()))
            .unwrap();
    }
}

/// A stream that nobody reads.
fn unread() -> Stdio {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    Stdio::from(std::os::fd::OwnedFd::from(theirs))
}

#[test]
fn a_reader_that_has_enough_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = host(directory.path());
    let database = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kuma-2.5.3/kuma.db");
    let database = database.to_str().unwrap();
    let cases: &[(&[&str], i32)] = &[
        (&["export", "--database", database], 0),
        (&["config", "--example"], 0),
        (&["config", "--schema"], 0),
        (&["config"], 0),
        (&["--help"], 0),
        // No cycle has run: its own exit code.
        (&["status"], 4),
        (&["status", "--json"], 4),
    ];
    for (arguments, exit) in cases {
        let typed = || {
            let mut typed = command(directory.path(), PROGRAM);
            typed.args(["--config", &config]).args(*arguments);
            typed
        };
        let output = typed().stdout(unread()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*exit), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{arguments:?}: {said}");
        // Nor does one that does not read what went wrong.
        let status = typed().stdout(Stdio::null()).stderr(unread()).status().unwrap();
        assert_eq!(status.code(), Some(*exit), "{arguments:?}");
    }
    // A full disk is another matter.
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let output = command(directory.path(), PROGRAM).args(["export", "--database", database]).stdout(full()).output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("write to standard output") && said.contains("free some disk space"), "{said}");
}

/// The one document that is on standard output.
fn document(output: &Output) -> Value {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_asked_for_json_gets_json_whatever_happens() {
    let directory = tempfile::tempdir().unwrap();
    let config = host(directory.path());
    let missing = directory.path().join("missing.toml").display().to_string();
    let json = |arguments: &[&str]| command(directory.path(), PROGRAM).args(arguments).output().unwrap();
    // The command line, and the kind and the exit code of its failure.
    let cases: &[(&[&str], &str, i32)] = &[
        (&["--config", &missing, "plan", "--json"], "usage", 2),
        (&["--config", &missing, "status", "--json"], "usage", 2),
        (&["--config", &missing, "snapshots", "--json"], "usage", 2),
        (&["--config", &missing, "run", "--json"], "usage", 2),
        (&["--config", &config, "plan", "--json"], "bus-unavailable", 75),
        (&["--config", &config, "run", "--json"], "bus-unavailable", 75),
        (&["plan", "--json", "--nonsense"], "usage", 2),
        (&["nonsense", "--json"], "usage", 2),
    ];
    for (arguments, kind, exit) in cases {
        let output = json(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*exit), "{arguments:?}: {said}");
        let document = document(&output);
        let error = &document["error"];
        assert_eq!((&document["version"], &error["kind"]), (&1.into(), &(*kind).into()), "{arguments:?}: {document}");
        assert_eq!(error["exit_code"], *exit, "{arguments:?}: {document}");
        let message = error["message"].as_str().unwrap();
        assert!(message.len() > 10 && error["hint"].as_str().is_some_and(|hint| hint.len() > 10), "{document}");
        assert!(error["causes"].is_array(), "{document}");
        // People read it all the same.
        assert!(said.contains("error: ") && said.contains(message.split(':').next().unwrap()), "{arguments:?}: {said}");
    }
    // These have a document of their own for what is wrong: the run above has failed.
    let output = json(&["--config", &config, "status", "--json"]);
    assert_eq!((output.status.code(), &document(&output)["problem"]["kind"]), (Some(75), &"bus-unavailable".into()));
    let output = json(&["--config", &missing, "check", "--json"]);
    assert_eq!((output.status.code(), &document(&output)["checks"][0]["result"]), (Some(2), &"failed".into()));
    // Help is no failure.
    assert!(json(&["plan", "--json", "--help"]).stdout.starts_with(b"Show what run would do"));
}

#[test]
fn a_run_that_fails_tells_its_story_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let config = host(directory.path());
    let output = command(directory.path(), PROGRAM).args(["--config", &config, "run", "--json"]).output().unwrap();
    let document = document(&output);
    assert_eq!((&document["role"], &document["outcome"]), (&"main".into(), &"failed".into()), "{document}");
    let events = document["events"].as_array().unwrap();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["priority"], &last["fields"]["error"]),
        (&"failed".into(), &4.into(), &"bus-unavailable".into())
    );
    assert!(document["milliseconds"].is_u64() && document["snapshot"].is_null(), "{document}");
}

#[test]
fn bad_input_is_named_with_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let config = host(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("text"), "no dump\n").unwrap();
    fs::write(path("bytes"), [0xff, 0xfe, 0]).unwrap();
    let (folder, text, bytes, deep) = (path("folder"), path("text"), path("bytes"), path("missing/kuma.dump"));
    let long = "x".repeat(501);
    let database =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kuma-2.5.3/kuma.db").display().to_string();
    // The command line, its exit code, and what it says: what was given, and what to type.
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--config", "", "status"], 2, &["--config"]),
        (&["--config", &folder, "status"], 78, &["folder", "not a regular file"]),
        (&["--config", &bytes, "status"], 78, &["bytes", "not UTF-8"]),
        (&["--config", &deep, "status"], 2, &["there is no configuration", "missing/kuma.dump", "--config"]),
        (&["hold", "--reason", ""], 2, &["--reason", "empty"]),
        (&["hold", "--reason", " "], 2, &["--reason", "empty"]),
        (&["hold", "--reason", "a\nb"], 2, &["--reason", "one line"]),
        (&["hold", "--reason", &long], 2, &["--reason", "500 characters"]),
        (&["hold", "--for", ""], 2, &["--for"]),
        (&["hold", "--for", "0s"], 2, &["cannot hold for 0s", "2h"]),
        (&["hold", "--for", "-2h"], 2, &["cannot hold until 2h ago", "30m"]),
        (&["hold", "--for", "soon"], 2, &["--for", "soon"]),
        (&["hold", "--for", "999999999h"], 2, &["999999999", "2h"]),
        (&["restore", ""], 2, &["cannot restore ''", "previous", "snapshots"]),
        (&["restore", "abc"], 2, &["cannot restore 'abc'", "8 digits"]),
        (&["restore", "ab\ncd"], 2, &["cannot restore 'ab\\ncd'"]),
        (&["alerts", "maybe"], 2, &["maybe", "on", "off"]),
        (&["promote", "--confirm-shrink"], 2, &["--as-is"]),
        (&["config", "--example", "--schema"], 2, &["--schema"]),
        (&["export", ""], 2, &["FILE"]),
        (&["export", "--database", "", "x"], 2, &["--database"]),
        (&["export", "--database", &folder], 2, &["folder is a directory", "kuma.db"]),
        (&["export", "--database", &deep], 2, &["there is no database", "missing/kuma.dump", "kuma.db"]),
        (&["export", "--database", &database, &folder], 2, &["folder: it is a directory", "export kuma.dump"]),
        (&["export", "--database", &database, &deep], 2, &["there is no such directory", "missing/kuma.dump"]),
        (&["import", ""], 2, &["FILE"]),
        (&["import", &folder], 2, &["folder is a directory", "kuma-replicator export"]),
        (&["import", &deep], 2, &["there is no dump", "missing/kuma.dump", "kuma-replicator export"]),
        (&["import", &text], 65, &["first line is not a manifest", "export"]),
        (&["import", "-"], 65, &["it is empty"]),
    ];
    let before = listing(directory.path());
    for (arguments, exit, said) in cases {
        let mut typed = command(directory.path(), PROGRAM);
        if arguments[0] != "--config" {
            typed.args(["--config", &config]);
        }
        let output = typed.args(*arguments).current_dir(directory.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(*exit), "{arguments:?}: {text}");
        for part in *said {
            assert!(text.contains(part), "{arguments:?} does not say {part:?}: {text}");
        }
        assert!(words(&text).len() > 5 && !text.contains("panicked"), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(listing(directory.path()), before, "{arguments:?} left something");
    }
}

/// The names of the files in a directory, without what every verb that takes the lock makes.
fn listing(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !["state", "cache"].contains(&name.as_str())).collect();
    names.sort();
    names
}

#[test]
fn closed_streams_are_survived() {
    let directory = tempfile::tempdir().unwrap();
    let config = host(directory.path());
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        for verb in ["status", "config", "import -", "check --json"] {
            let typed = format!("{PROGRAM} --config {config} {verb} {closed}");
            // Nobody opens the gate.
            fs::write(directory.path().join("restic"), "#!/bin/sh\nexit 1\n").unwrap();
            let output = command(directory.path(), "sh").args(["-c", &typed]).output().unwrap();
            let code = output.status.code();
            assert!(code.is_some_and(|code| [0, 4, 65, 75, 77, 78].contains(&code)), "{typed}: {code:?}");
            assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{typed}");
        }
    }
}
