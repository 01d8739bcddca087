//! Writes the manual pages and shell completions of the package: `cargo run --example manual -- DIRECTORY`.
//!
//! Verbs, flags and exit codes come from the program itself. `manual.roff` has the sections that it cannot know.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

mod render;

fn main() -> ExitCode {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: manual DIRECTORY");
        return ExitCode::from(2);
    };
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writing the manual into {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    for (path, content) in render::files()? {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}
