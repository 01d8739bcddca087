//! What is printed: documents with one text form and one JSON form. The JSON is a contract
//! (`docs/format.md`): every document has a `version`, which rises when a field changes its meaning.

mod changes;
mod check;
mod clock;
mod init;
mod plan;
mod print;
mod snapshots;
mod status;

pub use check::{Check, CheckDocument, Step, Verdict};
pub use clock::Clock;
pub use init::InitDocument;
pub use plan::PlanDocument;
pub use print::{VERSION, print, say, step, waiting};
pub use snapshots::SnapshotsDocument;
pub use status::StatusDocument;
