//! The time zone of maintenances that have none of their own: with that of the main, they begin and end on this host when
//! they do on the main.

use crate::config::MaintenanceTimezone;
use crate::model::catalog::{MAINTENANCE, TIMEZONE};
use crate::model::configuration::Configuration;
use crate::model::value::Value;
use crate::model::zone;

use super::Note;

/// Writes the time zone of the `main` into the maintenances in `wanted` that run in the zone of their server, if they are
/// to keep the main's time.
pub(super) fn of_main(
    wanted: &mut Configuration,
    main: &Configuration,
    whose: MaintenanceTimezone,
    notes: &mut Vec<Note>,
) {
    let Some(table) = wanted.table_mut(MAINTENANCE) else { return };
    let (found, column) = (zone::in_server_zone(table), table.position(TIMEZONE));
    let note = |what: String| Note::rows(what, found.len(), MAINTENANCE);
    match (whose, &main.zone) {
        _ if found.is_empty() => {}
        (MaintenanceTimezone::Local, _) => notes.push(note("in the time zone of this host's Uptime Kuma".to_owned())),
        (MaintenanceTimezone::Main, None) => {
            notes.push(note("in the time zone of this host's Uptime Kuma, as the main's is unknown".to_owned()));
        }
        (MaintenanceTimezone::Main, Some(zone)) => {
            notes.push(note(format!("in the main's time zone {zone}")));
            for at in found {
                let value = table.rows.get_mut(at).and_then(|row| row.get_mut(column?));
                if let Some(value) = value {
                    *value = Value::text(zone.as_str());
                }
            }
        }
    }
}
