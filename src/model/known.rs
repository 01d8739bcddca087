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

    /// The next known row, if it `is_it`.
    pub fn next_if(&mut self, is_it: impl FnOnce(&Row) -> bool) -> Option<Row> {
        self.rows.next_if(|row| is_it(row)).cloned()
    }

    /// The known row with these `values`.
    pub fn row(&mut self, values: &[Value]) -> Option<Row> {
        while self.rows.next_if(|row| (self.compare)(row, values).is_lt()).is_some() {}
        self.rows.next_if(|row| ***row == *values).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::Known;
    use crate::model::catalog;
    use crate::model::configuration::{Configuration, Row, Table};
    use crate::model::value::Value;

    fn links(rows: &[[i64; 2]]) -> Configuration {
        let columns = ["monitor_id", "notification_id"].map(str::to_owned).to_vec();
        let mut table = Table::new(catalog::find(catalog::MONITOR_NOTIFICATION).expect("in the catalog"), columns);
        table.rows = rows.iter().map(|row| row.iter().map(|number| Value::Integer(*number)).collect()).collect();
        Configuration { tables: vec![table], ..Configuration::default() }
    }

    #[test]
    fn known_rows_are_found_whatever_is_missing_or_added() {
        let known = links(&[[1, 1], [1, 2], [2, 1], [2, 1], [4, 1]]);
        let cases = [
            (links(&[[1, 1], [1, 2], [2, 1], [2, 1], [4, 1]]), 5),
            (links(&[[0, 9], [1, 2], [2, 1], [2, 1], [2, 1], [3, 1], [4, 1], [5, 1]]), 4),
            (links(&[]), 0),
            (links(&[[7, 7]]), 0),
        ];
        for (read, expected) in cases {
            let mut rows = Known::of(&known, &read.tables[0]);
            let found: Vec<(&Row, Row)> =
                read.tables[0].rows.iter().filter_map(|row| Some((row, rows.row(row)?))).collect();
            assert_eq!(found.len(), expected, "{read:?}");
            for (read, found) in found {
                assert_eq!(*read, found);
                assert!(known.tables[0].rows.iter().any(|known| ptr::eq(known.as_ptr(), found.as_ptr())), "{found:?}");
            }
        }
        let other = Table::new(known.tables[0].spec, vec!["monitor_id".to_owned()]);
        assert_eq!(Known::of(&known, &other).row(&known.tables[0].rows[0]), None, "other columns");
    }

    #[test]
    fn a_row_that_is_changed_stays_as_it_is_elsewhere() {
        let known = links(&[[1, 1]]);
        let mut changed = known.clone();
        changed.tables[0].rows[0][1] = Value::Integer(9);
        assert_eq!((known, changed), (links(&[[1, 1]]), links(&[[1, 9]])));
    }
}
