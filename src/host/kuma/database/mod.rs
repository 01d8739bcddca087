//! Uptime Kuma's SQLite database.
//!
//! | file | what it is for |
//! |---|---|
//! | `file` | opening it, claiming it, what its errors mean |
//! | `read` | reading rows and schema |
//! | `write` | writing a plan in a transaction |
//! | `live` | writing while the server runs |
//! | `history` | what hangs on the rows |

mod file;
mod history;
mod live;
mod read;
mod write;

pub use file::{Claim, Database, ROOM, rehearse};
