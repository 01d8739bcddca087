//! Receivers: sending them what they are told, within a limit of time. What to tell is decided elsewhere.
//!
//! | file | what it is for |
//! |---|---|
//! | `occasion` | an event of a cycle as a message |
//! | `address` | where a receiver is, and its token |
//! | `request` | the request that it understands, and whether its answer is one |
//! | `send` | one request |
//! | `deliver` | all receivers at the same time |

mod address;
mod deliver;
mod occasion;
mod request;
mod send;

pub use address::{Place, find};
pub use deliver::{Delivery, LIMIT, Parcel, Start, deliver, no_answer};
pub use occasion::occasion;
pub use request::Sender;
