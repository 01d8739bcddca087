//! A configuration arrives whole, and so does the one before it when it is written back.

use kuma_replicator::model::dump;
use kuma_replicator::model::value::Value;

use super::program::{dump, exported, exported_again, fixture, import_well, taken};
use crate::support::instance::{HISTORY, Instance, Order, Version};
use crate::support::rows::digest_but_settings;

#[test]
fn fixture_kuma_1_23_arrives_whole() {
    arrives_whole(&fixture("kuma-1.23", Version::One), &fixture("kuma-1.23-empty", Version::One));
}

#[test]
fn fixture_kuma_2_5_3_arrives_whole() {
    arrives_whole(&fixture("kuma-2.5.3", Version::Two), &fixture("kuma-2.5.3-empty", Version::Two));
}

#[test]
fn synthetic_configurations_arrive_whole() {
    for version in [Version::One, Version::Two] {
        for (from, to) in
            [(Order::Fresh, Order::Fresh), (Order::Fresh, Order::Upgraded), (Order::Upgraded, Order::Fresh)]
        {
            arrives_whole(&Instance::rich(version, from), &Instance::empty(version, to));
        }
    }
}

fn arrives_whole(source: &Instance, target: &Instance) {
    let bytes = exported(source);
    let before = dump(target);
    let dump = dump::parse(&bytes).unwrap();
    let (old, new) = (digest_but_settings(&before.configuration), digest_but_settings(&dump.configuration));
    assert_ne!(old, new, "otherwise this test proves nothing");
    assert_eq!(before.manifest.fingerprint, dump.manifest.fingerprint);
    assert!(dump.configuration.table("monitor").unwrap().rows.len() > 10);
    assert_eq!(dump.configuration.files.len(), 1);

    import_well(&bytes, target);
    assert_eq!(taken(target), new);
    assert_eq!(digest_but_settings(&self::dump(target).configuration), new);

    // And back again: emptied, it is what it was.
    import_well(&exported_again(&before), target);
    assert_eq!(taken(target), old);
    for table in HISTORY.iter().filter(|table| target.tables().contains(&(**table).to_owned())) {
        assert_eq!(target.rows(table), Vec::<Vec<Value>>::new(), "{table} of removed monitors is gone");
    }
}
