//! Whether to go on: from what is newest, what this host remembers and what is configured. Each function returns a
//! decision or says why not; none of them does anything.

mod apply;
mod fencing;
mod guard;
mod newest;
mod notify;
mod operation;
mod publish;
mod retention;
mod schedule;
mod versions;

pub use apply::{
    Newest, backoff, between_restarts, between_tellings, deferred_until, newest, rejected, still_deferred,
};
pub use fencing::{epoch, fenced_since, fleet, next_epoch, of_fleet, overruled, stray, succeeded};
pub use guard::{first_contact, shrink, shrink_of};
pub use notify::{Ended, Run, is_ping_due, is_tried, notice, ping};
pub use operation::{alarm, last_success_age, on_hold};
pub use publish::{Publish, is_overdue, publish, unchanged};
pub use retention::{confirmed, forget_is_due, prune_is_due, retention};
pub use schedule::{AFTER_FAILURE, AFTER_NEWS, between_looks, is_due, turn};
pub use versions::{schema_gate, still_blocked, unwritable};
