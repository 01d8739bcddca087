//! The files under `upload/` beside the database. Only plain names directly inside it are ever touched:
//! no separators, no dot files, no links.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::error::{Error, Result};
use crate::model::catalog;
use crate::model::configuration::UploadedFile;
use crate::model::dump::MAX_FILE;

use super::files;

/// The upload directory of one Uptime Kuma.
#[derive(Debug, Clone)]
pub struct Uploads {
    directory: PathBuf,
}

/// Files that lie ready under temporary names; dropped without being put in place, they are removed.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    renames: Vec<(PathBuf, PathBuf)>,
}

impl Uploads {
    /// The upload directory beside `database`.
    pub fn beside(database: &Path) -> Self {
        Self { directory: database.parent().unwrap_or(Path::new(".")).join("upload") }
    }

    /// Reads the files of these names; what is missing or cannot travel becomes a warning.
    ///
    /// # Errors
    /// If a file that is there cannot be read.
    pub fn read(&self, names: &[String], warnings: &mut Vec<String>) -> Result<Vec<UploadedFile>> {
        let mut found = Vec::new();
        for name in names.iter().filter(|name| catalog::safe_upload_name(name)) {
            match self.read_one(name)? {
                Ok(content) => found.push(UploadedFile { name: name.clone(), content }),
                Err(reason) => warnings.push(format!("uploaded file {name} is left out: {reason}")),
            }
        }
        Ok(found)
    }

    fn read_one(&self, name: &str) -> Result<Result<Vec<u8>, String>> {
        let path = self.directory.join(name);
        let what = || format!("read {}", path.display());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(Err("it is missing".to_owned())),
            Err(rustix::io::Errno::LOOP) => return Ok(Err("it is a symbolic link".to_owned())),
            Err(error) => return Err(Error::io(what(), error.into())),
        };
        if !file.metadata().map_err(|error| Error::io(what(), error))?.is_file() {
            return Ok(Err("it is no regular file".to_owned()));
        }
        let mut content = Vec::new();
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut content).map_err(|error| Error::io(what(), error))?;
        if content.len() > MAX_FILE {
            return Ok(Err(format!("it has more than {MAX_FILE} bytes")));
        }
        Ok(Ok(content))
    }

    /// Writes `files` under temporary names, owned like the directory, which is made if it is missing.
    ///
    /// # Errors
    /// If one cannot be written; none is left behind then.
    pub fn stage(&self, files: &[UploadedFile]) -> Result<Staged> {
        let mut staged = Staged { renames: Vec::new() };
        if files.is_empty() {
            return Ok(staged);
        }
        self.make_directory()?;
        for file in files.iter().filter(|file| catalog::safe_upload_name(&file.name)) {
            let temporary = self.directory.join(format!(".{}.kuma-replicator", file.name));
            staged.renames.push((temporary.clone(), self.directory.join(&file.name)));
            files::write_new(&temporary, &file.content, 0o644)?;
            own_like(&temporary, &self.directory)?;
        }
        Ok(staged)
    }

    fn make_directory(&self) -> Result<()> {
        let what = || format!("make directory {}", self.directory.display());
        match std::fs::create_dir(&self.directory) {
            Ok(()) => own_like(&self.directory, self.directory.parent().unwrap_or(Path::new("."))),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::io(what(), error)),
        }
    }
}

impl Staged {
    /// Gives the files their names.
    ///
    /// # Errors
    /// If a rename fails; the files not yet renamed are removed.
    pub fn put_in_place(mut self) -> Result<()> {
        while let Some((temporary, path)) = self.renames.pop() {
            std::fs::rename(&temporary, &path)
                .map_err(|error| Error::io(format!("write {}", path.display()), error))?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for (temporary, _) in &self.renames {
            // What cannot be removed is a hidden file that the next write replaces.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

fn own_like(path: &Path, model: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let what = || format!("set the owner of {}", path.display());
    let model = std::fs::metadata(model).map_err(|error| Error::io(what(), error))?;
    let (uid, gid) = (Uid::from_raw(model.uid()), Gid::from_raw(model.gid()));
    rustix::fs::chownat(rustix::fs::CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| Error::io(what(), error.into()))
}
