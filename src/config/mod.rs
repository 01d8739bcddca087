//! The configuration file: TOML text, then the keys as written, then checked settings.
//!
//! The keys are a contract; [`EXAMPLE`] documents each of them with its default. The caller reads the
//! file: nothing here does I/O.

mod customization;
mod duration;
mod edit;
mod effective;
mod example;
mod keep;
mod local_entities;
mod names;
mod occasion;
mod options;
mod overrides;
mod place;
mod receiver;
mod replica;
mod scalar;
mod settings;
mod template;
mod written;

pub use customization::{Alerts, Customization, Exclude, MaintenanceTimezone, Strategy};
pub use edit::{value, with};
pub use effective::effective;
pub use example::EXAMPLE;
pub use keep::{Keep, Prune};
pub use local_entities::LocalEntities;
pub use names::{Location, SshTarget, UnitName, without_credentials};
pub use occasion::Occasion;
pub use overrides::Override;
pub use receiver::{Address, Receiver, ReceiverKind};
pub use replica::{LookEvery, OnDrift, Replica, Restart, SchemaPolicy};
pub use scalar::Scalar;
pub use settings::{DEFAULT_PATH, Kuma, Main, Restic, Role, Settings};
pub use written::schema;
