//! What the catalog knows of a table.

use super::names::ID;
use super::settings;

/// How the rows of a table are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Rows with an id that other rows and clients of Uptime Kuma refer to.
    Entity,
    /// Entities that must exist on every host, while a replica may have its own values in them.
    LocalEntity,
    /// Rows that only join others. Uptime Kuma re-creates them with new ids at every save, so the content of a row is
    /// its identity.
    Link,
    /// Rows with a key, of which only some are replicated: [`SETTINGS`](super::SETTINGS).
    Setting,
}

/// A replicated table.
///
/// Columns are discovered in the database at hand, so that a column of a later version is replicated like the rest.
/// Columns are listed here only where something is known of them.
#[derive(Debug)]
pub struct TableSpec {
    /// The name in the database.
    pub name: &'static str,
    /// How the rows are replicated.
    pub class: Class,
    /// Columns that identify a row: first the key, by which rows are matched; two rows with the same key and different
    /// values in another of these columns are different rows. Links have none.
    pub identity_columns: &'static [&'static str],
    /// For links whose order people see: the column with the row that they belong to. Its links are in the order in which
    /// they were written.
    pub ordered_within: Option<&'static str>,
    /// Columns that name a row for people, beside its key.
    pub title: &'static [&'static str],
    /// The key in `[replica.local-entities]` with which a replica keeps its own values, if it may.
    pub local_key: Option<&'static str>,
    /// Columns that a running Uptime Kuma rewrites: they are neither dumped nor written.
    pub runtime: &'static [&'static str],
    /// A column that Uptime Kuma writes before a person confirms the value, and the column that is 0 until then.
    pub unconfirmed: Option<[&'static str; 2]>,
    /// Columns whose values may be shown to people; every other value is masked.
    pub shown: &'static [&'static str],
    /// The column that may refer to an uploaded file as `/upload/NAME`.
    pub upload: Option<&'static str>,
    /// Columns with the id of a row of a replicated table, whether the schema declares a foreign key or not.
    pub references: &'static [Reference],
    /// What a running server needs to take up a row that is added or removed, or a column that changes. For settings,
    /// [`SETTINGS`](super::SETTINGS) has this by key.
    pub grade: Grade,
    /// The columns that need something else.
    pub column_grades: &'static [(&'static str, Grade)],
    /// Whether public status pages show the rows. Uptime Kuma caches such a page for up to five minutes
    /// (`server/routers/status-page-router.js`).
    pub on_pages: bool,
}

/// What a running server needs to take up a change, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing: it reads the row each time it needs it.
    Read,
    /// It has the row in memory, and is told to read it again.
    Told,
    /// It has to be restarted.
    Restart,
}

/// A column that refers to a row of another table by its id.
#[derive(Debug)]
pub struct Reference {
    /// The column.
    pub column: &'static str,
    /// The table it refers to.
    pub parent: &'static str,
    /// What Uptime Kuma does with a row when the row that it refers to is deleted.
    pub on_delete: OnDelete,
}

/// What Uptime Kuma does with a row when the row that it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// `ON DELETE CASCADE`: the row is deleted as well.
    Cascade,
    /// `ON DELETE SET NULL`: the row stays and refers to nothing.
    SetNull,
}

/// The catalog names each table once, so the name identifies an entry.
impl PartialEq for TableSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TableSpec {}

impl TableSpec {
    /// The key: the column by which rows are matched. Links have none.
    pub fn identity(&self) -> Option<&'static str> {
        self.identity_columns.first().copied()
    }

    /// What a running server needs to take up another value of `column`.
    pub fn grade_of(&self, column: &str) -> Grade {
        self.column_grades.iter().find(|(name, _)| *name == column).map_or(self.grade, |(_, grade)| *grade)
    }

    /// Whether the values of `column` are replicated.
    pub fn travels(&self, column: &str) -> bool {
        match self.class {
            Class::Entity | Class::LocalEntity => !self.runtime.contains(&column),
            Class::Link => column != ID && !self.runtime.contains(&column),
            Class::Setting => settings::COLUMNS.contains(&column),
        }
    }

    /// Whether the table is part of the schema that main and replica must share. Settings are not: the columns that
    /// are replicated are the same in all versions.
    pub fn in_schema(&self) -> bool {
        self.class != Class::Setting
    }
}
