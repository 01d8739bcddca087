//! Promise: every fault in `docs/reliability.md` is shown by tests that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The names of all tests: functions with the attribute, and the names that lists of tests begin with.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    rust_files(&root().join("src"), &mut files);
    let mut names = BTreeSet::new();
    for text in files.iter().map(|path| fs::read_to_string(path).unwrap()) {
        let functions = text.split("#[test]\n").skip(1).filter_map(|after| after.split_once("fn "));
        names.extend(functions.filter_map(|(_, after)| Some(after.split_once('(')?.0.to_owned())));
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix('"'));
        let listed = text.split("(\"").skip(1).chain(lines);
        names.extend(listed.filter_map(|text| Some(text.split_once('"')?.0.to_owned())));
    }
    names
}

/// The rows of the tables by their first cell.
fn rows(text: &str) -> BTreeMap<String, Vec<String>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        .map(|cells| (cells[0].clone(), cells))
        .collect()
}

#[test]
fn every_fault_has_its_tests() {
    let rows = rows(&read("docs/reliability.md"));
    let tests = tests();
    assert!(tests.contains("every_fault_has_its_tests") && tests.len() > 150, "{}", tests.len());
    let invariants = ["A", "B", "C", "D"].map(str::to_owned);
    for name in (1..=81).map(|number| format!("F{number}")).chain(invariants) {
        let cells = rows.get(&name).unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(cells.len(), 4, "{name}: number, fault, what happens, tests");
        let shown: Vec<&str> = cells[3].split('`').skip(1).step_by(2).collect();
        assert!(!shown.is_empty(), "{name} names no test");
        for test in shown {
            assert!(tests.contains(test), "{name} names {test}, which is no test");
        }
    }
}
