//! The files under `upload/` beside the database. Only plain names directly inside it are ever touched: no
//! separators, no dot files, no links.
//!
//! The directory belongs to Uptime Kuma's user, who may exchange what is in it while root works there.
//! So it is opened once, not through a link, and everything happens relative to that descriptor.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};
use crate::host::system::users;
use crate::model::catalog;
use crate::model::configuration::UploadedFile;
use crate::model::limits::{MAX_FILE, Tally};

/// The mode of an uploaded file, as Uptime Kuma makes it.
const FILE_MODE: u32 = 0o644;

/// How temporary names begin; no upload has a name like that.
const TEMPORARY: &str = ".kuma-replicator.";

/// The upload directory of one Uptime Kuma.
#[derive(Debug, Clone)]
pub struct Uploads {
    path: PathBuf,
}

/// Files that lie ready under temporary names; dropped without being put in place, they are removed.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    path: PathBuf,
    directory: Option<File>,
    /// Temporary names and the names they are to get.
    names: Vec<(String, String)>,
}

impl Uploads {
    /// The upload directory beside `database`.
    pub fn beside(database: &Path) -> Self {
        Self { path: database.parent().unwrap_or(Path::new(".")).join("upload") }
    }

    /// Reads the files of these names; what is missing or cannot travel becomes a warning.
    ///
    /// # Errors
    /// If the directory or a file that is there cannot be read.
    pub fn read(&self, names: &[String], warnings: &mut Vec<String>) -> Result<Vec<UploadedFile>> {
        let mut found = Vec::new();
        if names.is_empty() {
            return Ok(found);
        }
        let directory = match self.open()? {
            Ok(directory) => directory,
            // A link could lead root anywhere; that is no reason to publish nothing at all.
            Err(reason) => {
                warnings.push(format!("uploaded files are left out: {reason}"));
                return Ok(found);
            }
        };
        let mut tally = Tally::default();
        for name in names.iter().filter(|name| catalog::safe_upload_name(name)) {
            let read =
                directory.as_ref().map_or(Ok(Err("it is missing".to_owned())), |directory| read(directory, name));
            let read = read.map_err(|error| Error::io(format!("read {}", self.path.join(name).display()), error))?;
            match read.and_then(|content| tally.file(content.len()).map(|()| content)) {
                Ok(content) => found.push(UploadedFile { name: name.clone(), content }),
                Err(reason) => warnings.push(format!("uploaded file {name} is left out: {reason}")),
            }
        }
        Ok(found)
    }

    /// Writes `files` under temporary names, owned like the directory, which is made if it is missing.
    ///
    /// # Errors
    /// If one cannot be written; none is left behind then.
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

    /// Removes the files that a process which was killed left under temporary names.
    ///
    /// # Errors
    /// If there is a directory in which that cannot be done; what is no directory has none of them.
    pub fn remove_leftovers(&self) -> Result<()> {
        let Ok(Some(directory)) = self.open()? else { return Ok(()) };
        remove_leftovers(&directory)
            .map_err(|error| Error::io(format!("remove unfinished files from {}", self.path.display()), error.into()))
    }

    /// Fails if the directory is there and files cannot be staged in it.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`], also for a link.
    pub fn check_writable(&self) -> Result<()> {
        let Some(directory) = self.open_for_writing()? else { return Ok(()) };
        rustix::fs::accessat(directory, ".", Access::WRITE_OK, AtFlags::empty())
            .map_err(|error| Error::io(format!("write into {}", self.path.display()), error.into()))
    }

    /// The directory, if there is one; or why what is there cannot be used.
    fn open(&self) -> Result<Result<Option<File>, String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(directory) => Ok(Ok(Some(File::from(directory)))),
            Err(Errno::NOENT) => Ok(Ok(None)),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(Err(format!("{} is a link, or no directory", self.path.display()))),
            Err(error) => Err(Error::io(format!("open directory {}", self.path.display()), error.into())),
        }
    }

    /// The directory for writing, if there is one.
    fn open_for_writing(&self) -> Result<Option<File>> {
        let hint = "make it a directory of Uptime Kuma's user";
        self.open()?.map_err(|reason| Error::new(Kind::NotPermitted, reason).with_hint(hint))
    }

    fn make(&self) -> Result<File> {
        let failed = |error: io::Error| Error::io(format!("make directory {}", self.path.display()), error);
        rustix::fs::mkdirat(CWD, &self.path, Mode::from_raw_mode(0o755)).map_err(|error| failed(error.into()))?;
        let directory = self.open_for_writing()?.ok_or_else(|| failed(Errno::NOENT.into()))?;
        let parent = self.path.parent().unwrap_or(Path::new("."));
        std::fs::metadata(parent).and_then(|parent| users::give(&directory, &parent)).map_err(failed)?;
        directory.set_permissions(Permissions::from_mode(0o755)).map_err(failed)?;
        Ok(directory)
    }
}

/// The content of a file, or why it cannot travel.
fn read(directory: &File, name: &str) -> io::Result<Result<Vec<u8>, String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Err("it is missing".to_owned())),
        Err(Errno::LOOP) => return Ok(Err("it is a symbolic link".to_owned())),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(Err("it is no regular file".to_owned()));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut content)?;
    Ok(Ok(content))
}

fn remove_leftovers(directory: &File) -> rustix::io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if entry.file_name().to_bytes().starts_with(TEMPORARY.as_bytes()) {
            rustix::fs::unlinkat(directory, entry.file_name(), AtFlags::empty())?;
        }
    }
    Ok(())
}

fn write(directory: &File, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(FILE_MODE))?);
    file.write_all(content)?;
    users::give(&file, &directory.metadata()?)?;
    // Said again: the mask of this process may have taken rights away.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.sync_all()
}

impl Staged {
    /// Gives the files their names; when this returns, that is on disk.
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
            // What cannot be removed is a hidden file that the next write replaces.
            let _ = rustix::fs::unlinkat(directory, temporary, AtFlags::empty());
        }
    }
}
