//! Turns the main's configuration into the one that this host is to have.
//!
//! Everything that is local to a replica is decided here, before the plan is made, so that a plan never has to know why
//! a row is wanted. A table that is left alone is wanted as it is on this host.

mod customized;
mod desired;
mod entry_page;
mod exclude;
mod fit;
mod label;
mod local_entities;
mod note;
mod overrides;
mod part;
mod pause;
mod references;
mod scope;
mod settings;
mod zone;

pub use customized::overridden;
pub use desired::{Desired, Localised};
pub use entry_page::lost_entry_page;
pub use note::Note;
pub use part::{Part, only, parts};
pub use scope::managed;
pub use settings::{add_inherited, inherited};
