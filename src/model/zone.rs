//! The time zone of an Uptime Kuma, and which maintenances run in it: those that have none of their own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::catalog::{CRON, MAINTENANCE, STRATEGY, TIMEZONE};
use super::configuration::{Configuration, Table};

/// The value of [`TIMEZONE`] with which a maintenance runs in the time zone of its server: the default of the form.
pub const SAME_AS_SERVER: &str = "SAME_AS_SERVER";

/// The key of the setting with the time zone of a server.
pub const SETTING: &str = "serverTimezone";

/// The longest name of a time zone, in bytes. The longest real one has 32.
const MAX_LENGTH: usize = 64;

/// The name of a time zone, as in the IANA database: `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(String);

impl Zone {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
        if text.len() <= MAX_LENGTH && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("'{}' is not the name of a time zone", crate::text::short(text)))
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The positions of the maintenances in `table` whose time is that of the server's zone.
///
/// As in `run` and `getTimezone` of Uptime Kuma's `server/model/maintenance.js`, the same in 1.23 and 2.x: one without a
/// zone and without a cron pattern, such as a single one of 1.23, runs in UTC everywhere. A manual one has no time.
pub fn in_server_zone(table: &Table) -> Vec<usize> {
    let follows = |row: &[_]| {
        let text = |column| table.value(row, column).as_text().unwrap_or_default();
        let follows = match text(TIMEZONE) {
            SAME_AS_SERVER => true,
            "" => !text(CRON).is_empty(),
            _ => false,
        };
        follows && text(STRATEGY) != "manual"
    };
    let rows = table.rows.iter().enumerate();
    rows.filter(|(_, row)| follows(row)).map(|(at, _)| at).collect()
}

/// How many maintenances of `configuration` run in the time zone of their server.
pub fn followers(configuration: &Configuration) -> usize {
    configuration.table(MAINTENANCE).map_or(0, |table| in_server_zone(table).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog;
    use crate::model::value::Value;

    fn maintenances(rows: &[[&str; 3]]) -> Table {
        let columns = [STRATEGY, CRON, TIMEZONE].map(str::to_owned);
        let mut table = Table::new(catalog::find(MAINTENANCE).expect("in the catalog"), columns.to_vec());
        // Sorted: cron, strategy, timezone.
        let value = |text: &str| if text == "NULL" { Value::Null } else { Value::text(text) };
        table.rows =
            rows.iter().map(|[strategy, cron, zone]| vec![value(cron), value(strategy), value(zone)].into()).collect();
        table
    }

    #[test]
    fn maintenances_that_run_in_the_time_zone_of_the_server_are_those_of_uptime_kuma() {
        for (strategy, cron, zone, follows) in [
            ("recurring-weekday", "0 2 * * 1", SAME_AS_SERVER, true),
            ("recurring-weekday", "0 2 * * 1", "NULL", true),
            ("cron", "0 2 * * 1", "", true),
            ("single", "NULL", SAME_AS_SERVER, true),
            ("single", "", SAME_AS_SERVER, true),
            ("single", "NULL", "NULL", false),
            ("single", "", "", false),
            ("recurring-interval", "NULL", "NULL", false),
            ("cron", "0 2 * * 1", "Europe/Berlin", false),
            ("single", "", "UTC", false),
            ("manual", "", SAME_AS_SERVER, false),
            ("manual", "NULL", "NULL", false),
        ] {
            let found = in_server_zone(&maintenances(&[[strategy, cron, zone]]));
            assert_eq!(!found.is_empty(), follows, "{strategy}, cron {cron}, zone {zone}");
        }
    }

    #[test]
    fn only_names_are_time_zones() {
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "EST5EDT"] {
            assert_eq!(name.parse::<Zone>().expect(name).as_str(), name);
        }
        for name in ["", ":UTC", "../UTC", "/etc/localtime", "CET-1CEST,M3.5.0", "SAME AS", "a\n", &"a".repeat(65)] {
            assert!(name.parse::<Zone>().is_err(), "{name}");
        }
    }
}
