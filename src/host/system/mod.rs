//! The operating system around this program: files, users, environment files, signals, terminals, the service manager
//! that started it.

pub mod environment;
pub mod files;
pub mod interrupt;
pub mod notify;
pub mod owner;
pub mod permissions;
pub mod process;
pub mod prompt;
pub mod random;
pub mod scratch;
pub mod ssh;
pub mod textfile;
pub mod unit;
pub mod users;
pub mod zone;
