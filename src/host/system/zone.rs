//! The time zone of this host, and which zones there are.

use std::io::ErrorKind;
use std::path::Path;

use crate::model::zone::Zone;

/// The time zone that `/etc/localtime` names, as localtime(5) has it: a link into the zone database, and UTC without one.
/// A copy of a zone's file does not say which zone it is.
pub fn of_host() -> Option<Zone> {
    of_link(Path::new("/etc/localtime"))
}

fn of_link(link: &Path) -> Option<Zone> {
    match link.canonicalize() {
        Ok(file) => {
            let (_, name) = file.to_str()?.rsplit_once("/zoneinfo/")?;
            let name = name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name);
            name.parse().ok()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => "UTC".parse().ok(),
        Err(_) => None,
    }
}

/// Whether there is such a zone, as far as this host has the zone database.
pub fn exists(zone: &Zone) -> bool {
    let database = jiff::tz::db();
    database.is_definitively_empty() || database.get(zone.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_zone_of_a_host_is_that_of_its_link() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("zoneinfo/Europe")).expect("a directory");
        std::fs::write(at("zoneinfo/Europe/Berlin"), b"TZif2").expect("a file");
        symlink("zoneinfo/Europe/Berlin", at("localtime")).expect("a link");
        symlink("localtime", at("twice")).expect("a link");
        let found = |name: &str| of_link(&at(name)).map(|zone| zone.to_string());
        assert_eq!(found("localtime").as_deref(), Some("Europe/Berlin"));
        assert_eq!(found("twice").as_deref(), Some("Europe/Berlin"));
        assert_eq!(found("missing").as_deref(), Some("UTC"));
        std::fs::write(at("copy"), b"TZif2").expect("a file");
        assert_eq!(found("copy"), None);
    }

    #[test]
    fn zones_that_do_not_exist_are_known() {
        let exists = |name: &str| exists(&name.parse().expect("a name"));
        assert!(exists("Europe/Berlin") && exists("UTC"));
        assert!(!exists("Europe/Atlantis"));
    }
}
