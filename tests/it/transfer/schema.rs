//! What the schema shows: whether the server migrates, tables and columns from the future, and which of two hosts is
//! behind.

use kuma_replicator::config::SchemaPolicy;
use kuma_replicator::decide::schema_gate;
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::model::schema::Schema;
use kuma_replicator::model::value::Value;

use super::program::{digest, dump, fixture, library_export};
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

/// Schemas of real servers, and of those between them, made by taking migrations back.
#[test]
fn the_host_that_is_behind_is_reported_with_both_versions() {
    let schema = |name: &str, version, statements: &str| -> Schema {
        let instance = fixture(name, version);
        instance.execute(statements);
        library_export(&instance).schema
    };
    let two = |statements: &str| schema("kuma-2.5.3", Version::Two, statements);
    let back = "DELETE FROM knex_migrations WHERE name LIKE '2026-03-27-%' OR name >= '2026-0";
    let columns = "ALTER TABLE monitor DROP COLUMN ntp_stratum_threshold";
    let v1 = schema("kuma-1.23", Version::One, "");
    // In 2.1 a column got another name, and one is gone.
    let v20 = two(&format!(
        "DELETE FROM knex_migrations WHERE name >= '2025-12'; {columns};
         ALTER TABLE status_page RENAME COLUMN analytics_id TO google_analytics_tag_id"
    ));
    let v24 = two(&format!("{back}6'; {columns}"));
    let v25 = two("");
    let future = two("INSERT INTO knex_migrations (name) VALUES ('2027-01-01-0000-next.js')");
    let own = two(&format!("ALTER TABLE tag ADD COLUMN mine; {back}6'; {columns}"));
    let edited = two("ALTER TABLE tag DROP COLUMN color; ALTER TABLE tag ADD COLUMN colour");

    let (newer, older) = ("the main runs a newer Uptime Kuma (", "this replica runs a newer Uptime Kuma (");
    let apart = "main and replica run different versions of Uptime Kuma (";
    let cases: &[(&Schema, &Schema, &str, &[&str])] = &[
        (&v1, &v25, newer, &["the main has the schema of 2.5.1 or newer, this host that of 1.x; this host lacks "]),
        (&v25, &v1, older, &["the main has the schema of 1.x, this host that of 2.5.1 or newer; the main lacks "]),
        (&v1, &v20, newer, &["the main has the schema of 2.0, this host that of 1.x"]),
        (&v20, &v25, newer, &["of 2.5.1 or newer, this host that of 2.0", "column monitor.ntp_stratum_threshold"]),
        (&v25, &v20, older, &["the main has the schema of 2.0", "upgrade Uptime Kuma on the main"]),
        (&v24, &v25, newer, &["this host that of 2.4", "lacks column monitor.ntp_stratum_threshold, migration 2026-0"]),
        (&v25, &v24, older, &["the main has the schema of 2.4"]),
        // Of an unknown version only the difference is reported.
        (&v25, &future, newer, &["(this host lacks migration 2027-01-01-0000-next.js); upgrade"]),
        // A column that an administrator added does not hide which host is behind.
        (&own, &v25, newer, &["this host that of 2.4"]),
        (&v25, &edited, apart, &["(the main has column tag.colour, this host has column tag.color); bring both"]),
    ];
    for (here, main, begin, parts) in cases {
        let said = schema_gate(here, main, SchemaPolicy::Exact).unwrap();
        assert!(said.starts_with(begin) && parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
    }
    // Only rows that fit as they are go into a newer one.
    let takes = |here: &Schema, main: &Schema| schema_gate(here, main, SchemaPolicy::Superset);
    assert_eq!((takes(&v25, &v24), takes(&future, &v25)), (None, None));
    for main in [&v1, &v20] {
        let said = takes(&v25, main).unwrap();
        let lost = "and has column status_page.google_analytics_tag_id";
        assert!(said.starts_with(older) && said.contains(lost) && said.contains("which this host lacks"), "{said}");
    }
    assert!(takes(&v24, &v25).is_some() && takes(&edited, &v25).is_some());
}
