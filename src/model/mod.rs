//! Plain values and formats. No I/O, no clock, nothing async: a test can build any of them.

pub mod catalog;
pub mod configuration;
pub mod content;
pub mod dangling;
pub mod digest;
pub mod dump;
pub mod ids;
pub mod invite;
pub mod known;
pub mod limits;
pub mod looked;
pub mod manifest;
pub mod notify;
pub mod origin;
pub mod outcome;
pub mod place;
pub mod retention;
pub mod row;
pub mod sanity;
pub mod schema;
pub mod server;
pub mod snapshot;
pub mod state;
pub mod told;
pub mod value;
pub mod zone;
