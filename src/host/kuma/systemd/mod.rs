//! Uptime Kuma's unit, and that of this program, through systemd on the system bus.

mod agent;
mod bus;
mod candidates;
mod dependents;
mod job;
mod service;
mod stops;
mod timer;
mod trigger;

pub use agent::UnitFiles;
pub use bus::{BOOTED, Systemd};
pub use timer::TimerState;
