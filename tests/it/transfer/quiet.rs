//! What an import does not do: it writes nothing twice and nothing in a dry run, and it shows no secrets.

use super::program::{Paper, exported, import, import_of, import_well, refused, run};
use crate::support::instance::{Instance, Order, Version};

#[test]
fn a_second_import_does_nothing() {
    let bytes = exported(&Instance::rich(Version::Two, Order::Fresh));
    let target = Instance::empty(Version::Two, Order::Upgraded);
    import_well(&bytes, &target);
    let before = target.files();
    let output = import(&bytes, &target);
    assert!(output.status.success());
    assert!(target.files() == before);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().count() == 1 && text.starts_with("import: no changes: "), "{text}");

    // Where there is nothing to write, Uptime Kuma may have the database open.
    let _kuma = target.open();
    _kuma.query_row("SELECT count(*) FROM monitor", [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(import(&bytes, &target).status.success());
}

#[test]
fn a_dry_run_changes_no_byte() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    let target = Instance::empty(Version::Two, Order::Upgraded);
    let before = target.files();
    let paper = Paper::with(&exported(&source));
    let output = run(import_of(&paper.path(), &target.path()).arg("--dry-run"));
    assert!(output.status.success());
    assert!(target.files() == before);
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["+ monitor 58", "~ user 1", "+ upload/logo1.png", "rows to add"] {
        assert!(text.contains(part), "'{part}' is not in {text}");
    }
    // It says beforehand what the real one would refuse.
    source.execute("PRAGMA ignore_check_constraints=ON; UPDATE monitor SET snmp_version='9' WHERE id=1");
    let paper = Paper::with(&exported(&source));
    let output = run(import_of(&paper.path(), &target.path()).arg("--dry-run"));
    refused(&output, &before, &target, 65, &["monitor row id 1"]);
}

#[test]
fn secrets_are_not_printed() {
    let source = Instance::rich(Version::Two, Order::Fresh);
    source.execute(
        "UPDATE user SET password='geheim-1'; UPDATE notification SET config='geheim-2';
         UPDATE monitor SET body='geheim-3', push_token='geheim-4', url='http://u:geheim-5@x/';
         UPDATE proxy SET password='geheim-6'; UPDATE docker_host SET docker_daemon='geheim-7';
         UPDATE api_key SET key='geheim-8'; UPDATE status_page SET password='geheim-9'",
    );
    let bytes = exported(&source);
    for target in [Instance::empty(Version::Two, Order::Fresh), Instance::rich(Version::Two, Order::Fresh)] {
        let output = import(&bytes, &target);
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.lines().count() > 10 && !text.contains("geheim"), "{text}");
        // Neither old nor new values show when the dump goes the other way.
        let output = import(&exported(&Instance::rich(Version::Two, Order::Fresh)), &target);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("geheim"));
    }
    source.execute("PRAGMA ignore_check_constraints=ON; UPDATE monitor SET snmp_version='geheim'");
    let output = import(&exported(&source), &Instance::rich(Version::Two, Order::Fresh));
    assert_eq!(output.status.code(), Some(65));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("geheim"));
}
