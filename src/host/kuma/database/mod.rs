//! Uptime Kuma's SQLite database. No file here knows why rows are read or written. Each imports only files above it:
//!
//! | file | what it is for |
//! |---|---|
//! | `sql` | SQL by name, values, what SQLite's errors mean |
//! | `file` | opening the database |
//! | `schema` | columns, migrations, unknown tables |
//! | `read` | reading rows |
//! | `export` | the whole configuration in the live database, and what identifies it |
//! | `history` | rows outside the configuration that refer to it |
//! | `write` | writing a plan in an open transaction |
//! | `checks` | whether the database is intact and can be written |
//! | `holders` | which processes have the database open |
//! | `server` | which monitors a running server has begun, and whose orders it takes |
//! | `claim`, `live`, `rehearsal` | the three ways to write: stopped, running, in memory |

mod checks;
mod claim;
mod export;
mod file;
mod history;
mod holders;
mod live;
mod read;
mod rehearsal;
mod schema;
mod server;
mod sql;
mod write;

pub use checks::ROOM;
pub use claim::Claim;
pub use file::Database;
pub use rehearsal::rehearse;
pub use server::{Credentials, Progress};
