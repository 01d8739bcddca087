//! Tables that every Uptime Kuma has for itself, and tables that it must have.

/// Tables without which a database is not one of a supported Uptime Kuma.
pub const REQUIRED: &[&str] = &["user", "monitor", "notification", "setting"];

/// Tables of the instance: history, caches, bookkeeping. They are never replicated.
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

/// Tables of history whose rows belong to a monitor by `monitor_id`, whether the schema declares a foreign key or not:
/// Uptime Kuma declares none for `notification_sent_history`, nor for `monitor_tls_info` before 1.23.12.
pub const MONITOR_HISTORY: &[&str] =
    &["heartbeat", "stat_minutely", "stat_hourly", "stat_daily", "monitor_tls_info", "notification_sent_history"];
