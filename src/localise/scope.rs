//! Which part of a replica's configuration comes from the main at all.

use std::collections::BTreeSet;

use crate::config::{Strategy, Values, Wishes};
use crate::model::catalog::{self, Orphan};
use crate::model::configuration::Configuration;

use super::references;

/// The tables whose rows go together with another's: those that the names stand for, without users.
pub(super) fn left_alone(wishes: &Wishes) -> BTreeSet<&'static str> {
    let mut found: BTreeSet<&str> = wishes.excluded().filter_map(catalog::find).map(|spec| spec.name).collect();
    // Children come after their parents.
    for spec in catalog::TABLES {
        if spec.references.iter().any(|it| it.orphan == Orphan::Goes && found.contains(it.parent)) {
            found.insert(spec.name);
        }
    }
    // Everything belongs to users, so there are always some with the main's ids.
    found.remove(catalog::USER);
    found
}

/// Whether log-ins are this host's own.
pub(super) fn own_users(wishes: &Wishes) -> bool {
    wishes.local_entities.user == Values::Keep || wishes.excluded().any(|table| table == catalog::USER)
}

/// What of the configuration here would be overwritten: only a change in it is an edit that matters.
pub fn managed(here: &Configuration, wishes: &Wishes) -> Configuration {
    let alone = left_alone(wishes);
    let taken = here.tables.iter().filter(|table| !alone.contains(table.spec.name));
    let mut managed = Configuration { tables: taken.cloned().collect(), files: here.files.clone() };
    for table in &mut managed.tables {
        let name = table.spec.name;
        let own =
            if name == catalog::USER { own_users(wishes) } else { wishes.local_entities.values(name) == Values::Keep };
        let own_columns: Vec<&str> = references::own_columns(table.spec, &alone).collect();
        if own {
            *table = table.limited_to(&[catalog::ID.to_owned()]);
        } else if !own_columns.is_empty() {
            let columns: Vec<String> =
                table.columns.iter().filter(|column| !own_columns.contains(&column.as_str())).cloned().collect();
            *table = table.limited_to(&columns);
        }
    }
    let files = managed.upload_names();
    managed.files.retain(|file| files.binary_search(&file.name).is_ok());
    managed
}

/// A part of the configuration that is compared and written by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// All but the notifications.
    Rest,
    /// The notifications, and which monitor tells whom.
    Notifications,
}

/// The parts in which a strategy writes, in order.
pub fn parts(strategy: Strategy) -> &'static [Part] {
    match strategy {
        Strategy::Snapshot | Strategy::Default => &[Part::Whole],
        Strategy::NotificationsInsertMerge => &[Part::Rest, Part::Notifications],
    }
}

impl Part {
    /// `wanted` in this part, and what is `here` in the others.
    #[must_use]
    pub fn of(self, wanted: &Configuration, here: &Configuration) -> Configuration {
        let notifications = |table: &str| [catalog::NOTIFICATION, catalog::MONITOR_NOTIFICATION].contains(&table);
        match self {
            Self::Whole => wanted.clone(),
            Self::Rest => only(wanted, here, |table| !notifications(table)),
            Self::Notifications => only(wanted, here, notifications),
        }
    }
}

/// `wanted` in some tables, and what is `here` in all others, as far as it still refers to something.
#[must_use]
pub fn only(wanted: &Configuration, here: &Configuration, some: impl Fn(&str) -> bool) -> Configuration {
    let source = |table: &str| if some(table) { wanted } else { here };
    let tables = wanted.tables.iter().filter_map(|table| source(table.spec.name).table(table.spec.name));
    let mut mixed = Configuration { tables: tables.cloned().collect(), files: wanted.files.clone() };
    references::mend(&mut mixed, wanted, here, |table| !some(table));
    let pages = mixed.tables.iter().filter(|table| table.spec.upload.is_some());
    if !pages.into_iter().all(|table| some(table.spec.name)) {
        mixed.files.clone_from(&here.files);
    }
    mixed
}
