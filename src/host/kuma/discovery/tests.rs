//! Units in the wild, and the layouts that are discovered from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Files, ServiceProperties, layout, read_files, zone};
use crate::config::{Kuma, UnitName};
use crate::error::Kind;
use crate::host::kuma::worker::Workers;
use crate::model::zone::Zone;

fn kuma(data_directory: Option<&str>, url: Option<&str>) -> Kuma {
    Kuma {
        unit: UnitName::new("uptime-kuma").unwrap(),
        data_directory: data_directory.map(PathBuf::from),
        url: url.map(str::to_owned),
        start_timeout: Duration::from_secs(120),
    }
}

/// A unit: working directory, ExecStart, environment.
fn unit(directory: &str, command: &str, environment: &[&str]) -> ServiceProperties {
    ServiceProperties {
        working_directory: directory.to_owned(),
        environment: environment.iter().map(|&line| line.to_owned()).collect(),
        arguments: command.split('|').map(str::to_owned).collect(),
        ..ServiceProperties::default()
    }
}

fn found(service: &ServiceProperties, files: &Files) -> (String, String, Option<String>) {
    let layout = layout(service, files, &kuma(None, None)).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    (text(layout.data_directory), layout.url, layout.application.map(text))
}

#[test]
fn layouts_in_the_wild() {
    let node = "/usr/bin/node|server/server.js";
    let opt = Some("/opt/uptime-kuma");
    let table: &[(&str, ServiceProperties, &str, &str, Option<&str>)] = &[
        (
            "root with npm start",
            unit("/opt/uptime-kuma", "/usr/bin/npm|start", &[]),
            "/opt/uptime-kuma/data",
            "http://127.0.0.1:3001",
            opt,
        ),
        (
            "a user's home",
            unit("/home/uptime/uptime-kuma", node, &["NODE_ENV=production"]),
            "/home/uptime/uptime-kuma/data",
            "http://127.0.0.1:3001",
            Some("/home/uptime/uptime-kuma"),
        ),
        (
            "NixOS, DynamicUser, no working directory",
            unit(
                "",
                "/nix/store/x-uptime-kuma-2.0.2/bin/uptime-kuma-server",
                &["DATA_DIR=/var/lib/uptime-kuma/", "NODE_ENV=production", "HOST=127.0.0.1", "PORT=4000"],
            ),
            "/var/lib/uptime-kuma",
            "http://127.0.0.1:4000",
            None,
        ),
        (
            "a data directory that is a symbolic link stays as written",
            unit("/opt/uptime-kuma", node, &["DATA_DIR=./data-link/"]),
            "/opt/uptime-kuma/data-link",
            "http://127.0.0.1:3001",
            opt,
        ),
        (
            "arguments",
            unit("/opt/uptime-kuma", &format!("{node}|--port=3005|--host=::|--data-dir=/srv/kuma"), &["PORT=1"]),
            "/srv/kuma",
            "http://[::1]:3005",
            opt,
        ),
        (
            "DATA_DIR wins over --data-dir, UPTIME_KUMA_PORT over PORT",
            unit(
                "/opt/uptime-kuma",
                &format!("{node}|--data-dir=/srv/kuma"),
                &["DATA_DIR=/data", "PORT=1", "UPTIME_KUMA_PORT=3010"],
            ),
            "/data",
            "http://127.0.0.1:3010",
            opt,
        ),
        (
            "variables in arguments",
            ServiceProperties {
                state_directories: vec!["kuma".into()],
                ..unit(
                    "/",
                    "/usr/bin/node|/srv/app/server/server.js|--port=${P}|--data-dir=${STATE_DIRECTORY}",
                    &["P=81"],
                )
            },
            "/var/lib/kuma",
            "http://127.0.0.1:81",
            Some("/srv/app"),
        ),
        (
            "TLS needs key and certificate",
            unit("/opt/uptime-kuma", node, &["SSL_KEY=/k", "UPTIME_KUMA_SSL_CERT=/c", "UPTIME_KUMA_HOST=192.0.2.7"]),
            "/opt/uptime-kuma/data",
            "https://192.0.2.7:3001",
            opt,
        ),
        (
            "a key alone is no TLS; a wildcard is reached over loopback; an IPv6 address gets brackets",
            unit("/opt/uptime-kuma", node, &["SSL_KEY=/k", "HOST=0.0.0.0", "UPTIME_KUMA_HOST=2001:db8::7"]),
            "/opt/uptime-kuma/data",
            "http://[2001:db8::7]:3001",
            opt,
        ),
        (
            "empty and unusable values are passed over",
            unit(
                "!/opt/uptime-kuma",
                &format!("{node}|--port=none"),
                &["DATA_DIR=", "UPTIME_KUMA_PORT=x", "PORT=3007 # x", "UPTIME_KUMA_HOST=", "HOST=0.0.0.0"],
            ),
            "/opt/uptime-kuma/data",
            "http://127.0.0.1:3007",
            opt,
        ),
        (
            "a later assignment wins, an unset one is gone",
            ServiceProperties {
                unset_environment: vec!["DATA_DIR".into(), "HOST=other".into()],
                ..unit("/opt/uptime-kuma", node, &["PORT=1", "PORT=2", "DATA_DIR=/gone", "HOST=kuma.internal"])
            },
            "/opt/uptime-kuma/data",
            "http://kuma.internal:2",
            opt,
        ),
    ];
    for (name, service, data, url, application) in table {
        let expected = ((*data).to_owned(), (*url).to_owned(), application.map(str::to_owned));
        assert_eq!(found(service, &Files::default()), expected, "{name}");
    }
}

#[test]
fn a_data_directory_that_nothing_names_is_a_guess() {
    let table = [
        ("/usr/bin/node|server/server.js", &[][..], false),
        ("/usr/bin/npm|start", &[], true),
        ("/usr/bin/npm|start", &["DATA_DIR=/srv/kuma"], false),
        ("/bin/sh|-c|DATA_DIR=/srv/kuma exec node server/server.js", &[], true),
        ("/usr/local/lib/node_modules/pm2/bin/pm2|resurrect", &["PM2_HOME=/root/.pm2"], true),
    ];
    for (command, environment, guessed) in table {
        let service = unit("/opt/uptime-kuma", command, environment);
        assert_eq!(layout(&service, &Files::default(), &kuma(None, None)).unwrap().guessed, guessed, "{command}");
        assert!(!layout(&service, &Files::default(), &kuma(Some("/srv/kuma"), None)).unwrap().guessed, "{command}");
    }
}

#[test]
fn files_add_to_the_environment() {
    let service = unit("~", "/usr/bin/node|server/server.js", &["PORT=1", "UPTIME_KUMA_HOST="]);
    let files = Files {
        environment: vec![
            "PORT=2\nexport DATA_DIR=/left/out\n".into(),
            "# a comment\nPORT=3\nDATA_DIR=\"/srv/with blank\"\n".into(),
        ],
        dotenv: Some(
            "export PORT=4\nUPTIME_KUMA_PORT = '5'\nUPTIME_KUMA_HOST=10.0.0.1\nHOST=10.0.0.2 # why\nnonsense\n".into(),
        ),
        home: Some("/home/uptime".into()),
    };
    // Empty in the environment is set as far as dotenv is concerned, and missing for Uptime Kuma.
    let expected = ("/srv/with blank".into(), "http://10.0.0.2:5".into(), Some("/home/uptime".into()));
    assert_eq!(found(&service, &files), expected);
}

#[test]
fn the_time_zone_is_found_as_by_uptime_kuma() {
    let zones = ["Europe/Berlin", "Asia/Tokyo", "America/Lima", "UTC"];
    let exists = |zone: &Zone| zones.contains(&zone.as_str());
    for (environment, dotenv, setting, host, expected) in [
        (&["TZ=Asia/Tokyo"][..], "TZ=America/Lima", Some("Europe/Berlin"), Some("UTC"), Some("Asia/Tokyo")),
        (&[], "TZ=America/Lima", Some("Europe/Berlin"), Some("UTC"), Some("America/Lima")),
        (&[], "", Some("Europe/Berlin"), Some("UTC"), Some("Europe/Berlin")),
        (&["TZ="], "", Some("Europe/Berlin"), Some("UTC"), Some("Europe/Berlin")),
        (&["TZ=Europe/Atlantis"], "", Some("Asia/Atlantis"), Some("UTC"), Some("UTC")),
        (&["TZ=CET-1CEST,M3.5.0,M10.5.0/3"], "", None, Some("Europe/Berlin"), Some("Europe/Berlin")),
        // Only the runtime's own guess reads this form.
        (&["TZ=:Asia/Tokyo"], "", Some("Europe/Berlin"), Some("UTC"), Some("Europe/Berlin")),
        (&["TZ=:Asia/Tokyo"], "", None, Some("UTC"), Some("Asia/Tokyo")),
        (&[], "", None, Some("Europe/Berlin"), Some("Europe/Berlin")),
        (&[], "", None, None, None),
    ] {
        let service = unit("/opt/uptime-kuma", "/usr/bin/npm|start", environment);
        let files = Files { dotenv: Some(dotenv.to_owned()), ..Files::default() };
        let host = host.map(|zone| zone.parse().unwrap());
        let found = zone(&service, &files, setting, host, exists).map(|zone| zone.to_string());
        assert_eq!(found.as_deref(), expected, "{environment:?} {dotenv} {setting:?}");
    }
}

#[test]
fn settings_win() {
    let service = unit("~", "/usr/bin/npm|start", &["DATA_DIR=/elsewhere", "PORT=1"]);
    let set = kuma(Some("/srv/data"), Some("https://kuma.example"));
    let layout = layout(&service, &Files::default(), &set).unwrap();
    assert_eq!(layout.data_directory, Path::new("/srv/data"));
    assert_eq!(layout.url, "https://kuma.example");
    assert_eq!(layout.application, None);
}

#[test]
fn an_unknown_home_needs_a_setting() {
    let service = unit("~", "/usr/bin/npm|start", &[]);
    let error = layout(&service, &Files::default(), &kuma(None, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.hint().contains("data-directory"), "{error:?}");
}

#[test]
fn files_are_read_from_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("b.env"), "PORT=2\n").unwrap();
    fs::write(path("a.env"), "PORT=1\n").unwrap();
    fs::write(path("d.env2"), "PORT=4\n").unwrap();
    fs::write(path("d.eNv"), "PORT=3\n").unwrap();
    fs::write(path(".env"), "HOST=x\n").unwrap();
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let service = ServiceProperties {
        working_directory: directory.path().to_str().unwrap().to_owned(),
        environment_files: vec![(text("*.env"), false), (text("missing"), true), (text("[cd].e?v"), true)],
        ..ServiceProperties::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let files = runtime.block_on(read_files(&service, &mut Workers::default())).unwrap();
    assert_eq!(files.environment, ["PORT=1\n", "PORT=2\n", "PORT=3\n"]);
    assert_eq!(files.dotenv.as_deref(), Some("HOST=x\n"));
}
