//! The configuration file: reading it, and showing what is in force.

use std::path::Path;

use crate::cli::Cli;
use crate::config::{self, DEFAULT_PATH, Settings};
use crate::error::{Error, Kind, Result};
use crate::host::system::files;
use crate::model::limits::MAX_SETTINGS;
use crate::report::say;

/// Reads and checks the configuration file.
pub(super) fn settings(cli: &Cli) -> Result<Settings> {
    Settings::parse(&read(cli)?, &cli.config)
}

/// `config`: shows the settings in force, the documented file, or the schema.
pub(super) fn show(cli: &Cli, example: bool, schema: bool) -> Result<()> {
    if example {
        return say(config::EXAMPLE);
    }
    if schema {
        return say(format!("{:#}", config::schema()));
    }
    let text = read(cli)?;
    Settings::parse(&text, &cli.config)?;
    say(format!("# {}\n{}", cli.config.display(), config::effective(&text)))
}

fn read(cli: &Cli) -> Result<String> {
    let path = &cli.config;
    files::read_small_text(path, MAX_SETTINGS).map_err(|error| {
        let (missing, unfit) = (error.kind() == std::io::ErrorKind::NotFound, files::is_unfit(&error));
        let what = format!("read configuration {}", path.display());
        if unfit {
            return Error::new(Kind::Config, format!("cannot {what}")).because(error);
        }
        let failed = Error::io(what, error);
        if missing { failed_configuration(path).because(failed) } else { failed }
    })
}

fn failed_configuration(path: &Path) -> Error {
    let what = format!("there is no configuration {}", path.display());
    if path != Path::new(DEFAULT_PATH) {
        let hint = format!("give --config a file that exists, or leave it out for {DEFAULT_PATH}");
        return Error::new(Kind::Usage, what).with_hint(hint);
    }
    let hint = "write role and repository into it; kuma-replicator config --example shows all keys";
    Error::new(Kind::Config, what).with_hint(hint)
}
