//! The repository, through the restic program.
//!
//! | file | what it is for |
//! |---|---|
//! | `repository` | what can be done with the repository |
//! | `removal` | forgetting snapshots, and pruning |
//! | `passed` | what a person types for restic |
//! | `locks` | proving with a lock that this host may write, removing stale locks |
//! | `run` | one run of restic: its command, and whether it succeeded |
//! | `process` | the process: starting it, reading its outputs, ending it |
//! | `credentials`, `secrets` | its environment, and keeping secrets out of messages |
//! | `messages`, `failure` | what it writes on standard error, and what that means |
//! | `answers` | what it answers in JSON |
//! | `cache` | its cache |
//! | `names` | which snapshots it has, without restic |

pub mod answers;
mod cache;
mod credentials;
mod failure;
mod locks;
mod messages;
mod names;
mod passed;
mod process;
mod removal;
mod repository;
mod run;
mod secrets;

pub use credentials::{ETC, PASSWORD_VARIABLES};
pub use removal::PRUNE_TIMEOUT;
pub use repository::{Published, Restic};
