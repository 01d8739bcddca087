//! restic's cache, which is a copy of parts of the repository and can be had again.

use std::fs;
use std::path::Path;

/// Removes what restic keeps in `directory`, and nothing that does not look like it: directories that have a
/// repository's id as their name. Whether there was any.
pub(super) fn forget(directory: &Path) -> bool {
    let is_id = |name: &str| name.len() == 64 && name.bytes().all(|c| c.is_ascii_hexdigit());
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of_restic = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_id));
    // What cannot be removed is as before.
    of_restic.filter(|entry| fs::remove_dir_all(entry.path()).is_ok()).count() > 0
}

#[cfg(test)]
mod tests {
    use super::forget;

    #[test]
    fn only_what_restic_keeps_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let id = "b2".repeat(32);
        for name in [id.as_str(), "photos", "b2b2"] {
            std::fs::create_dir_all(path(name).join("data")).expect("a directory");
        }
        std::fs::write(path("c3").with_file_name("c3".repeat(32)), "a file").expect("a file");
        assert!(forget(directory.path()));
        assert!(!path(&id).exists() && path("photos/data").exists() && path("b2b2").exists());
        assert!(path(&"c3".repeat(32)).exists());
        assert!(!forget(directory.path()) && !forget(&path("nowhere")));
    }
}
