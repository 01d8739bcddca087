//! Reading the files that can change where Uptime Kuma keeps its data and where it answers.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::properties::ServiceProperties;
use crate::error::{Error, Result};
use crate::host::system::{files, users};
use crate::model::limits::MAX_SETTINGS;

/// The contents of the files that the layout depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Those `EnvironmentFile=` files that exist, in order.
    pub environment: Vec<String>,
    /// `.env` in the working directory.
    pub dotenv: Option<String>,
    /// The home of the unit's user, if the working directory is `~`.
    pub home: Option<PathBuf>,
}

/// Reads the files that [`layout`](super::layout) needs, if they exist. A file that is not text counts as missing:
/// systemd and Uptime Kuma ignore it too.
///
/// # Errors
/// [`Kind::NotPermitted`](crate::error::Kind::NotPermitted) for a file that this user may not read: systemd can, and it
/// may name another database.
pub fn read_files(service: &ServiceProperties) -> Result<Files> {
    let home_of = |user: &str| users::find(if user.is_empty() { "root" } else { user }).map(|user| user.home);
    let home = service.working_directory.ends_with('~').then(|| home_of(&service.user)).flatten();
    let mut files = Files { home, ..Files::default() };
    for (pattern, _) in &service.environment_files {
        for path in matching(pattern)? {
            files.environment.extend(read(&path)?);
        }
    }
    if let Some(directory) = service.start_directory(files.home.as_deref()) {
        files.dotenv = read(&directory.join(".env"))?;
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Option<String>> {
    readable(path, files::read_small_text(path, MAX_SETTINGS))
}

/// The result of reading `path`; `None` if it cannot be read, except for want of permission.
fn readable<T>(path: &Path, read: std::io::Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let what = format!("read {}, which the unit of Uptime Kuma uses", path.display());
            let hint = "let this user read it, or set data-directory and url in [uptime-kuma]";
            Err(Error::io(what, error).with_hint(hint))
        }
        read => Ok(read.ok()),
    }
}

/// The files of an `EnvironmentFile=` pattern, sorted. Only one `*`, in the last component, is supported; as in glob(7)
/// it does not match a leading dot.
fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('*'));
    let (Some((start, end)), Some(directory)) = (name, path.parent()) else { return Ok(vec![path.to_owned()]) };
    let fits = |name: &str| {
        let rest = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        rest.is_some() && (start.starts_with('.') || !name.starts_with('.'))
    };
    let entries = readable(directory, fs::read_dir(directory))?.into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(fits)).map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}
