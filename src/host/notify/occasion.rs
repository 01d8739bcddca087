//! An event of a cycle as a message.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cycle::{Event, Level};
use crate::model::notify::{Notice, Weight};
use crate::text;

/// What receivers may be told of this event. `None` for one that only repeats what the cycle before said, and for one that
/// lasts: of that they are told after the cycle, with everything else that lasts.
pub fn occasion(event: &Event, now: Timestamp, zone: &TimeZone) -> Option<Notice> {
    let level = match event.level() {
        Level::Info => return None,
        Level::Notice => Weight::Notice,
        Level::Warning => Weight::Warning,
        Level::Error => Weight::Error,
    };
    if matches!(event, Event::Failed { .. } | Event::Blocked { .. }) {
        return None;
    }
    let text = text::line(&text::limit(event.message(zone))).into_owned();
    let fields = event.fields().entries().into_iter().collect();
    Some(Notice { event: event.name().to_owned(), level, text, hint: None, error: None, fields, at: now })
}
