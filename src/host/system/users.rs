//! The users of this host in `/etc/passwd` and `/etc/group`, and the owner of the files that this program writes.
//!
//! The service may run as another user than root, while an administrator runs commands as root. The files that root then
//! writes, or restic for it, must belong to the user of the service, or it could not use them.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

/// A local user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id of the user.
    pub uid: u32,
    /// The id of its own group.
    pub gid: u32,
    /// Its home directory.
    pub home: PathBuf,
}

/// The local user with this name or id.
pub fn find(user: &str) -> Option<User> {
    let line = entry("/etc/passwd", user)?;
    match line.split(':').collect::<Vec<_>>().as_slice() {
        [_, _, uid, gid, _, home, _] => {
            Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: home.into() })
        }
        _ => None,
    }
}

/// The name of a user for people, or its id if it is unknown.
pub fn user_name(uid: u32) -> String {
    name("/etc/passwd", uid)
}

/// The name of a group for people, or its id if it is unknown.
pub fn group_name(gid: u32) -> String {
    name("/etc/group", gid)
}

fn name(file: &str, id: u32) -> String {
    let id = id.to_string();
    let name = entry(file, &id).and_then(|line| Some(line.split_once(':')?.0.to_owned()));
    name.unwrap_or(id)
}

/// The line with this name or id: the first and the third field in both files.
fn entry(file: &str, wanted: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let is_wanted = |line: &&str| {
        let mut fields = line.split(':');
        fields.next() == Some(wanted) || fields.nth(1) == Some(wanted)
    };
    text.lines().find(is_wanted).map(str::to_owned)
}

/// The owner of `directory`. If it is not in `/etc/passwd`, it gets the directory's group.
///
/// # Errors
/// If the metadata of the directory cannot be read.
pub fn owner(directory: &Path) -> io::Result<User> {
    let metadata = fs::metadata(directory)?;
    let (uid, gid) = (metadata.uid(), metadata.gid());
    Ok(find(&uid.to_string()).unwrap_or_else(|| User { uid, gid, home: "/".into() }))
}

/// The owner of `directory`, if this process runs as another user and may become the owner. In its sandbox the service
/// may not, even as root.
///
/// # Errors
/// As for [`owner`].
pub fn to_become(directory: &Path) -> io::Result<Option<User>> {
    let owner = owner(directory)?;
    let able = || {
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
        capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
    };
    Ok((owner.uid != geteuid().as_raw() && able()).then_some(owner))
}

/// Gives `file`, which was just made, to the owner of the `directory` that contains it, if this process runs as root. A
/// file that another user makes stays its own.
///
/// # Errors
/// If root may not change the owner.
pub fn give(file: &File, directory: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if geteuid().is_root() && (now.uid(), now.gid()) != (directory.uid(), directory.gid()) {
        std::os::unix::fs::fchown(file, Some(directory.uid()), Some(directory.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{User, find, group_name, to_become, user_name};

    #[test]
    fn local_users_are_found_by_name_and_by_id() {
        let root = User { uid: 0, gid: 0, home: "/root".into() };
        assert_eq!(find("root").as_ref(), Some(&root));
        assert_eq!(find("0").as_ref(), Some(&root));
        assert_eq!(find("no such user"), None);
        assert_eq!((user_name(0), group_name(0)), ("root".to_owned(), "root".to_owned()));
        assert_eq!(group_name(4_000_000_000), "4000000000");
    }

    #[test]
    fn no_user_becomes_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(to_become(directory.path()).expect("an owner"), None);
        assert!(to_become(Path::new("/nowhere")).is_err());
    }
}
