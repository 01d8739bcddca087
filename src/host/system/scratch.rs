//! A private place for secrets that are only tried: it is in memory, and gone with the value.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::files;
use crate::error::{Error, Result};

/// A directory that only this user can enter.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below `/run`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        let directory = PathBuf::from(format!("/run/kuma-replicator-setup-{}", std::process::id()));
        // Left by a process with the same id that was killed.
        let _ = fs::remove_dir_all(&directory);
        let made = DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| Error::io(format!("make {}", directory.display()), error))?;
        Ok(Self(directory))
    }

    /// Writes a file of this name, and returns its path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        files::replace(&path, text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is in memory, and gone with the next boot at the latest.
        let _ = fs::remove_dir_all(&self.0);
    }
}
