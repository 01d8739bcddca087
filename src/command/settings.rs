//! Reading the configuration file.

use std::path::Path;

use crate::cli::Cli;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::host::system::files;
use crate::model::limits::MAX_SETTINGS;

/// Reads and checks the configuration file.
pub(super) fn settings(cli: &Cli) -> Result<Settings> {
    let path = &cli.config;
    let text = files::read_small_text(path, MAX_SETTINGS).map_err(|error| {
        let (missing, unfit) = (error.kind() == std::io::ErrorKind::NotFound, files::is_unfit(&error));
        let what = format!("read configuration {}", path.display());
        if unfit {
            return Error::new(Kind::Config, format!("cannot {what}")).because(error);
        }
        let failed = Error::io(what, error);
        if missing { failed_configuration(path).because(failed) } else { failed }
    })?;
    Settings::parse(&text, path)
}

fn failed_configuration(path: &Path) -> Error {
    Error::new(Kind::Config, format!("there is no configuration {}", path.display()))
}
