//! Promise: a maintenance that runs in the time zone of its server begins on a replica when it does on the main, unless the
//! replica wants its own time of day.

use kuma_replicator::config::{Role, Settings};
use kuma_replicator::cycle::{Conclusion, Options, Promotion, Ready, Session};
use kuma_replicator::model::configuration::Configuration;
use kuma_replicator::model::dump;
use kuma_replicator::model::state::LocalRows;
use kuma_replicator::model::value::Value;

use crate::support::generations::{generation, rows_mut};
use crate::support::host::{End, World, eager, main_id, settings};
use crate::support::rows::{i, t, table};

/// A configuration with a maintenance of each kind: three follow the server.
fn with_maintenances() -> Configuration {
    let mut configuration = generation(1);
    let row = |id, strategy: &str, cron: Value, zone: Value| {
        vec![i(id), t("window"), t(strategy), cron, zone, t("2030-05-01 02:00")]
    };
    let rows = vec![
        row(1, "recurring-weekday", t("0 2 * * 1"), t("SAME_AS_SERVER")),
        row(2, "single", Value::Null, t("SAME_AS_SERVER")),
        row(3, "cron", t("0 2 * * *"), Value::Null),
        row(4, "single", Value::Null, Value::Null),
        row(5, "recurring-weekday", t("0 2 * * 1"), t("America/Lima")),
        row(6, "manual", Value::Null, t("SAME_AS_SERVER")),
    ];
    let columns = ["id", "title", "strategy", "cron", "timezone", "start_date"];
    configuration.tables.insert(3, table("maintenance", &columns, rows));
    configuration.tables.push(table("setting", &["key", "type", "value"], vec![]));
    configuration
}

/// The time zones of the maintenances, in order; `-` for none.
fn zones(configuration: &Configuration) -> String {
    let table = configuration.table("maintenance").unwrap();
    let zones = table.rows.iter().map(|row| table.value(row, "timezone").as_text().unwrap_or("-"));
    zones.collect::<Vec<_>>().join(" ")
}

const AS_WRITTEN: &str = "SAME_AS_SERVER SAME_AS_SERVER - - America/Lima SAME_AS_SERVER";
const IN_BERLIN: &str = "Europe/Berlin Europe/Berlin Europe/Berlin - America/Lima SAME_AS_SERVER";

/// A main in Berlin that has published, and a replica elsewhere that has applied it as these settings say.
fn fleet(replica: &Settings) -> (World, World) {
    let mut main = World::new(with_maintenances());
    main.zone = "Europe/Berlin".parse().ok();
    assert!(matches!(main.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
    let mut host = World::new(with_maintenances());
    host.rows = Configuration { tables: with_maintenances().tables, ..generation(0) };
    rows_mut(&mut host.rows, "maintenance").clear();
    host.id = main_id('b');
    host.zone = "Asia/Tokyo".parse().ok();
    host.share(&main);
    assert!(host.cycle(replica).applied());
    (main, host)
}

#[test]
fn a_maintenance_in_the_zone_of_the_server_keeps_the_moment_of_the_main() {
    let replica = eager("");
    let (mut main, mut host) = fleet(&replica);
    assert_eq!((zones(&main.rows), zones(&host.rows)), (AS_WRITTEN.to_owned(), IN_BERLIN.to_owned()));
    // That is no edit, whoever looks, and nothing is done again.
    assert!(host.cycle(&replica).up_to_date());
    assert!(matches!(host.local_rows(), Some(LocalRows::AsApplied { .. })), "{:?}", host.local_rows());
    let settled = (host.commits, host.stops);
    for strategy in ["default", "notifications-insert-merge"] {
        host.cycle(&eager(&format!("strategy = \"{strategy}\"")));
        assert_eq!((host.commits, host.stops), settled, "{strategy}");
    }

    // The main moves: that alone is published, once, and applied.
    main.zone = "America/Lima".parse().ok();
    let Ok(Ready::Publish(_)) = main.predict(&settings(Role::Main), Options::default()) else { panic!("a publish") };
    assert!(matches!(main.cycle(&settings(Role::Main)), End::Done(Conclusion::Published(_))));
    assert!(matches!(main.cycle(&settings(Role::Main)), End::Done(Conclusion::Unchanged)));
    host.share(&main);
    assert!(host.cycle(&replica).applied());
    assert_eq!(zones(&host.rows), IN_BERLIN.replace("Europe/Berlin", "America/Lima"));

    // The setting of the main outranks the zone of its host.
    rows_mut(&mut main.rows, "setting").push(vec![t("serverTimezone"), t("general"), t("\"Europe/Berlin\"")].into());
    main.cycle(&settings(Role::Main));
    host.share(&main);
    assert!(host.cycle(&replica).applied());
    assert_eq!(zones(&host.rows), IN_BERLIN);
}

#[test]
fn a_replica_may_keep_its_own_time_of_day() {
    let (_, mut host) = fleet(&eager("maintenance-timezone = \"local\""));
    assert_eq!(zones(&host.rows), AS_WRITTEN);
    // Another choice is applied at once, without a new snapshot, and says what it does.
    let ready = host.predict(&eager(""), Options::default()).unwrap();
    let Ready::Apply(application) = ready else { panic!("an apply: {ready:?}") };
    let notes: Vec<String> = application.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["in the main's time zone Europe/Berlin: 3 rows of maintenance"]);
    assert!(host.cycle(&eager("")).applied());
    assert_eq!(zones(&host.rows), IN_BERLIN);
    // An override still has the last word, and excluded maintenances are left alone.
    let overridden = "[[replica.overrides]]\ntable = \"maintenance\"\nwhere = { id = 2 }\nset = { timezone = \"UTC\" }";
    assert!(host.cycle(&eager(overridden)).applied());
    assert_eq!(zones(&host.rows), IN_BERLIN.replacen("Europe/Berlin Europe/Berlin", "Europe/Berlin UTC", 1));
    let before = host.rows.clone();
    host.cycle(&eager("[replica.exclude]\ntables = [\"maintenance\"]"));
    assert_eq!(host.rows, before);
}

#[test]
fn a_promoted_host_keeps_the_moments_of_the_former_main() {
    let replica = settings(Role::Replica);
    let (_, mut host) = fleet(&replica);
    let promoted = host.order(async |world, state| {
        Session::new(world, &replica, state, Options::default()).promote(Promotion::default()).await.map(drop)
    });
    assert!(matches!(promoted, End::Done(_)), "{promoted:?}");
    assert_eq!(zones(&host.rows), IN_BERLIN);
    let (_, published) = host.repository.last().unwrap();
    let published = dump::parse(published).unwrap().configuration;
    assert_eq!(
        (zones(&published), &published.zone),
        (IN_BERLIN.to_owned(), &None),
        "nothing follows its server any more"
    );
}

#[test]
fn without_the_zone_of_the_main_maintenances_stay_as_they_are() {
    let mut main = World::new(with_maintenances());
    main.zone = None;
    main.cycle(&settings(Role::Main));
    assert_eq!(main.did("report warning"), 1, "{:?}", main.calls);
    let mut host = World::new(with_maintenances());
    host.rows = Configuration { tables: with_maintenances().tables, ..generation(0) };
    rows_mut(&mut host.rows, "maintenance").clear();
    host.share(&main);
    assert!(host.cycle(&settings(Role::Replica)).applied());
    assert_eq!(zones(&host.rows), AS_WRITTEN);
}
