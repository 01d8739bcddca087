//! restic's cache, a copy of parts of the repository that restic can make again.

use std::fs;
use std::path::Path;

/// Removes restic's caches from `directory`: directories whose name is the id of a repository. Returns whether it removed
/// any.
pub(super) fn clear(directory: &Path) -> bool {
    let is_id = |name: &str| name.len() == 64 && name.bytes().all(|c| c.is_ascii_hexdigit());
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of_restic = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_id));
    // A cache that cannot be removed stays as it is.
    of_restic.filter(|entry| fs::remove_dir_all(entry.path()).is_ok()).count() > 0
}

#[cfg(test)]
mod tests {
    use super::clear;

    #[test]
    fn only_caches_of_restic_are_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let id = "b2".repeat(32);
        for name in [id.as_str(), "photos", "b2b2"] {
            std::fs::create_dir_all(path(name).join("data")).expect("a directory");
        }
        std::fs::write(path("c3").with_file_name("c3".repeat(32)), "a file").expect("a file");
        assert!(clear(directory.path()));
        assert!(!path(&id).exists() && path("photos/data").exists() && path("b2b2").exists());
        assert!(path(&"c3".repeat(32)).exists());
        assert!(!clear(directory.path()) && !clear(&path("nowhere")));
    }
}
