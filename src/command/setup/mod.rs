//! `setup`: from an installed package to a host that replicates.
//!
//! | file | what it is for |
//! |---|---|
//! | `steps` | the steps, in their order |
//! | `given` | what was given: flags, files, standard input, an invite |
//! | `person` | what is asked |
//! | `find` | the Uptime Kuma of this host |
//! | `draft` | what to write, from what was found and given: pure |
//! | `access` | trying the repository before anything is written |
//! | `reach` | what ssh needs for a repository over SFTP |
//! | `database` | the choice of SQLite for an Uptime Kuma 2.x that waits for it |

mod access;
mod database;
mod draft;
mod find;
mod given;
mod person;
mod reach;
mod steps;

pub(super) use given::{given_repository, read_environment, read_input};
pub(super) use steps::setup;
