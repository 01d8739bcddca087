//! The rows of the table `setting`, by key: which are replicated, and why the others never are.
//!
//! A main publishes all of them, and a replica takes over those that it lists. A key that is added here changes what is
//! published, and so needs a new dump format.

use super::spec::Grade;

/// The table of settings.
pub const SETTING: &str = "setting";

/// The key of a setting. Its `id` differs between hosts: rows are created in any order.
pub const KEY: &str = "key";

/// The columns of a setting that are replicated: Uptime Kuma saves a setting from its page only if `type` is the one it
/// expects (`setSettings` in `server/settings.js`).
pub(super) const COLUMNS: [&str; 3] = [KEY, "type", "value"];

/// A setting that a replica can take over.
#[derive(Debug)]
pub struct Setting {
    /// The value of the column [`KEY`].
    pub key: &'static str,
    /// What a running server needs to take up another value. It notices a change of those that it reads within two
    /// minutes: it caches a value for a minute, and removes what is older once a minute (`server/settings.js`).
    pub grade: Grade,
    /// What a server itself writes where there is no such row, by its major version: `server/jobs/clear-old-data.js`,
    /// `server/model/monitor.js`, `server/model/domain_expiry.js`. A row with it means the same as none.
    written_by_server: Option<[&'static str; 2]>,
}

/// The major version of an Uptime Kuma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Major {
    /// 1.23.
    One,
    /// 2.x.
    Two,
}

impl Major {
    /// That of a database, by the names of its tables.
    pub fn of(has_table: impl Fn(&str) -> bool) -> Self {
        if has_table("remote_browser") { Self::Two } else { Self::One }
    }
}

const fn read(key: &'static str) -> Setting {
    Setting { key, grade: Grade::Read, written_by_server: None }
}

const fn cached(key: &'static str) -> Setting {
    Setting { grade: Grade::Restart, ..read(key) }
}

const fn written(key: &'static str, one: &'static str, two: &'static str) -> Setting {
    Setting { written_by_server: Some([one, two]), ..read(key) }
}

/// All settings that are replicated, sorted by key. None of them can lock users out, open a host to anybody, or name a
/// thing that only one host has.
pub const SETTINGS: &[Setting] = &[
    // Whether API keys, which are replicated, are accepted: otherwise `/metrics` asks for a password.
    read("apiKeysEnabled"),
    read("checkBeta"),
    read("checkUpdate"),
    // 1.x only; read at start.
    cached("dnsCache"),
    written("domainExpiryNotifyDays", "[7,14,21]", "[7,14,21]"),
    // May name a status page by its slug, which is replicated.
    cached("entryPage"),
    // Monitors of its type need it.
    read("globalpingApiToken"),
    written("keepDataPeriodDays", "180", "365"),
    // Part of the text of alerts; the same on all hosts if they are reached by one name.
    read("primaryBaseURL"),
    // Whether search engines may list the instance.
    read("searchEngineIndex"),
    // The time zone of maintenance windows that have none: with another one here, they open at another time.
    cached("serverTimezone"),
    // Monitors of its type need it.
    read("steamAPIKey"),
    written("tlsExpiryNotifyDays", "[7,14,21]", "[7,14,21]"),
    // Correct on all hosts if each of them is behind a proxy of the same kind.
    read("trustProxy"),
];

/// Settings that are never replicated, and why.
const OWN: &[(&str, &str)] = &[
    ("chromeExecutable", "it names a program that is started on that host"),
    ("cloudflaredTunnelToken", "it is a secret of that host: two hosts with it would share one tunnel"),
    ("databasePatchedFiles", "it records migrations of that database"),
    ("database_version", "it records migrations of that database"),
    ("disableAuth", "it opens the host to anybody; each host decides that for itself"),
    ("initServerTimezone", "it records whether a user has logged in on that host"),
    ("jwtSecret", "it is a secret of that host: it signs sessions, which would be valid on all hosts"),
    ("migrateAggregateTableState", "it records migrations of that database"),
    ("nscd", "it starts a service on that host"),
    ("rdapDnsData", "it is a cache that Uptime Kuma fills"),
    ("webpushPrivateVapidKey", "it is a secret of that host: it signs what is pushed to browsers"),
    ("webpushPublicVapidKey", "it belongs to the secret of that host that signs what is pushed to browsers"),
];

/// Whether a setting has the value that a server of this version writes itself where there is none. A user who saves the
/// page of settings without a change writes the same.
pub fn is_default(key: &str, kind: &str, value: &str, major: Major) -> bool {
    let written = setting(key).and_then(|setting| setting.written_by_server);
    written.is_some_and(|[one, two]| kind == "general" && value == if major == Major::One { one } else { two })
}

/// The setting with this key, if it is replicated.
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Why the setting with this key is never replicated, if that is known.
pub fn stays(key: &str) -> Option<&'static str> {
    OWN.iter().find(|(own, _)| *own == key).map(|(_, why)| *why)
}
