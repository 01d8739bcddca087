//! Uptime Kuma on this host: its database, its uploaded files, its unit and its answers.

pub mod database;
pub mod discovery;
pub mod health;
pub mod instance;
pub mod running;
pub mod socket;
pub mod systemd;
pub mod uploads;
pub mod worker;
