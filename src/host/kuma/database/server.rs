//! What the database says of the server that runs on it: which monitors have begun, and whose orders it takes.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::Database;
use super::sql::Sql;
use crate::error::{Error, Kind, Result};

/// How long a server takes at most to begin one monitor, and how long it takes beside that: it pauses for up to a second
/// after each, and a push monitor begins with its first interval (`startMonitors` in `server/server.js`).
const PER_MONITOR: Duration = Duration::from_secs(1);
const BESIDE: Duration = Duration::from_secs(30);

/// What a database says of the server that runs on it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// How long the server still begins its monitors, at most.
    pub beginning: Duration,
    /// How long it takes to begin all of them: as long as it took, or at most.
    pub takes: Duration,
    /// The highest id that a monitor has had.
    pub last_monitor: i64,
    /// The ids of the users who may log in.
    pub users: BTreeSet<i64>,
}

/// What a server signs its sessions with. It must not leave this process.
pub struct Credentials {
    /// Its secret.
    pub secret: String,
    /// The users who may log in: id, name and the hash of the password.
    pub users: Vec<(i64, String, String)>,
}

impl Database {
    /// What is known of a server that was started `age` ago.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn progress(&self, age: Duration) -> Result<Progress> {
        self.look(|connection| {
            let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            let active = u32::try_from(number("SELECT count(*) FROM monitor WHERE active = 1")?).unwrap_or(u32::MAX);
            let longest = BESIDE.saturating_add(PER_MONITOR.saturating_mul(active));
            let took = last_first_beat(connection, age)?;
            let left = if took.is_some() { Duration::ZERO } else { longest.saturating_sub(age) };
            // The table is missing until a row of a table with AUTOINCREMENT is added.
            let seq = "SELECT seq FROM sqlite_sequence WHERE name = 'monitor'";
            let last_monitor = connection.query_row(seq, [], |row| row.get(0)).optional()?.unwrap_or(0);
            let highest = number("SELECT coalesce(max(id), 0) FROM monitor")?;
            let users = connection
                .prepare("SELECT id FROM user WHERE active = 1 AND password IS NOT NULL")?
                .query_map([], |row| row.get(0))?
                .collect::<Sql<_>>()?;
            let last_monitor = highest.max(last_monitor);
            Ok(Progress { beginning: left, takes: took.unwrap_or(longest), last_monitor, users })
        })
    }

    /// Which of these `monitors` have the result of a check that began at `since` or later, a time in UTC as Uptime Kuma
    /// writes it.
    ///
    /// # Errors
    /// As for [`Database::export`].
    pub fn beats(&self, monitors: &BTreeSet<i64>, since: &str) -> Result<BTreeSet<i64>> {
        self.look(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM heartbeat WHERE monitor_id = ?1 AND time >= ?2)";
            let mut statement = connection.prepare(sql)?;
            let mut seen = BTreeSet::new();
            for id in monitors {
                if statement.query_row((id, since), |row| row.get(0))? {
                    seen.insert(*id);
                }
            }
            Ok(seen)
        })
    }

    /// What the server signs its sessions with.
    ///
    /// # Errors
    /// `SchemaUnknown` if it has no secret; as for [`Database::export`].
    pub fn credentials(&self) -> Result<Credentials> {
        let found = self.look(|connection| {
            let sql = "SELECT value FROM setting WHERE key = 'jwtSecret'";
            let secret: Option<Option<String>> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
            let users = connection
                .prepare("SELECT id, username, password FROM user WHERE active = 1 AND password IS NOT NULL")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Sql<_>>()?;
            Ok((secret.flatten(), users))
        })?;
        match found {
            (Some(secret), users) => Ok(Credentials { secret, users }),
            (None, _) => Err(Error::new(Kind::SchemaUnknown, "Uptime Kuma has no secret for its sessions")),
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Connection) -> Sql<T>) -> Result<T> {
        let connection = self.open()?;
        let found = connection.execute_batch("PRAGMA query_only=ON").and_then(|()| look(&connection));
        found.map_err(|error| self.failed("read", error))
    }
}

/// How long after the start, which was `age` ago, the last active monitor beat for the first time; `None` if one has not
/// beaten since.
fn last_first_beat(connection: &Connection, age: Duration) -> Sql<Option<Duration>> {
    let first = "SELECT min(time) FROM heartbeat WHERE monitor_id = monitor.id AND time >= \
                 strftime('%Y-%m-%d %H:%M:%f', 'now', ?1)";
    let sql = format!(
        "SELECT count(*) > count(first), (julianday(max(first)) - julianday('now', ?1)) * 86400.0 \
         FROM (SELECT ({first}) AS first FROM monitor WHERE active = 1)"
    );
    let ago = format!("-{:.3} seconds", age.as_secs_f64());
    let (waiting, took): (bool, Option<f64>) =
        connection.query_row(&sql, [ago], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let took = Duration::try_from_secs_f64(took.unwrap_or(0.0).max(0.0)).unwrap_or(Duration::MAX);
    // A time in the future proves nothing.
    Ok((!waiting && took <= age).then_some(took))
}
