//! Edits on the main after which row-by-row replication goes wrong: they arrive, and can be undone.

use kuma_replicator::model::dump;

use super::program::{exported, import, import_well, taken};
use crate::support::instance::{Instance, Order, Version};
use crate::support::rows::digest_but_settings;

/// Each of these is one edit on the main after which row-by-row replication goes wrong.
#[test]
fn awkward_changes_arrive() {
    let edits = [
        "UPDATE status_page SET slug='x' WHERE id=1; UPDATE status_page SET slug='main' WHERE id=2;
         UPDATE status_page SET slug='other' WHERE id=1",
        "UPDATE status_page SET slug='x' WHERE id=1; UPDATE status_page SET slug='main' WHERE id=2;
         UPDATE status_page SET slug='other' WHERE id=3; UPDATE status_page SET slug='third' WHERE id=1",
        "UPDATE user SET username='x' WHERE id=1; UPDATE user SET username='admin' WHERE id=2;
         UPDATE user SET username='second' WHERE id=1",
        "DELETE FROM status_page WHERE id=3; UPDATE status_page SET slug='third' WHERE id=2;
         INSERT INTO status_page (id, slug, title, icon, theme) VALUES (9, 'other', 'n', '', 'auto')",
        // Saved again: new ids, the same content; and a domain that moves to another page.
        "DELETE FROM status_page_cname; INSERT INTO status_page_cname (id, status_page_id, domain)
         VALUES (70, 1, 'b.example.com'), (71, 2, 'a.example.com')",
        "DELETE FROM monitor_notification; INSERT INTO monitor_notification (id, monitor_id, notification_id)
         VALUES (9, 9, 1), (8, 9, 1), (7, 9, 1), (6, 1, 1)",
        "DELETE FROM monitor_tag WHERE value = ''",
        "DELETE FROM monitor_tag WHERE value IS NULL OR typeof(value) = 'text'",
        "UPDATE monitor SET proxy_id=1 WHERE proxy_id=3; DELETE FROM proxy WHERE id=3",
        "UPDATE monitor SET proxy_id=NULL, docker_host=NULL; DELETE FROM proxy; DELETE FROM docker_host",
        "UPDATE monitor SET remote_browser=NULL; DELETE FROM remote_browser",
        "UPDATE monitor SET parent=NULL; DELETE FROM monitor WHERE type='group'",
        // Parent and child exchange their places; a parent with a higher id than its child is new.
        "UPDATE monitor SET parent=NULL WHERE id=3; UPDATE monitor SET parent=3 WHERE id=2",
        "INSERT INTO monitor (id, name) VALUES (90, 'new parent'); UPDATE monitor SET parent=90 WHERE id <> 90",
        "DELETE FROM monitor",
        "DELETE FROM notification; DELETE FROM tag; DELETE FROM status_page; DELETE FROM maintenance",
        "DELETE FROM \"group\"",
        "UPDATE monitor SET id=59 WHERE id=58",
        "UPDATE monitor SET created_date='2027-01-01 00:00:00'",
        "INSERT INTO user (id, username) VALUES (3, 'third'); UPDATE monitor SET user_id=3;
         DELETE FROM user WHERE id=2",
        "UPDATE monitor SET name=NULL, timeout=x'00', port=3.5, keyword=x'', ignore_tls=''",
        "UPDATE monitor SET timeout=-0.0, url=char(1) || 'kuma-replicator 1'",
        "UPDATE status_page SET slug=char(1) || 'kuma-replicator ' || id",
        "UPDATE status_page SET slug=char(1) || 'kuma-replicator ' || (3 - id) WHERE id < 3",
    ];
    let rich = Instance::rich(Version::Two, Order::Fresh);
    let upgraded = Instance::rich(Version::Two, Order::Upgraded);
    for sql in edits {
        let source = rich.copy();
        source.execute(sql);
        let bytes = exported(&source);
        // Without rows that refer to a deleted one.
        let wanted = digest_but_settings(&dump::parse(&bytes).unwrap().configuration);
        assert_ne!(wanted, taken(&rich), "no change: {sql}");
        let target = upgraded.copy();
        let output = import(&bytes, &target);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(target.is_sound(), "{sql}");
        assert_eq!(taken(&target), wanted, "{sql}");
        // And back.
        import_well(&exported(&rich), &target);
        assert_eq!(taken(&target), taken(&rich), "back from: {sql}");
    }
}
