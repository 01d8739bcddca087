//! The row changes that turn the rows of this host into the wanted rows, and what they take to come into force.
//!
//! | file | what is in it |
//! |---|---|
//! | `changes` | the row changes: plain data |
//! | `uptake` | what a running server needs to take them up: nothing, to be told, or a restart |
//! | `traps` | why a server cannot be told what usually needs no restart |

mod changes;
mod traps;
mod uptake;

pub use changes::{Plan, Size, TablePlan, Update, plan};
pub use traps::traps;
pub use uptake::{Uptake, uptake, without};
