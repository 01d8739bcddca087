//! As whom a path is opened. Root opens nothing that another user could exchange or has made: a file that another user
//! crafts can make a library act with the rights of the process that opens it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;
use rustix::process::geteuid;

use super::users::{self, Identity};
use crate::error::{Error, Kind, Result};

/// The number of symbolic links after which Linux gives up, too.
const MAX_LINKS: usize = 40;

/// What the way to a path says about who can exchange what lies there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    /// User and group of the last directory or file that does not belong to root. A link of such a user decides at once:
    /// that user chose everything behind it.
    owner: Option<(u32, u32)>,
    is_decided: bool,
    /// Group and mode of the directories of root that not everybody may search, before the first thing that belongs to
    /// another user: what comes behind it, that user chose.
    hidden: Vec<(u32, u32)>,
    /// A directory or file of root that others can write.
    exposed: Option<PathBuf>,
}

/// The user as whom `path` is opened; `None` if this process opens it as what it is. Only root becomes another user, and
/// it opens a path itself only if nobody else can exchange a part of it. The path need not exist.
///
/// # Errors
/// [`Kind::NotPermitted`] if root may not open it and it belongs to nobody else; else if the way to it cannot be read.
pub fn opener(path: &Path) -> Result<Option<Identity>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let failed = |error| Error::io(format!("find the owner of {}", path.display()), error);
    let way = std::path::absolute(path).and_then(|path| way(&path)).map_err(failed)?;
    match way {
        Way { owner: Some((uid, gid)), hidden, .. } => {
            let identity = users::identity(uid, gid);
            let may = |group: &u32| identity.gid == *group || identity.groups.contains(group);
            let search = hidden.iter().any(|(group, mode)| mode & 0o010 == 0 || !may(group));
            Ok(Some(Identity { search, ..identity }))
        }
        Way { owner: None, exposed: Some(exposed), .. } => {
            let what = format!("root does not open {}: others can write {}", path.display(), exposed.display());
            let hint = "give it to the user of Uptime Kuma with chown, or move it where only root can write";
            Err(Error::new(Kind::NotPermitted, what).with_hint(hint))
        }
        Way { owner: None, exposed: None, .. } => Ok(None),
    }
}

/// Follows an absolute path as the kernel does, as far as it exists and can be seen.
fn way(path: &Path) -> io::Result<Way> {
    let mut way = Way::default();
    let mut rest: VecDeque<OsString> = names(path);
    let (mut here, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let found = match std::fs::symlink_metadata(&next) {
            Ok(found) => found,
            // Only the owners so far can see what lies behind, or make it.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
                ) =>
            {
                break;
            }
            Err(error) => return Err(error),
        };
        if !found.is_symlink() {
            way.note(&next, &found, rest.len());
            here = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        way.note_link(&found);
        let target = std::fs::read_link(&next)?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            rest.push_front(name);
        }
    }
    Ok(way)
}

fn names(path: &Path) -> VecDeque<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(part).collect()
}

impl Way {
    /// Notes a directory or file with `below` names to go.
    fn note(&mut self, path: &Path, found: &Metadata, below: usize) {
        if found.uid() != 0 {
            if !self.is_decided {
                self.owner = Some((found.uid(), found.gid()));
            }
            return;
        }
        if found.is_dir() && found.mode() & 0o001 == 0 && self.owner.is_none() {
            self.hidden.push((found.gid(), found.mode()));
        }
        // In a sticky directory others cannot exchange an entry of root. They can make one: beside the database, as its
        // journal, that would be as bad.
        let sticky = found.is_dir() && found.mode() & 0o1000 != 0 && below > 1;
        let written = found.mode() & 0o002 != 0 || (found.mode() & 0o020 != 0 && found.gid() != 0);
        if written && !sticky {
            self.exposed.get_or_insert_with(|| path.to_owned());
        }
    }

    fn note_link(&mut self, link: &Metadata) {
        if link.uid() != 0 && !self.is_decided {
            self.owner = Some((link.uid(), link.gid()));
            self.is_decided = true;
        }
    }
}
