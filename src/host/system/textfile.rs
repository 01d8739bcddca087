//! A file for node_exporter's textfile collector, in a directory that another user may be able to exchange: on Debian the one
//! above it belongs to the user of Prometheus.

use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::files::PRIVATE;
use super::users;
use crate::error::{Error, Result};

/// Everybody may read it: the collector runs as another user.
const PUBLIC: u32 = 0o644;

/// Replaces the file. It belongs to the owner of the directory `state`, the user that the unit runs as. The collector sees the old one or the new one. It need not
/// outlast a power cut: the next cycle writes it again.
///
/// # Errors
/// If it cannot be written; the old one then stays.
pub fn write(path: &Path, text: &str, state: &Path) -> Result<()> {
    let written = try_write(path, text, state, true);
    written.map_err(|error| advised(path, error))
}

/// Proves that [`write`] can write the file, and leaves nothing behind.
///
/// # Errors
/// As for [`write`].
pub fn check(path: &Path, state: &Path) -> Result<()> {
    try_write(path, "", state, false).map_err(|error| advised(path, error))
}

fn try_write(path: &Path, text: &str, state: &Path, keep: bool) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL.into()) };
    let owner = std::fs::metadata(state).ok();
    let directory = open_directory(parent)?;
    // The collector reads no file whose name ends so.
    let mut temporary: OsString = name.to_owned();
    temporary.push(".new");
    match unlinkat(&directory, &temporary, AtFlags::empty()) {
        Err(error) if error != Errno::NOENT => return Err(error.into()),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(&directory, &temporary, flags, Mode::from_raw_mode(PRIVATE))?);
    let written = fill(file, text, owner.as_ref()).and_then(|()| match keep {
        true => Ok(renameat(&directory, &temporary, &directory, name)?),
        false => Ok(unlinkat(&directory, &temporary, AtFlags::empty())?),
    });
    if written.is_err() {
        // The returned error is the one that matters.
        let _ = unlinkat(&directory, &temporary, AtFlags::empty());
    }
    written
}

/// Follows no symbolic link on the way: another user may have made it, and everything behind it would be that user's choice.
/// Step by step, as systemd-nspawn has no openat2(2).
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = openat(CWD, "/", flags, Mode::empty())?;
    for name in path.components().filter(|part| *part != Component::RootDir) {
        let name = name.as_os_str();
        directory = match openat(&directory, name, flags, Mode::empty()) {
            Err(Errno::NOTDIR) => {
                let found = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
                return Err(if is_link { Errno::LOOP } else { Errno::NOTDIR }.into());
            }
            opened => opened?,
        };
    }
    Ok(directory)
}

fn fill(mut file: File, text: &str, owner: Option<&Metadata>) -> io::Result<()> {
    if let Some(owner) = owner {
        users::give(&file, owner)?;
    }
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(PUBLIC))
}

/// The failure with what to do about it.
fn advised(path: &Path, error: io::Error) -> Error {
    let directory = path.parent().unwrap_or(path).display();
    let hint = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            format!("make the directory {directory}, or install prometheus-node-exporter and use its own")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("systemctl edit kuma-replicator, and below [Service]: ReadWritePaths={directory}")
        }
        io::ErrorKind::PermissionDenied => {
            let user = users::user_name(geteuid().as_raw());
            format!("let user {user} write in {directory}: /usr/share/doc/kuma-replicator/metrics.md says how")
        }
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            let real = real(path).unwrap_or_else(|| path.to_owned());
            format!("there is a symbolic link on the way: metrics-file = \"{}\"", real.display())
        }
        _ => return Error::io(format!("write metrics-file {}", path.display()), error),
    };
    Error::io(format!("write metrics-file {}", path.display()), error).with_hint(hint)
}

/// The path without symbolic links on the way.
fn real(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}
