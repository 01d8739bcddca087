//! What systemd knows about the unit of Uptime Kuma.

use std::path::{Path, PathBuf};

/// The D-Bus properties of the unit that the layout depends on, under their names there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceProperties {
    /// `WorkingDirectory`, with a leading `!` if it may be missing; `~` is the home of the user.
    pub working_directory: String,
    /// `Environment`: `NAME=value`, later ones win; those of the manager come first.
    pub environment: Vec<String>,
    /// `EnvironmentFiles`: path or pattern, and whether it may be missing.
    pub environment_files: Vec<(String, bool)>,
    /// `UnsetEnvironment`: names, or `NAME=value` for exactly that value.
    pub unset_environment: Vec<String>,
    /// The words of `ExecStart`, the program first; systemd has expanded specifiers, but not variables.
    pub arguments: Vec<String>,
    /// `User`, empty for root.
    pub user: String,
    /// `StateDirectory`, relative to `/var/lib`.
    pub state_directories: Vec<String>,
}

impl ServiceProperties {
    /// The directory in which the service starts; `None` if it is a home and `home` is unknown. Without
    /// `WorkingDirectory=` a system service starts in `/`.
    pub(super) fn start_directory(&self, home: Option<&Path>) -> Option<PathBuf> {
        match self.working_directory.trim_start_matches('!') {
            "" => Some("/".into()),
            "~" => home.map(Path::to_owned),
            directory => Some(PathBuf::from(directory)).filter(|directory| directory.is_absolute()),
        }
    }
}
