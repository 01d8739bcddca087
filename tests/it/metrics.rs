//! Promise: each metric is declared once and documented, its values are those of the state and the events, the counters
//! outlast the process, and the file for Prometheus is written nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use kuma_replicator::config::Settings;
use kuma_replicator::cycle::Event;
use kuma_replicator::error::{Error, Kind};
use kuma_replicator::host::store::{count, read_counters, with_counters};
use kuma_replicator::host::system::textfile;
use kuma_replicator::host::{Directories, tell_prometheus};
use kuma_replicator::metrics::{Counters, InForce, Known, METRICS, Type, text};
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::origin::Origin;
use kuma_replicator::model::state::{LastCycle, State};
use kuma_replicator::plan::Size;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn settings(role: &str, more: &str) -> Settings {
    let text = format!("role = \"{role}\"\nrepository = \"rest:https://user:geheim@backup.example.org/kuma\"\n{more}");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

/// Every kind of part that a state has.
fn golden() -> State {
    State::parse(include_bytes!("../golden/state-1.json")).unwrap()
}

/// The values of all series.
fn series(settings: &Settings, state: &State, counters: &Counters) -> BTreeMap<String, f64> {
    let text = text(&Known { settings, state, counters });
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| line.rsplit_once(' ').unwrap());
    series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// The value of one of them, by its name without the prefix.
fn value(series: &BTreeMap<String, f64>, name: &str) -> f64 {
    *series.get(&format!("kuma_replicator_{name}")).unwrap_or_else(|| panic!("no {name} in {series:#?}"))
}

#[test]
fn every_metric_is_documented_as_it_is_declared() {
    let rows: Vec<String> = METRICS
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {kind} | {} | {} |\n", metric.name, labels.join(", "), metric.help)
        })
        .collect();
    let table = format!("| metric | type | labels | meaning |\n|---|---|---|---|\n{}\n", rows.concat());
    assert!(read("docs/metrics.md").contains(&table), "docs/metrics.md should say:\n{table}");
}

/// What `promtool check metrics` says of real hosts is in the system tests; this needs no Prometheus.
#[test]
fn names_follow_the_conventions() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "a name is used twice");
    for metric in METRICS {
        let name = metric.name.strip_prefix("kuma_replicator_").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert_eq!(metric.kind == Type::Counter, name.ends_with("_total"), "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\', '|']), "{name}: {}", metric.help);
    }
}

/// What the package brings for Prometheus and Grafana names no other metrics.
#[test]
fn rules_and_dashboard_name_only_what_is_declared() {
    let declared: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let examples = "packaging/usr/share/doc/kuma-replicator/examples";
    for file in ["prometheus/kuma-replicator.rules.yml", "grafana/kuma-replicator.json"] {
        let text = read(&format!("{examples}/{file}"));
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("kuma_replicator_")).collect();
        assert!(named.len() > 10, "{file}: {named:?}");
        assert!(named.is_subset(&declared), "{file}: {:?}", named.difference(&declared));
    }
}

/// Grafana moves panels that overlap.
#[test]
fn the_panels_of_the_dashboard_fit_its_grid() {
    let text = read("packaging/usr/share/doc/kuma-replicator/examples/grafana/kuma-replicator.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{panel}");
            }
        }
        assert!(ids.insert(panel["id"].as_u64().unwrap()) && panel["title"].is_string(), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "no data source of one Grafana: {target}");
        }
    }
}

#[test]
fn every_alert_is_documented_and_has_a_unit_test_in_which_it_fires() {
    let rules = read("packaging/usr/share/doc/kuma-replicator/examples/prometheus/kuma-replicator.rules.yml");
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8, "{alerts:?}");
    let manual = read("docs/metrics.md");
    let documented = manual.lines().filter_map(|line| line.strip_prefix("| `KumaReplicator")?.split_once('`'));
    let documented: Vec<String> = documented.map(|(name, _)| format!("KumaReplicator{name}")).collect();
    assert_eq!(documented.iter().map(String::as_str).collect::<BTreeSet<_>>(), alerts);
    // `promtool test rules` runs them in a system test.
    let tests = read("tests/prometheus/rules.test.yml");
    let fires = |alert: &&str| {
        let begin = format!("- alertname: {alert}\n");
        tests.split(&begin).skip(1).any(|case| case.lines().nth(1).is_some_and(|line| line.trim() == "exp_alerts:"))
    };
    assert_eq!(alerts.iter().find(|alert| !fires(alert)), None);
    let silent = |alert: &&str| tests.contains(&format!("- {{alertname: {alert}, "));
    assert_eq!(alerts.iter().find(|alert| !silent(alert)), None);
}

#[test]
fn a_new_host_has_every_series_and_nothing_happened() {
    for role in ["main", "replica"] {
        let found = series(&settings(role, ""), &State::default(), &Counters::default());
        let is_set = |name: &str| ["build_info", "role{", "overdue"].iter().any(|set| name.contains(set));
        let set: Vec<(&String, &f64)> = found.iter().filter(|(_, value)| **value != 0.0).collect();
        assert!(set.iter().all(|(name, _)| is_set(name)) && set.len() == 3, "{set:?}");
        assert_eq!(value(&found, &format!("role{{role=\"{role}\"}}")), 1.0);
        assert_eq!(value(&found, "overdue_after_seconds"), 1800.0);
        for kind in Kind::ALL {
            value(&found, &format!("failures_total{{kind=\"{}\"}}", kind.name()));
        }
        assert_eq!(value(&found, "last_cycle_outcome{outcome=\"rolled back\"}"), 0.0);
        // All but the snapshot, which has no name yet.
        let families: BTreeSet<&str> = found.keys().map(|name| name.split('{').next().unwrap()).collect();
        assert_eq!(families.len(), METRICS.len() - 1);
    }
}

#[test]
fn the_values_are_those_of_the_state() {
    let (mut state, mut counters) = (golden(), Counters::default());
    state.fleet = Some("fedcba9876543210fedcba9876543210".parse().unwrap());
    let main = series(&settings("main", "overdue-after = \"90s\"\n"), &state, &counters);
    for (name, wanted) in [
        ("overdue_after_seconds", 90.0),
        ("last_cycle_timestamp_seconds", 1_767_323_045.0),
        ("last_success_timestamp_seconds", 1_767_225_600.0),
        ("last_cycle_outcome{outcome=\"rejected\"}", 1.0),
        ("last_cycle_outcome{outcome=\"failed\"}", 0.0),
        ("hold", 1.0),
        ("hold_start_timestamp_seconds", 1_767_323_045.0),
        ("hold_end_timestamp_seconds", 1_767_330_245.0),
        ("epoch", 3.0),
        ("sequence", 41.0),
        ("rows", 59.0),
        ("snapshot_published_timestamp_seconds", 1_767_323_045.678),
        ("snapshot_in_force_timestamp_seconds", 0.0),
        ("fenced", 1.0),
        ("drifted", 0.0),
        ("verdict{decision=\"rejected\"}", 0.0),
        ("unfinished", 1.0),
        ("history_left_rows", 1_200_000.0),
    ] {
        assert_eq!(value(&main, name), wanted, "{name} of a main");
    }
    let digest = Digest::of(b"one");
    let info = |role: &str, id: &str| {
        let fleet = "fedcba9876543210fedcba9876543210";
        format!("snapshot_info{{role=\"{role}\",fleet=\"{fleet}\",snapshot=\"{}\",digest=\"{digest}\"}}", id.repeat(64))
    };
    assert_eq!(value(&main, &info("main", "a")), 1.0);

    counters.in_force = Some(InForce {
        snapshot: "b".repeat(64).parse().unwrap(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        created: "2025-12-31T23:59:46.5Z".parse().unwrap(),
        rows: 145,
    });
    let replica = settings("replica", "[replica]\nalerts = \"off\"\n");
    let found = series(&replica, &state, &counters);
    for (name, wanted) in [
        ("epoch", 3.0),
        ("sequence", 40.0),
        ("rows", 145.0),
        ("snapshot_published_timestamp_seconds", 1_767_225_586.5),
        ("snapshot_in_force_timestamp_seconds", 1_767_225_600.0),
        ("snapshot_lag_seconds", 13.5),
        ("fenced", 0.0),
        ("drifted", 1.0),
        ("restored", 0.0),
        ("silent", 1.0),
        ("verdict{decision=\"rejected\"}", 1.0),
        ("verdict{decision=\"backoff\"}", 0.0),
    ] {
        assert_eq!(value(&found, name), wanted, "{name} of a replica");
    }
    assert_eq!(value(&found, &info("replica", "b")), 1.0);
    // What is known of another snapshot does not count.
    if let Some(known) = &mut counters.in_force {
        known.snapshot = "d".repeat(64).parse().unwrap();
    }
    assert_eq!(value(&series(&replica, &state, &counters), "rows"), 0.0);
    // A host that finds another main each time it looks remembers no more than that.
    let error = Some(Kind::Fenced);
    state.last_cycle = state.last_cycle.map(|last| LastCycle { error, ..last });
    assert_eq!(value(&series(&replica, &state, &counters), "fenced"), 1.0);
    let text = text(&Known { settings: &replica, state: &state, counters: &counters });
    assert!(!text.contains("geheim") && !text.contains("example.org") && !text.contains("upgrade"), "{text}");
}

fn failed(kind: Kind) -> Event {
    Event::Failed { error: Error::new(kind, "why"), snapshot: None, last_success_age: None, again: false }
}

#[test]
fn the_counters_are_those_of_the_events() {
    let snapshot = || "a".repeat(64).parse().unwrap();
    let unit = || "uptime-kuma.service".to_owned();
    let applied =
        |restarted| Event::Applied { snapshot: snapshot(), digest: Digest::of(b"1"), size: Size::default(), restarted };
    let stopping = || Event::Stopping { unit: unit() };
    let healthy = || Event::Healthy { unit: unit(), millis: 1 };
    let recovered = || Event::Recovered { origin: Origin::Alerts { on: true }, started: true };
    let mut counters = Counters::default();
    let mut at = |second: u64, event: Event| {
        let before = counters.clone();
        counters.count(&event, Duration::from_secs(second));
        assert!(Counters::counts(&event) || counters == before, "{event:?}");
        (counters.restarts, counters.away_millis / 1000, counters.last_away_millis / 1000)
    };
    assert_eq!(at(1, Event::Unchanged { digest: Digest::of(b"1"), again: true }), (0, 0, 0));
    assert_eq!(at(1, healthy()), (0, 0, 0), "it was not away");
    // A restart.
    assert_eq!(at(10, stopping()), (1, 0, 0));
    assert_eq!(at(17, healthy()), (1, 7, 7));
    at(17, applied(true));
    at(18, applied(false));
    at(18, applied(false));
    // One that is rolled back: the cycle fails when the previous configuration is in force.
    assert_eq!(at(20, stopping()), (2, 7, 7));
    assert_eq!(at(60, healthy()), (2, 47, 40));
    assert_eq!(at(61, failed(Kind::RolledBack)), (2, 47, 40));
    // One that fails before the write: it is started again, without an event.
    at(70, stopping());
    assert_eq!(at(75, failed(Kind::DatabaseBusy)), (3, 52, 5));
    // One that did not come up at all: it is away until the next cycle has brought it up.
    at(80, stopping());
    assert_eq!(at(100, failed(Kind::RollbackFailed)), (4, 52, 5));
    assert_eq!(at(110, recovered()), (4, 82, 30));
    // A boot came in between: its time begins anew.
    at(120, stopping());
    assert_eq!(at(3, recovered()), (5, 82, 0));
    at(4, failed(Kind::DatabaseBusy));
    let publish = Event::Published { snapshot: snapshot(), sequence: 1, digest: Digest::of(b"1"), rows: 1, bytes: 1 };
    at(5, publish);
    let found = series(&settings("main", ""), &State::default(), &counters);
    for (name, wanted) in [
        ("publishes_total", 1.0),
        ("applies_total{restart=\"true\"}", 1.0),
        ("applies_total{restart=\"false\"}", 2.0),
        ("restarts_total", 5.0),
        ("away_seconds_total", 82.0),
        ("last_away_seconds", 0.0),
        ("failures_total{kind=\"database-busy\"}", 2.0),
        ("failures_total{kind=\"rolled-back\"}", 1.0),
        ("failures_total{kind=\"rollback-failed\"}", 1.0),
        ("failures_total{kind=\"fenced\"}", 0.0),
    ] {
        assert_eq!(value(&found, name), wanted, "{name}");
    }
    assert_eq!(Counters::parse(&counters.render()).unwrap(), counters);
}

#[test]
fn counters_outlast_the_process_and_damaged_ones_start_again_at_zero() {
    let directory = tempfile::tempdir().unwrap();
    let (state, file) = (directory.path(), directory.path().join("metrics.json"));
    assert_eq!(read_counters(state).unwrap(), Counters::default());
    assert!(!file.exists());
    // Each is counted, whoever counts at the same time.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| count(state, &failed(Kind::RepositoryUnreachable))));
        }
    });
    assert_eq!(read_counters(state).unwrap().failures["repository-unreachable"], 40);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    count(state, &Event::Demoted);
    // What is shorter leaves nothing of what was longer.
    with_counters(state, |counters| counters.fault = Some("x".repeat(5000))).unwrap();
    with_counters(state, |counters| counters.fault = None).unwrap();
    assert_eq!(read_counters(state).unwrap().failures["repository-unreachable"], 40);

    let whole = fs::read(&file).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let newer = text.replace("\"version\":1", "\"version\":2").into_bytes();
    assert_ne!(newer, whole);
    let large = vec![b'1'; 2 << 20];
    for damaged in [b"{".to_vec(), whole[..20].to_vec(), newer, b"null".to_vec(), vec![0; 100], large] {
        fs::write(&file, &damaged).unwrap();
        count(state, &failed(Kind::Fenced));
        let expected = [("fenced".to_owned(), 1)].into();
        assert_eq!(read_counters(state).unwrap().failures, expected, "{}", damaged.len());
    }
    // Nothing is written through a link, and nothing fails for it.
    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, "untouched").unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&elsewhere, &file).unwrap();
    count(state, &failed(Kind::Fenced));
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "untouched");
    assert!(read_counters(state).unwrap_err().chain().contains("symbolic link"));
}

/// The file `kuma.prom` in a directory of its own, and the directory of the state.
fn places(directory: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (collector, state) = (directory.join("collector"), directory.join("state"));
    fs::create_dir(&collector).unwrap();
    fs::create_dir(&state).unwrap();
    (collector.join("kuma.prom"), state)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_metrics_file_is_written_whole_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let (path, state) = places(directory.path());
    let collector = path.parent().unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    textfile::check(&path, &state).unwrap();
    assert_eq!(names(collector), [""; 0], "a check leaves nothing behind");
    // Links in place of the file, and of the one that it is written to first.
    symlink(&victim, &path).unwrap();
    symlink(&victim, collector.join("kuma.prom.new")).unwrap();
    for content in ["one\n", "two\n"] {
        textfile::write(&path, content, &state).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(found.is_file() && found.mode() & 0o7777 == 0o644, "{:o}", found.mode());
    }
    textfile::check(&path, &state).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    assert_eq!(names(collector), ["kuma.prom"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");

    // A link on the way to it, which a user above may have made, is not followed.
    let link = directory.path().join("link");
    symlink(collector, &link).unwrap();
    fs::remove_file(&path).unwrap();
    let error = textfile::write(&link.join("kuma.prom"), "three\n", &state).unwrap_err();
    assert!(
        error.hint().contains(&format!("metrics-file = \"{}\"", path.canonicalize().unwrap_or(path.clone()).display())),
        "{error:?}"
    );
    assert_eq!(names(collector), [""; 0]);

    // What is in the way stays, and nothing is left behind.
    for name in ["kuma.prom", "kuma.prom.new"] {
        fs::create_dir(collector.join(name)).unwrap();
        assert!(textfile::write(&path, "three\n", &state).is_err());
        assert_eq!(names(collector), [name]);
        fs::remove_dir(collector.join(name)).unwrap();
    }
    for (place, hint) in [("missing/kuma.prom", "make the directory"), ("victim/kuma.prom", "make the directory")] {
        let error = textfile::check(&directory.path().join(place), &state).unwrap_err();
        assert!(error.hint().contains(hint) && error.chain().contains("metrics-file"), "{error:?}");
    }
}

#[test]
fn a_cycle_writes_the_file_or_remembers_why_it_could_not() {
    let directory = tempfile::tempdir().unwrap();
    let (path, state_directory) = places(directory.path());
    let settings = settings("replica", &format!("metrics-file = \"{}\"\n", path.display()));
    let directories = Directories { state: state_directory.clone(), cache: directory.path().to_owned() };
    let tell = |millis| tell_prometheus(&settings, &golden(), &directories, Duration::from_millis(millis));
    tell(1250);
    let counters = read_counters(&state_directory).unwrap();
    let wanted = text(&Known { settings: &settings, state: &golden(), counters: &counters });
    assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
    assert!(wanted.contains("\nkuma_replicator_last_cycle_duration_seconds 1.25\n"), "{wanted}");

    let collector = path.parent().unwrap();
    fs::rename(collector, directory.path().join("away")).unwrap();
    tell(1);
    let fault = read_counters(&state_directory).unwrap().fault.unwrap();
    assert!(fault.contains("metrics-file") && fault.contains("hint: make the directory"), "{fault}");
    tell(2);
    assert_eq!(read_counters(&state_directory).unwrap().fault.unwrap(), fault);
    fs::rename(directory.path().join("away"), collector).unwrap();
    tell(3);
    assert_eq!(read_counters(&state_directory).unwrap().fault, None);
    assert!(fs::read_to_string(&path).unwrap().contains("duration_seconds 0.003\n"));
}

fn status(directory: &Path, arguments: &[&str]) -> Output {
    let config = directory.join("config.toml");
    fs::write(&config, "role = \"main\"\nrepository = \"/srv/r\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuma-replicator"));
    command.arg("--config").arg(config).arg("status").args(arguments);
    command.env("STATE_DIRECTORY", directory.join("state")).output().unwrap()
}

#[test]
fn status_prints_the_same_text() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(state.join("state.json"), golden().render()).unwrap();
    count(&state, &failed(Kind::DiskFull));
    let said = status(directory.path(), &["--prometheus"]);
    // The last cycle failed, and the text says so: whoever scrapes it must get it.
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    let settings = Settings::parse("role = \"main\"\nrepository = \"/srv/r\"\n", Path::new("x")).unwrap();
    let counters = read_counters(&state).unwrap();
    let wanted = text(&Known { settings: &settings, state: &golden(), counters: &counters });
    assert!(wanted.contains("failures_total{kind=\"disk-full\"} 1\n"));
    assert_eq!(String::from_utf8(said.stdout).unwrap(), wanted);
    let both = status(directory.path(), &["--prometheus", "--json"]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
}
