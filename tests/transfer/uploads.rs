//! Uploaded files travel with the rows that refer to them, and no link leads out of the upload directory.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use crate::program::{dump, exported, exported_again, import_well, library_export, taken};
use crate::support::instance::{Instance, Order, Version};

#[test]
fn uploads_arrive() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    source.execute(
        "UPDATE status_page SET icon='/upload/logo2.png' WHERE id=2; UPDATE status_page SET icon='/upload/missing.png' WHERE id=3",
    );
    source.upload("logo2.png", &[]);
    source.upload("nobody-refers-to-me.png", b"x");
    let dump = dump(&source);
    let names: Vec<&str> = dump.configuration.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["logo1.png", "logo2.png"]);
    assert_eq!(library_export(&source).warnings.len(), 1, "the missing one is told");
    let bytes = exported_again(&dump);

    let target = Instance::empty(Version::Two, Order::Fresh);
    // As root the owner can be another one; without root the test still covers modes and content.
    let owner = fs::metadata(target.directory()).unwrap().uid();
    let wanted = if owner == 0 { 65534 } else { owner };
    std::os::unix::fs::chown(target.directory(), Some(wanted), None).unwrap();
    import_well(&bytes, &target);
    for name in ["", "logo1.png", "logo2.png"] {
        let metadata = fs::metadata(target.directory().join("upload").join(name)).unwrap();
        assert_eq!(metadata.uid(), wanted, "owner of upload/{name}");
        assert!(metadata.permissions().mode() & 0o400 != 0);
    }
    let upload = |name: &str| fs::read(target.directory().join("upload").join(name)).unwrap();
    assert_eq!(upload("logo1.png"), b"\x89PNG\r\n\x1a\n one");
    assert_eq!(upload("logo2.png"), b"");

    // Changed content under the same name travels, files of others stay, and nothing temporary is left.
    source.upload("logo1.png", b"two");
    target.upload("mine.png", b"mine");
    import_well(&exported(&source), &target);
    assert_eq!(upload("logo1.png"), b"two");
    assert_eq!(upload("mine.png"), b"mine");
    assert_eq!(fs::read_dir(target.directory().join("upload")).unwrap().count(), 3);
    assert_eq!(taken(&target), taken(&source));
}

#[test]
fn uploads_never_follow_links() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "secret of the host").unwrap();
    // Out of the main: a link is not read.
    let source = Instance::rich(Version::Two, Order::Fresh);
    let logo = source.directory().join("upload/logo1.png");
    fs::remove_file(&logo).unwrap();
    std::os::unix::fs::symlink(&victim, &logo).unwrap();
    let export = library_export(&source);
    assert!(export.configuration.files.is_empty());
    assert!(export.warnings[0].contains("symbolic link"), "{:?}", export.warnings);
    for name in ["fifo.png", "directory.png"] {
        source.execute(&format!("UPDATE status_page SET icon='/upload/{name}' WHERE id=2"));
        let path = source.directory().join("upload").join(name);
        if name.starts_with("fifo") {
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        } else {
            fs::create_dir(&path).unwrap();
        }
        let export = library_export(&source);
        assert!(export.configuration.files.is_empty());
        assert!(export.warnings.iter().any(|text| text.contains("no regular file")), "{:?}", export.warnings);
    }
    for name in ["../kuma.db", "..", ".hidden", "a/b.png", "%2e%2e", "x\0y", ""] {
        let connection = source.open();
        connection.execute("UPDATE status_page SET icon=?1 WHERE id=2", [format!("/upload/{name}")]).unwrap();
        connection.close().unwrap();
        assert!(library_export(&source).configuration.files.is_empty(), "{name}");
    }

    // Into the replica: links under the names that are written are replaced, not followed.
    let bytes = exported(&Instance::rich(Version::Two, Order::Fresh));
    let target = Instance::empty(Version::Two, Order::Fresh);
    target.upload("other.png", b"");
    let upload = target.directory().join("upload");
    for name in ["logo1.png", ".logo1.png.kuma-replicator"] {
        std::os::unix::fs::symlink(&victim, upload.join(name)).unwrap();
    }
    import_well(&bytes, &target);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "secret of the host");
    assert!(fs::symlink_metadata(upload.join("logo1.png")).unwrap().is_file());
    assert_eq!(fs::read(upload.join("logo1.png")).unwrap(), b"\x89PNG\r\n\x1a\n one");
}
