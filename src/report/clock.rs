//! Times for people, and how long ago they are.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::text;

/// The time for which a document was made, and the zone in which its text shows times.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The time.
    pub now: Timestamp,
    /// The time zone.
    pub zone: TimeZone,
}

impl Clock {
    /// `at`, and how long ago that is.
    pub(super) fn when(&self, at: &Timestamp) -> String {
        format!("{} ({})", text::time(*at, &self.zone), ago(self.now.duration_since(*at).as_secs()))
    }
}

/// A span in its largest whole unit.
fn ago(seconds: i64) -> String {
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}
