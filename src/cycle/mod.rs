//! What a cycle does, readable top to bottom: **prepare** → [`Ready`], a value that says all that would be done → **carry
//! out**. `run` does both; `plan` prepares and prints.
//!
//! A cycle does not know SQLite, restic or systemd: everything outside is behind the traits in [`outside`].
//!
//! | file | what is in it |
//! |---|---|
//! | `session` | one cycle from beginning to end |
//! | `ready` | the values between prepare and carry out |
//! | `publish` | a main: export, guard, look, publish |
//! | `obtain`, `apply` | a replica: look, fetch, verify; then localise, plan, apply |
//! | `change`, `way` | row changes, and whether they come into force with a restart |
//! | `live`, `replace` | writing while Uptime Kuma runs, and while it is stopped |
//! | `tell` | what a running server has in memory: telling it, and seeing that it took it up |
//! | `rollback`, `recover` | when an apply fails, and when one was interrupted |
//! | `drift` | whether the snapshot in force is applied again |
//! | `seen` | whether the database is as it was at the last full export |
//! | `restore`, `role`, `alerts` | what an operator orders |
//! | `tidying` | a main: forgetting old snapshots, and pruning |
//! | `inherit` | settings that a promoted host publishes without having them |
//! | `event`, `fields` | the steps that a cycle reports, and their fields in the journal |

mod alerts;
mod apply;
mod canonical;
mod change;
mod drift;
mod event;
mod fields;
mod history;
mod inherit;
mod live;
mod obtain;
pub mod outside;
mod publish;
mod ready;
mod recover;
mod replace;
mod restore;
mod role;
mod rollback;
mod seen;
mod session;
mod tell;
mod tidying;
mod verify;
mod way;

pub use alerts::AlertsSwitch;
pub use canonical::CanonicalExport;
pub use change::Change;
pub use event::{Event, Level, MESSAGE_IDS};
pub use fields::Fields;
pub(crate) use fields::journal_fields;
pub use inherit::inherited;
pub use outside::{Activity, Claim, Export, History, Host, Kuma, Repository, Store, Surroundings};
pub use ready::{Application, Cause, Publication, Ready};
pub use restore::{Restoration, Source};
pub use role::{Promotion, RoleChange};
pub use session::{Conclusion, Options, Session};
pub use tidying::Tidying;
pub use verify::{Verified, in_force, verify};
pub use way::{MAX_LIVE_ROWS, WHY_DEFERRED, Way};
