//! Settings: the configuration, environment files, and what the unit of Uptime Kuma says.

use std::path::Path;

use kuma_replicator::config::{Kuma, Role, Settings, with};
use kuma_replicator::error::Kind;
use kuma_replicator::host::kuma::discovery::{self, Files, ServiceProperties};
use kuma_replicator::host::system::environment;
use proptest::prelude::*;

use crate::Property;
use crate::budget::Budget;
use crate::memory::peak;
use crate::mutation::mutated;

pub(crate) const PROPERTIES: &[Property] = &[
    ("a_broken_configuration_is_refused_or_keeps_its_meaning", configurations),
    ("a_broken_environment_file_is_refused_or_gives_names_and_values", environments),
    ("whatever_a_unit_says_a_layout_is_found_or_refused", units),
];

/// The shipped file with every key in it.
fn configuration() -> Vec<u8> {
    let shipped = include_str!("../../packaging/usr/share/doc/kuma-replicator/config.toml");
    let lines = shipped.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.contains(" = ") && !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

fn configurations(budget: Budget) {
    let path = Path::new("config.toml");
    let good = configuration();
    Settings::parse(std::str::from_utf8(&good).unwrap(), path).unwrap();
    budget.check(300, &mutated(good), |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let (parsed, most) = peak(|| Settings::parse(&text, path));
        prop_assert!(most < 200 * text.len() + (1 << 20), "{} bytes of memory for {}", most, text.len());
        match parsed {
            Err(error) => {
                prop_assert_eq!(error.kind(), Kind::Config);
                let _ = with(&text, &["role"], "main", path);
            }
            Ok(settings) => {
                for role in [Role::Main, Role::Replica] {
                    let turned = with(&text, &["role"], &role.to_string(), path);
                    let turned = Settings::parse(&turned.unwrap(), path).unwrap();
                    prop_assert_eq!(&turned, &Settings { role, ..settings.clone() });
                }
            }
        }
        Ok(())
    });
}

const ENVIRONMENT: &str = "# S3\nAWS_ACCESS_KEY_ID=AKIA\nexport AWS_SECRET_ACCESS_KEY=\"a \\\"b\\\" \\\nc\"\nX='y z' \nEMPTY=\nL=one \\\ntwo\n";

fn environments(budget: Budget) {
    budget.check(500, &mutated(ENVIRONMENT.as_bytes().to_vec()), |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let (parsed, most) = peak(|| environment::parse(&text));
        prop_assert!(most < 16 * text.len() + (64 << 10), "{} bytes of memory for {}", most, text.len());
        match parsed {
            // The line, and nothing of its content.
            Err(reason) => prop_assert!(reason.starts_with("line ") && reason.len() < 100, "{}", reason),
            Ok(pairs) => {
                for (name, value) in pairs {
                    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
                    prop_assert!(plain && !name.is_empty() && !value.contains('\0'), "{:?} {:?}", name, value);
                }
            }
        }
        Ok(())
    });
}

fn units(budget: Budget) {
    // One property a line, in the order of the structure.
    let good = "/opt/uptime-kuma\nDATA_DIR=./data/\nUPTIME_KUMA_PORT=3001\n/usr/bin/node\nserver/server.js\n--port=${UPTIME_KUMA_PORT}\n\
                --host=::\nPORT=3002\nSSL_KEY=\"/k\"\nuptime\n";
    budget.check(500, &mutated(good.as_bytes().to_vec()), |bytes| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let line = |at: usize| text.lines().nth(at).unwrap_or_default().to_owned();
        let service = ServiceProperties {
            working_directory: line(0),
            environment: vec![line(1), line(2)],
            arguments: (3..7).map(line).collect(),
            user: line(9),
            ..ServiceProperties::default()
        };
        let files = Files { environment: vec![line(7)], dotenv: Some(format!("{}\n{}", line(8), line(1))), home: None };
        let (found, most) = peak(|| discovery::layout(&service, &files, &Kuma::default()));
        prop_assert!(most < 64 * text.len() + (256 << 10), "{} bytes of memory for {}", most, text.len());
        match found {
            Ok(layout) => {
                prop_assert!(layout.data_directory.is_absolute(), "{:?}", layout);
                prop_assert!(layout.url.starts_with("http://") || layout.url.starts_with("https://"), "{:?}", layout);
            }
            Err(error) => prop_assert!(error.chain().len() < 10_000 && error.kind() != Kind::Bug, "{:?}", error),
        }
        Ok(())
    });
}
