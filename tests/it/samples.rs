//! Promise: what the documents show is real. Every command in them is one that this program takes, and every sample of its
//! output is what it prints for the values in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use jiff::tz::TimeZone;
use kuma_replicator::cli::Cli;
use kuma_replicator::config::{Keep, Role, Settings};
use kuma_replicator::decide;
use kuma_replicator::localise::Desired;
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::manifest::Place;
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::retention::Retained;
use kuma_replicator::model::snapshot::{Listing, Snapshot, Tags};
use kuma_replicator::model::state::{Applied, LastCycle, LocalRows, State};
use kuma_replicator::model::told::Told;
use kuma_replicator::plan::plan;
use kuma_replicator::report::{Check, Clock, ForgetDocument, PlanDocument, SnapshotsDocument, StatusDocument, Verdict};

use crate::support::rows::{i, t, table};
use crate::support::{self, host::settings};

const PROGRAM: &str = "kuma-replicator";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents for people who use the program, with their text.
fn documents() -> Vec<(PathBuf, String)> {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = pages.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    paths.push(root().join("README.md"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The texts of the blocks of code in a document.
fn blocks(text: &str) -> Vec<String> {
    support::blocks::blocks(text).into_iter().map(|block| block.text).collect()
}

/// The words of a line of a shell, and what separates its commands as words of their own. A comment ends it.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, '|' | ';' | '&' | '(' | ')' | '>' | '<') => {
                words.extend(word.take());
                words.push(c.to_string());
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The arguments of each command of this program on a line of a shell.
fn commands(line: &str) -> Vec<Vec<String>> {
    let words = shell_words(line);
    let is_separator = |word: &String| ["|", ";", "&", "(", ")", ">", "<"].contains(&word.as_str());
    let commands = words.split(is_separator).filter(|words| words.first().is_some_and(|word| word == PROGRAM));
    // The number before a redirection is no argument.
    commands.map(|words| words.iter().filter(|word| *word != "2" && *word != "1").cloned().collect()).collect()
}

#[test]
fn this_test_can_read_a_shell() {
    let line =
        "x && kuma-replicator hold --reason 'a # b' >/dev/null 2>&1; kuma-replicator status # kuma-replicator no";
    let found = commands(line);
    assert_eq!(found, [vec![PROGRAM, "hold", "--reason", "a # b"], vec![PROGRAM, "status"]]);
    assert_eq!(commands("apt remove kuma-replicator"), Vec::<Vec<String>>::new());
    assert_eq!(blocks("a\n  ```sh\n  b\n    c\n  ```\n"), ["b\n  c\n"]);
}

/// `Err` with what the command line says if it takes no such arguments.
fn accepts(arguments: &[String]) -> Result<(), String> {
    // A word that stands for any verb.
    let arguments = arguments.iter().map(|argument| if argument == "VERB" { "run" } else { argument });
    match Cli::try_parse_from(arguments) {
        Ok(_) => Ok(()),
        Err(error) if [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind()) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_command_in_the_documents_is_one_that_the_program_takes() {
    let mut found = 0;
    let manual = fs::read_to_string(root().join("packaging/manual/manual.roff")).unwrap();
    let manual = manual.replace("\\-", "-").replace("\\(aq", "'");
    let mut lines: Vec<(PathBuf, String)> =
        manual.lines().map(|line| (PathBuf::from("manual.roff"), line.to_owned())).collect();
    for (path, text) in documents() {
        lines.extend(blocks(&text).iter().flat_map(|block| block.lines()).map(|line| (path.clone(), line.to_owned())));
        // In prose, where a command stands between backticks on one line.
        for span in
            text.lines().filter(|line| !line.starts_with("```")).flat_map(|line| line.split('`').skip(1).step_by(2))
        {
            // One that ends with a space is a text that something follows.
            if span.starts_with("kuma-replicator ") && !span.ends_with(' ') {
                lines.push((path.clone(), span.to_owned()));
            }
        }
    }
    for (path, line) in lines {
        for arguments in commands(&line) {
            if let Err(error) = accepts(&arguments) {
                panic!("{}: {line}\n{error}", path.display());
            }
            found += 1;
        }
    }
    assert!(found > 100, "{found}");
}

/// What begins a block of the configuration file: a key, or a table.
const CONFIGURATION: [&str; 8] =
    ["role", "repository", "metrics-file", "main]", "replica", "restic]", "uptime-kuma]", "notify."];

#[test]
fn every_configuration_in_the_documents_is_valid() {
    let mut found = 0;
    for (path, text) in documents() {
        for block in blocks(&text) {
            let first =
                block.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty()).unwrap_or_default();
            let begins = CONFIGURATION.iter().any(|begin| first.trim_start_matches('[').starts_with(begin));
            if !begins || !(first.starts_with('[') || first.contains(" = ")) {
                continue;
            }
            let mut whole = block.clone();
            for (key, line) in [("repository", "repository = \"/srv/kuma\""), ("role", "role = \"replica\"")] {
                if !block.lines().any(|line| line.starts_with(&format!("{key} = "))) {
                    whole = format!("{line}\n{whole}");
                }
            }
            if let Err(error) = Settings::parse(&whole, Path::new("config.toml")) {
                panic!("{}: {}\n{block}", path.display(), error.chain());
            }
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

// ---------------------------------------------------------------------------------------------------
// Samples of output

/// All blocks that begin so, with the names of their documents; there has to be one.
fn samples(beginning: &str) -> Vec<(PathBuf, String)> {
    let of = |(path, text): (PathBuf, String)| blocks(&text).into_iter().map(move |block| (path.clone(), block));
    let found: Vec<_> =
        documents().into_iter().flat_map(of).filter(|(_, block)| block.starts_with(beginning)).collect();
    assert!(!found.is_empty(), "no sample begins with {beginning:?}");
    found
}

fn assert_samples(beginning: &str, printed: &str) {
    for (path, sample) in samples(beginning) {
        assert_eq!(sample.trim_end(), printed.trim_end(), "{}", path.display());
    }
}

/// An id or a digest that begins so.
fn hex(beginning: &str, length: usize) -> String {
    format!("{beginning}{}", "0".repeat(length - beginning.len()))
}

fn snapshot(id: &str, time: &str, place: (u64, u64), digest: &str) -> Snapshot {
    let main: kuma_replicator::model::snapshot::MainId = hex("a7c12836afa4", 32).parse().unwrap();
    let digest: Digest = format!("sha256:{}", hex(digest, 64)).parse().unwrap();
    let (epoch, sequence) = place;
    Snapshot {
        id: hex(id, 64).parse().unwrap(),
        time: time.parse().unwrap(),
        host: "main".to_owned(),
        tags: Tags {
            format: 1,
            place: Place { main: main.clone(), epoch, sequence },
            fleet: main,
            digest,
            schema: digest,
        },
    }
}

#[test]
fn the_samples_of_snapshots_are_what_is_printed() {
    let snapshots = vec![
        snapshot("f56b3282", "2026-11-26T07:26:29Z", (1, 1), "8ab82bbc5518"),
        snapshot("22e67cb9", "2026-11-26T07:26:35Z", (1, 2), "1378dd35589f"),
    ];
    let document = SnapshotsDocument::new(Listing { snapshots, ..Listing::default() }, TimeZone::UTC);
    assert_table(&document.to_string());
}

/// Compares the samples with this heading.
fn assert_table(printed: &str) {
    assert_samples(printed.lines().next().unwrap(), printed);
}

#[test]
fn the_samples_of_forget_are_what_is_printed() {
    let main = |letters: &str| hex(letters, 32).parse::<kuma_replicator::model::snapshot::MainId>().unwrap();
    let one = |id: &str, time: &str, place: (u64, u64)| {
        let mut one = snapshot(id, time, place, "0123456789ab");
        if place.0 == 2 {
            "fra1".clone_into(&mut one.host);
            one.tags.place.main = main("fed");
        }
        one
    };
    let snapshots = vec![
        one("22093c3d", "2026-11-02T09:12:40Z", (1, 1)),
        one("ed5991f1", "2026-11-02T09:14:02Z", (1, 2)),
        one("4df50051", "2026-11-09T16:30:11Z", (1, 3)),
        one("496ac272", "2026-11-20T08:05:00Z", (2, 4)),
        one("983568d6", "2026-11-20T08:05:31Z", (2, 5)),
        one("5d1ec057", "2026-11-26T21:47:18Z", (2, 6)),
        one("fed120d5", "2026-11-27T03:58:09Z", (2, 7)),
    ];
    let keep = Keep { last: 2, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
    let listing = Listing { snapshots, ..Listing::default() };
    let kept = decide::retention(&listing, Some(&keep), &main("a7c12836afa4"), &TimeZone::UTC);
    let retained = Retained { kept, others: 1, ..Retained::default() };
    assert_table(&ForgetDocument::new(retained, true, false, TimeZone::UTC).to_string());
}

#[test]
fn the_samples_of_status_are_what_is_printed() {
    let settings = "role = \"replica\"\nrepository = \"/srv/kuma-repository\"\n";
    let settings = Settings::parse(settings, Path::new("config.toml")).unwrap();
    let at = "2026-11-26T07:27:07Z".parse().unwrap();
    let Snapshot { id, tags, .. } = snapshot("da37c74b", "2026-11-26T07:27:00Z", (1, 3), "0123456789ab");
    let mut state = State {
        last_cycle: Some(LastCycle { outcome: Outcome::Applied, message: String::new(), error: None, at }),
        last_success: Some(at),
        ..State::default()
    };
    let customization = Some(settings.replica.customization.digest());
    let (digest, rows) = (tags.digest, LocalRows::Unknown);
    state.replica.applied = Some(Applied { snapshot: id, place: tags.place, digest, at, customization, rows });
    let clock = Clock { now: "2026-11-26T07:27:47Z".parse().unwrap(), zone: TimeZone::UTC };
    let document = StatusDocument::new(&settings, Some("running"), state, None, clock);
    let document = document.restarts(Duration::from_secs(46), Duration::from_secs(346));
    assert_samples("role  ", &document.to_string());
}

/// The values in a sample of a plan.
struct Planned {
    snapshot: &'static str,
    /// How many monitors are paused by their type.
    paused: i64,
    /// The monitor that changes, its name and its former interval.
    monitor: (i64, &'static str, i64),
    /// The link that is added: a monitor and a notification.
    added: (i64, i64),
    /// The link that is removed: a monitor, a tag and its value.
    removed: (i64, i64, &'static str),
}

impl Planned {
    /// The rows of the replica, or those that the main has.
    fn rows(&self, is_replica: bool) -> Configuration {
        let (changed, name, interval) = self.monitor;
        let (interval, url) =
            if is_replica { (interval, "http://old.example.org") } else { (30, "http://new.example.org") };
        let columns = ["id", "name", "type", "active", "interval", "url", "user_id"];
        let monitor = |id: i64, name: &str, kind: &str, active: i64, interval: i64, url: &str| {
            vec![i(id), t(name), t(kind), i(active), i(interval), t(url), i(1)]
        };
        let mut monitors = vec![monitor(changed, name, "http", 1, interval, url)];
        let linked = [self.added.0, self.removed.0].into_iter().filter(|id| *id != changed);
        monitors.extend(linked.take(1).map(|id| monitor(id, "other", "http", 1, 60, "http://example.org")));
        monitors.extend((0..self.paused).map(|at| monitor(100 + at, "push", "push", i64::from(!is_replica), 60, "")));
        let added = vec![i(self.added.0), i(self.added.1)];
        let removed = vec![i(self.removed.0), i(self.removed.1), t(self.removed.2)];
        let (added, removed) = if is_replica { (vec![], vec![removed]) } else { (vec![added], vec![]) };
        Configuration {
            tables: vec![
                table("user", &["id", "username", "password", "active"], vec![vec![i(1), t("admin"), t("x"), i(1)]]),
                table("tag", &["id", "name"], vec![vec![i(self.removed.1), t("site")]]),
                table("notification", &["id", "name"], vec![vec![i(self.added.1), t("mail")]]),
                table("monitor", &columns, monitors),
                table("monitor_notification", &["monitor_id", "notification_id"], added),
                table("monitor_tag", &["monitor_id", "tag_id", "value"], removed),
            ],
            files: Vec::new(),
            zone: None,
        }
    }

    fn printed(&self) -> String {
        let (here, main) = (self.rows(true), self.rows(false));
        let customization = settings(Role::Replica).replica.customization;
        let localised = Desired::customized(&main, &customization).on(&here).unwrap();
        let id = self.snapshot;
        PlanDocument::new(Role::Replica, Outcome::Applied, format!("snapshot {id} of host main"))
            .snapshot(&snapshot(id, "2026-11-26T07:27:00Z", (1, 3), "0123456789ab"))
            .notes(&localised.notes)
            .changes(&plan(&here, &localised.configuration))
            .told(&Told { monitors: [self.monitor.0].into(), ..Told::default() })
            .to_string()
    }
}

#[test]
fn the_samples_of_plan_are_what_is_printed() {
    let printed = [
        Planned {
            snapshot: "da37c74b",
            paused: 6,
            monitor: (5, "http basic", 3600),
            added: (5, 6),
            removed: (1, 1, "web"),
        },
        Planned { snapshot: "e2663c65", paused: 1, monitor: (2, "shop", 20), added: (1, 1), removed: (1, 1, "fra1") },
    ]
    .map(|planned| planned.printed());
    for (path, sample) in samples("next cycle: applied") {
        assert!(
            printed.iter().any(|printed| printed == sample.trim_end()),
            "{}: {sample}\n{printed:#?}",
            path.display()
        );
    }
}

#[test]
fn the_samples_of_check_have_the_form_that_is_printed() {
    for (path, sample) in samples("ok       sandbox") {
        let (checks, error) = sample.split_once("error: ").expect("a check that failed ends with an error");
        let mut lines = checks.lines().peekable();
        while let Some(line) = lines.next() {
            let mut words = line.split_whitespace();
            let result = match words.next().unwrap() {
                "ok" => Verdict::Ok,
                "warning" => Verdict::Warning,
                "failed" => Verdict::Failed,
                other => panic!("{}: {other}", path.display()),
            };
            let name = words.next().unwrap().to_owned();
            let hint = lines.next_if(|line| line.starts_with(' '));
            assert_eq!(hint.is_none(), result == Verdict::Ok, "{line}");
            let message = line[24..].to_owned();
            let next = hint.map(|hint| hint.trim_start_matches([' ', '→']).to_owned());
            let printed = Check { name, result, message, hint: next }.to_string();
            let shown: Vec<&str> = std::iter::once(line).chain(hint).collect();
            assert_eq!(shown.join("\n"), printed, "{}", path.display());
        }
        let failed = checks.lines().filter(|line| line.starts_with("failed")).count();
        assert_eq!(error, format!("{failed} check failed\nhint: see the checks above\n"), "{}", path.display());
    }
}
