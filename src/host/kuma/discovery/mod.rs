//! From the unit of Uptime Kuma to its data directory and its URL. Nothing here makes a request to systemd.

mod files;
mod layout;
mod likeness;
mod properties;
#[cfg(test)]
mod tests;
mod variables;
mod zone;

pub use files::{Files, read_files};
pub use layout::{Layout, layout};
pub use likeness::{Likeness, likeness};
pub use properties::ServiceProperties;
pub use zone::zone;
