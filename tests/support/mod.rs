//! What several tests share: databases like those of Uptime Kuma, random configurations, a host that
//! fails on request. Nothing here reads a clock, or needs a network or a service.

#![allow(dead_code, reason = "every test crate compiles this for itself and uses another part of it")]

pub(crate) mod arbitrary;
pub(crate) mod blocks;
pub(crate) mod fleet;
pub(crate) mod generations;
pub(crate) mod host;
pub(crate) mod instance;
pub(crate) mod rows;
