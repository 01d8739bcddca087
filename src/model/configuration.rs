//! A configuration: the replicated rows and files of one Uptime Kuma, in canonical order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{self, Class, Major, TableSpec};
use super::value::Value;
use super::zone::Zone;

pub use super::row::Row;

/// The replicated part of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The entry of the catalog.
    pub spec: &'static TableSpec,
    /// Names of the replicated columns, sorted.
    pub columns: Vec<String>,
    /// The rows in the order of [`compare`](Self::compare).
    pub rows: Vec<Row>,
}

/// A file under `upload/` that a row refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UploadedFile {
    /// The name without a directory, checked by [`catalog::safe_upload_name`].
    pub name: String,
    /// The whole file.
    pub content: Vec<u8>,
}

/// All replicated rows and files of one Uptime Kuma.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The tables, in catalog order; those that this version of Uptime Kuma lacks are missing.
    pub tables: Vec<Table>,
    /// The files, sorted by name.
    pub files: Vec<UploadedFile>,
    /// The time zone of its Uptime Kuma, if a maintenance runs in that; only in what is published or exported.
    pub zone: Option<Zone>,
}

impl Table {
    /// An empty table with `columns` in any order.
    pub fn new(spec: &'static TableSpec, mut columns: Vec<String>) -> Self {
        columns.sort_unstable();
        Self { spec, columns, rows: Vec::new() }
    }

    /// Brings the rows into canonical order.
    pub fn sort(&mut self) {
        // Stable: what is equal stays in the order in which it was written.
        let compare = self.compare();
        self.rows.sort_by(|a, b| compare(a, b));
    }

    /// The canonical order of rows: entities by id, settings by key, links by the row that they belong to if their order
    /// [matters](TableSpec::ordered_within), else by content.
    pub fn compare(&self) -> impl Fn(&[Value], &[Value]) -> Ordering + use<> {
        let at = self.identity().or_else(|| self.position(self.spec.ordered_within?));
        move |a, b| at.map_or_else(|| a.cmp(b), |at| a.get(at).cmp(&b.get(at)))
    }

    /// This table with only `columns`, sorted; one that is missing here is NULL.
    #[must_use]
    pub fn limited_to(&self, columns: &[String]) -> Self {
        let mut limited = Self::new(self.spec, columns.to_vec());
        let places: Vec<Option<usize>> = limited.columns.iter().map(|column| self.position(column)).collect();
        let value = |row: &Row, at: Option<usize>| at.and_then(|at| row.get(at)).unwrap_or(&Value::Null).clone();
        limited.rows = self.rows.iter().map(|row| places.iter().map(|at| value(row, *at)).collect()).collect();
        limited.sort();
        limited
    }

    /// Leaves out settings that mean the same as none in this version of Uptime Kuma.
    pub fn leave_out_defaults(&mut self, major: Major) {
        if self.spec.class != Class::Setting {
            return;
        }
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| {
            let text = |column| self.value(row, column).as_text().unwrap_or_default();
            !catalog::is_default(text(catalog::KEY), text(catalog::TYPE), text("value"), major)
        });
        self.rows = rows;
    }

    /// The rows with these ids.
    pub fn rows_with<'a>(&'a self, ids: &'a BTreeSet<i64>) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(|row| self.value(row, catalog::ID).as_integer().is_some_and(|id| ids.contains(&id)))
    }

    /// Leaves out values that no person has confirmed: they have no effect.
    pub fn leave_out_unconfirmed(&mut self) {
        let Some([column, confirmed]) = self.spec.unconfirmed else { return };
        let (Some(at), Some(confirmed)) = (self.position(column), self.position(confirmed)) else { return };
        for row in &mut self.rows {
            if row.get(confirmed) == Some(&Value::Integer(0))
                && let Some(value) = row.get_mut(at)
            {
                *value = Value::Null;
            }
        }
    }

    /// The keys of the rows; none for links.
    pub fn ids(&self) -> impl Iterator<Item = &Value> {
        let at = self.identity();
        self.rows.iter().filter_map(move |row| row.get(at?))
    }

    /// The position of the key in each row; links have none.
    pub fn identity(&self) -> Option<usize> {
        self.position(self.spec.identity()?)
    }

    /// The positions of all columns that identify a row, first the key.
    pub fn identity_positions(&self) -> Vec<usize> {
        self.spec.identity_columns.iter().filter_map(|column| self.position(column)).collect()
    }

    /// The position of `column` in each row.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// The value of `column` in `row`; NULL if there is no such column.
    pub fn value<'row>(&self, row: &'row [Value], column: &str) -> &'row Value {
        self.position(column).and_then(|at| row.get(at)).unwrap_or(&Value::Null)
    }
}

impl Configuration {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.spec.name == name)
    }

    /// The table of that name, mutable.
    pub fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.spec.name == name)
    }

    /// The value of a setting of Uptime Kuma, if it has one. Settings are JSON; one that is not counts as it is (`get` in
    /// `server/settings.js`).
    pub fn setting(&self, key: &str) -> Option<String> {
        let settings = self.table(catalog::SETTING)?;
        let row = settings.rows.iter().find(|row| settings.value(row, catalog::KEY).as_text() == Some(key))?;
        let written = settings.value(row, "value").as_text()?;
        Some(serde_json::from_str(written).unwrap_or_else(|_| written.to_owned()))
    }

    /// The major version of the Uptime Kuma that it belongs to.
    pub fn major(&self) -> Major {
        Major::of(|name| self.table(name).is_some())
    }

    /// How many rows each table has; tables without rows are listed with 0.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.tables.iter().map(|table| (table.spec.name.to_owned(), table.rows.len() as u64)).collect()
    }

    /// Whether a user could log in: one is active and has a name. Without any user, Uptime Kuma lets the first visitor
    /// set up an account; without an active one, no user can log in (`login` in `server/auth.js`). A column that this
    /// schema does not have is taken as fulfilled.
    pub fn has_user(&self) -> bool {
        let Some(users) = self.table(catalog::USER) else { return false };
        let fits = |row: &Row, column: &str, good: fn(&Value) -> bool| {
            users.position(column).and_then(|at| row.get(at)).is_none_or(good)
        };
        // SQLite compares numbers of both classes by value.
        let active = |value: &Value| matches!(value, Value::Integer(1)) || *value == Value::Real(1.0);
        let named = |value: &Value| matches!(value, Value::Text(name) if !name.trim_ascii().is_empty());
        users.rows.iter().any(|row| fits(row, catalog::ACTIVE, active) && fits(row, catalog::USERNAME, named))
    }

    /// Names of the uploaded files that rows refer to, sorted, each once.
    pub fn upload_names(&self) -> Vec<String> {
        upload_names(&self.tables)
    }
}

/// Names of the uploaded files that rows of `tables` refer to, sorted, each once.
pub fn upload_names<'a>(tables: impl IntoIterator<Item = &'a Table>) -> Vec<String> {
    let mut names: Vec<String> = tables
        .into_iter()
        .filter_map(|table| Some((table, table.position(table.spec.upload?)?)))
        .flat_map(|(table, at)| table.rows.iter().filter_map(move |row| row.get(at)))
        .filter_map(|value| catalog::upload_name(value.as_text()?).map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_json() {
        for (written, expected) in
            [("\"Asia/Tokyo\"", "Asia/Tokyo"), ("Asia/Tokyo", "Asia/Tokyo"), ("\"\"", ""), ("7", "7")]
        {
            let columns = [catalog::KEY, "value"].map(str::to_owned);
            let mut table = Table::new(catalog::find(catalog::SETTING).expect("in the catalog"), columns.to_vec());
            table.rows.push(vec![Value::text("serverTimezone"), Value::text(written)].into());
            let configuration = Configuration { tables: vec![table], ..Configuration::default() };
            assert_eq!(configuration.setting("serverTimezone").as_deref(), Some(expected), "{written}");
            assert_eq!(configuration.setting("entryPage"), None);
        }
    }
}
