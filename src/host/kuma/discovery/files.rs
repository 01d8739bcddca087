//! Reading the files that can change where Uptime Kuma keeps its data and where it answers.

use std::path::{Path, PathBuf};

use super::properties::ServiceProperties;
use crate::error::Result;
use crate::host::kuma::worker::Workers;
use crate::host::system::users;

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
/// [`Kind::NotPermitted`](crate::error::Kind::NotPermitted) for a file that its own user may not read: systemd can, and
/// it may name another database.
pub async fn read_files(service: &ServiceProperties, workers: &mut Workers) -> Result<Files> {
    let home_of = |user: &str| users::find(if user.is_empty() { "root" } else { user }).map(|user| user.home);
    let home = service.working_directory.ends_with('~').then(|| home_of(&service.user)).flatten();
    let mut files = Files { home, ..Files::default() };
    for (pattern, _) in &service.environment_files {
        files.environment.extend(workers.read_all(Path::new(pattern)).await?);
    }
    if let Some(directory) = service.start_directory(files.home.as_deref()) {
        files.dotenv = workers.read(&directory.join(".env")).await?;
    }
    Ok(files)
}
