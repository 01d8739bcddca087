//! The files under `upload/` beside the database. Only plain names directly inside it are used: no separators, no dot
//! files, no links.
//!
//! Uptime Kuma may replace anything in it at any time. So the directory is opened once, not through a link, and every
//! operation is relative to that descriptor.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};
use crate::model::catalog;
use crate::model::configuration::UploadedFile;
use crate::model::limits::{MAX_FILE, Tally};

/// The mode of an uploaded file, as Uptime Kuma makes it.
const FILE_MODE: u32 = 0o644;

/// The beginning of temporary names; no upload has such a name.
const TEMPORARY: &str = ".kuma-replicator.";

/// The upload directory of one Uptime Kuma.
#[derive(Debug, Clone)]
pub struct Uploads {
    path: PathBuf,
}

/// Files that are written under temporary names. They are removed if this is dropped before
/// [`Staged::put_in_place`].
#[derive(Debug)]
#[must_use]
pub struct Staged {
    path: PathBuf,
    directory: Option<File>,
    /// Temporary names with the final names.
    names: Vec<(String, String)>,
}

/// The upload directory on disk.
enum Directory {
    Open(File),
    Missing,
    /// Something else has its name; the text says what.
    Unusable(String),
}

/// An uploaded file on disk.
enum Upload {
    Content(Vec<u8>),
    /// It cannot be exported; the text says why.
    LeftOut(String),
}

impl Uploads {
    /// The upload directory beside `database`.
    pub fn beside(database: &Path) -> Self {
        Self { path: database.parent().unwrap_or(Path::new(".")).join("upload") }
    }

    /// Reads the files of these names. Adds a warning for each file that is missing or cannot be exported.
    ///
    /// # Errors
    /// If the directory cannot be read, or an existing file for another reason than its mode and its owner.
    pub fn read(&self, names: &[String], warnings: &mut Vec<String>) -> Result<Vec<UploadedFile>> {
        let mut found = Vec::new();
        if names.is_empty() {
            return Ok(found);
        }
        let directory = match self.open()? {
            Directory::Open(directory) => Some(directory),
            Directory::Missing => None,
            // The rest of the configuration is published all the same.
            Directory::Unusable(reason) => {
                warnings.push(format!("uploaded files are left out: {reason}"));
                return Ok(found);
            }
        };
        let mut tally = Tally::default();
        for name in names.iter().filter(|name| catalog::safe_upload_name(name)) {
            let upload = match &directory {
                Some(directory) => read(directory, name)
                    .map_err(|error| Error::io(format!("read {}", self.path.join(name).display()), error))?,
                None => missing(),
            };
            let content = match upload {
                Upload::Content(content) => tally.file(content.len()).map(|()| content),
                Upload::LeftOut(reason) => Err(reason),
            };
            match content {
                Ok(content) => found.push(UploadedFile { name: name.clone(), content }),
                Err(reason) => warnings.push(format!("uploaded file {name} is left out: {reason}")),
            }
        }
        Ok(found)
    }

    /// Writes `files` under temporary names. The directory is made if it is missing.
    ///
    /// # Errors
    /// If one cannot be written; then none of them remains.
    pub fn stage(&self, files: &[UploadedFile]) -> Result<Staged> {
        let mut staged = Staged { path: self.path.clone(), directory: None, names: Vec::new() };
        if files.is_empty() {
            return Ok(staged);
        }
        let what = |name: &str| format!("write {}", self.path.join(name).display());
        let directory = match self.open_for_writing()? {
            Some(directory) => directory,
            None => self.make()?,
        };
        let directory = &*staged.directory.insert(directory);
        remove_leftovers(directory).map_err(|error| Error::io(what(""), error.into()))?;
        for file in files.iter().filter(|file| catalog::safe_upload_name(&file.name)) {
            let temporary = format!("{TEMPORARY}{}", staged.names.len());
            staged.names.push((temporary.clone(), file.name.clone()));
            write(directory, &temporary, &file.content).map_err(|error| Error::io(what(&file.name), error))?;
        }
        Ok(staged)
    }

    /// Removes the files that a killed process left under temporary names.
    ///
    /// # Errors
    /// If one cannot be removed. A missing or unusable directory has none of them.
    pub fn remove_leftovers(&self) -> Result<()> {
        let Directory::Open(directory) = self.open()? else { return Ok(()) };
        remove_leftovers(&directory)
            .map_err(|error| Error::io(format!("remove unfinished files from {}", self.path.display()), error.into()))
    }

    /// Proves that files can be written into the directory, if it exists.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`], also for a link, and for a directory under a temporary name, which cannot be replaced.
    pub fn check_writable(&self) -> Result<()> {
        let Some(directory) = self.open_for_writing()? else { return Ok(()) };
        let failed = |error: Errno| Error::io(format!("write into {}", self.path.display()), error.into());
        rustix::fs::accessat(&directory, ".", Access::WRITE_OK, AtFlags::empty()).map_err(failed)?;
        for entry in Dir::read_from(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_temporary(&entry) && entry.file_type() == FileType::Directory {
                let path = self.path.join(&*entry.file_name().to_string_lossy());
                let what = format!("{} is a directory; unfinished files have such names", path.display());
                return Err(Error::new(Kind::NotPermitted, what).with_hint("remove it; the next cycle tries again"));
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(directory) => Ok(Directory::Open(File::from(directory))),
            Err(Errno::NOENT) => Ok(Directory::Missing),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                Ok(Directory::Unusable(format!("{} is a link or not a directory", self.path.display())))
            }
            Err(error) => Err(Error::io(format!("open directory {}", self.path.display()), error.into())),
        }
    }

    /// The directory for writing; `None` if it is missing.
    fn open_for_writing(&self) -> Result<Option<File>> {
        match self.open()? {
            Directory::Open(directory) => Ok(Some(directory)),
            Directory::Missing => Ok(None),
            Directory::Unusable(reason) => Err(Error::new(Kind::NotPermitted, reason)
                .with_hint("replace it by a directory that belongs to Uptime Kuma's user")),
        }
    }

    fn make(&self) -> Result<File> {
        let failed = |error: io::Error| Error::io(format!("make directory {}", self.path.display()), error);
        rustix::fs::mkdirat(CWD, &self.path, Mode::from_raw_mode(0o755)).map_err(|error| failed(error.into()))?;
        let directory = self.open_for_writing()?.ok_or_else(|| failed(Errno::NOENT.into()))?;
        directory.set_permissions(Permissions::from_mode(0o755)).map_err(failed)?;
        Ok(directory)
    }
}

fn read(directory: &File, name: &str) -> io::Result<Upload> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(missing()),
        Err(Errno::LOOP) => return Ok(Upload::LeftOut("it is a symbolic link".to_owned())),
        // Uptime Kuma does not show it either.
        Err(Errno::ACCESS) => return Ok(Upload::LeftOut("its mode or its owner keeps Uptime Kuma from it".to_owned())),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(Upload::LeftOut("it is not a regular file".to_owned()));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut content)?;
    Ok(Upload::Content(content))
}

fn missing() -> Upload {
    Upload::LeftOut("it is missing".to_owned())
}

fn remove_leftovers(directory: &File) -> rustix::io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if is_temporary(&entry) {
            rustix::fs::unlinkat(directory, entry.file_name(), AtFlags::empty())?;
        }
    }
    Ok(())
}

fn is_temporary(entry: &DirEntry) -> bool {
    entry.file_name().to_bytes().starts_with(TEMPORARY.as_bytes())
}

fn write(directory: &File, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(FILE_MODE))?);
    file.write_all(content)?;
    // The umask of this process may have removed bits at the creation.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.sync_all()
}

impl Staged {
    /// Gives the files their final names; when it returns, these are on disk.
    ///
    /// # Errors
    /// If a rename fails; the files not yet renamed are removed.
    pub fn put_in_place(mut self) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        while let Some((temporary, name)) = self.names.last() {
            rustix::fs::renameat(directory, temporary, directory, name)
                .map_err(|error| Error::io(format!("write {}", self.path.join(name).display()), error.into()))?;
            self.names.pop();
        }
        directory.sync_all().map_err(|error| Error::io(format!("write {}", self.path.display()), error))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let Some(directory) = &self.directory else { return };
        for (temporary, _) in &self.names {
            // The next write removes what remains.
            let _ = rustix::fs::unlinkat(directory, temporary, AtFlags::empty());
        }
    }
}
