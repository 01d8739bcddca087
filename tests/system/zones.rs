//! Maintenances on hosts in different time zones, with real Uptime Kumas.

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Machine, Result};
use crate::world::{Pair, Setup, customize, drop_in, expect, footing, logged_in, sql, typed};

pub const TESTS: &[Test] =
    &[("maintenances_of_a_main_in_berlin_begin_on_a_replica_in_tokyo_at_the_same_moment", the_moment_of_the_main)];

/// Lets a host's Uptime Kuma run in another time zone.
fn move_to(machine: &Machine, zone: &str) -> Result<()> {
    drop_in(machine, "uptime-kuma.service", "zone", &format!("[Service]\nEnvironment=TZ={zone}\n"))?;
    machine.run(&["systemctl", "restart", "uptime-kuma"])?;
    machine.kuma().map(drop)
}

/// What a host's page shows of its only maintenance: whether it is under way, and its time zone.
fn shown(machine: &Machine) -> Result<(String, String)> {
    let maintenance = logged_in(machine)?.lists()?["maintenanceList"]["1"].take();
    let text = |key: &str| maintenance[key].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("timezone")))
}

fn the_moment_of_the_main() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        move_to(main, "Europe/Berlin")?;
        move_to(replica, "Asia/Tokyo")?;
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        let at = |when: &str| -> Result<Value> {
            // By the clock of its Uptime Kuma, which may be another than that of the host.
            let environment = "export $(systemctl show -P Environment uptime-kuma)";
            let time = main.sh(&format!("eval \"{environment}\"; date -d '{when}' +%Y-%m-%dT%H:%M"))?;
            Ok(json!(time.trim()))
        };
        // As the form sends it.
        let window = json!({ "title": "works", "description": "", "strategy": "single", "intervalDay": 1, "cron": "",
            "durationMinutes": 60, "active": true, "weekdays": [], "daysOfMonth": [], "timezoneOption": "SAME_AS_SERVER",
            "dateRange": [at("-90 minutes")?, at("90 minutes")?],
            "timeRange": [{ "hours": 2, "minutes": 0 }, { "hours": 3, "minutes": 0 }] });
        kuma.call("addMaintenance", json!([window]))?;
        kuma.call("addMonitorMaintenance", json!([1, [{ "id": monitor }]]))?;
        assert!(typed(main, 0, &["check"])?.contains("Uptime Kuma runs in Europe/Berlin, and with it 1 maintenance"));
        pair.replicate()?;
        let under_way = |zone: &str| ("under-maintenance".to_owned(), zone.to_owned());
        assert_eq!(shown(main)?, under_way("Europe/Berlin"));
        assert_eq!(shown(replica)?, under_way("Europe/Berlin"));
        let said = typed(replica, 0, &["check"])?;
        for line in ["Uptime Kuma runs in Asia/Tokyo", "in the main's time zone Europe/Berlin: 1 row of maintenance"] {
            assert!(said.contains(line), "no '{line}' in {said}");
        }
        let running = footing(replica)?;
        expect(replica, 0, "up to date")?;
        expect(main, 0, "unchanged")?;
        assert_eq!(running, footing(replica)?);

        // With the time of day of this host the window is over there.
        customize(replica, "maintenance-timezone = \"local\"\n")?;
        expect(replica, 0, "applied")?;
        assert_eq!(shown(replica)?, ("ended".to_owned(), "Asia/Tokyo".to_owned()));
        customize(replica, "")?;
        expect(replica, 0, "applied")?;
        assert_eq!(shown(replica)?, under_way("Europe/Berlin"));

        // The main moves by five hours, and its window with it.
        move_to(main, "America/New_York")?;
        let plan = typed(main, 0, &["plan"])?;
        assert!(plan.contains("maintenances that follow the server run in America/New_York"), "{plan}");
        pair.replicate()?;
        assert_eq!((shown(main)?, shown(replica)?.1), (shown(replica)?, "America/New_York".to_owned()));

        // What is promoted keeps the moments.
        typed(replica, 0, &["promote"])?;
        assert_eq!(sql(replica, "SELECT timezone FROM maintenance")?, "America/New_York\n");
        assert_eq!(shown(replica)?, shown(main)?);
        Ok(())
    })
}
