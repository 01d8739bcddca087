//! The rows of the table `setting`, by key: which may travel, and why the others never do.
//!
//! A main publishes all that may travel; a replica takes those that it lists. A key that is added here changes what
//! is published, and so is a new dump format.

/// The table of settings.
pub const SETTING: &str = "setting";

/// The column that says which setting a row is. Its `id` says nothing: rows come into being in any order.
pub const KEY: &str = "key";

/// The columns of a setting that travel. Uptime Kuma changes a row on its page only if `type` is the one it expects
/// (`setSettings` in `server/settings.js`), so that goes with the value.
pub(super) const COLUMNS: [&str; 3] = [KEY, "type", "value"];

/// A setting that a replica can take over.
#[derive(Debug)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Whether a running server has it in memory. Of the others it notices a change within two minutes: it keeps
    /// what it has read for one, and looks once a minute what is older (`server/settings.js`).
    pub cached: bool,
}

const fn read(key: &'static str) -> Setting {
    Setting { key, cached: false }
}

const fn loaded(key: &'static str) -> Setting {
    Setting { key, cached: true }
}

/// All settings that travel, in the order of their keys. None can lock anybody out, open anything, or name anything
/// that only one host has.
pub const SETTINGS: &[Setting] = &[
    // Whether API keys count, which are replicated: without it, `/metrics` asks for a password instead.
    read("apiKeysEnabled"),
    read("checkBeta"),
    read("checkUpdate"),
    // 1.x only; heeded at start.
    loaded("dnsCache"),
    read("domainExpiryNotifyDays"),
    // May name a status page, by its slug: that is replicated.
    loaded("entryPage"),
    // Monitors of its type need it.
    read("globalpingApiToken"),
    read("keepDataPeriodDays"),
    // Stands in alerts, and is the same everywhere if all hosts are reached by one name.
    read("primaryBaseURL"),
    // Whether search engines may list the instance.
    read("searchEngineIndex"),
    // In which zone maintenances are that have none of their own: with another one here, windows open at another time.
    loaded("serverTimezone"),
    // Monitors of its type need it.
    read("steamAPIKey"),
    read("tlsExpiryNotifyDays"),
    // Right on all hosts if each of them stands behind a proxy of the same kind.
    read("trustProxy"),
];

/// Settings that stay with their instance, and why.
const OWN: &[(&str, &str)] = &[
    ("chromeExecutable", "it names a program that is started on that host"),
    ("cloudflaredTunnelToken", "it is a secret of that host: two hosts with it would share one tunnel"),
    ("databasePatchedFiles", "it says what was done to that database"),
    ("database_version", "it says what was done to that database"),
    ("disableAuth", "it opens the host to anybody; that is decided on each host"),
    ("initServerTimezone", "it says whether somebody has logged in on that host"),
    ("jwtSecret", "it is a secret of that host: it signs log-ins, which would count on all hosts"),
    ("migrateAggregateTableState", "it says what was done to that database"),
    ("nscd", "it starts a service on that host"),
    ("rdapDnsData", "it is a cache that Uptime Kuma fills itself"),
    ("webpushPrivateVapidKey", "it is a secret of that host: it signs what is pushed to browsers"),
    ("webpushPublicVapidKey", "it belongs to the secret of that host that signs what is pushed to browsers"),
];

/// The setting of that key, if it travels.
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Why the setting of that key does not travel, if that is known.
pub fn stays(key: &str) -> Option<&'static str> {
    OWN.iter().find(|(own, _)| *own == key).map(|(_, why)| *why)
}
