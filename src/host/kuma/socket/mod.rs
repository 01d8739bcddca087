//! Telling a running Uptime Kuma what changed, over its own socket on loopback, as its web page does: engine.io 4 and
//! socket.io 5 in plain HTTP long-polling.
//!
//! | file | what it is for |
//! |---|---|
//! | `token` | what a session is authorised by: a signature that is valid for a minute |
//! | `orders` | the events for rows that the server is told |
//! | `polling` | packets over HTTP: bounded, drained, within a time limit |
//! | `session` | log-in, events and their acknowledgements |
//!
//! The secret of the server does not come here: the worker, which reads it, hands out tokens.

mod orders;
mod polling;
mod session;
#[cfg(test)]
mod tests;
mod token;

pub use session::{limit, probe, tell};
pub use token::{Token, Tokens, tokens};
