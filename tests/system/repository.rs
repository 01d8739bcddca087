//! A repository that fails: Uptime Kuma is not stopped for anything that has not arrived whole and been verified,
//! cycles end in time and say what is wrong, nothing is left behind, and the next one goes on.

use crate::Test;
use crate::others::kill_agent;
use crate::remote::{Remote, has_restic, set_repository};
use crate::secrets::{self, URL_SECRET};
use crate::testbed::{Fault, Machine, Result, wait_for};
use crate::world::{SOON, cycle, digest, events, expect, invocation, logged_in};

pub const TESTS: &[Test] = &[("a_server_that_fails_stops_nothing_and_shows_no_secret", failing_server)];

/// Runs a cycle that must end so, without having touched Uptime Kuma, and leave no restic.
pub fn suffers(machine: &Machine, what: &str, code: i64, kind: &str) -> Result<()> {
    let before = (digest(machine)?, invocation(machine)?, stops(machine)?);
    let (found, outcome) = cycle(machine)?;
    let failed = machine.journal(&["KUMA_EVENT=failed"])?;
    let last = failed.last().ok_or_else(|| format!("{what}: nothing failed: {outcome}"))?;
    assert_eq!((found, last["KUMA_ERROR"].as_str()), (code, Some(kind)), "{what}: {outcome}: {}", last["MESSAGE"]);
    assert_eq!(before, (digest(machine)?, invocation(machine)?, stops(machine)?), "{what}");
    assert!(!has_restic(machine)?, "{what} left a restic behind");
    secrets::scan(machine).map_err(|error| format!("{what}: {error}").into())
}

fn stops(machine: &Machine) -> Result<usize> {
    Ok(events(machine)?.iter().filter(|event| *event == "stopping").count())
}

const UNREACHABLE: &str = "repository-unreachable";

fn failing_server() -> Result<()> {
    Remote::test(|remote| {
        let Remote { main, replica, at_main, at_replica, path } = remote;
        let mut kuma = logged_in(main)?;
        kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        expect(main, 0, "published")?;

        // The first replication, with each fault in turn in its way.
        let faults = [
            (Fault::Stall, 75, UNREACHABLE),
            (Fault::Slow, 75, UNREACHABLE),
            (Fault::FailAfter(3), 75, UNREACHABLE),
            (Fault::Reset, 75, UNREACHABLE),
            (Fault::Skew, 75, UNREACHABLE),
            (Fault::Deny, 77, "repository-denied"),
            (Fault::Flip, 65, "snapshot-damaged"),
        ];
        for (fault, code, kind) in faults {
            at_replica.set(fault);
            suffers(replica, &format!("{fault:?}"), code, kind)?;
        }
        let skewed = replica.journal(&["KUMA_ERROR=repository-unreachable"])?;
        assert!(
            skewed.iter().any(|entry| entry["KUMA_HINT"].as_str().is_some_and(|hint| hint.contains("timedatectl")))
        );
        killed_while_it_waits(remote)?;

        // The server is well again. The replica may not write there, and never tried.
        at_replica.set(Fault::None);
        expect(replica, 0, "applied")?;
        assert!(at_replica.requests() > 0);
        assert_eq!(at_replica.writes(), 0, "a replica tried to write");
        // `check` tries whether it may.
        secrets::scan_commands(replica)?;
        let tried = at_replica.writes();

        // A main that cannot publish leaves nothing that a replica would take.
        kuma.add_monitor("second", "http://127.0.0.1:3001/")?;
        for (fault, code, kind) in [
            (Fault::Stall, 75, UNREACHABLE),
            (Fault::FailAfter(9), 75, UNREACHABLE),
            (Fault::Reset, 75, UNREACHABLE),
            (Fault::Deny, 77, "repository-denied"),
        ] {
            at_main.set(fault);
            suffers(main, &format!("main, {fault:?}"), code, kind)?;
            expect(replica, 0, "up to date").map_err(|error| format!("after {fault:?}: {error}"))?;
        }
        at_main.set(Fault::None);
        expect(main, 0, "published")?;
        secrets::scan_commands(main)?;
        expect(replica, 0, "applied")?;
        assert_eq!(digest(main)?, digest(replica)?);

        // Places where no server is.
        let network_down = || replica.run(&["ip", "link", "set", "eth0", "down"]);
        for (url, kind) in [
            (format!("s3:http://nowhere.invalid/{path}"), UNREACHABLE),
            (format!("s3:http://10.77.0.1:1/{path}"), UNREACHABLE),
            (format!("rest:http://someone:{URL_SECRET}@10.77.0.1:1/kuma/"), UNREACHABLE),
            (format!("rest:http://someone:{URL_SECRET}@nowhere.invalid/kuma/"), UNREACHABLE),
        ] {
            set_repository(replica, &url)?;
            suffers(replica, &url, 75, kind)?;
            secrets::scan_commands(replica)?;
        }
        // A name that only a proxy of the network resolves, as the environment file says.
        let environment = replica.root().join("etc/kuma-replicator/environment");
        let lines = std::fs::read_to_string(&environment)?;
        std::fs::write(&environment, format!("{lines}HTTP_PROXY=http://{}\n", at_replica.address))?;
        set_repository(replica, &format!("s3:http://s3.invalid/{path}"))?;
        expect(replica, 0, "up to date")?;
        network_down()?;
        suffers(replica, "no network", 75, UNREACHABLE)?;
        assert_eq!(at_replica.writes(), tried, "a replica tried to write");
        secrets::scan(main)
    })
}

/// An agent that is killed while its restic hangs takes it along.
fn killed_while_it_waits(remote: &Remote) -> Result<()> {
    let Remote { replica, at_replica, .. } = remote;
    at_replica.set(Fault::Stall);
    replica.run(&["systemctl", "start", "--no-block", "kuma-replicator.service"])?;
    wait_for("a restic that hangs", SOON, || Ok(has_restic(replica)?.then_some(())))?;
    // All arguments of all processes at work.
    secrets::scan(replica)?;
    kill_agent(replica)?;
    assert!(!has_restic(replica)?, "a killed agent left a restic behind");
    Ok(())
}
