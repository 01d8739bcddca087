//! The time zone that Uptime Kuma runs in.

use super::files::Files;
use super::properties::ServiceProperties;
use super::variables::variables;
use crate::model::zone::Zone;

/// The zone of an Uptime Kuma that starts now: `TZ` in its environment, else its own `setting`, else that of the `host`,
/// as in `getTimezone` of `server/uptime-kuma-server.js`, the same in 1.23 and 2.x. What is no zone is passed over.
pub fn zone(
    service: &ServiceProperties,
    files: &Files,
    setting: Option<&str>,
    host: Option<Zone>,
    exists: impl Fn(&Zone) -> bool,
) -> Option<Zone> {
    let variables = variables(service, files);
    let variable = variables.get("TZ").map(String::as_str);
    // The last guess is that of the runtime, which reads TZ in one more form.
    let guess = variable.and_then(|zone| zone.strip_prefix(':'));
    let names = [variable, setting, guess].into_iter().flatten();
    names.filter_map(|name| name.parse().ok()).find(|zone| exists(zone)).or(host)
}
