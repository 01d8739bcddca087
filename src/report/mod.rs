//! What is printed: documents with one text form and one JSON form. The JSON is a contract
//! (`docs/format.md`): every document has a `version`, which rises when a field changes its meaning.

mod changes;
mod check;
mod clock;
mod failure;
mod forget;
mod init;
mod plan;
mod print;
mod retention;
mod run;
mod snapshots;
mod status;

pub use check::{Check, CheckDocument, Step, Verdict};
pub use clock::Clock;
pub use failure::FailureDocument;
pub use forget::ForgetDocument;
pub use init::InitDocument;
pub use plan::PlanDocument;
pub use print::{Shaped, VERSION, has_printed, print, print_json, say, show, shown, step};
pub use run::RunDocument;
pub use snapshots::SnapshotsDocument;
pub use status::StatusDocument;
