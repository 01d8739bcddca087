//! Whether `/` of a host still leads to a page: the setting names a status page by its slug, and belongs to the host, while
//! the page comes from the main.

use crate::model::catalog::{ID, SETTING, STATUS_PAGE};
use crate::model::configuration::{Configuration, Row, Table};
use crate::model::value::Value;

/// The column with the name of a status page in its address.
const SLUG: &str = "slug";

/// What is wrong with the entry page of a host that gets the rows that are `wanted`, if it leads to a status page that is
/// not among them: for people, with its new slug if it was renamed. Without settings in `wanted`, those `here` stay.
pub fn lost_entry_page(wanted: &Configuration, here: &Configuration) -> Option<String> {
    let settings = if wanted.table(SETTING).is_some() { wanted } else { here };
    let entry = settings.setting("entryPage")?;
    let slug = entry.strip_prefix("statusPage-")?;
    let pages = wanted.table(STATUS_PAGE)?;
    if find(pages, SLUG, &Value::text(slug)).is_some() {
        return None;
    }
    let before =
        here.table(STATUS_PAGE).and_then(|pages| Some(pages.value(find(pages, SLUG, &Value::text(slug))?, ID)));
    let now = before.and_then(|id| pages.value(find(pages, ID, id)?, SLUG).as_text());
    let renamed = now.map(|now| format!(": its slug is {now} now")).unwrap_or_default();
    Some(format!("/ of this host leads to status page {slug}, which does not exist{renamed}"))
}

fn find<'a>(table: &'a Table, column: &str, value: &Value) -> Option<&'a Row> {
    table.rows.iter().find(|row| table.value(row, column) == value)
}
