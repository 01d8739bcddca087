//! Whether users other than root and that of the service can read or write files that contain secrets or settings.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::users;

/// A path that users can access who should not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The path and who can access it.
    pub what: String,
    /// The command that ends it.
    pub hint: String,
}

/// The exposures among those of `paths` that exist. The state directory `state` belongs to the user of the service, whose
/// own group may access what root owns.
pub fn exposures<'a>(state: &Path, paths: impl IntoIterator<Item = &'a Path>) -> Vec<Exposure> {
    let service = users::owner(state).map_or(0, |user| user.uid);
    let mut paths: Vec<PathBuf> = paths.into_iter().map(Path::to_owned).collect();
    paths.sort();
    paths.dedup();
    paths.iter().filter_map(|path| exposure(path, service)).collect()
}

fn exposure(path: &Path, service: u32) -> Option<Exposure> {
    let metadata = std::fs::metadata(path).ok()?;
    exposure_by_mode(&path.display().to_string(), (metadata.uid(), metadata.gid()), metadata.mode(), service)
}

/// The exposure of a path with this owner, group and mode, if users other than root and `service` can access it.
fn exposure_by_mode(shown: &str, (uid, gid): (u32, u32), mode: u32, service: u32) -> Option<Exposure> {
    if uid != 0 && uid != service {
        let (what, hint) =
            (format!("{shown} belongs to user {}", users::user_name(uid)), format!("chown root {shown}"));
        return Some(Exposure { what, hint });
    }
    let own = [uid, service].into_iter().any(|uid| users::find(&uid.to_string()).map_or(uid, |user| user.gid) == gid);
    let (who, bits, letter) = match (mode & 0o7, mode >> 3 & 0o7) {
        (bits, _) if bits != 0 => ("others".to_owned(), bits, 'o'),
        (_, bits) if bits != 0 && !own => (format!("group {}", users::group_name(gid)), bits, 'g'),
        _ => return None,
    };
    let how = match (bits & 0o4 != 0, bits & 0o2 != 0) {
        (true, true) => "read and written",
        (false, true) => "written",
        (true, false) => "read",
        (false, false) => "entered",
    };
    Some(Exposure { what: format!("{shown} can be {how} by {who}"), hint: format!("chmod {letter}= {shown}") })
}

#[cfg(test)]
mod tests {
    use super::{Exposure, exposure_by_mode};

    #[test]
    fn what_others_can_read_or_write_is_named_with_a_hint() {
        // These users exist on every Debian. The last one has no own group.
        let (root, daemon, sync) = ((0, 0), (1, 1), (4, 65534));
        for (service, owner, mode, expected) in [
            (root, root, 0o600, None),
            (root, root, 0o640, None),
            (root, root, 0o700, None),
            (root, root, 0o644, Some(("F can be read by others", "chmod o= F"))),
            (root, root, 0o602, Some(("F can be written by others", "chmod o= F"))),
            (root, root, 0o606, Some(("F can be read and written by others", "chmod o= F"))),
            (root, root, 0o711, Some(("F can be entered by others", "chmod o= F"))),
            (root, (0, 1), 0o600, None),
            (root, (0, 1), 0o640, Some(("F can be read by group daemon", "chmod g= F"))),
            (root, (0, 1), 0o620, Some(("F can be written by group daemon", "chmod g= F"))),
            (root, daemon, 0o600, Some(("F belongs to user daemon", "chown root F"))),
            (daemon, daemon, 0o600, None),
            (daemon, daemon, 0o660, None),
            (daemon, (0, 1), 0o640, None),
            (daemon, root, 0o640, None),
            (daemon, (0, 2), 0o640, Some(("F can be read by group bin", "chmod g= F"))),
            (sync, sync, 0o640, None),
            (sync, (4, 1), 0o640, Some(("F can be read by group daemon", "chmod g= F"))),
        ] {
            let expected = expected.map(|(what, hint)| Exposure { what: what.to_owned(), hint: hint.to_owned() });
            assert_eq!(
                exposure_by_mode("F", owner, mode, service.0),
                expected,
                "service {service:?}, file {owner:?} {mode:o}"
            );
        }
    }
}
