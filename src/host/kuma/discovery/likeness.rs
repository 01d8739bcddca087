//! Whether a unit seems to run Uptime Kuma: a pure function, for a set-up that has to find one under any name.

use std::path::Path;

use super::properties::ServiceProperties;

/// How much a unit is like one that runs Uptime Kuma, from less to more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// Not at all.
    None,
    /// It runs PM2, which may run Uptime Kuma.
    Pm2,
    /// Its name, or a path in it, says so.
    Named,
    /// It starts the server of Uptime Kuma.
    Server,
}

/// The likeness of the unit `name`.
pub fn likeness(name: &str, service: &ServiceProperties) -> Likeness {
    const NAME: &str = "uptime-kuma";
    let named = |text: &str| text.to_lowercase().contains(NAME);
    let ours = name.starts_with("kuma-replicator");
    let starts_server = service.arguments.iter().any(|word| Path::new(word).ends_with("server/server.js"));
    match () {
        () if ours => Likeness::None,
        () if starts_server => Likeness::Server,
        () if name.starts_with("pm2-") => Likeness::Pm2,
        () if named(name) || named(&service.working_directory) || service.arguments.iter().any(|word| named(word)) => {
            Likeness::Named
        }
        () => Likeness::None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Likeness, likeness};
    use crate::host::kuma::discovery::ServiceProperties;

    #[test]
    fn a_unit_that_runs_uptime_kuma_is_known_by_what_it_starts() {
        for (name, directory, arguments, wanted) in [
            ("uptime.service", "/srv/monitoring", "/usr/bin/node server/server.js", Likeness::Server),
            ("status.service", "", "node /opt/uptime-kuma/server/server.js --port=80", Likeness::Server),
            ("uptime.service", "/home/uptime/uptime-kuma", "/usr/bin/npm start", Likeness::Named),
            ("uptime-kuma-2.service", "/opt/kuma", "/usr/bin/npm start", Likeness::Named),
            ("kuma.service", "/opt/Uptime-Kuma", "/usr/bin/npm start", Likeness::Named),
            ("pm2-root.service", "/", "/usr/bin/pm2 resurrect", Likeness::Pm2),
            ("kuma-replicator.service", "/opt/uptime-kuma", "/usr/bin/kuma-replicator run", Likeness::None),
            ("nginx.service", "", "/usr/sbin/nginx", Likeness::None),
        ] {
            let service = ServiceProperties {
                working_directory: directory.to_owned(),
                arguments: arguments.split(' ').map(str::to_owned).collect(),
                ..ServiceProperties::default()
            };
            assert_eq!(likeness(name, &service), wanted, "{name}");
        }
    }
}
