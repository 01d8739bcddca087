//! Rows that the database accepts and that break Uptime Kuma: with them the server never answers again, or confuses its
//! entities.
//!
//! Rules of the database are not checked here: a rehearsal on a copy finds rows that violate them.

use std::collections::HashMap;

use super::catalog;
use super::configuration::{Configuration, Table};
use super::value::Value;

/// The largest id: Uptime Kuma's JavaScript cannot tell greater numbers apart (`Number.MAX_SAFE_INTEGER`).
const MAX_ID: i64 = (1 << 53) - 1;

/// The first row in `configuration` that would break Uptime Kuma, with its table and the reason.
pub fn first_problem(configuration: &Configuration) -> Option<String> {
    configuration
        .tables
        .iter()
        .find_map(bad_id)
        .or_else(|| configuration.table(catalog::MONITOR).and_then(own_ancestor))
}

/// An entity with an id that JavaScript cannot represent exactly, or 0, which Uptime Kuma treats as no id.
fn bad_id(table: &Table) -> Option<String> {
    let at = table.identity().filter(|_| table.spec.identity() == Some(catalog::ID))?;
    let good = |value: &Value| matches!(value, Value::Integer(1..=MAX_ID));
    let bad = table.rows.iter().filter_map(|row| row.get(at)).find(|id| !good(id))?;
    let shown = bad.to_string();
    Some(format!(
        "{} row id {}: an id is a whole number from 1 to {MAX_ID}",
        table.spec.name,
        crate::text::short(&shown)
    ))
}

/// A monitor that is its own parent, directly or through others: Uptime Kuma follows the parents for ever
/// (`isParentActive` in `server/model/monitor.js`).
fn own_ancestor(monitors: &Table) -> Option<String> {
    let (id, parent) = (monitors.position(catalog::ID)?, monitors.position(catalog::PARENT)?);
    let parents: HashMap<&Value, &Value> =
        monitors.rows.iter().filter_map(|row| Some((row.get(id)?, row.get(parent)?))).collect();
    // In which walk each monitor was met, so that it is walked over once.
    let mut met: HashMap<&Value, usize> = HashMap::with_capacity(parents.len());
    for (walk, start) in monitors.rows.iter().filter_map(|row| row.get(id)).enumerate() {
        let mut at = start;
        while let Some(next) = parents.get(at).copied() {
            match met.insert(at, walk) {
                Some(other) if other == walk => {
                    return Some(format!("monitor row id {at} is its own parent, directly or through others"));
                }
                Some(other) => {
                    // An earlier walk from here on has found no cycle.
                    met.insert(at, other);
                    break;
                }
                None => at = next,
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::first_problem;
    use crate::model::catalog;
    use crate::model::configuration::{Configuration, Table};
    use crate::model::value::Value;

    fn monitors(parents: &[(Value, Value)]) -> Configuration {
        let spec = catalog::find("monitor").expect("in the catalog");
        let mut table = Table::new(spec, vec!["id".to_owned(), "parent".to_owned()]);
        table.rows = parents.iter().map(|(id, parent)| [id.clone(), parent.clone()].into_iter().collect()).collect();
        Configuration { tables: vec![table], files: Vec::new(), zone: None }
    }

    fn chain(parents: &[(i64, i64)]) -> Configuration {
        let value = |number| if number == 0 { Value::Null } else { Value::Integer(number) };
        let rows: Vec<_> = parents.iter().map(|(id, parent)| (value(*id), value(*parent))).collect();
        monitors(&rows)
    }

    #[test]
    fn a_monitor_that_is_its_own_ancestor_is_found() {
        let good: &[&[(i64, i64)]] =
            &[&[], &[(1, 0)], &[(1, 2), (2, 3), (3, 0)], &[(1, 4), (2, 4), (3, 1), (4, 0)], &[(1, 77), (2, 1)]];
        for parents in good {
            assert_eq!(first_problem(&chain(parents)), None, "{parents:?}");
        }
        let bad: &[(&[(i64, i64)], &str)] = &[
            (&[(1, 1)], "id 1 "),
            (&[(1, 0), (2, 3), (3, 2)], "id 2 "),
            (&[(1, 2), (2, 3), (3, 4), (4, 2)], "id 2 "),
            (&[(1, 0), (2, 1), (5, 9), (6, 5), (9, 5)], "id 5 "),
        ];
        for (parents, said) in bad {
            let found = first_problem(&chain(parents)).expect("a cycle");
            assert!(found.contains(said), "{parents:?}: {found}");
        }
        // As many as there may be, in one line, and with a cycle at its end.
        let mut long: Vec<(i64, i64)> = (1..50_000).map(|id| (id, id + 1)).collect();
        assert_eq!(first_problem(&chain(&long)), None);
        long.push((50_000, 49_999));
        assert!(first_problem(&chain(&long)).is_some());
    }

    #[test]
    fn an_id_that_javascript_cannot_count_with_is_found() {
        for id in [Value::Integer(1), Value::Integer((1 << 53) - 1)] {
            assert_eq!(first_problem(&monitors(&[(id, Value::Null)])), None);
        }
        let bad = [
            Value::Integer(0),
            Value::Integer(-1),
            Value::Integer(1 << 53),
            Value::Integer(i64::MIN),
            Value::Real(1.0),
            Value::text("1"),
            Value::Blob([1].into()),
            Value::Null,
        ];
        for id in bad {
            assert!(first_problem(&monitors(&[(id.clone(), Value::Null)])).is_some(), "{id}");
        }
    }
}
