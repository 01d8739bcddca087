//! Uptime Kuma on this host: its database and uploaded files, its unit, where it lies, whether it answers.

pub mod database;
pub mod discovery;
pub mod health;
pub mod instance;
pub mod systemd;
pub mod uploads;
