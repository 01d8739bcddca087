//! Writes the manual pages and shell completions of the package: `cargo run --example manual -- DIRECTORY`.
//!
//! Verbs, flags and exit codes come from the program itself. `manual.roff` has the sections that it cannot know.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

mod render;

fn main() -> io::Result<()> {
    let directory = env::args_os().nth(1).map(PathBuf::from);
    write(&directory.ok_or_else(|| io::Error::other("usage: manual DIRECTORY"))?)
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
