//! Rows that are in memory already, taken in place of equal ones that are read: the configurations that an apply compares
//! are nearly the same.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::slice::Iter;

use super::configuration::{Configuration, Row, Table};
use super::value::Value;

/// The canonical order of a table.
type Compare = dyn Fn(&[Value], &[Value]) -> Ordering;

/// The rows of a known table. They are looked for in canonical order; out of it, fewer are found.
pub struct Known<'a> {
    rows: Peekable<Iter<'a, Row>>,
    compare: Box<Compare>,
}

impl<'a> Known<'a> {
    /// Those of the table in `known` that has the same columns as `table`, if there is one.
    pub fn of(known: &'a Configuration, table: &Table) -> Self {
        let same = known.table(table.spec.name).filter(|known| known.columns == table.columns);
        let rows = same.map_or_else(Default::default, |known| known.rows.iter());
        Self { rows: rows.peekable(), compare: Box::new(table.compare()) }
    }

    /// The known row with these `values`.
    pub fn row(&mut self, values: &[Value]) -> Option<Row> {
        while self.rows.next_if(|row| (self.compare)(row, values).is_lt()).is_some() {}
        self.rows.next_if(|row| ***row == *values).cloned()
    }
}

impl Configuration {
    /// Takes the rows of `known` in place of equal ones, which frees their memory.
    pub fn share(&mut self, known: &Configuration) {
        for table in &mut self.tables {
            let mut known = Known::of(known, table);
            for row in &mut table.rows {
                if let Some(same) = known.row(row) {
                    *row = same;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use crate::model::catalog;
    use crate::model::configuration::{Configuration, Row, Table};
    use crate::model::value::Value;

    fn links(rows: &[[i64; 2]]) -> Configuration {
        let columns = ["monitor_id", "notification_id"].map(str::to_owned).to_vec();
        let mut table = Table::new(catalog::find(catalog::MONITOR_NOTIFICATION).expect("in the catalog"), columns);
        table.rows = rows.iter().map(|row| row.iter().map(|number| Value::Integer(*number)).collect()).collect();
        Configuration { tables: vec![table], ..Configuration::default() }
    }

    fn rows(configuration: &Configuration) -> impl Iterator<Item = &Row> {
        configuration.tables.iter().flat_map(|table| &table.rows)
    }

    #[test]
    fn equal_rows_are_kept_once_and_nothing_else_changes() {
        let known = links(&[[1, 1], [1, 2], [2, 1], [2, 1], [4, 1]]);
        let cases = [
            (links(&[[1, 1], [1, 2], [2, 1], [2, 1], [4, 1]]), 5),
            (links(&[[0, 9], [1, 2], [2, 1], [2, 1], [2, 1], [3, 1], [4, 1], [5, 1]]), 4),
            (links(&[]), 0),
            (links(&[[7, 7]]), 0),
        ];
        for (before, expected) in cases {
            let mut shared = before.clone();
            shared.share(&known);
            assert_eq!(shared, before);
            let is_known = |row: &&Row| rows(&known).any(|known| ptr::eq(known.as_ptr(), row.as_ptr()));
            assert_eq!(rows(&shared).filter(is_known).count(), expected, "{before:?}");
        }
        let mut changed = links(&[[1, 1]]);
        changed.share(&known);
        changed.tables[0].rows[0][1] = Value::Integer(9);
        assert_eq!(rows(&known).next(), rows(&links(&[[1, 1]])).next(), "the other configuration keeps its row");
    }
}
