//! Uploaded files travel with the rows that refer to them, and no link leads out of the upload directory.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use kuma_replicator::error::Kind;
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::host::kuma::uploads::Uploads;
use kuma_replicator::model::catalog;
use kuma_replicator::model::configuration::UploadedFile;
use kuma_replicator::model::dump::parse;
use kuma_replicator::model::limits::MAX_FILE;
use kuma_replicator::plan::plan;

use super::program::{dump, exported, exported_again, import, import_well, library_export, program, run, taken};
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
    assert_eq!(library_export(&source).warnings.len(), 1, "the missing one is reported");
    let bytes = exported_again(&dump);

    let target = Instance::empty(Version::Two, Order::Fresh);
    // As root the owner can be another one; without root the test still covers modes and content.
    let owner = fs::metadata(target.directory()).unwrap().uid();
    let wanted = if owner == 0 { 65534 } else { owner };
    for path in [target.directory(), &target.path()] {
        std::os::unix::fs::chown(path, Some(wanted), None).unwrap();
    }
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
        assert!(export.warnings.iter().any(|text| text.contains("not a regular file")), "{:?}", export.warnings);
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

/// Uptime Kuma does not show such a file either.
#[test]
fn a_file_that_uptime_kuma_may_not_read_is_left_out() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    let logo = source.directory().join("upload/logo1.png");
    fs::set_permissions(&logo, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::metadata(source.directory()).unwrap().uid() == 0 {
        // Root may read everything, and the worker of another user may not.
        let given = Command::new("chown").args(["-R", "65534:65534"]).arg(source.directory()).status().unwrap();
        assert!(given.success());
    }
    let output = run(program().args(["export", "--database"]).arg(source.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("logo1.png is left out") && said.contains("its mode or its owner"), "{said}");
    assert!(parse(&output.stdout).unwrap().configuration.files.is_empty());
}

/// Found before Uptime Kuma is stopped.
#[test]
fn a_directory_under_the_name_of_an_unfinished_file_is_named() {
    let target = Instance::rich(Version::Two, Order::Fresh);
    let database = Database::new(target.path());
    target.upload(".kuma-replicator.0", b"half");
    database.check_writable(0, true).unwrap();
    fs::create_dir(target.directory().join("upload/.kuma-replicator.1")).unwrap();
    let error = database.check_writable(0, true).unwrap_err();
    assert_eq!(error.kind(), Kind::NotPermitted, "{error:?}");
    assert!(error.to_string().contains("upload/.kuma-replicator.1"), "{error:?}");
    database.check_writable(0, false).unwrap();
}

/// Names in the upload directory of an instance, sorted.
fn names(instance: &Instance) -> Vec<String> {
    let entries = fs::read_dir(instance.directory().join("upload")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The files get their names after the commit. Killed in between, the rows are new and the files are not: the next
/// plan has only the files, and what is there under temporary names is removed.
#[test]
fn files_that_a_crash_after_the_commit_left_out_come_with_the_next_write() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    source.execute("UPDATE status_page SET icon='/upload/logo2.png?t=1' WHERE id=2");
    source.upload("logo2.png", b"two");
    let wanted = dump(&source);
    let target = Instance::empty(Version::Two, Order::Fresh);
    import_well(&exported_again(&wanted), &target);

    // Killed before the first rename, and after it.
    for (one, two) in [(&b"old"[..], &b"old"[..]), (b"old", b"two")] {
        target.upload("logo1.png", one);
        target.upload("logo2.png", two);
        for name in [".kuma-replicator.0", ".kuma-replicator.1"] {
            target.upload(name, b"half");
        }
        let mut rows = wanted.configuration.clone();
        rows.tables.retain(|table| table.spec.name != catalog::SETTING);
        let changes = plan(&library_export(&target).configuration, &rows);
        assert!(changes.tables.is_empty() && !changes.files.is_empty(), "{changes:?}");
        import_well(&exported_again(&wanted), &target);
        assert_eq!(names(&target), ["logo1.png", "logo2.png"]);
        assert_eq!(taken(&target), taken(&source));
    }

    // Killed before the commit, and the main went back since: there is nothing to write any more.
    let uploads = Uploads::beside(&target.path());
    target.upload(".kuma-replicator.0", b"half");
    target.upload(".kuma-replicator", b"not ours");
    uploads.remove_leftovers().unwrap();
    assert_eq!(names(&target), [".kuma-replicator", "logo1.png", "logo2.png"]);
    fs::remove_dir_all(target.directory().join("upload")).unwrap();
    uploads.remove_leftovers().unwrap();
}

/// Staged and dropped, as when the commit fails; and a name that something else holds.
#[test]
fn files_that_do_not_get_their_names_leave_nothing_behind() {
    let target = Instance::empty(Version::Two, Order::Fresh);
    let uploads = Uploads::beside(&target.path());
    let file = |name: &str| UploadedFile { name: name.to_owned(), content: name.into() };
    drop(uploads.stage(&[file("a.png"), file("b.png")]).unwrap());
    assert!(names(&target).is_empty());
    fs::create_dir(target.directory().join("upload/a.png")).unwrap();
    uploads.stage(&[file("a.png"), file("b.png")]).unwrap().put_in_place().unwrap_err();
    assert_eq!(names(&target), ["a.png", "b.png"]);

    // The rows are there by then: that is a warning, and no failure.
    let source = Instance::rich(Version::Two, Order::Fresh);
    fs::create_dir(target.directory().join("upload/logo1.png")).unwrap();
    let output = import(&exported(&source), &target);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("upload/logo1.png"), "{text}");
    assert_eq!(names(&target), ["a.png", "b.png", "logo1.png"]);
    fs::remove_dir(target.directory().join("upload/logo1.png")).unwrap();
    import_well(&exported(&source), &target);
    assert_eq!(taken(&target), taken(&source));
}

#[test]
fn an_upload_that_is_too_large_is_left_out_by_name() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    for (size, files) in [(MAX_FILE, 1), (MAX_FILE + 1, 0)] {
        source.upload("logo1.png", &vec![b'x'; size]);
        let export = library_export(&source);
        assert_eq!((export.configuration.files.len(), export.warnings.len()), (files, 1 - files));
        let reported = |text: &String| text.contains("logo1.png") && text.contains("4194304 bytes");
        assert!(export.warnings.iter().all(reported), "{:?}", export.warnings);
    }
}
