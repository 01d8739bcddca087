//! Reading and writing small files: reads with a limit, which no pipe or device can block, and atomic private writes.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::users;
use crate::error::{Error, Kind, Result};

/// The mode of a private file.
pub(in crate::host) const PRIVATE: u32 = 0o600;

/// The content of a regular file of at most `limit` bytes. It does not wait for a pipe or read from a device.
///
/// # Errors
/// If it cannot be read, is not a regular file or is too large; see [`is_unfit`].
pub fn read_small(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    read(OpenOptions::new().read(true).custom_flags(flags(OFlags::NONBLOCK)).open(path)?, limit)
}

/// The content of a file that this program has written, as [`read_small`] reads it. The directory may belong to another
/// user: a symbolic link, and a file that belongs neither to the owner of the directory nor to root, are refused.
///
/// # Errors
/// As for [`read_small`].
pub(in crate::host) fn read_own(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    read(open_own(path, OpenOptions::new().read(true))?, limit)
}

/// Opens a file that this program has written, as [`read_own`] does.
pub(in crate::host) fn open_own(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    let unfit = |reason: String| std::io::Error::new(ErrorKind::InvalidData, reason);
    let file = options.custom_flags(flags(OFlags::NONBLOCK | OFlags::NOFOLLOW)).open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_link { unfit("it is a symbolic link".to_owned()) } else { error }
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(unfit("it is not a regular file".to_owned()));
    }
    let (owner, directory) = (found.uid(), std::fs::metadata(path.parent().unwrap_or(Path::new(".")))?.uid());
    if owner != directory && owner != 0 {
        return Err(unfit(format!("it belongs to user {}", users::user_name(owner))));
    }
    Ok(file)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn read(file: File, limit: usize) -> std::io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(std::io::Error::new(ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// The text of a file that [`read_small`] reads.
///
/// # Errors
/// As for [`read_small`], and if it is not UTF-8; see [`is_unfit`].
pub fn read_small_text(path: &Path, limit: usize) -> std::io::Result<String> {
    String::from_utf8(read_small(path, limit)?)
        .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// The text of a file as [`read_small_text`] reads it; `None` if there is none.
///
/// # Errors
/// If it cannot be read.
pub fn find_text(path: &Path, limit: usize) -> Result<Option<String>> {
    match read_small_text(path, limit) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("read {}", path.display()), error)),
    }
}

/// Whether what is there cannot be used: it is not a regular file, too large, or not text.
pub fn is_unfit(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::InvalidData
}

/// Proves that the file system of `directory` has `bytes` of free space for users other than root.
///
/// # Errors
/// [`Kind::DiskFull`] if it has less; else if the free space cannot be read.
pub fn check_room(directory: &Path, bytes: u64) -> Result<()> {
    let what = || format!("read the free space of {}", directory.display());
    let found = rustix::fs::statvfs(directory).map_err(|error| Error::io(what(), error.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some file systems do not count their blocks.
    if found.f_blocks == 0 || free >= bytes {
        return Ok(());
    }
    let what = format!("{} has room for {free} bytes, and {bytes} may be needed", directory.display());
    Err(Error::new(Kind::DiskFull, what))
}

/// Makes `directory` and its parents, private to their owner, unless they exist.
///
/// # Errors
/// If one cannot be made.
pub fn make_private_directory(directory: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| Error::io(format!("make directory {}", directory.display()), error))
}

/// Replaces the content of an existing file, which keeps its owner and mode. Follows links.
///
/// # Errors
/// If it is missing or cannot be written; the old file then stays.
pub fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("write {}", path.display());
    let path = path.canonicalize().map_err(|error| Error::io(what(), error))?;
    let old = std::fs::metadata(&path).map_err(|error| Error::io(what(), error))?;
    replace_as(&path, bytes, |file| {
        std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))?;
        file.set_permissions(old.permissions())
    })
}

/// Replaces a private file atomically: even after a power cut it is either the old or the new one.
///
/// # Errors
/// If it cannot be written; the old file then stays.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_as(path, bytes, |_| Ok(()))
}

/// As [`replace`], with a file that others can read.
///
/// # Errors
/// As for [`replace`].
pub fn replace_public(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_as(path, bytes, |file| file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)))
}

/// As [`replace`]; calls `prepare` on the new file before it gets the name of the old one.
pub(in crate::host) fn replace_as(
    path: &Path,
    bytes: &[u8],
    prepare: impl FnOnce(&File) -> std::io::Result<()>,
) -> Result<()> {
    let what = || format!("write {}", path.display());
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    write_new(&temporary, bytes, prepare)?;
    std::fs::rename(&temporary, path).map_err(|error| Error::io(what(), error))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| Error::io(what(), error))
}

/// Writes a new file in place of any file of that name, calls `prepare` on it, and waits until it is on disk.
///
/// # Errors
/// If it cannot be written; then it is removed.
fn write_new(path: &Path, bytes: &[u8], prepare: impl FnOnce(&File) -> std::io::Result<()>) -> Result<()> {
    let write = move || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
        prepare(&file).and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all()).inspect_err(|_| {
            // The returned error is the one that matters.
            let _ = std::fs::remove_file(path);
        })
    };
    write().map_err(|error| Error::io(format!("write {}", path.display()), error))
}
