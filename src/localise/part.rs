//! Parts of a configuration that are compared and written by themselves.

use crate::config::Strategy;
use crate::model::catalog;
use crate::model::configuration::Configuration;

use super::references;

/// A part of the configuration that is compared and written by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All tables.
    Whole,
    /// All tables without notifications.
    Rest,
    /// The notifications, and which monitor uses which.
    Notifications,
    /// Which monitor uses which notification.
    Alerts,
}

/// The parts in which a strategy writes, in order.
pub fn parts(strategy: Strategy) -> &'static [Part] {
    match strategy {
        Strategy::Snapshot | Strategy::Default => &[Part::Whole],
        Strategy::NotificationsInsertMerge => &[Part::Rest, Part::Notifications],
    }
}

impl Part {
    /// `wanted` in this part, and the rows that are `here` in the others.
    #[must_use]
    pub fn of(self, wanted: Configuration, here: &Configuration) -> Configuration {
        let notifications = |table: &str| [catalog::NOTIFICATION, catalog::MONITOR_NOTIFICATION].contains(&table);
        match self {
            Self::Whole => wanted,
            Self::Rest => only(wanted, here, |table| !notifications(table)),
            Self::Notifications => only(wanted, here, notifications),
            Self::Alerts => only(wanted, here, |table| table == catalog::MONITOR_NOTIFICATION),
        }
    }
}

/// `wanted` in some tables, and the rows that are `here` in all others, as far as the rows that they refer to are
/// still there.
#[must_use]
pub fn only(wanted: Configuration, here: &Configuration, some: impl Fn(&str) -> bool) -> Configuration {
    let before = references::Parents::of(&wanted);
    let Configuration { tables, mut files, zone: _ } = wanted;
    let tables = tables.into_iter().filter_map(|table| match some(table.spec.name) {
        true => Some(table),
        false => here.table(table.spec.name).cloned(),
    });
    let tables: Vec<_> = tables.collect();
    let pages = tables.iter().filter(|table| table.spec.upload.is_some());
    if !pages.into_iter().all(|table| some(table.spec.name)) {
        files.clone_from(&here.files);
    }
    let mut mixed = Configuration { tables, files, zone: None };
    references::mend(&mut mixed, &before, here, |table| !some(table));
    mixed
}
