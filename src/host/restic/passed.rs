//! restic as a person types it: the same program, repository, credentials and user as in a cycle.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use rustix::fs::Mode;

use super::repository::Restic;
use crate::error::Result;

impl Restic {
    /// Replaces this process by a restic with these arguments, which keeps the terminal. Returns only if that fails.
    ///
    /// # Errors
    /// [`Kind::ResticMissing`](crate::error::Kind::ResticMissing).
    pub fn become_restic(&self, arguments: &[OsString]) -> Result<Infallible> {
        // As in the unit: nobody else may read what it leaves in the cache.
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
        let error = self.command().args(arguments).exec();
        Err(self.not_run("cannot pass a command to restic", error))
    }
}
