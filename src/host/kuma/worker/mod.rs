//! The worker: a second process of this program that opens what belongs to Uptime Kuma, as the user that it belongs to,
//! without any capability. The first process never opens the database or any other file of that user.
//!
//! | file | what it is for |
//! |---|---|
//! | `protocol` | requests, replies, and the frames in which they cross the pipe |
//! | `client` | [`Worker`], the side of the first process |
//! | `workers` | which workers that process has running |
//! | `serve` | the side of the worker |
//! | `confine` | how the worker gives its rights up |
//!
//! What the worker sends is as little trusted as a snapshot: everything has a limit, a configuration is read as that of
//! a dump is, and a worker that does not keep to the protocol or to its time fails the request.

mod client;
mod confine;
mod process;
mod protocol;
mod serve;
mod workers;

pub use client::{Claimed, Worker};
pub use confine::confine;
pub use protocol::{Fault, Reply, Request, read_frame};
pub use serve::{refuse, serve};
pub use workers::Workers;
