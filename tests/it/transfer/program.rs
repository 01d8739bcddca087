//! The program as people run it on a database, and what is read from databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kuma_replicator::cycle::{CanonicalExport, Export};
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump::{self, Dump};
use kuma_replicator::model::value::Value;

use crate::support::instance::{Instance, Version};
use crate::support::rows::digest_but_settings;

/// A copy of one of the data directories that real servers made.
pub(crate) fn fixture(name: &str, version: Version) -> Instance {
    Instance::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name), version)
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kuma-replicator"))
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{command:?}: {text}");
    output
}

pub(crate) fn exported(instance: &Instance) -> Vec<u8> {
    let output = run(program().args(["export", "--database"]).arg(instance.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn dump(instance: &Instance) -> Dump {
    dump::parse(&exported(instance)).unwrap()
}

pub(crate) fn exported_again(dump: &Dump) -> Vec<u8> {
    dump::render(&dump.manifest, dump::body(&dump.configuration))
}

/// By the library, because many tests need many digests; `arrives_whole` proves that the program agrees.
pub(crate) fn digest(instance: &Instance) -> Digest {
    CanonicalExport::new(library_export(instance)).digest
}

/// The digest of what an import takes over.
pub(crate) fn taken(instance: &Instance) -> Digest {
    digest_but_settings(&library_export(instance).configuration)
}

pub(crate) fn library_export(instance: &Instance) -> Export {
    Database::new(instance.path()).export().unwrap()
}

/// Writes `dump` beside the databases of no instance and gives its path.
pub(crate) struct Paper(tempfile::TempDir);

impl Paper {
    pub(crate) fn with(bytes: &[u8]) -> Self {
        let paper = Self(tempfile::tempdir().unwrap());
        fs::write(paper.path(), bytes).unwrap();
        paper
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("dump.jsonl")
    }
}

pub(crate) fn import_of(dump: &Path, database: &Path) -> Command {
    let mut command = program();
    command.args(["import", "--database"]).arg(database).arg(dump);
    command
}

pub(crate) fn import(bytes: &[u8], target: &Instance) -> Output {
    run(&mut import_of(&Paper::with(bytes).path(), &target.path()))
}

pub(crate) fn import_well(bytes: &[u8], target: &Instance) {
    let output = import(bytes, target);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(target.is_sound());
}

/// Asserts exit code and what is said, and that no byte of `target` changed.
pub(crate) fn refused(output: &Output, before: &[(PathBuf, Vec<u8>)], target: &Instance, code: i32, said: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in said {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
    assert!(text.contains("error: ") && text.contains("\nhint: "), "no hint in: {text}");
    assert!(target.files() == before, "something changed although refused: {text}");
}

/// Every row of every table, to compare what was and what is.
pub(crate) fn everything(instance: &Instance, tables: &[String]) -> Vec<(String, Vec<Vec<Value>>)> {
    tables.iter().map(|table| (table.clone(), instance.rows(table))).collect()
}
