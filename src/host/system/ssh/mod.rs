//! ssh, as root has it, for a repository over SFTP.

mod files;
mod server;

pub use files::Ssh;
pub use server::{Attempt, HostKeys, attempt, check_installed, scan};
