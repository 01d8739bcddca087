//! A key for a restic repository that is cheap to derive.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes the key of a new repository with this password a cheap one, see `quick-key.js`. Needs Node.js.
pub(crate) fn make_quick(repository: &Path, password: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testbed/quick-key.js");
    let master = tempfile::NamedTempFile::new()?;
    let mut restic = Command::new("restic");
    restic.arg("--repo").arg(repository).args(["--quiet", "--no-cache", "cat", "masterkey"]);
    let mut node = Command::new("node");
    node.arg(SCRIPT).arg(repository).stdin(File::open(master.path())?);
    for (command, output) in [(&mut restic, master.reopen()?.into()), (&mut node, Stdio::null())] {
        let status = command.env("RESTIC_PASSWORD", password).stdout(output).status()?;
        if !status.success() {
            return Err(format!("{command:?}: {status}").into());
        }
    }
    Ok(())
}
