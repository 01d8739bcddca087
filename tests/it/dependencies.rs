//! Promise: every dependency is wanted, licensed, from crates.io, there once, and free of known advisories.
//!
//! `deny.toml` is the policy. cargo-deny understands it as well, but takes minutes to build and wants to download the
//! advisories; here they are in `tests/advisories.tsv`, as they were on the day in its first line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use semver::{Version, VersionReq};
use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: Version,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Deserialize)]
struct Policy {
    advisories: Advisories,
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Advisories {
    ignore: Vec<Ignored>,
}

#[derive(Deserialize)]
struct Ignored {
    id: String,
    reason: String,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skipped>,
}

#[derive(Deserialize)]
struct Skipped {
    #[serde(rename = "crate")]
    spec: String,
    reason: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn policy() -> Policy {
    toml::from_str(&read("deny.toml")).unwrap()
}

/// All packages that a build for this machine, or its tests, use.
fn packages() -> Vec<Package> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<String> = metadata.resolve.nodes.into_iter().map(|node| node.id).collect();
    metadata.packages.into_iter().filter(|package| used.contains(&package.id)).collect()
}

#[test]
fn every_licence_is_allowed_and_every_allowed_one_is_needed() {
    let allow = policy().licenses.allow;
    let mut unused = allow.clone();
    for Package { name, version, license, .. } in packages() {
        let license = license.unwrap_or_else(|| panic!("{name} {version} names no licence"));
        let parsed = spdx::Expression::parse_mode(&license, spdx::ParseMode::LAX).unwrap();
        let allowed = parsed.evaluate(|requirement| {
            let license = requirement.license.id().map(|id| id.name);
            requirement.addition.is_none() && license.is_some_and(|license| allow.contains(license))
        });
        assert!(allowed, "{name} {version}: {license}");
        unused.retain(|license_| !license.contains(license_.as_str()));
    }
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn every_crate_is_from_crates_io() {
    for Package { name, source, .. } in packages() {
        match source {
            Some(source) => {
                assert!(source.starts_with("registry+") && source.ends_with("/crates.io-index"), "{source}")
            }
            None => assert_eq!(name, env!("CARGO_PKG_NAME")),
        }
    }
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let mut versions: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    for Package { name, version, .. } in packages() {
        versions.entry(name).or_default().push(version);
    }
    for Skipped { spec, reason } in policy().bans.skip {
        assert!(!reason.is_empty(), "{spec}");
        let (name, version) = spec.split_once('@').unwrap();
        let found = versions.get_mut(name).unwrap_or_else(|| panic!("{spec} is not used any more"));
        let skipped = VersionReq::parse(version).unwrap();
        let before = found.len();
        found.retain(|version| !skipped.matches(version));
        assert!(before > 1 && found.len() < before, "{spec} is not there twice any more");
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "{versions:?}");
}

#[test]
fn no_dependency_takes_any_version_or_lacks_its_sentence() {
    let manifest = read("Cargo.toml");
    let mut inside = false;
    let mut above = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains(" = ") && !line.starts_with('#') {
            assert!(!line.contains('*') || line.split('#').next().is_some_and(|code| !code.contains('*')), "{line}");
            assert!(line.contains(" # ") || above.starts_with("# "), "a sentence for {line}");
        }
        above = line;
    }
}

/// The advisory `fields` of a line: id, crate, kind, patched versions, unaffected versions.
fn affects(fields: &[&str], version: &Version) -> bool {
    let safe = [fields[3], fields[4]];
    !safe.into_iter().flat_map(|list| list.split(" | ")).filter(|requirement| !requirement.is_empty()).any(
        |requirement| {
            VersionReq::parse(requirement).unwrap_or_else(|error| panic!("{fields:?}: {error}")).matches(version)
        },
    )
}

#[test]
fn no_crate_has_a_known_advisory() {
    if let Some(database) = std::env::var_os("KUMA_REPLICATOR_ADVISORIES") {
        refresh(&PathBuf::from(database));
    }
    let ignored = policy().advisories.ignore;
    let text = read("tests/advisories.tsv");
    let packages = packages();
    let mut found = BTreeSet::new();
    let mut count = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields.len(), 5, "{line}");
        count += 1;
        for package in packages.iter().filter(|package| package.name == fields[1]) {
            if affects(&fields, &package.version) {
                found.insert((fields[0].to_owned(), format!("{} {}", package.name, package.version)));
            }
        }
    }
    assert!(count > 1000, "{count}");
    for Ignored { id, reason } in ignored {
        assert!(!reason.is_empty(), "{id}");
        let before = found.len();
        found.retain(|(found, _)| *found != id);
        assert!(found.len() < before, "{id} does not apply any more");
    }
    assert!(found.is_empty(), "{found:?}");
    let old = Version::new(0, 17, 11);
    assert!(
        text.lines()
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .any(|fields| { fields.get(1) == Some(&"ring") && affects(&fields, &old) })
    );
}

/// The front matter of an advisory in the RustSec database.
#[derive(Deserialize)]
struct Entry {
    advisory: Advisory,
    versions: Versions,
}

#[derive(Deserialize)]
struct Advisory {
    id: String,
    package: String,
    informational: Option<String>,
    withdrawn: Option<String>,
}

#[derive(Deserialize)]
struct Versions {
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// Writes `tests/advisories.tsv` from a checkout of the RustSec advisory database.
fn refresh(database: &Path) {
    let git = Command::new("git").arg("-C").arg(database).args(["log", "-1", "--format=%cs"]).output().unwrap();
    let day = String::from_utf8(git.stdout).unwrap();
    let mut lines = BTreeSet::new();
    for directory in fs::read_dir(database.join("crates")).unwrap() {
        for file in fs::read_dir(directory.unwrap().path()).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let front = text.strip_prefix("```toml").unwrap().split("\n```").next().unwrap();
            let Entry { advisory, versions } = toml::from_str(front).unwrap();
            if advisory.withdrawn.is_some() {
                continue;
            }
            let kind = advisory.informational.unwrap_or_else(|| "vulnerability".to_owned());
            let list = |versions: &[String]| versions.iter().map(|one| one.trim()).collect::<Vec<_>>().join(" | ");
            let (patched, unaffected) = (list(&versions.patched), list(&versions.unaffected));
            lines.insert(format!("{}\t{}\t{kind}\t{patched}\t{unaffected}\n", advisory.id, advisory.package));
        }
    }
    let heading = format!(
        "# RustSec advisory database of {}: id, crate, kind, patched versions, unaffected versions\n",
        day.trim()
    );
    fs::write(root().join("tests/advisories.tsv"), heading + &lines.into_iter().collect::<String>()).unwrap();
}

#[test]
fn the_toolchain_is_the_oldest_that_the_manifest_allows() {
    let toolchain: toml::Table = toml::from_str(&read("rust-toolchain.toml")).unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    assert_eq!(channel, format!("{}.0", env!("CARGO_PKG_RUST_VERSION")));
}
