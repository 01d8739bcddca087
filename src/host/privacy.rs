//! Whether files that hold secrets, or decide what is done, are open to somebody else than root and the user
//! that the service runs as.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::users;

/// A path that is open to somebody it should not be open to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// What is wrong with which path.
    pub what: String,
    /// The command that closes it.
    pub remedy: String,
}

/// Looks at those of `paths` that exist. `state` is the state directory: it belongs to the user that the
/// service runs as, whose own group may share what root owns.
pub fn openings<'a>(state: &Path, paths: impl IntoIterator<Item = &'a Path>) -> Vec<Opening> {
    let service = users::owner(state).map_or(0, |user| user.uid);
    let mut paths: Vec<PathBuf> = paths.into_iter().map(Path::to_owned).collect();
    paths.sort();
    paths.dedup();
    paths.iter().filter_map(|path| opening(path, service)).collect()
}

fn opening(path: &Path, service: u32) -> Option<Opening> {
    let metadata = std::fs::metadata(path).ok()?;
    let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    let shown = path.display();
    if uid != 0 && uid != service {
        let (what, remedy) =
            (format!("{shown} belongs to user {}", users::user_name(uid)), format!("chown root {shown}"));
        return Some(Opening { what, remedy });
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
    Some(Opening { what: format!("{shown} can be {how} by {who}"), remedy: format!("chmod {letter}= {shown}") })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::path::Path;

    use super::openings;

    /// In `/etc/passwd` of every Debian: a user with a group of its own, and one whose group is another.
    const DAEMON: (u32, u32) = (1, 1);
    const SYNC: (u32, u32) = (4, 65534);

    #[test]
    fn what_others_can_read_or_write_is_named_with_its_remedy() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let (state, file) = (directory.path().join("state"), directory.path().join("file"));
        fs::create_dir(&state).expect("state");
        fs::write(&file, "secret").expect("a file");
        let found = |service: (u32, u32), owner: (u32, u32), mode: u32| {
            chown(&state, Some(service.0), Some(service.1)).expect("chown");
            chown(&file, Some(owner.0), Some(owner.1)).expect("chown");
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("chmod");
            let found = openings(&state, [file.as_path(), Path::new("/nowhere"), file.as_path()]);
            assert!(found.len() < 2, "named twice");
            let clear = |text: String| text.replace(&file.display().to_string(), "F");
            found.into_iter().map(|opening| (clear(opening.what), clear(opening.remedy))).next()
        };
        let root = (0, 0);
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
            (root, DAEMON, 0o600, Some(("F belongs to user daemon", "chown root F"))),
            (DAEMON, DAEMON, 0o600, None),
            (DAEMON, DAEMON, 0o660, None),
            (DAEMON, (0, 1), 0o640, None),
            (DAEMON, root, 0o640, None),
            (DAEMON, (0, 2), 0o640, Some(("F can be read by group bin", "chmod g= F"))),
            (SYNC, SYNC, 0o640, None),
            (SYNC, (4, 1), 0o640, Some(("F can be read by group daemon", "chmod g= F"))),
        ] {
            let expected = expected.map(|(what, remedy)| (what.to_owned(), remedy.to_owned()));
            assert_eq!(found(service, owner, mode), expected, "service {service:?}, file {owner:?} {mode:o}");
        }
    }
}
