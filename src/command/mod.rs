//! One function per verb. They read arguments, open a session or ask the host, and give a document to `report`; none of
//! them decides anything about replication.

mod check;
mod checks;
mod dispatch;
mod findings;
mod invite;
mod notify;
mod order;
mod plan;
mod recover;
mod repository;
mod repository_checks;
mod run;
mod settings;
mod setup;
mod status;
mod transfer;
mod worker;

pub use dispatch::{explain, is_order, run};
pub use worker::worker;
