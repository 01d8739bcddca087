//! Everything outside, grouped by what it is.
//!
//! | module | what it is for |
//! |---|---|
//! | [`restic`] | the repository |
//! | [`kuma`] | Uptime Kuma: its database, its uploaded files, its unit, its answers |
//! | [`store`] | what this program keeps on the host |
//! | [`notify`] | receivers: who is told of failures and of other events |
//! | `http` | requests over HTTP, for the others |
//! | [`system`] | files, users, signals, the service manager that started this program |
//! | `outside` | [`System`], which puts them together as the host of the cycles |
//!
//! `outside` imports the other modules; `kuma`, `restic`, `notify` and `store` import `http` and `system`; nothing imports the
//! other way.

mod http;
pub mod kuma;
pub mod notify;
mod outside;
pub mod restic;
pub mod store;
pub mod system;

pub use outside::{
    AsService, Directories, SERVICE, System, booted, host_name, is_started_by_timer, keep_for_receivers, repository,
    tell_prometheus, wait_for_repository,
};
