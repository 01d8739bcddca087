//! From what systemd says about Uptime Kuma's unit to where its data lies and which URL it answers on.

mod layout;

pub use layout::{Files, Layout, ServiceProperties, layout, read_files};

#[cfg(test)]
mod tests;
