//! What is known of each Uptime Kuma table: data, not code paths.
//!
//! Columns are not listed here: they are discovered from the database at hand, so that a column of a
//! later version travels like the rest. Facts are from Uptime Kuma 1.23 and 2.5 (`db/` and `server/`).

mod settings;

pub use settings::{KEY, SETTING, SETTINGS, Setting, setting, stays as setting_stays};

/// How the rows of a table are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Rows with an identity that other rows and the outside refer to.
    Entity,
    /// Entities that must exist everywhere, while their values may belong to the replica.
    LocalEntity,
    /// Rows that only join others. Uptime Kuma re-creates them with new ids at every save, so their
    /// identity is their content.
    Link,
    /// Rows that have their key for an identity, only some of which are replicated: [`SETTINGS`].
    Setting,
}

/// One replicated table.
#[derive(Debug)]
pub struct TableSpec {
    /// Its name in the database.
    pub name: &'static str,
    /// How its rows are replicated.
    pub class: Class,
    /// Columns that the running application rewrites by itself: neither dumped nor written.
    pub runtime: &'static [&'static str],
    /// Columns whose values may be shown to a person; every other value is masked.
    pub shown: &'static [&'static str],
    /// The column that may name an uploaded file as `/upload/NAME`.
    pub upload: Option<&'static str>,
    /// Columns that hold the id of a row of a replicated table, whether the schema declares a foreign key or not.
    pub references: &'static [Reference],
    /// Whether a running server has the rows in memory, and would not notice a change; of settings, [`SETTINGS`] says it
    /// by key.
    pub cached: bool,
    /// The columns that it has in memory of a table whose other columns it reads when it needs them.
    pub cached_columns: &'static [&'static str],
}

/// A column that refers to a row of another table by its id.
#[derive(Debug)]
pub struct Reference {
    /// The column.
    pub column: &'static str,
    /// The table it refers to.
    pub parent: &'static str,
    /// What becomes of a row when the one that it refers to goes.
    pub on_delete: OnDelete,
}

/// What Uptime Kuma does with a row when the one that it refers to goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// `ON DELETE CASCADE`: the row is deleted, too.
    Cascade,
    /// `ON DELETE SET NULL`: the row stays and refers to nothing.
    SetNull,
}

const fn cascade(column: &'static str, parent: &'static str) -> Reference {
    Reference { column, parent, on_delete: OnDelete::Cascade }
}

const fn set_null(column: &'static str, parent: &'static str) -> Reference {
    Reference { column, parent, on_delete: OnDelete::SetNull }
}

const BASE: TableSpec = TableSpec {
    name: "",
    class: Class::Entity,
    runtime: &[],
    shown: &[],
    upload: None,
    references: &[],
    cached: false,
    cached_columns: &[],
};

const fn entity(name: &'static str, shown: &'static [&'static str], references: &'static [Reference]) -> TableSpec {
    TableSpec { name, shown, references, ..BASE }
}

const fn local(name: &'static str, shown: &'static [&'static str]) -> TableSpec {
    TableSpec { name, class: Class::LocalEntity, shown, ..BASE }
}

const fn link(name: &'static str, shown: &'static [&'static str], references: &'static [Reference]) -> TableSpec {
    TableSpec { name, class: Class::Link, shown, references, ..BASE }
}

/// The identity column of entities, and the column that links do without.
pub const ID: &str = "id";

/// Columns of a monitor: what kind of monitor it is, and whether it runs or is paused.
pub const TYPE: &str = "type";
/// See [`TYPE`].
pub const ACTIVE: &str = "active";

/// All replicated tables, parents before children: the order of a dump and of inserts.
///
/// Some columns named `user_id` are no reference to Uptime Kuma, which declares no foreign key for them and never
/// removes a user: of those, only ids are compared.
pub const TABLES: &[TableSpec] = &[
    // Without a user at its start it shows its set-up page until the next one, and whoever is logged in stays so.
    TableSpec {
        runtime: &["twofa_last_token"],
        cached: true,
        ..entity(USER, &["id", "username", "active", "timezone", "twofa_status"], &[])
    },
    entity("api_key", &["id", "name", "user_id", "created_date", "active", "expires"], &[cascade("user_id", USER)]),
    local("proxy", &["id", "user_id", "protocol", "host", "port", "auth", "active", "default"]),
    local("docker_host", &["id", "user_id", "docker_type", "name"]),
    local("remote_browser", &["id", "user_id", "name"]),
    entity("tag", &["id", "name", "color"], &[]),
    entity(NOTIFICATION, &["id", "name", "active", "user_id", "is_default"], &[]),
    TableSpec {
        upload: Some("icon"),
        // With the domains that lead to it, `status_page_cname` below.
        cached_columns: &["slug"],
        ..entity(
            "status_page",
            &["id", "slug", "title", "icon", "theme", "published", "modified_date", "show_tags"],
            &[],
        )
    },
    entity(
        "group",
        &["id", "name", "public", "active", "weight", "status_page_id"],
        &[cascade("status_page_id", "status_page")],
    ),
    TableSpec {
        runtime: &["dns_last_result"],
        cached: true,
        ..entity(
            MONITOR,
            &[
                "id",
                "name",
                "active",
                "type",
                "interval",
                "hostname",
                "port",
                "weight",
                "maxretries",
                "retry_interval",
                "timeout",
                "parent",
                "user_id",
                "created_date",
                "upside_down",
                "ignore_tls",
                "proxy_id",
                "docker_host",
                "remote_browser",
            ],
            &[
                set_null("user_id", USER),
                set_null("proxy_id", "proxy"),
                set_null("docker_host", "docker_host"),
                set_null("remote_browser", "remote_browser"),
                set_null(PARENT, MONITOR),
            ],
        )
    },
    TableSpec {
        runtime: &["last_start_date"],
        cached: true,
        ..entity(
            "maintenance",
            &["id", "title", "active", "strategy", "start_date", "end_date", "cron", "timezone", "duration"],
            &[set_null("user_id", USER)],
        )
    },
    entity(
        "incident",
        &["id", "title", "style", "pin", "active", "status_page_id"],
        &[cascade("status_page_id", "status_page")],
    ),
    link(
        MONITOR_NOTIFICATION,
        &["monitor_id", "notification_id"],
        &[cascade("monitor_id", MONITOR), cascade("notification_id", NOTIFICATION)],
    ),
    link(
        "monitor_tag",
        &["monitor_id", "tag_id", "value"],
        &[cascade("monitor_id", MONITOR), cascade("tag_id", "tag")],
    ),
    link(
        "monitor_group",
        &["monitor_id", "group_id", "weight", "send_url"],
        &[cascade("monitor_id", MONITOR), cascade("group_id", "group")],
    ),
    link(
        "monitor_maintenance",
        &["monitor_id", "maintenance_id"],
        &[cascade("monitor_id", MONITOR), cascade("maintenance_id", "maintenance")],
    ),
    link(
        "maintenance_status_page",
        &["status_page_id", "maintenance_id"],
        &[cascade("status_page_id", "status_page"), cascade("maintenance_id", "maintenance")],
    ),
    TableSpec {
        cached: true,
        ..link("status_page_cname", &["status_page_id", "domain"], &[cascade("status_page_id", "status_page")])
    },
    TableSpec { name: SETTING, class: Class::Setting, shown: &[KEY, "type"], ..BASE },
];

/// Tables without which a database is not one of a supported Uptime Kuma.
pub const REQUIRED: &[&str] = &["user", "monitor", "notification", "setting"];

/// Tables of the instance itself: history, caches, bookkeeping. Never replicated.
pub const LOCAL: &[&str] = &[
    "heartbeat",
    "stat_minutely",
    "stat_hourly",
    "stat_daily",
    "monitor_tls_info",
    "notification_sent_history",
    "domain_expiry",
    "knex_migrations",
    "knex_migrations_lock",
    "sqlite_sequence",
    "sqlite_stat1",
    "sqlite_stat4",
];

/// History that hangs on a monitor by `monitor_id`, whether the schema declares a foreign key or not:
/// Uptime Kuma declares none for `notification_sent_history`, nor for `monitor_tls_info` before 1.23.12.
pub const MONITOR_HISTORY: &[&str] =
    &["heartbeat", "stat_minutely", "stat_hourly", "stat_daily", "monitor_tls_info", "notification_sent_history"];

/// The table whose emptiness opens Uptime Kuma's set-up page to anybody.
pub const USER: &str = "user";

/// The table of monitors.
pub const MONITOR: &str = "monitor";

/// The tables of notifications: whom to tell, and which monitor tells whom.
pub const NOTIFICATION: &str = "notification";
/// See [`NOTIFICATION`].
pub const MONITOR_NOTIFICATION: &str = "monitor_notification";

/// The column of a monitor that names the group it belongs to.
pub const PARENT: &str = "parent";

/// A monitor with the same id but another value here is another monitor.
pub const CREATED: &str = "created_date";

/// The entry of `table`, if it is replicated.
pub fn find(table: &str) -> Option<&'static TableSpec> {
    TABLES.iter().find(|spec| spec.name == table)
}

impl TableSpec {
    /// The column that says which row it is; links have none.
    pub fn identity(&self) -> Option<&'static str> {
        match self.class {
            Class::Entity | Class::LocalEntity => Some(ID),
            Class::Link => None,
            Class::Setting => Some(KEY),
        }
    }

    /// Whether the values of `column` travel.
    pub fn travels(&self, column: &str) -> bool {
        match self.class {
            Class::Entity | Class::LocalEntity => !self.runtime.contains(&column),
            Class::Link => column != ID && !self.runtime.contains(&column),
            Class::Setting => settings::COLUMNS.contains(&column),
        }
    }

    /// Whether the schema of a database has it in it. Settings are no part of that: which of their columns travel
    /// is known.
    pub fn in_schema(&self) -> bool {
        self.class != Class::Setting
    }
}

/// The file name in a value such as `/upload/logo1.png?t=1795415670452`, if it is one that may travel:
/// letters, digits, `.`, `_` and `-`, not starting with a dot, at most 255 bytes.
pub fn upload_name(value: &str) -> Option<&str> {
    let name = value.strip_prefix("/upload/")?.split(['?', '#']).next()?;
    safe_upload_name(name).then_some(name)
}

/// Whether `name` may be the name of an uploaded file; it can never leave its directory.
pub fn safe_upload_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.chars().all(plain)
}
