//! The events with which a server takes rows up, as its web page would send them. Pure.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::model::catalog;
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::told::Told;
use crate::model::value::Value;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    /// The user to whom the row belongs, who alone may send it; `None` if any user may.
    pub(super) user: Option<i64>,
    /// The name of the event.
    pub(super) event: &'static str,
    /// The id of the row, for people.
    pub(super) id: i64,
    /// Its arguments.
    pub(super) arguments: Vec<Json>,
    /// The event for a row that the server does not know yet, if that is another one.
    pub(super) or_else: Option<&'static str>,
}

impl Order {
    fn new(event: &'static str, id: i64) -> Self {
        Self { user: None, event, id, arguments: vec![json!(id)], or_else: None }
    }
}

/// The events for the rows `told`, which are in the database as in `rows`.
pub(super) fn orders(told: &Told, rows: &Configuration) -> Vec<Order> {
    let maintenances = of(rows.table(catalog::MAINTENANCE), &told.maintenances, "deleteMaintenance", maintenance);
    let monitors = of(rows.table(catalog::MONITOR), &told.monitors, "deleteMonitor", monitor);
    // Public pages show monitors and maintenances as well. The handler removes the links of maintenance 0, which does not
    // exist, and empties the cache.
    let pages = (!told.is_empty()).then(|| {
        let arguments = vec![json!(0), json!([])];
        Order { arguments, ..Order::new("addMaintenanceStatusPage", 0) }
    });
    maintenances.into_iter().chain(monitors).chain(pages).collect()
}

/// For each id the event for its row, or that for a row that is gone.
fn of(
    table: Option<&Table>,
    ids: &BTreeSet<i64>,
    gone: &'static str,
    here: fn(&Table, &Row, i64) -> Order,
) -> Vec<Order> {
    let row = |id: i64| {
        let table = table?;
        let row = table.rows.iter().find(|row| table.value(row, catalog::ID).as_integer() == Some(id))?;
        let user = table.value(row, catalog::USER_ID).as_integer();
        Some(Order { user, ..here(table, row, id) })
    };
    ids.iter().map(|id| row(*id).unwrap_or_else(|| Order::new(gone, *id))).collect()
}

fn monitor(table: &Table, row: &Row, id: i64) -> Order {
    let active = *table.value(row, catalog::ACTIVE) == Value::Integer(1);
    Order::new(if active { "resumeMonitor" } else { "pauseMonitor" }, id)
}

/// A maintenance as its page sends it (`jsonToBean` in `server/model/maintenance.js`).
fn maintenance(table: &Table, row: &Row, id: i64) -> Order {
    let value = |column: &str| plain(table.value(row, column));
    let list = |column: &str| {
        let written = table.value(row, column).as_text().and_then(|text| serde_json::from_str(text).ok());
        written.unwrap_or_else(|| json!([]))
    };
    let minutes = table.value(row, "duration").as_integer().map_or(0.0, |seconds| seconds as f64 / 60.0);
    let argument = json!({
        "id": id,
        "title": value(catalog::TITLE),
        "description": value("description"),
        "strategy": value(catalog::STRATEGY),
        "active": *table.value(row, catalog::ACTIVE) == Value::Integer(1),
        "intervalDay": value("interval_day"),
        "timezoneOption": value(catalog::TIMEZONE),
        "dateRange": [value("start_date"), value("end_date")],
        "timeRange": [clock(table.value(row, "start_time")), clock(table.value(row, "end_time"))],
        "weekdays": list("weekdays"),
        "daysOfMonth": list("days_of_month"),
        "cron": value(catalog::CRON),
        "durationMinutes": minutes,
    });
    Order { or_else: Some("addMaintenance"), arguments: vec![argument], ..Order::new("editMaintenance", id) }
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Integer(number) => json!(number),
        Value::Real(number) => json!(number),
        Value::Text(_) => json!(value.as_text()),
        Value::Null | Value::Blob(_) => Json::Null,
    }
}

/// A time of day such as `02:30`, as its page sends it.
fn clock(value: &Value) -> Json {
    let mut numbers = value.as_text().unwrap_or_default().split(':').map(|part| part.parse::<u32>().unwrap_or(0));
    json!({ "hours": numbers.next().unwrap_or(0), "minutes": numbers.next().unwrap_or(0), "seconds": numbers.next().unwrap_or(0) })
}
