//! What the schema tells: whether the server migrates, and tables and columns from the future.

use kuma_replicator::host::database::Database;
use kuma_replicator::model::value::Value;

use crate::program::{digest, dump};
use crate::support::instance::{Instance, Order, Version, all_rows};
use crate::support::rows::{i, raw, t};

#[test]
fn versions_that_migrate_are_recognised() {
    let cases = [
        (Version::One, "SELECT 1", false),
        (Version::Two, "SELECT 1", false),
        (Version::Two, "UPDATE knex_migrations_lock SET is_locked=1", true),
        (Version::Two, "UPDATE setting SET value='\"migrating\"' WHERE key='migrateAggregateTableState'", true),
        (Version::Two, "UPDATE setting SET value='\"\"' WHERE key='migrateAggregateTableState'", false),
        (Version::Two, "DELETE FROM knex_migrations_lock", false),
    ];
    for (version, sql, migrating) in cases {
        let instance = Instance::rich(version, Order::Fresh);
        instance.open().execute_batch(sql).unwrap();
        assert_eq!(Database::new(instance.path()).migrating().unwrap().is_some(), migrating, "{sql}");
    }
}

#[test]
fn unknown_tables_and_columns() {
    let instance = Instance::rich(Version::Two, Order::Fresh);
    let database = Database::new(instance.path());
    assert_eq!(database.unknown_tables().unwrap(), Vec::<String>::new());
    let before = digest(&instance);
    instance.execute(
        "CREATE TABLE of_a_plugin (x); ALTER TABLE monitor ADD COLUMN \"future \"\"column\" TEXT;
         UPDATE monitor SET \"future \"\"column\"='v' WHERE id=1",
    );
    assert_eq!(database.unknown_tables().unwrap(), ["of_a_plugin"]);
    let dump = dump(&instance);
    let table = dump.configuration.table("monitor").unwrap();
    assert_eq!(table.value(&table.rows[0], "future \"column"), &t("v"), "an unknown column travels");
    assert_ne!(dump.manifest.digest, before);
    // Text that is not UTF-8 and blobs come out as they are in the database.
    let connection = instance.open();
    for row in all_rows(&connection, "monitor").iter().filter(|row| row[0] == i(15)) {
        assert!(row.contains(&raw(b"\xff\xfe\x00 no UTF-8")));
    }
    let body = table
        .rows
        .iter()
        .map(|row| table.value(row, "body"))
        .find(|body| body.as_text().is_none() && **body != Value::Null);
    assert_eq!(body, Some(&raw(b"\xff\xfe\x00 no UTF-8")));
}
