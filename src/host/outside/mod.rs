//! The real outside of the cycles: [`System`] implements the traits of [`cycle::outside`](crate::cycle::outside), one
//! file each.

mod as_service;
mod kuma;
mod metrics;
mod repository;
mod store;
mod surroundings;
mod system;

pub use as_service::{AsService, SERVICE};
pub use metrics::tell_prometheus;
pub use repository::wait_for_repository;
pub use surroundings::{booted, is_started_by_timer, keep_for_receivers};
pub use system::{Directories, System, host_name, repository};
