//! Uptime Kuma's unit, through systemd on the system bus.

mod bus;
mod dependents;
mod job;
mod service;
mod stops;

pub use bus::Systemd;
