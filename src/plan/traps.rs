//! Why a server that runs cannot be told what it usually takes up without a restart: faults of its versions, and rows
//! that its events would change. Each was seen on a real server, or is in its source.

use std::collections::BTreeSet;

use super::Plan;
use crate::model::catalog;
use crate::model::configuration::{Configuration, Row};
use crate::model::server::{Family, Server};
use crate::model::told::Told;
use crate::model::value::Value;

/// The type of a monitor that waits for requests.
const PUSH: &str = "push";

/// Why `server` cannot be told of the rows `told`, which `plan` changes; none if it can. `tags` are the names of the tags
/// that it has known since its start.
pub fn traps(
    plan: &Plan,
    wanted: &Configuration,
    told: &Told,
    server: &Server,
    tags: Option<&BTreeSet<String>>,
) -> Vec<String> {
    let Some(family) = server.family() else {
        let version = server.version.as_deref().unwrap_or("of unknown version");
        return vec![format!("Uptime Kuma {version} was not tried with changes while it runs")];
    };
    let mut found = Vec::new();
    found.extend(of_old_monitors(plan, told, family));
    found.extend(of_new_monitors(plan, family, server));
    found.extend(of_rows(wanted, told, server));
    if matches!(family, Family::Two { minor } if minor >= 1) {
        found.extend(of_tags(wanted, told, tags));
    }
    found
}

/// A push monitor that is told within its first interval leaves a timer behind, whose end is taken for a failure
/// (`start` in `server/model/monitor.js` before 2.5.0).
fn of_old_monitors<'a>(plan: &'a Plan, told: &'a Told, family: Family) -> Option<String> {
    let monitors = plan.table(catalog::MONITOR)?;
    let updates = monitors.updates.iter().map(|update| &update.from);
    let mut push = monitors.deletes.iter().chain(updates).filter(|row| {
        let id = monitors.value(row, catalog::ID).as_integer();
        monitors.value(row, catalog::TYPE).as_text() == Some(PUSH) && id.is_some_and(|id| told.monitors.contains(&id))
    });
    let affected = match family {
        Family::One => true,
        Family::Two { minor } => minor < 5,
    };
    let row = push.next().filter(|_| affected)?;
    let id = monitors.value(row, catalog::ID);
    Some(format!("monitor {id} is a push monitor, which Uptime Kuma before 2.5 would report as down"))
}

/// Uptime Kuma 2.x keeps the statistics of a removed monitor in memory, and writes none for another one with its id until
/// the day is over (`server/uptime-calculator.js`). In every version the history under the id belongs to the old one.
fn of_new_monitors(plan: &Plan, family: Family, server: &Server) -> Option<String> {
    let monitors = plan.table(catalog::MONITOR)?;
    let taken_over = plan.taken_over();
    let mut ids = monitors.inserts.iter().map(|row| monitors.value(row, catalog::ID));
    let known = |id: &Value| family != Family::One && id.as_integer().is_some_and(|id| id <= server.last_monitor);
    let id = ids.find(|id| taken_over.contains(id) || known(id))?;
    Some(format!("monitor {id} has an id that another monitor has had"))
}

/// The events check who owns a row, and write 0 or 1 into the column `active` (`startMonitor` in `server/server.js`).
fn of_rows(wanted: &Configuration, told: &Told, server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    for (name, ids) in [(catalog::MONITOR, &told.monitors), (catalog::MAINTENANCE, &told.maintenances)] {
        let Some(table) = wanted.table(name) else { continue };
        for row in table.rows_with(ids) {
            let id = table.value(row, catalog::ID);
            if !matches!(table.value(row, catalog::ACTIVE), Value::Integer(0 | 1)) {
                found.push(format!("{name} {id} is neither active nor paused: its column active is neither 0 nor 1"));
            }
            let owner = table.value(row, catalog::USER_ID).as_integer();
            if !owner.is_some_and(|owner| server.users.contains(&owner)) {
                found.push(format!("{name} {id} belongs to no user who may log in"));
            }
        }
    }
    found
}

/// The names of tags are labels of the Prometheus metrics. A server registers the labels at its start; a monitor that
/// starts with another one has no metrics (`server/prometheus.js` from 2.1 on).
fn of_tags(wanted: &Configuration, told: &Told, known: Option<&BTreeSet<String>>) -> Option<String> {
    let (tags, links) = (wanted.table(catalog::TAG)?, wanted.table(catalog::MONITOR_TAG)?);
    let is_told =
        |row: &Row| links.value(row, catalog::MONITOR_ID).as_integer().is_some_and(|id| told.monitors.contains(&id));
    let used: BTreeSet<&Value> =
        links.rows.iter().filter(|row| is_told(row)).map(|row| links.value(row, catalog::TAG_ID)).collect();
    let mut names = tags.rows.iter().filter(|row| used.contains(tags.value(row, catalog::ID)));
    let new = names.find_map(|row| {
        let name = tags.value(row, catalog::NAME).as_text()?;
        (!known.is_some_and(|known| known.contains(name))).then_some(name)
    })?;
    Some(format!("tag {new:?} is new since Uptime Kuma was started, and a monitor that has it would lose its metrics"))
}
