//! systemd over the system bus.

mod bus;
mod dependents;
mod service;

pub use bus::Systemd;
