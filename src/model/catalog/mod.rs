//! What is known of the tables of Uptime Kuma: data, not code paths.

mod instance;
mod names;
mod settings;
mod spec;
mod tables;
mod uploads;

pub use instance::{LOCAL, MONITOR_HISTORY, REQUIRED};
pub use names::{
    ACTIVE, CREATED, CRON, DOMAINS, GROUP_TYPE, ID, MAINTENANCE, MONITOR, MONITOR_GROUP, MONITOR_ID,
    MONITOR_NOTIFICATION, MONITOR_TAG, NAME, NOTIFICATION, PARENT, SLUG, STATUS_PAGE, STATUS_PAGE_ID, STRATEGY, TAG,
    TAG_ID, TIMEZONE, TITLE, TYPE, USER, USER_ID, USERNAME,
};
pub use settings::{KEY, Major, SETTING, SETTINGS, Setting, is_default, setting, stays as setting_stays};
pub use spec::{Class, Grade, OnDelete, Reference, TableSpec};
pub use tables::{TABLES, find};
pub use uploads::{safe_upload_name, upload_name};
