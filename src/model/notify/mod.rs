//! Messages for receivers, and what is remembered of them from run to run.

mod memory;
mod notice;

pub use memory::{Memory, Ping, Pinged, Remembered, Trouble};
pub use notice::{Notice, Weight};
