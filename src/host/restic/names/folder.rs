//! Names in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::looked::Names;

/// The directory of the snapshots.
#[derive(Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(repository: &Path) -> Self {
        Self(repository.join("snapshots"))
    }

    /// Reads the directory, and opens nothing in it.
    pub(super) fn list(&self) -> Option<Names> {
        let mut names = Names::default();
        for entry in fs::read_dir(&self.0).ok()? {
            let entry = entry.ok()?;
            // restic reads regular files only. What else lies there is its affair.
            if !entry.file_type().ok()?.is_file() {
                return None;
            }
            names.add(entry.file_name().to_str()?)?;
        }
        Some(names)
    }
}
