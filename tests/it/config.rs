//! Promise: the configuration file says what is wrong with it and where, every key is documented, and
//! credentials in it are never shown.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kuma_replicator::config::{EXAMPLE, Keep, Prune, Role, Settings, Strategy, UnitName, without_credentials};
use kuma_replicator::error::{Error, Kind};
use kuma_replicator::model::catalog;

const BASE: &str = "role = \"replica\"\nrepository = \"/srv/r\"\n";

fn parse(text: &str) -> Result<Settings, Error> {
    Settings::parse(text, Path::new("/etc/x/config.toml"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn what_is_not_written_has_a_default() {
    let settings = parse(BASE).unwrap();
    assert_eq!(settings.role, Role::Replica);
    assert_eq!(settings.repository.secret(), "/srv/r");
    assert_eq!(settings.overdue_after, Duration::from_secs(1800));
    assert_eq!(settings.restic.program, Path::new("restic"));
    assert_eq!((&settings.restic.password_file, &settings.restic.environment_file), (&None, &None));
    assert_eq!(settings.restic.timeout, Duration::from_secs(300));
    assert_eq!(settings.kuma.unit.to_string(), "uptime-kuma.service");
    assert_eq!((&settings.kuma.data_directory, &settings.kuma.url), (&None, &None));
    assert_eq!(settings.kuma.start_timeout, Duration::from_secs(120));
    assert_eq!((settings.main.look_every, settings.main.max_shrink), (Duration::from_secs(86_400), 0.5));
    let keep = Keep { last: 50, daily: 60, weekly: 0, monthly: 12, yearly: 0 };
    assert_eq!((settings.main.keep, settings.main.prune), (Some(keep), Prune::Auto));
    assert!(settings.restic.options.is_empty());
    assert_eq!(settings.replica.customization.strategy, Strategy::Snapshot);
}

#[test]
fn what_is_written_counts() {
    let settings = parse(
        r#"
        role = "main"
        repository = "s3:https://s3.example.com/bucket"
        overdue-after = "15m"
        [restic]
        program = "/opt/restic"
        password-file = "/p"
        environment-file = "/e"
        timeout = "1h 30m"
        options = ["s3.bucket-lookup=path", "sftp.args=-i /x -p 22"]
        [uptime-kuma]
        unit = "uptime"
        data-directory = "/d"
        url = "https://127.0.0.1:3001/"
        start-timeout = "90s"
        [main]
        look-every = "36h"
        max-shrink = 1.0
        settle = "1s"
        keep = { weekly = 5, yearly = 2 }
        prune = "always"
        [replica]
        strategy = "snapshot"
        "#,
    )
    .unwrap();
    assert_eq!(settings.role, Role::Main);
    assert_eq!(settings.overdue_after, Duration::from_secs(900));
    assert_eq!(settings.restic.program, Path::new("/opt/restic"));
    assert_eq!(settings.restic.timeout, Duration::from_secs(5400));
    assert_eq!(settings.kuma.unit.as_ref(), "uptime.service");
    assert_eq!(settings.kuma.url.as_deref(), Some("https://127.0.0.1:3001"));
    assert_eq!((settings.main.look_every, settings.main.max_shrink), (Duration::from_secs(129_600), 1.0));
    assert_eq!(settings.main.settle, Duration::from_secs(1));
    let keep = Keep { last: 0, daily: 0, weekly: 5, monthly: 0, yearly: 2 };
    assert_eq!((settings.main.keep, settings.main.prune), (Some(keep), Prune::Always), "the default is replaced whole");
    assert_eq!(settings.restic.options, ["s3.bucket-lookup=path", "sftp.args=-i /x -p 22"]);
    let as_section = parse(&format!("{BASE}\n[main.keep]\nlast = 3\n")).unwrap().main.keep;
    assert_eq!(as_section.map(|keep| (keep.last, keep.daily)), Some((3, 0)));
    assert_eq!(parse(&format!("{BASE}\n[main]\nkeep = \"all\"\n")).unwrap().main.keep, None);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["role"]),
        ("role = \"main\"", &["repository"]),
        ("repository = \"/r\"", &["role"]),
        ("role = \"leader\"\nrepository = \"/r\"", &["line 1, column 8: role: ", "leader", "main", "replica"]),
        ("role = main", &["line 1, column 8"]),
        ("role = \"main\"\nrepository = 7", &["line 2, column 14: repository must be a string"]),
        ("role = \"main\"\nrepository = \"\"", &["repository"]),
        ("role = \"main\"\nrepository = \"  \"", &["repository"]),
        ("role = \"main\"\nrepository = \"a\\nb\"", &["repository"]),
        ("role = \"main\"\nrepository = \"srv/kuma\"", &["'srv/kuma'", "the whole path"]),
        ("role = \"main\"\nrepository = \"./kuma\"", &["'./kuma'", "the whole path"]),
        ("role = \"main\"\nrepository = \"~/kuma\"", &["'~/kuma'", "the whole path"]),
        ("role = \"main\"\nrepository = \"local:kuma\"", &["'kuma'", "the whole path"]),
        ("role = \"main\"\nrepository = \"/tmp/kuma\"", &["'/tmp/kuma'", "its own /tmp", "/srv/kuma"]),
        ("role = \"main\"\nrepository = \"local:/var/tmp\"", &["'/var/tmp'", "its own /tmp"]),
        ("role = \"main\"\nrepository = \"//srv/./../tmp//x\"", &["'//srv/./../tmp//x'", "its own /tmp"]),
        ("role = \"main\"\nrepository = \"/r\"\nrole = \"main\"", &["line 3, column 1", "duplicate"]),
        ("role = \"main\"\nrepositroy = \"/r\"", &["line 2, column 1", "repositroy", "repository"]),
        ("{base}[restic]\npasword-file = \"/p\"", &["line 4, column 1", "pasword-file", "password-file"]),
        ("{base}[restic]\npassword_file = \"/p\"", &["line 4, column 1", "password_file"]),
        ("{base}[restic]\npassword-file = \"p\"", &["restic.password-file", "absolute"]),
        ("{base}[restic]\nenvironment-file = \"e\"", &["restic.environment-file", "absolute"]),
        ("{base}[restic]\ntimeout = \"0s\"", &["restic.timeout", "at least one second"]),
        ("{base}[restic]\ntimeout = \"-5m\"", &["restic.timeout", "at least one second"]),
        (
            "{base}[restic]\ntimeout = \"soon\"",
            &["line 4, column 11: restic.timeout: ", "write a duration such as \"5m\""],
        ),
        ("{base}[restic]\ntimeout = 5", &["line 4, column 11: restic.timeout must be a duration such as \"5m\""]),
        ("{base}overdue-after = \"5\"", &["line 3, column 17: overdue-after: ", "write a duration such as \"5m\""]),
        ("{base}restic = 5", &["line 3, column 10: restic must be a table"]),
        ("{base}[uptime-kuma]\nunit = \"a b\"", &["uptime-kuma.unit", "a b"]),
        ("{base}[uptime-kuma]\nunit = \"kuma.timer\"", &["uptime-kuma.unit", "kuma.timer"]),
        ("{base}[uptime-kuma]\nunit = \"../x\"", &["uptime-kuma.unit"]),
        ("{base}[uptime-kuma]\ndata-directory = \"data\"", &["uptime-kuma.data-directory", "absolute"]),
        ("{base}[uptime-kuma]\nurl = \"localhost:3001\"", &["uptime-kuma.url", "http://"]),
        ("{base}[uptime-kuma]\nurl = \"http://\"", &["uptime-kuma.url", "http://127.0.0.1:3001"]),
        (
            "{base}[uptime-kuma]\nurl = \"http://127.0.0.1:3001\\r\\nX: y\"",
            &["uptime-kuma.url", "http://127.0.0.1:3001"],
        ),
        ("{base}[uptime-kuma]\nstart-timeout = \"1ms\"", &["uptime-kuma.start-timeout"]),
        ("{base}[main]\nmax-shrink = 1.5", &["main.max-shrink", "1.5", "between 0 and 1"]),
        ("{base}[main]\nmax-shrink = -0.1", &["main.max-shrink"]),
        ("{base}[main]\nmax-shrink = nan", &["main.max-shrink"]),
        ("{base}[main]\nkeep = \"some\"", &["line 4, column 8: main.keep must be \"all\" or a table such as"]),
        ("{base}[main]\nkeep = {}", &["main.keep would keep nothing", "keep = \"all\""]),
        ("{base}[main]\nkeep = { last = 0, yearly = 0 }", &["main.keep would keep nothing"]),
        ("{base}[main]\nkeep = { last = -1 }", &["main.keep.last must be a whole number from 0 on"]),
        ("{base}[main]\nkeep = { hourly = 9 }", &["unknown field `hourly`", "`last`, `daily`, `weekly`"]),
        ("{base}[main]\nprune = \"maybe\"", &["`maybe`", "`auto`, `always`, `never`"]),
        ("{base}[restic]\noptions = [\"s3.bucket-lookup\"]", &["restic.options", "write NAME=value"]),
        ("{base}[restic]\noptions = [\"path=x\"]", &["restic.options", "write NAME=value"]),
        ("{base}[restic]\noptions = [\"s3.region=\"]", &["gives s3.region no value"]),
        ("{base}[restic]\noptions = [\"s3.region=a\", \"s3.region=b\"]", &["gives s3.region twice"]),
        ("{base}[restic]\noptions = [\"s3.secret=b\"]", &["a secret in s3.secret", "environment file"]),
        ("{base}[restic]\noptions = [\"rest.x=https://u:p@h\"]", &["a secret in rest.x"]),
        ("{base}[main]\nmax-shrink = \"half\"", &["line 4, column 14: main.max-shrink must be a number"]),
        ("{base}overdue-after = \"0s\"", &["overdue-after"]),
        (
            "{base}metrics-file = \"kuma.prom\"",
            &["metrics-file is 'kuma.prom'", "absolute path that ends in .prom", "/var/lib/prometheus/node-exporter/"],
        ),
        ("{base}metrics-file = \"/srv/kuma.txt\"", &["'/srv/kuma.txt'", "ends in .prom"]),
        ("{base}metrics-file = \"/srv/.prom\"", &["'/srv/.prom'", "ends in .prom"]),
        ("{base}metrics-file = 5", &["line 3, column 16: metrics-file"]),
        ("{base}[main]\nmetrics-file = \"/x.prom\"", &["`metrics-file` belongs to the top of the file"]),
        ("{base}[main]\nlook-every = \"0s\"", &["main.look-every"]),
        // A day is not always as long for a clock.
        ("{base}[main]\nlook-every = \"2d\"", &["line 4, column 14: main.look-every: ", "hours (h)"]),
        (
            "{base}[replica]\nlook-every = \"often\"",
            &["line 4, column 14: replica.look-every: ", "\"often\" is not a duration"],
        ),
        (
            "{base}[replica]\nlook-every = 20",
            &["line 4, column 14: replica.look-every must be \"auto\" or a duration such as \"5m\""],
        ),
        ("{base}[replica]\nlook-every = \"0s\"", &["replica.look-every must be at least one second"]),
        ("{base}[replica]\nstrategy = \"newest\"", &["line 4, column 12: replica.strategy: ", "newest", "snapshot"]),
        ("{base}[replica]\nlabel = \"  \"", &["replica.label", "1 to 40 characters"]),
        (
            "{base}[replica]\nclean-status-pages = \"yes\"",
            &["line 4, column 22", "replica.clean-status-pages must be true or false"],
        ),
        ("{base}[replica]\nsettings = [\"jwtSecret\"]", &["replica.settings", "'jwtSecret'", "secret of that host"]),
        ("{base}[replica]\nsettings = [\"checkBeta\", \"cloudflaredTunnelToken\"]", &["cloudflared", "secret"]),
        ("{base}[replica]\nsettings = [\"webpushPrivateVapidKey\"]", &["'webpushPrivateVapidKey'", "secret"]),
        ("{base}[replica]\nsettings = [\"database_version\"]", &["'database_version'", "that database"]),
        ("{base}[replica]\nsettings = [\"CheckBeta\"]", &["'CheckBeta'", "there are apiKeysEnabled, checkBeta, "]),
        ("{base}[replica]\nsettings = [\"\"]", &["replica.settings", "''"]),
        ("{base}[replica.exclude]\ntables = [\"setting\"]", &["replica.exclude.tables", "replica.settings"]),
        (
            "{base}[[replica.overrides]]\ntable = \"setting\"\nset = { value = \"1\" }",
            &["replica.overrides, number 1", "replica.settings"],
        ),
        (
            "{base}[[replica.overrides]]\ntable = \"monitor\"\nset = { port = [1] }",
            &["line 5, column 16: replica.overrides, number 1: set.port must be a string, a number or a boolean"],
        ),
        (
            "{base}[[replica.overrides]]\ntable = \"monitor\"\n[[replica.overrides]]\ntable = \"tag\"\nset = { color = 2026-01-01 }",
            &["line 7, column 17: replica.overrides, number 2: set.color must be a string, a number or a boolean"],
        ),
        ("{base}[replica]\nalerts = \"none\"", &["line 4, column 10: replica.alerts: ", "`on` or `off`"]),
        (
            "{base}[replica.local-entities]\ndocker_host = \"keep\"",
            &["line 4, column 1", "docker_host", "did you mean `docker-host`?"],
        ),
        ("{base}[replica.local-entities]\nproxy = \"mine\"", &["line 4, column 9", "local-entities.proxy: ", "`keep`"]),
        ("{base}[replica.local-entities]\nmonitor = \"keep\"", &["line 4, column 1", "monitor"]),
        ("{base}notify = 5", &["line 3, column 10: notify must be a table"]),
        ("{base}[notify]\nurl = \"https://h/geheim\"", &["line 4", "notify.url must be a table"]),
        ("{base}[notify.x]\nurl = \"https://h/geheim\"", &["line 3", "notify.x", "missing field `kind`"]),
        (
            "{base}[notify.x]\nkind = \"mail\"",
            &["line 4, column 8: notify.x.kind: ", "mail", "`ntfy`", "`uptime-kuma`"],
        ),
        ("{base}[notify.X]\nkind = \"ntfy\"", &["notify.X", "a to z, 0 to 9 and -"]),
        ("{base}[notify.x]\nkind = \"ntfy\"\nurl = \"geheim\"", &["notify.x.url", "https://ntfy.sh/my-topic"]),
        ("{base}[notify.x]\nkind = \"ntfy\"\nurl = \"https://h/geheim\"\nurl-file = \"/f\"", &["url and url-file"]),
        ("{base}[notify.x]\nkind = \"ntfy\"\nurl-file = \"f\"", &["notify.x.url-file", "absolute"]),
        ("{base}[notify.x]\nkind = \"ntfy\"\ntoken-file = \"f\"", &["notify.x.token-file", "absolute"]),
        ("{base}[notify.x]\nkind = \"ntfy\"\npriority = 6", &["notify.x.priority is 6", "1 (lowest) to 5 (highest)"]),
        ("{base}[notify.x]\nkind = \"ntfy\"\npriority = 1000", &["line 5, column 12: notify.x.priority"]),
        (
            "{base}[notify.x]\nkind = \"ntfy\"\nevents = [\"fail\"]",
            &["line 5, column 11: notify.x.events: ", "`failed`"],
        ),
        ("{base}[notify.x]\nkind = \"webhook\"\ntags = []", &["notify.x.tags means nothing", "only with \"ntfy\""]),
        ("{base}[notify.x]\nkind = \"uptime-kuma\"\nevents = []", &["notify.x.events means nothing", "\"webhook\""]),
        (
            "{base}[notify.x]\nkind = \"ntfy\"\nping-every = \"1m\"",
            &["notify.x.ping-every means nothing", "healthchecks"],
        ),
        ("{base}[notify.x]\nkind = \"healthchecks\"\nping-every = \"0s\"", &["notify.x.ping-every", "one second"]),
        (
            "{base}[notify.x]\nkind = \"webhook\"\ntemplate = '{\"a\": \"{{txt}}\"}'",
            &["notify.x.template: there is no placeholder {{txt}}; there are {{event}}, ", "{{text}}"],
        ),
        (
            "{base}[notify.x]\nkind = \"webhook\"\ntemplate = '{\"a\": {{text}}}'",
            &["notify.x.template: it is no JSON", "inside strings"],
        ),
        ("{base}[notify.x]\nkind = \"webhook\"\ntemplate = '{\"a\": \"{{text'", &["there is no placeholder"]),
        (
            "{base}[notify.a]\nkind=\"ntfy\"\n[notify.b]\nkind=\"ntfy\"\n[notify.c]\nkind=\"ntfy\"\n[notify.d]\nkind=\"ntfy\"\n\
             [notify.e]\nkind=\"ntfy\"\n[notify.f]\nkind=\"ntfy\"\n[notify.g]\nkind=\"ntfy\"\n[notify.h]\nkind=\"ntfy\"\n\
             [notify.i]\nkind=\"ntfy\"",
            &["notify has 9 receivers; there may be 8"],
        ),
        ("{base}[leader]\nx = 1", &["line 3, column 2", "leader"]),
        ("{base}[restic]\n[restic]", &["line 4, column 2", "duplicate"]),
        ("{base}x = \"ü\"\ny", &["line"]),
        ("{base}[restic", &["line 3"]),
    ];
    for (text, said) in cases {
        let text = text.replace("{base}", BASE);
        let error = parse(&text).expect_err(&text);
        assert_eq!(error.kind(), Kind::Config, "{text}");
        let chain = error.chain();
        assert!(!chain.contains("geheim"), "a secret: {chain}");
        assert!(chain.starts_with("configuration /etc/x/config.toml"), "{chain}");
        for part in *said {
            assert!(chain.contains(part), "'{part}' is not in: {chain}\nfor: {text}");
        }
        assert!(!chain.contains('\n'), "one line: {chain}");
    }
}

/// What can be listed is what the manual lists, and no list means none.
#[test]
fn settings_that_can_be_taken_over() {
    assert!(parse(BASE).unwrap().replica.customization.settings.is_empty());
    let all: Vec<&str> = catalog::SETTINGS.iter().map(|setting| setting.key).collect();
    assert!(all.is_sorted());
    let settings = parse(&format!("{BASE}[replica]\nsettings = {all:?}")).unwrap();
    assert_eq!(settings.replica.customization.settings, all);
    let manual = read("docs/replicated.md");
    let (_, section) = manual.split_once("\n## Settings of Uptime Kuma\n").unwrap();
    let (rows, rest) = section.split_once("\n\nNever").unwrap();
    let named = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let listed = rows.lines().filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned()));
    assert_eq!(listed.collect::<Vec<_>>(), all);
    let (never, _) = rest.split_once("\n\n").unwrap();
    let own = named(never);
    assert!(own.contains(&"jwtSecret".to_owned()));
    assert_eq!(own.iter().find(|key| catalog::setting_stays(key).is_none()), None, "the program does not know why");
    let format = read("docs/format.md");
    let (_, keys) = format.split_once("\nOf `setting` only the rows with these keys travel: ").unwrap();
    assert_eq!(named(keys.split_once('.').unwrap().0), all);
}

#[test]
fn names_of_units() {
    for (written, name) in [
        ("uptime-kuma", Some("uptime-kuma.service")),
        ("uptime-kuma.service", Some("uptime-kuma.service")),
        ("kuma@home.service", Some("kuma@home.service")),
        ("a\\x2db", Some("a\\x2db.service")),
        ("", None),
        (".service", None),
        ("kuma.socket", None),
        ("kuma service", None),
        ("a/b", None),
        ("ü", None),
    ] {
        let unit = UnitName::new(written).ok().map(|unit| unit.to_string());
        assert_eq!(unit.as_deref(), name, "{written:?}");
    }
    assert!(UnitName::new(&"x".repeat(250)).is_err());
}

#[test]
fn credentials_are_never_shown() {
    for location in [
        "rest:https://user:geheim@backup.example.com:8000/kuma",
        "rest:https://geheim@backup.example.com/kuma",
        "rest:http://user:geh%2Feim:geheim@backup.example.com/",
        "rest:https://user:pass@geheim@backup.example.com/",
        "rest:https://user:geheim@[::1]:8000/",
        "sftp://user:geheim@backup.example.com:2222//srv/r",
        "s3:https://key:geheim@s3.example.com/bucket",
        "rest:https://user:geheim@backup.example.com?x=1",
        "rest:https://user:geheim@backup.example.com",
    ] {
        let settings = parse(&format!("role = \"main\"\nrepository = \"{location}\"")).unwrap();
        assert_eq!(settings.repository.secret(), location);
        for shown in [
            settings.repository.to_string(),
            format!("{:?}", settings.repository),
            format!("{settings:?}"),
            without_credentials(location),
        ] {
            assert!(!shown.contains("geheim"), "{shown}");
        }
        assert!(settings.repository.to_string().contains("***@"), "{}", settings.repository);
        assert!(location.contains("[::1]") || settings.repository.to_string().contains("example.com"));
        // Nor in what is said about a mistake elsewhere in the file.
        for mistake in ["[main]\nmax-shrink = 7", "x = 1", "[restic]\ntimeout = \"soon\"", "repository = \"again\""] {
            let text = format!("role = \"main\"\nrepository = \"{location}\"\n{mistake}");
            let error = parse(&text).unwrap_err();
            assert!(!format!("{error:?} {error} {}", error.chain()).contains("geheim"), "{error:?}");
        }
    }
    for plain in [
        "/srv/r",
        "/tmpfs/r",
        "/srv/tmp/../r",
        "local:/srv/r",
        "sftp:user@host:r",
        "sftp:user@host:/r",
        "s3:https://s3.example.com/b",
        "b2:bucket:path",
        "rclone:x:y",
        "rest:https://h/a@b",
    ] {
        let settings = parse(&format!("role = \"main\"\nrepository = \"{plain}\"")).unwrap();
        assert_eq!(settings.repository.to_string(), plain);
    }
}

#[test]
fn a_repository_over_sftp_says_what_ssh_connects_to() {
    let ssh = |repository: &str| {
        let settings = parse(&format!("role = \"main\"\nrepository = \"{repository}\"")).unwrap();
        settings.repository.ssh().map(|target| target.to_string())
    };
    for (repository, wanted) in [
        ("sftp:kuma@backup.example.org:/srv/kuma", Some("kuma@backup.example.org")),
        ("sftp:backup:kuma", Some("backup")),
        ("sftp://kuma@backup.example.org:2222//srv/kuma", Some("-p 2222 kuma@backup.example.org")),
        ("sftp://backup.example.org/kuma", Some("backup.example.org")),
        ("sftp://kuma@[2001:db8::7]:2222//srv/kuma", Some("-p 2222 kuma@[2001:db8::7]")),
        ("sftp://[2001:db8::7]//srv/kuma", Some("[2001:db8::7]")),
        ("sftp:-oProxyCommand=x:/srv/kuma", None),
        ("sftp:user@-x:/srv/kuma", None),
        ("sftp:us er@host:/srv/kuma", None),
        ("sftp://host:99999/srv", None),
        ("/srv/kuma", None),
        ("rest:https://host/", None),
    ] {
        assert_eq!(ssh(repository).as_deref(), wanted, "{repository}");
    }
}

/// The keys that the program knows, from what it says about one that it does not.
fn keys(section: &str) -> Vec<String> {
    let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let error = parse(&format!("{header}no-such-key = 1")).unwrap_err().chain();
    let (_, expected) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Keys that are tables themselves; of `overrides` there may be many.
const TABLES: [&str; 3] = ["exclude", "local-entities", "overrides"];

#[test]
fn every_key_is_in_the_shipped_file_and_in_the_manual() {
    let shipped = read("packaging/usr/share/doc/kuma-replicator/config.toml");
    let manual = read("docs/configuration.md");
    let top = keys("");
    assert_eq!(
        top,
        ["role", "repository", "overdue-after", "metrics-file", "restic", "uptime-kuma", "main", "replica", "notify"]
    );
    let mut section = String::new();
    let mut documented = Vec::new();
    for line in shipped.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) {
            // A commented key starts right after the sign, prose after a space.
            if !key.contains(' ') {
                documented.push((section.clone(), key.to_owned()));
            }
        }
    }
    let mut known: Vec<(String, String)> = Vec::new();
    for name in top.iter().filter(|name| *name != "notify") {
        if ["role", "repository", "overdue-after", "metrics-file"].contains(&name.as_str()) {
            known.push((String::new(), name.clone()));
        } else {
            let (tables, keys): (Vec<_>, Vec<_>) =
                keys(name).into_iter().partition(|key| TABLES.contains(&key.as_str()));
            assert!(!keys.is_empty());
            known.extend(keys.into_iter().map(|key| (name.clone(), key)));
            for table in tables.iter().filter(|table| *table != "overrides").map(|table| format!("{name}.{table}")) {
                known.extend(self::keys(&table).into_iter().map(|key| (table.clone(), key)));
            }
        }
    }
    for key in ["table", "where", "set", "clear"] {
        assert!(shipped.contains(&format!("\n#   {key} = ")), "the example of an override has no {key}");
        known.push(("replica.overrides".to_owned(), key.to_owned()));
        documented.push(("replica.overrides".to_owned(), key.to_owned()));
    }
    for key in keys("notify.x") {
        assert!(shipped.contains(&format!("\n#   {key} = ")), "the example of a receiver has no {key}");
        known.push(("notify.NAME".to_owned(), key.clone()));
        documented.push(("notify.NAME".to_owned(), key));
    }
    documented.sort();
    known.sort();
    assert_eq!(documented, known, "shipped file and program");
    for (section, key) in &known {
        assert!(manual.contains(&format!("`{key}`")), "docs/configuration.md does not explain {section}.{key}");
    }

    // As shipped it says what is missing; with every key uncommented it is what the defaults are.
    let error = parse(&shipped).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    let uncommented: String = shipped
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let settings = parse(&uncommented).unwrap();
    let defaults = parse(BASE).unwrap();
    assert_eq!(settings.role, defaults.role, "what starts by itself is the harmless role");
    assert_eq!(settings.restic.program, defaults.restic.program);
    assert_eq!(settings.restic.timeout, defaults.restic.timeout);
    assert_eq!(settings.kuma.unit, defaults.kuma.unit);
    assert_eq!(settings.kuma.start_timeout, defaults.kuma.start_timeout);
    assert_eq!(settings.main, defaults.main);
    assert_eq!(settings.replica, defaults.replica);
}

/// What a person probably meant.
#[test]
fn a_mistyped_or_misplaced_key_says_what_was_meant() {
    for (lines, said) in [
        ("[replica]\nstratgy = \"default\"", "there is no key `stratgy`; did you mean `strategy`?"),
        ("[replica]\npaused_types = []", "there is no key `paused_types`; did you mean `paused-types`?"),
        ("[replica] # mine\nsettle = \"1s\"", "`settle` belongs to [main], not to [replica]"),
        (
            "[main]\noverdue-after = \"1h\"",
            "`overdue-after` belongs to the top of the file, above the first [section], not to [main]",
        ),
        ("label = \"x\"", "`label` belongs to [replica], not to the top of the file"),
        ("[replcia]\nlabel = \"x\"", "there is no key `replcia`; did you mean `replica`?"),
        ("[exclude]\ntables = []", "`exclude` belongs to [replica], not to the top of the file"),
        ("[replica.exlude]\ntables = []", "there is no key `exlude`; did you mean `exclude`?"),
        ("[replica.exclude]\nmonitor-tag = []", "there is no key `monitor-tag`; did you mean `monitor-tags`?"),
        ("[restic]\nunit = \"x\"", "`unit` belongs to [uptime-kuma], not to [restic]"),
        ("[notify.x]\nkind = \"ntfy\"\nurl_file = \"/f\"", "there is no key `url_file`; did you mean `url-file`?"),
        ("[notfy.x]\nkind = \"ntfy\"", "there is no key `notfy`; did you mean `notify`?"),
        ("[replica]\nping-every = \"60s\"", "`ping-every` belongs to [notify.NAME], not to [replica]"),
        ("[main]\nretention = 7", "unknown field `retention`, expected one of `look-every`"),
    ] {
        let error = parse(&format!("{BASE}{lines}\n")).unwrap_err().chain();
        assert!(error.contains(said), "{lines}: {error}");
    }
}

/// `config` on a file with this content.
fn shown(content: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    std::fs::write(&file, content).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuma-replicator"));
    let output = command.arg("--config").arg(&file).arg("config").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_settings_in_force_are_shown_with_their_origin() {
    let content = "role = \"replica\" # of a hundred\nrepository = \"s3:https://key:geheim@s3.example.org/b\"\n\n\
                   [replica]\nlabel = \"x\"\n[main.keep]\nlast = 9\n[[replica.overrides]]\ntable = \"monitor\"\nset = { interval = 120 }\n\
                   [notify.phone]\nkind = \"ntfy\"\nurl = \"https://ntfy.example.org/geheim\"\n";
    let (code, shown, said) = shown(content, &[]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let lines: Vec<String> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "role = \"replica\" # line 1",
        "repository = \"s3:https://***@s3.example.org/b\" # line 2",
        "overdue-after = \"30m\" # default",
        "#metrics-file # not set",
        "label = \"x\" # line 5",
        "look-every = \"auto\" # default",
        "#data-directory # found on this host",
        "keep = { last = 9 } # line 6",
        "[[replica.overrides]] # line 8",
        "set = { interval = 120 }",
        "[notify.phone] # line 11",
        "url = \"https://ntfy.example.org/***\"",
    ] {
        assert!(lines.iter().any(|shown| shown == line), "no {line} in\n{shown}");
    }
    // It is such a file itself: what it shows is what is in force.
    assert_eq!(parse(&shown).unwrap().replica, parse(content).unwrap().replica);
    // However they are written.
    let inline =
        "role = \"replica\"\nrepository = \"/r\"\n[replica]\noverrides = [{ table = \"tag\", clear = [\"color\"] }]\n";
    let (code, shown, _) = self::shown(inline, &[]);
    assert_eq!((code, parse(&shown).unwrap().replica), (Some(0), parse(inline).unwrap().replica), "{shown}");
    let (code, _, said) = self::shown("rolle = 1\n", &[]);
    assert!(code == Some(78) && said.contains("did you mean `role`?"), "{said}");
}

#[test]
fn the_documented_file_and_the_schema_are_printed_without_a_configuration() {
    let (code, example, _) = shown("not TOML", &["--example"]);
    assert_eq!((code, example.trim_end()), (Some(0), EXAMPLE.trim_end()));
    let (code, schema, _) = shown("not TOML", &["--schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(code, Some(0));
    // It has the keys that the program knows, and no others.
    for section in ["", "restic", "uptime-kuma", "main", "replica", "replica.exclude", "replica.local-entities"] {
        let mut table = &schema;
        for name in section.split('.').filter(|name| !name.is_empty()) {
            table = &table["properties"][name];
            let path = table["$ref"].as_str().or_else(|| table["allOf"][0]["$ref"].as_str());
            if let Some(path) = path {
                table = schema.pointer(path.trim_start_matches('#')).unwrap();
            }
        }
        let known: BTreeSet<String> = keys(section).into_iter().collect();
        let properties = table["properties"].as_object().unwrap_or_else(|| panic!("{section}: {table}"));
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), known, "{section}");
        assert_eq!(table["additionalProperties"], false, "{section}");
    }
}

/// The program says it, too, with 78, whatever the verb.
#[test]
fn the_program_refuses_a_bad_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let cases = [
        (None, 2, "there is no configuration"),
        (Some("role = \"main\"\n"), 78, "repository"),
        (Some("rolle = \"main\"\n"), 78, "line 1, column 1"),
        (Some("\u{0}"), 78, "line 1"),
        (Some("a pipe"), 78, "it is not a regular file"),
    ];
    for (content, code, said) in cases {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        if content == Some("a pipe") {
            std::fs::remove_file(&file).unwrap();
            assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        }
        for verb in ["run", "plan", "status", "snapshots", "init"] {
            let output = Command::new(env!("CARGO_BIN_EXE_kuma-replicator"))
                .args(["--config", file.to_str().unwrap(), verb])
                .env("STATE_DIRECTORY", directory.path().join("state"))
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{verb}: {text}");
            assert!(text.contains(said), "{verb}: {text}");
            assert!(output.stdout.is_empty(), "{verb}");
        }
    }
}
