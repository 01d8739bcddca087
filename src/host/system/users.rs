//! The users of this host in `/etc/passwd` and `/etc/group`, and the owner of the files that this program writes.
//!
//! The service may run as another user than root, while an administrator runs commands as root. The files that root then
//! writes, or restic for it, must belong to the user of the service, or it could not use them.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::num::ParseIntError;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

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

/// The ids with which a process acts for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id of the user.
    pub uid: u32,
    /// The id of its group.
    pub gid: u32,
    /// The ids of the other groups that it is a member of.
    pub groups: Vec<u32>,
    /// Whether a directory of root is on the way that this user may not search, such as `/var/lib/private`: then the
    /// process keeps the capability to do so.
    pub search: bool,
}

impl fmt::Display for Identity {
    /// Its ids, as [`Identity::from_str`] reads them: `1000:1000:` or `1000:1000:4,27:search`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        write!(f, "{}:{}:{}{}", self.uid, self.gid, groups.join(","), if self.search { ":search" } else { "" })
    }
}

impl FromStr for Identity {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, search) = match text.strip_suffix(":search") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut parts = text.splitn(3, ':');
        let mut id = || parts.next().unwrap_or_default().parse();
        let (uid, gid) = (id()?, id()?);
        let groups = parts.next().filter(|groups| !groups.is_empty());
        let groups = groups.into_iter().flat_map(|groups| groups.split(',')).map(str::parse);
        let groups = groups.collect::<Result<_, _>>()?;
        Ok(Self { uid, gid, groups, search })
    }
}

/// The identity of the user `uid`. One that is not in `/etc/passwd`, such as that of a unit with `DynamicUser=`, has
/// only the group `gid`.
pub fn identity(uid: u32, gid: u32) -> Identity {
    let line = entry("/etc/passwd", &uid.to_string());
    let name = line.as_deref().and_then(|line| line.split(':').next());
    let gid = line.as_deref().and_then(|line| line.split(':').nth(3)?.parse().ok()).unwrap_or(gid);
    let groups = name.map(groups).unwrap_or_default();
    Identity { uid, gid, groups, search: false }
}

/// The ids of the local groups that list `user` as a member.
fn groups(user: &str) -> Vec<u32> {
    let text = fs::read_to_string("/etc/group").unwrap_or_default();
    let has_user = |line: &&str| line.rsplit(':').next().is_some_and(|names| names.split(',').any(|name| name == user));
    text.lines().filter(has_user).filter_map(|line| line.split(':').nth(2)?.parse().ok()).collect()
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

    use super::{Identity, User, find, group_name, to_become, user_name};

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
    fn an_identity_is_read_as_it_is_written() {
        for groups in [vec![], vec![4], vec![4, 27]] {
            for search in [true, false] {
                let identity = Identity { uid: 1000, gid: 7, groups: groups.clone(), search };
                assert_eq!(identity.to_string().parse(), Ok(identity));
            }
        }
        for text in ["", "1", "1:", "1:2:3,", "a:1", "1:2:3:4", "-1:0", "4294967296:0"] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
        let nobody = super::identity(65534, 1);
        assert_eq!((nobody.uid, nobody.gid), (65534, 65534), "the group that /etc/passwd says");
        let unknown = super::identity(4_000_000_000, 1);
        assert_eq!(unknown, Identity { uid: 4_000_000_000, gid: 1, groups: Vec::new(), search: false });
    }

    #[test]
    fn no_user_becomes_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(to_become(directory.path()).expect("an owner"), None);
        assert!(to_become(Path::new("/nowhere")).is_err());
    }
}
