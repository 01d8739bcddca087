//! The replicated tables of Uptime Kuma. A new table is one entry here.
//!
//! Facts are from Uptime Kuma 1.23 and 2.5 (`db/` and `server/`).

use super::names::{
    CREATED, DOMAINS, ID, MONITOR, MONITOR_GROUP, MONITOR_ID, MONITOR_NOTIFICATION, MONITOR_TAG, NAME, NOTIFICATION,
    PARENT, SLUG, TAG, TAG_ID, TITLE, USER, USER_ID, USERNAME,
};
use super::settings::{KEY, SETTING};
use super::spec::{Class, Grade, OnDelete, Reference, TableSpec};

const BASE: TableSpec = TableSpec {
    name: "",
    class: Class::Entity,
    identity_columns: &[],
    ordered_within: None,
    title: &[],
    local_key: None,
    runtime: &[],
    unconfirmed: None,
    shown: &[],
    upload: None,
    references: &[],
    grade: Grade::Read,
    column_grades: &[],
    on_pages: false,
};

type Columns = &'static [&'static str];

const fn entity(name: &'static str, title: Columns, shown: Columns, references: &'static [Reference]) -> TableSpec {
    TableSpec { name, identity_columns: &[ID], title, shown, references, ..BASE }
}

const fn local(name: &'static str, key: &'static str, title: Columns, shown: Columns) -> TableSpec {
    TableSpec { class: Class::LocalEntity, local_key: Some(key), ..entity(name, title, shown, &[]) }
}

const fn link(name: &'static str, shown: Columns, references: &'static [Reference]) -> TableSpec {
    TableSpec { name, class: Class::Link, title: shown, shown, references, ..BASE }
}

/// A table whose rows public status pages show.
const fn on_pages(spec: TableSpec) -> TableSpec {
    TableSpec { on_pages: true, ..spec }
}

const fn cascade(column: &'static str, parent: &'static str) -> Reference {
    Reference { column, parent, on_delete: OnDelete::Cascade }
}

const fn set_null(column: &'static str, parent: &'static str) -> Reference {
    Reference { column, parent, on_delete: OnDelete::SetNull }
}

/// All replicated tables, parents before children: the order of a dump and of inserts.
///
/// Some columns named `user_id` are not listed as references: Uptime Kuma declares no foreign key for them and never
/// deletes a user.
pub const TABLES: &[TableSpec] = &[
    // A server that starts without a user shows its set-up page until the next start, and sessions stay logged in.
    TableSpec {
        local_key: Some("user"),
        runtime: &["twofa_last_token"],
        // Opening the dialog of 2FA writes a secret (`prepare2FA` in `server/server.js`), and switching 2FA off leaves it.
        unconfirmed: Some(["twofa_secret", "twofa_status"]),
        grade: Grade::Restart,
        ..entity(USER, &[USERNAME], &["id", "username", "active", "timezone", "twofa_status"], &[])
    },
    entity(
        "api_key",
        &[NAME],
        &["id", "name", "user_id", "created_date", "active", "expires"],
        &[cascade(USER_ID, USER)],
    ),
    local("proxy", "proxy", &["host"], &["id", "user_id", "protocol", "host", "port", "auth", "active", "default"]),
    local("docker_host", "docker-host", &[NAME], &["id", "user_id", "docker_type", "name"]),
    local("remote_browser", "remote-browser", &[NAME], &["id", "user_id", "name"]),
    entity(TAG, &[NAME], &["id", "name", "color"], &[]),
    entity(NOTIFICATION, &[NAME], &["id", "name", "active", "user_id", "is_default"], &[]),
    TableSpec {
        upload: Some("icon"),
        // Of a page with domains, `status_page_cname` below. That of another is read.
        column_grades: &[(SLUG, Grade::Restart)],
        on_pages: true,
        ..entity(
            "status_page",
            &[TITLE, SLUG],
            &["id", SLUG, "title", "icon", "theme", "published", "modified_date", "show_tags"],
            &[],
        )
    },
    on_pages(entity(
        "group",
        &[NAME],
        &["id", "name", "public", "active", "weight", "status_page_id"],
        &[cascade("status_page_id", "status_page")],
    )),
    TableSpec {
        // Another monitor that has the id of a deleted one must not inherit its history.
        identity_columns: &[ID, CREATED],
        runtime: &["dns_last_result"],
        grade: Grade::Told,
        // The first two are read with each beat and each list, the token with each push.
        column_grades: &[(PARENT, Grade::Read), ("weight", Grade::Read), ("push_token", Grade::Read)],
        ..entity(
            MONITOR,
            &[NAME],
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
                set_null(USER_ID, USER),
                set_null("proxy_id", "proxy"),
                set_null("docker_host", "docker_host"),
                set_null("remote_browser", "remote_browser"),
                set_null(PARENT, MONITOR),
            ],
        )
    },
    TableSpec {
        runtime: &["last_start_date"],
        grade: Grade::Told,
        ..entity(
            "maintenance",
            &[TITLE],
            &["id", "title", "active", "strategy", "start_date", "end_date", "cron", "timezone", "duration"],
            &[set_null(USER_ID, USER)],
        )
    },
    on_pages(entity(
        "incident",
        &[TITLE],
        &["id", "title", "style", "pin", "active", "status_page_id"],
        &[cascade("status_page_id", "status_page")],
    )),
    link(
        MONITOR_NOTIFICATION,
        &["monitor_id", "notification_id"],
        &[cascade(MONITOR_ID, MONITOR), cascade("notification_id", NOTIFICATION)],
    ),
    // The list of monitors shows the tags of each in the order of their rows (`preparePreloadData` in `model/monitor.js`).
    TableSpec {
        ordered_within: Some(MONITOR_ID),
        ..link(MONITOR_TAG, &[MONITOR_ID, TAG_ID, "value"], &[cascade(MONITOR_ID, MONITOR), cascade(TAG_ID, TAG)])
    },
    on_pages(link(
        MONITOR_GROUP,
        &["monitor_id", "group_id", "weight", "send_url"],
        &[cascade(MONITOR_ID, MONITOR), cascade("group_id", "group")],
    )),
    link(
        "monitor_maintenance",
        &["monitor_id", "maintenance_id"],
        &[cascade(MONITOR_ID, MONITOR), cascade("maintenance_id", "maintenance")],
    ),
    on_pages(link(
        "maintenance_status_page",
        &["status_page_id", "maintenance_id"],
        &[cascade("status_page_id", "status_page"), cascade("maintenance_id", "maintenance")],
    )),
    TableSpec {
        grade: Grade::Restart,
        // The form shows them in the order of their rows (`getDomainNameList` in `model/status_page.js`).
        ordered_within: Some("status_page_id"),
        ..link(DOMAINS, &["status_page_id", "domain"], &[cascade("status_page_id", "status_page")])
    },
    TableSpec { name: SETTING, class: Class::Setting, identity_columns: &[KEY], shown: &[KEY, "type"], ..BASE },
];

/// The entry of `table`, if it is replicated.
pub fn find(table: &str) -> Option<&'static TableSpec> {
    TABLES.iter().find(|spec| spec.name == table)
}
