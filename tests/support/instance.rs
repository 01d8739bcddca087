//! SQLite databases like those that Uptime Kuma 1.23 and 2.5 make: the same tables, constraints, foreign
//! keys and oddities, in DDL of our own. `sqlite_master` of a real one reads differently; what matters for
//! replication is the same.

use std::fs;
use std::path::{Path, PathBuf};

use kuma_replicator::model::value::Value;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;

use super::rows::{i, r, raw, t};

/// Which Uptime Kuma a database looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 1.23: patch files, fewer columns.
    One,
    /// 2.5: knex migrations.
    Two,
}

/// The order of the columns of each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As a fresh installation has them.
    Fresh,
    /// As after upgrades that added them in another order: the id is not even first.
    Upgraded,
    /// As fresh, but without constraints, so that its rows can break those of others.
    Lawless,
}

/// The tables. A line is a column, or with `:` a constraint; `+` marks what only 2.x has, `-` what only 1.x.
const TABLES: &[(&str, &str)] = &[
    (
        "user",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         username VARCHAR(255) NOT NULL UNIQUE
         password VARCHAR(255)
         active BOOLEAN NOT NULL DEFAULT 1
         timezone VARCHAR(150)
         twofa_secret VARCHAR(64)
         twofa_status BOOLEAN NOT NULL DEFAULT 0
         twofa_last_token VARCHAR(6)",
    ),
    (
        "api_key",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         key VARCHAR(255) NOT NULL
         name VARCHAR(255) NOT NULL
         user_id INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE ON UPDATE CASCADE
         created_date DATETIME NOT NULL DEFAULT (DATETIME('now'))
         active BOOLEAN NOT NULL DEFAULT 1
         expires DATETIME",
    ),
    (
        "proxy",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         user_id INTEGER NOT NULL
         protocol VARCHAR(10) NOT NULL
         host VARCHAR(255) NOT NULL
         port INTEGER
         auth BOOLEAN NOT NULL
         username VARCHAR(255)
         password VARCHAR(255)
         active BOOLEAN NOT NULL DEFAULT 1
         default BOOLEAN NOT NULL DEFAULT 0
         created_date DATETIME NOT NULL DEFAULT (DATETIME('now'))",
    ),
    (
        "docker_host",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         user_id INTEGER NOT NULL
         docker_daemon VARCHAR(255)
         docker_type VARCHAR(255)
         name VARCHAR(255)",
    ),
    (
        "+remote_browser",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         name VARCHAR(255) NOT NULL
         url VARCHAR(255) NOT NULL
         user_id INTEGER",
    ),
    (
        "tag",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         name VARCHAR(255) NOT NULL
         color VARCHAR(255) NOT NULL
         created_date DATETIME NOT NULL DEFAULT (DATETIME('now'))",
    ),
    (
        "notification",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         name VARCHAR(255)
         active BOOLEAN NOT NULL DEFAULT 1
         user_id INTEGER NOT NULL
         is_default BOOLEAN NOT NULL DEFAULT 0
         config TEXT",
    ),
    (
        "status_page",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         slug VARCHAR(255) NOT NULL UNIQUE
         title VARCHAR(255) NOT NULL
         description TEXT
         icon VARCHAR(255) NOT NULL
         theme VARCHAR(30) NOT NULL
         published BOOLEAN NOT NULL DEFAULT 1
         show_tags BOOLEAN NOT NULL DEFAULT 0
         password VARCHAR
         created_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
         modified_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
         footer_text TEXT
         custom_css TEXT
         -google_analytics_tag_id VARCHAR
         +analytics_id VARCHAR
         +auto_refresh_interval INTEGER DEFAULT 300",
    ),
    (
        "group",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         name VARCHAR(255) NOT NULL
         created_date DATETIME NOT NULL DEFAULT (DATETIME('now'))
         public BOOLEAN NOT NULL DEFAULT 0
         active BOOLEAN NOT NULL DEFAULT 1
         weight BOOLEAN NOT NULL DEFAULT 1000
         status_page_id INTEGER",
    ),
    (
        "monitor",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         name VARCHAR(150)
         active BOOLEAN NOT NULL DEFAULT 1
         user_id INTEGER REFERENCES user ON DELETE SET NULL ON UPDATE CASCADE
         interval INTEGER NOT NULL DEFAULT 20
         url TEXT
         type VARCHAR(20)
         weight INTEGER DEFAULT 2000
         hostname VARCHAR(255)
         port INTEGER
         created_date DATETIME NOT NULL DEFAULT (DATETIME('now'))
         keyword VARCHAR(255)
         maxretries INTEGER NOT NULL DEFAULT 0
         ignore_tls BOOLEAN NOT NULL DEFAULT 0
         accepted_statuscodes_json TEXT NOT NULL DEFAULT '[\"200-299\"]'
         dns_last_result VARCHAR(255)
         push_token VARCHAR(32)
         method TEXT NOT NULL DEFAULT 'GET'
         body TEXT
         headers TEXT
         docker_host INTEGER REFERENCES docker_host(id)
         proxy_id INTEGER REFERENCES proxy(id)
         expiry_notification BOOLEAN DEFAULT 1
         description TEXT
         parent INTEGER REFERENCES monitor(id) ON DELETE SET NULL ON UPDATE CASCADE
         expected_value VARCHAR(255)
         timeout DOUBLE NOT NULL DEFAULT 0
         kafka_producer_brokers TEXT
         +remote_browser INTEGER REFERENCES remote_browser(id)
         +snmp_version TEXT DEFAULT '2c' CHECK (snmp_version IN ('1', '2c', '3'))
         +conditions TEXT NOT NULL DEFAULT '[]'
         +rabbitmq_nodes TEXT",
    ),
    (
        "monitor_notification",
        "id INTEGER PRIMARY KEY NOT NULL
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         notification_id INTEGER NOT NULL REFERENCES notification(id) ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "monitor_tag",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         tag_id INTEGER NOT NULL REFERENCES tag(id) ON DELETE CASCADE ON UPDATE CASCADE
         value TEXT",
    ),
    (
        "monitor_group",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         group_id INTEGER NOT NULL REFERENCES \"group\"(id) ON DELETE CASCADE ON UPDATE CASCADE
         weight BOOLEAN NOT NULL DEFAULT 1000
         send_url BOOLEAN NOT NULL DEFAULT 0
         +custom_url TEXT",
    ),
    (
        "maintenance",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         title VARCHAR(150) NOT NULL
         description TEXT NOT NULL
         user_id INTEGER REFERENCES user(id) ON DELETE SET NULL ON UPDATE CASCADE
         active BOOLEAN NOT NULL DEFAULT 1
         strategy VARCHAR(50) NOT NULL DEFAULT 'single'
         start_date DATETIME
         end_date DATETIME
         start_time TIME
         end_time TIME
         weekdays VARCHAR2(250) DEFAULT '[]'
         cron TEXT
         timezone VARCHAR(255)
         duration INTEGER
         +last_start_date DATETIME",
    ),
    (
        "monitor_maintenance",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         maintenance_id INTEGER NOT NULL REFERENCES maintenance(id) ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "maintenance_status_page",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         status_page_id INTEGER NOT NULL REFERENCES status_page(id) ON DELETE CASCADE ON UPDATE CASCADE
         maintenance_id INTEGER NOT NULL REFERENCES maintenance(id) ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "status_page_cname",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         status_page_id INTEGER NOT NULL REFERENCES status_page(id) ON DELETE CASCADE ON UPDATE CASCADE
         domain VARCHAR NOT NULL UNIQUE",
    ),
    (
        "incident",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         title VARCHAR(255) NOT NULL
         content TEXT NOT NULL
         style VARCHAR(30) NOT NULL DEFAULT 'warning'
         created_date DATETIME NOT NULL DEFAULT (DATETIME('now'))
         last_updated_date DATETIME
         pin BOOLEAN NOT NULL DEFAULT 1
         active BOOLEAN NOT NULL DEFAULT 1
         status_page_id INTEGER",
    ),
    (
        "setting",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         key VARCHAR(200) NOT NULL UNIQUE
         value TEXT
         type VARCHAR(20)",
    ),
    (
        "heartbeat",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         important BOOLEAN NOT NULL DEFAULT 0
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         status SMALLINT NOT NULL
         msg TEXT
         time DATETIME NOT NULL
         ping BIGINT
         duration INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "+stat_minutely",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         timestamp INTEGER NOT NULL
         ping FLOAT NOT NULL
         up INTEGER NOT NULL
         down INTEGER NOT NULL
         : UNIQUE (monitor_id, timestamp)",
    ),
    (
        "+stat_daily",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         timestamp INTEGER NOT NULL
         ping FLOAT NOT NULL
         up INTEGER NOT NULL
         down INTEGER NOT NULL
         : UNIQUE (monitor_id, timestamp)",
    ),
    (
        // Before 1.23.12 there was no foreign key here.
        "-monitor_tls_info",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         monitor_id INTEGER NOT NULL
         info_json TEXT",
    ),
    (
        "+monitor_tls_info",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         monitor_id INTEGER NOT NULL REFERENCES monitor(id) ON DELETE CASCADE ON UPDATE CASCADE
         info_json TEXT",
    ),
    (
        "notification_sent_history",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         type VARCHAR(50) NOT NULL
         monitor_id INTEGER NOT NULL
         days INTEGER NOT NULL
         : UNIQUE (type, monitor_id, days)",
    ),
    (
        "+domain_expiry",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         last_check DATETIME
         domain VARCHAR(255) NOT NULL UNIQUE
         expiry DATETIME",
    ),
    (
        "+knex_migrations",
        "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         name VARCHAR(255)
         batch INTEGER
         migration_time DATETIME",
    ),
    (
        "+knex_migrations_lock",
        "index INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL
         is_locked INTEGER",
    ),
];

/// Tables that hold the history of monitors.
pub(crate) const HISTORY: &[&str] =
    &["heartbeat", "stat_minutely", "stat_daily", "monitor_tls_info", "notification_sent_history"];

impl Version {
    /// What of `marked` this version has, without the mark.
    fn picks(self, marked: &str) -> Option<&str> {
        match (self, marked.strip_prefix('+'), marked.strip_prefix('-')) {
            (_, None, None) => Some(marked),
            (Self::Two, Some(name), _) | (Self::One, _, Some(name)) => Some(name),
            _ => None,
        }
    }

    fn ddl(self, order: Order) -> String {
        let mut sql = String::new();
        for (name, lines) in TABLES {
            let Some(name) = self.picks(name) else { continue };
            let lines: Vec<&str> = lines.lines().filter_map(|line| self.picks(line.trim())).collect();
            let (constraints, mut columns): (Vec<_>, Vec<_>) =
                lines.into_iter().partition(|line| line.starts_with(':'));
            if order == Order::Upgraded {
                columns.reverse();
                let middle = columns.len() / 2;
                columns.rotate_left(middle);
            }
            let columns = columns.into_iter().map(|line| {
                let (column, declaration) = line.split_once(' ').unwrap();
                match order {
                    Order::Lawless if column != "id" => {
                        format!("\"{column}\" {}", declaration.replace("NOT NULL", "").replace("UNIQUE", ""))
                    }
                    _ => format!("\"{column}\" {declaration}"),
                }
            });
            let constraints = constraints.into_iter().map(|line| line[1..].trim().to_owned());
            let parts: Vec<String> = columns.chain(constraints).collect();
            sql.push_str(&format!("CREATE TABLE \"{name}\" ({});\n", parts.join(", ")));
        }
        sql.push_str("CREATE INDEX heartbeat_by_monitor ON heartbeat (monitor_id, time);\n");
        if order != Order::Lawless {
            sql.push_str("CREATE UNIQUE INDEX status_page_slug ON status_page (slug);\n");
        }
        sql
    }
}

/// A data directory of its own with a database in it; gone when dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    directory: TempDir,
    /// What it looks like.
    pub(crate) version: Version,
}

impl Instance {
    /// A fresh set-up: no rows but one user and what belongs to the instance.
    pub(crate) fn empty(version: Version, order: Order) -> Self {
        let instance = Self { directory: scratch(), version };
        let connection = Connection::open(instance.path()).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch(&version.ddl(order)).unwrap();
        insert(&connection, "user", &[("username", t("admin")), ("password", t("$2a$10$empty"))]);
        insert(&connection, "setting", &[("key", t("jwtSecret")), ("value", t("$2a$10$secret of this instance"))]);
        match version {
            Version::One => {
                let patches = r#"{"patch-a.sql":true,"patch-b.sql":true,"patch-failed.sql":false}"#;
                insert(&connection, "setting", &[("key", t("databasePatchedFiles")), ("value", t(patches))]);
                insert(&connection, "setting", &[("key", t("database_version")), ("value", t("10"))]);
            }
            Version::Two => {
                let mut names = ["2023-08-16-0000-create-uptime.js", "2025-01-01-0000-add-smtp.js"];
                if order == Order::Upgraded {
                    names.reverse();
                }
                for (batch, name) in (1..).zip(names) {
                    insert(&connection, "knex_migrations", &[("name", t(name)), ("batch", i(batch))]);
                }
                insert(&connection, "knex_migrations_lock", &[("is_locked", i(0))]);
                let state = [("key", t("migrateAggregateTableState")), ("value", t("\"migrated\""))];
                insert(&connection, "setting", &state);
            }
        }
        connection.close().unwrap();
        instance
    }

    /// An instance with the rich configuration of [`fill`], its uploaded file included.
    pub(crate) fn rich(version: Version, order: Order) -> Self {
        let instance = Self::empty(version, order);
        let connection = instance.open();
        fill(&connection, version);
        connection.close().unwrap();
        instance.upload("logo1.png", b"\x89PNG\r\n\x1a\n one");
        instance
    }

    /// A copy of the data directory `from`.
    pub(crate) fn copy_of(from: &Path, version: Version) -> Self {
        let instance = Self { directory: scratch(), version };
        copy_directory(from, instance.directory.path());
        instance
    }

    /// Another instance that is a copy of this one.
    pub(crate) fn copy(&self) -> Self {
        Self::copy_of(self.directory(), self.version)
    }

    /// The data directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The database.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("kuma.db")
    }

    /// Opens the database like Uptime Kuma does.
    pub(crate) fn open(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch("PRAGMA foreign_keys=ON; PRAGMA synchronous=NORMAL").unwrap();
        connection
    }

    /// Runs statements as Uptime Kuma would.
    pub(crate) fn execute(&self, sql: &str) {
        let connection = self.open();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
    }

    /// Puts a file into the upload directory.
    pub(crate) fn upload(&self, name: &str, content: &[u8]) {
        let directory = self.directory().join("upload");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), content).unwrap();
    }

    /// All rows of `table` with all columns, in the order of the primary key.
    pub(crate) fn rows(&self, table: &str) -> Vec<Vec<Value>> {
        let connection = self.open();
        let rows = all_rows(&connection, table);
        connection.close().unwrap();
        rows
    }

    /// One value, by SQL.
    pub(crate) fn value(&self, sql: &str) -> Value {
        let connection = self.open();
        let value = connection.query_row(sql, [], |row| Ok(owned(row.get_ref(0)?))).unwrap();
        connection.close().unwrap();
        value
    }

    /// The names of the tables.
    pub(crate) fn tables(&self) -> Vec<String> {
        let connection = self.open();
        let mut statement =
            connection.prepare("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// The names of all files in the data directory with their content, to prove that nothing changed.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect_files(self.directory(), &mut found);
        found.sort();
        found
    }

    /// Whether SQLite finds the database in order.
    pub(crate) fn is_sound(&self) -> bool {
        self.value("PRAGMA integrity_check") == t("ok")
            && self.value("SELECT count(*) FROM pragma_foreign_key_check") == i(0)
    }
}

/// A directory for one test, in memory where there is such a place: these databases are synced often.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn owned(value: rusqlite::types::ValueRef<'_>) -> Value {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(bytes.into()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.into()),
    }
}

/// All rows of `table` with all columns, in the order of the primary key.
pub(crate) fn all_rows(connection: &Connection, table: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY rowid")).unwrap();
    let width = statement.column_count();
    statement
        .query_map([], |row| (0..width).map(|at| Ok(owned(row.get_ref(at)?))).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn collect_files(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, found);
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

fn copy_directory(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_directory(&entry.path(), &target);
        } else {
            // Written anew, because a fixture may be read-only.
            fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// Inserts one row.
pub(crate) fn insert(connection: &Connection, table: &str, row: &[(&str, Value)]) -> i64 {
    let columns: Vec<String> = row.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let holes = vec!["?"; row.len()].join(",");
    let sql = format!("INSERT INTO \"{table}\" ({}) VALUES ({holes})", columns.join(","));
    let values = row.iter().map(|(_, value)| value);
    connection.execute(&sql, params_from_iter(values)).unwrap_or_else(|error| panic!("{sql}: {error}"));
    connection.last_insert_rowid()
}

/// A monitor with what all of them have.
pub(crate) fn monitor(connection: &Connection, id: i64, name: Value, more: &[(&str, Value)]) {
    let mut row = vec![("id", i(id)), ("name", name), ("type", t("http")), ("user_id", i(1)), ("timeout", r(48.0))];
    row.push(("created_date", Value::text(format!("2026-01-01 00:00:{id:02}"))));
    row.extend_from_slice(more);
    insert(connection, "monitor", &row);
}

/// History of a monitor in every table that has any.
pub(crate) fn history(connection: &Connection, version: Version, monitor: i64) {
    let id = ("monitor_id", i(monitor));
    for beat in 0..3 {
        let time = Value::text(format!("2026-01-01 00:0{beat}:00.123"));
        insert(
            connection,
            "heartbeat",
            &[id.clone(), ("status", i(beat % 2)), ("time", time), ("ping", r(12.5)), ("msg", t("200 - OK"))],
        );
        if version == Version::Two {
            for table in ["stat_minutely", "stat_daily"] {
                let row = [id.clone(), ("timestamp", i(60 * beat)), ("ping", r(0.1)), ("up", i(1)), ("down", i(0))];
                insert(connection, table, &row);
            }
        }
    }
    insert(connection, "monitor_tls_info", &[id.clone(), ("info_json", t("{\"valid\":true}"))]);
    insert(connection, "notification_sent_history", &[id, ("type", t("certificate")), ("days", i(14))]);
}

/// A configuration with everything that is known to break naive replication.
pub(crate) fn fill(connection: &Connection, version: Version) {
    let two = version == Version::Two;
    connection
        .execute_batch("PRAGMA foreign_keys=OFF; UPDATE user SET password='$2a$10$rich', timezone='Europe/Berlin'")
        .unwrap();
    insert(connection, "user", &[("id", i(2)), ("username", t("second")), ("twofa_last_token", t("123456"))]);
    for (id, key) in [(1, "hash one"), (2, "hash two")] {
        insert(connection, "api_key", &[("id", i(id)), ("key", t(key)), ("name", t("key")), ("user_id", i(1))]);
    }
    for id in [1, 3] {
        let row = [("id", i(id)), ("user_id", i(1)), ("protocol", t("socks5")), ("host", t("127.0.0.1"))];
        let more = [("port", i(1080)), ("auth", t("true")), ("default", i(0)), ("password", t("p;'\"--"))];
        insert(connection, "proxy", &[&row[..], &more].concat());
        let daemon = [("docker_daemon", t("/var/run/docker.sock")), ("docker_type", t("socket"))];
        insert(connection, "docker_host", &[&[("id", i(id)), ("user_id", i(1))][..], &daemon].concat());
    }
    let general = t("general");
    for (key, value, kind) in [
        ("disableAuth", "false", &general),
        ("initServerTimezone", "true", &Value::Null),
        ("apiKeysEnabled", "true", &Value::Null),
        ("keepDataPeriodDays", "30", &general),
    ] {
        insert(connection, "setting", &[("key", t(key)), ("value", t(value)), ("type", kind.clone())]);
    }
    if two {
        insert(
            connection,
            "remote_browser",
            &[("id", i(1)), ("name", t("b")), ("url", t("ws://b")), ("user_id", i(1))],
        );
    }
    for (id, name) in [(1, "prod"), (2, "null"), (5, "ü\u{2028}")] {
        insert(connection, "tag", &[("id", i(id)), ("name", t(name)), ("color", t("#059669"))]);
    }
    for (id, config) in [(1, t("{\"type\":\"webhook\"}")), (2, Value::Null), (4, t("null")), (6, t(""))] {
        let row = [("id", i(id)), ("name", t("null")), ("user_id", i(1)), ("config", config)];
        insert(connection, "notification", &row);
    }
    for (id, slug, icon, description) in [
        (1, "main", t("/upload/logo1.png?t=1795415670452"), t("")),
        (2, "other", t("https://example.com/i.svg"), Value::Null),
        (3, "third", t(""), t("null")),
    ] {
        let row = [("id", i(id)), ("slug", t(slug)), ("title", t("T")), ("icon", icon), ("theme", t("auto"))];
        insert(connection, "status_page", &[&row[..], &[("description", description)]].concat());
    }
    for (id, page) in [(1, i(1)), (2, i(2)), (3, Value::Null)] {
        insert(connection, "group", &[("id", i(id)), ("name", t("g")), ("weight", i(id)), ("status_page_id", page)]);
        let row = [("id", i(id)), ("title", t("null")), ("content", t("a;\r\nb")), ("status_page_id", i(id))];
        insert(connection, "incident", &row);
    }

    // A child before its parent, groups in groups, and gaps where monitors were removed.
    monitor(connection, 1, t("child of a later one"), &[("parent", i(4))]);
    monitor(connection, 2, t("outer group"), &[("type", t("group"))]);
    monitor(connection, 3, t("inner group"), &[("type", t("group")), ("parent", i(2))]);
    monitor(connection, 4, t("late parent"), &[("type", t("group")), ("parent", i(3))]);
    monitor(connection, 7, t("SQL"), &[("body", t("{};\n-- DROP TABLE x;\r\nCOMMIT;")), ("headers", t("'; --"))]);
    let classes = [("ignore_tls", t("true")), ("expiry_notification", t("false")), ("maxretries", r(1.5))];
    monitor(connection, 9, t("storage classes"), &classes);
    let extremes = [("port", i(i64::MAX)), ("weight", i(i64::MIN)), ("timeout", r(5e-324)), ("interval", r(1e300))];
    monitor(connection, 10, t("extremes"), &extremes);
    monitor(connection, 11, t("null"), &[("keyword", t("null")), ("description", t("null"))]);
    monitor(connection, 12, Value::Null, &[("keyword", t("")), ("url", Value::Null), ("push_token", t("0123"))]);
    monitor(connection, 13, t("infinite"), &[("timeout", r(f64::INFINITY)), ("port", r(f64::NEG_INFINITY))]);
    monitor(connection, 14, t("JSON null"), &[("kafka_producer_brokers", t("null")), ("headers", t("{\"a\":null}"))]);
    monitor(
        connection,
        15,
        t("a NUL \u{0} inside"),
        &[("keyword", t("\u{0}")), ("body", raw(b"\xff\xfe\x00 no UTF-8"))],
    );
    monitor(connection, 16, t("DNS"), &[("type", t("dns")), ("dns_last_result", t("Records: 192.0.2.1"))]);
    monitor(connection, 17, raw(b"\xc3\x28"), &[("description", Value::Blob((*b"\x00\xffblob").into()))]);
    monitor(connection, 40, t(&"x".repeat(150)), &[("body", t(&"long\r\n".repeat(5000)))]);
    monitor(
        connection,
        41,
        t(" \t\"quotes\" \\ % \u{2028} 👩\u{200d}👧 "),
        &[("proxy_id", i(3)), ("docker_host", i(1))],
    );
    monitor(connection, 45, t("42"), &[("keyword", t("007")), ("description", t("  padded  "))]);
    monitor(connection, 46, t("1.0"), &[("expected_value", t("1e3")), ("keyword", t("0x10"))]);
    if two {
        let row = [("remote_browser", i(1)), ("snmp_version", t("3")), ("rabbitmq_nodes", t("null"))];
        monitor(connection, 58, t("two only"), &row);
    }

    let pairs = [(1, 1), (1, 2), (2, 4), (9, 1), (45, 6)];
    for (at, notification) in pairs {
        let row = [("monitor_id", i(at)), ("notification_id", i(notification))];
        insert(connection, "monitor_notification", &row);
    }
    // Uptime Kuma itself sometimes leaves the same link twice.
    insert(connection, "monitor_notification", &[("monitor_id", i(9)), ("notification_id", i(1))]);
    for value in [t(""), Value::Null, t("null"), t("1e3"), t("  v  "), t("0x10"), t(""), i(5), r(5.5), raw(b"\xff")] {
        insert(connection, "monitor_tag", &[("monitor_id", i(7)), ("tag_id", i(1)), ("value", value)]);
    }
    for (monitor, group) in [(1, 1), (2, 1), (7, 2)] {
        let row =
            [("monitor_id", i(monitor)), ("group_id", i(group)), ("weight", i(monitor)), ("send_url", t("false"))];
        insert(connection, "monitor_group", &row);
    }
    for (id, start, cron) in
        [(1, t("2026-01-01 00:00"), Value::Null), (2, t("2030-05-01T10:00"), t("")), (3, Value::Null, t("* * * * *"))]
    {
        let row = [("id", i(id)), ("title", t("m")), ("description", t("")), ("user_id", i(1)), ("cron", cron)];
        insert(connection, "maintenance", &[&row[..], &[("start_date", start), ("start_time", t("02:00"))]].concat());
        insert(connection, "monitor_maintenance", &[("monitor_id", i(7)), ("maintenance_id", i(id))]);
        insert(connection, "maintenance_status_page", &[("status_page_id", i(1)), ("maintenance_id", i(id))]);
    }
    if two {
        connection.execute_batch("UPDATE maintenance SET last_start_date='2026-02-02 00:00:00' WHERE id=3").unwrap();
    }
    for domain in ["a.example.com", "b.example.com"] {
        insert(connection, "status_page_cname", &[("status_page_id", i(1)), ("domain", t(domain))]);
    }
    for id in [1, 7, 9] {
        history(connection, version, id);
    }
    for table in ["api_key", "proxy", "tag", "status_page", "group", "incident"] {
        let sql = format!("UPDATE \"{table}\" SET created_date='2026-01-01 00:00:00'");
        connection.execute_batch(&sql).unwrap();
    }
    connection.execute_batch("UPDATE status_page SET modified_date='2026-01-01 01:00:00'").unwrap();
    let dangling: i64 =
        connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(dangling, 0, "the rich configuration refers to nothing that is missing");
}
