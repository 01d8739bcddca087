//! Configurations by hand: short ways to write values and tables, a manifest, and the simplest
//! way to carry out a plan, with which the real ones are compared.

use std::collections::{BTreeMap, BTreeSet};

use kuma_replicator::model::catalog;
use kuma_replicator::model::configuration::{Configuration, Row, Table};
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::dump;
use kuma_replicator::model::manifest::{Manifest, Place};
use kuma_replicator::model::schema::Schema;
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::Plan;

/// Text.
pub(crate) fn t(text: &str) -> Value {
    Value::text(text)
}

/// Text of any bytes.
pub(crate) fn raw(bytes: &[u8]) -> Value {
    Value::Text(bytes.into())
}

/// An integer.
pub(crate) fn i(number: i64) -> Value {
    Value::Integer(number)
}

/// A real.
pub(crate) fn r(number: f64) -> Value {
    Value::Real(number)
}

/// A table of the catalog with `columns`, which need no order, and `rows` in the order of these columns.
pub(crate) fn table(name: &str, columns: &[&str], rows: Vec<Vec<Value>>) -> Table {
    let spec = catalog::find(name).expect("a table of the catalog");
    let mut table = Table::new(spec, columns.iter().map(|&column| column.to_owned()).collect());
    let order: Vec<usize> =
        table.columns.iter().map(|name| columns.iter().position(|column| column == name).unwrap()).collect();
    table.rows = rows.into_iter().map(|row| order.iter().map(|&at| row[at].clone()).collect()).collect();
    table.sort();
    table
}

/// The values of one column.
pub(crate) fn column(columns: &[String], rows: &[Row], name: &str) -> BTreeSet<Value> {
    let at = columns.iter().position(|column| column == name).unwrap();
    rows.iter().map(|row| row[at].clone()).collect()
}

/// The ids in a table of `configuration`.
pub(crate) fn ids(configuration: &Configuration, table: &str) -> BTreeSet<Value> {
    configuration.table(table).map_or_else(BTreeSet::new, |table| column(&table.columns, &table.rows, "id"))
}

/// The schema that `configuration` would have come from.
pub(crate) fn schema(configuration: &Configuration, migrations: &[&str]) -> Schema {
    let columns = |table: &Table| table.columns.iter().cloned().collect::<BTreeSet<_>>();
    let tables = configuration.tables.iter().filter(|table| table.spec.in_schema());
    Schema {
        tables: tables.map(|table| (table.spec.name.to_owned(), columns(table))).collect(),
        migrations: migrations.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// A manifest that fits `configuration`.
pub(crate) fn manifest(configuration: &Configuration, place: Option<Place>) -> Manifest {
    let schema = schema(configuration, &["2025-01-01-0000-first.js"]);
    Manifest {
        format: dump::FORMAT,
        agent: "0.1.0".to_owned(),
        host: "alpha".to_owned(),
        created: "2026-01-02T03:04:05Z".parse().unwrap(),
        place,
        digest: Digest::of(&dump::body(configuration)),
        fingerprint: schema.fingerprint(),
        schema,
        counts: configuration.counts(),
        files: configuration.files.len() as u64,
    }
}

/// The digest of `configuration` without settings, of which a replica takes over only those that it lists.
pub(crate) fn digest_but_settings(configuration: &Configuration) -> Digest {
    let mut configuration = configuration.clone();
    configuration.tables.retain(|table| table.spec.name != catalog::SETTING);
    Digest::of(&dump::body(&configuration))
}

/// The whole dump of `configuration`.
pub(crate) fn dump_of(configuration: &Configuration) -> Vec<u8> {
    dump::render(&manifest(configuration, None), dump::body(configuration))
}

/// Carries out `plan` on `here` in the plainest way: entities by id, settings by key, links as a bag of contents. A change
/// of something that is not there, or an addition of something that is, panics.
pub(crate) fn carry_out(plan: &Plan, here: &Configuration) -> Configuration {
    let mut result = here.clone();
    for change in &plan.tables {
        let table = result.tables.iter_mut().find(|table| table.spec == change.spec).expect("a table that is here");
        assert_eq!(table.columns, change.columns, "columns of {}", change.spec.name);
        let Some(identity) = change.spec.identity() else {
            assert!(change.updates.is_empty(), "links have no identity to be changed in place");
            for row in &change.deletes {
                let at = table.rows.iter().position(|other| other == row).expect("a link that is here");
                table.rows.remove(at);
            }
            table.rows.extend(change.inserts.iter().cloned());
            table.sort();
            continue;
        };
        let id = table.position(identity).expect("an identity");
        let mut rows: BTreeMap<Value, Row> = table.rows.drain(..).map(|row| (row[id].clone(), row)).collect();
        for row in &change.deletes {
            assert_eq!(rows.remove(&row[id]).as_ref(), Some(row), "a removed row is shown as it is here");
        }
        for update in &change.updates {
            assert_eq!(rows.get(&update.from[id]), Some(&update.from), "a changed row is shown as it is here");
            assert_eq!(update.from[id], update.to[id], "an identity never changes");
            assert!(update.changed().next().is_some(), "a change changes something");
            rows.insert(update.to[id].clone(), update.to.clone());
        }
        for row in &change.inserts {
            assert_eq!(rows.insert(row[id].clone(), row.clone()), None, "an added row is not here yet");
        }
        table.rows = rows.into_values().collect();
        table.sort();
    }
    for file in &plan.files {
        result.files.retain(|other| other.name != file.name);
        result.files.push(file.clone());
    }
    result.files.sort();
    result
}

/// `reached` is as `wanted`, except in tables of which nothing is wanted.
pub(crate) fn assert_reached(reached: &Configuration, wanted: &Configuration) {
    let mut reached = reached.clone();
    reached.tables.retain(|table| wanted.table(table.spec.name).is_some());
    assert_eq!(&reached, wanted);
}
