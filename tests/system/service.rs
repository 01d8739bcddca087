//! Units of Uptime Kuma that cannot be found, stopped or started, or that others depend on.

use crate::Test;
use crate::testbed::{Result, wait_for};
use crate::world::{
    Pair, SLOW_STOP, SOON, Setup, digest, drop_in, end_wait, events, expect, fails, footing, invocation, logged_in,
    says, state,
};

pub const TESTS: &[Test] = &[
    ("a_unit_that_is_masked_missing_or_starting_is_left_alone", left_alone),
    ("a_stop_job_that_is_not_done_leaves_the_database_alone", stop_not_done),
    ("units_that_ignore_sigterm_restart_always_or_hit_the_start_limit_are_restarted", hard_to_restart),
    ("a_start_that_hangs_with_either_configuration_does_not_reject_the_new_one", start_hangs),
];

const UNIT: &str = "uptime-kuma.service";

/// The path that systemd would give for the unit, if it had read it.
const PLACES: &str = "[uptime-kuma]\ndata-directory = \"/var/lib/uptime-kuma\"\nurl = \"http://127.0.0.1:3001\"\n";

fn left_alone() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let active = || says(replica, &["systemctl", "is-active", "uptime-kuma"]);
        pair.offer("web")?;
        // A unit in /etc cannot be masked, one of a package can.
        replica.sh("mv /etc/systemd/system/uptime-kuma.service /lib/systemd/system; systemctl daemon-reload; \
             systemctl reenable uptime-kuma")?;
        let before = footing(replica)?;
        replica.run(&["cp", "/etc/kuma-replicator/config.toml", "/root/config.toml"])?;
        replica.run(&[
            "sed",
            "-i",
            "$ a[uptime-kuma]\\nunit = \"nowhere.service\"",
            "/etc/kuma-replicator/config.toml",
        ])?;
        fails(replica, 78, "service-missing", "there is no unit nowhere.service")?;
        replica.run(&["cp", "/root/config.toml", "/etc/kuma-replicator/config.toml"])?;

        // Masked for this boot while it runs: it could not be started again.
        replica.sh("systemctl mask --runtime uptime-kuma; systemctl daemon-reload")?;
        fails(replica, 78, "config", "uptime-kuma.service is masked")?;
        std::fs::write(replica.root().join("root/places"), PLACES)?;
        replica.sh("cat /root/places >> /etc/kuma-replicator/config.toml")?;
        fails(replica, 75, "stop-failed", "it is masked (unmask it first: systemctl unmask)")?;
        replica.sh("systemctl unmask --runtime uptime-kuma; systemctl daemon-reload")?;
        assert_eq!(footing(replica)?, before);

        // As systemd sees it, it is still starting, though it answers.
        drop_in(
            replica,
            UNIT,
            "notify",
            "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=infinity\nExecStart=\n\
             ExecStart=/bin/sh -c 'test -e /run/silent || systemd-notify --ready; exec /usr/bin/node server/server.js'\n",
        )?;
        replica.sh("touch /run/silent; systemctl restart --no-block uptime-kuma")?;
        wait_for(
            "Uptime Kuma starts",
            SOON,
            || Ok((active()? == "activating" && replica.kuma_ready()?).then_some(())),
        )?;
        let before = footing(replica)?;
        fails(replica, 75, "service-busy", "it is starting")?;
        assert_eq!(footing(replica)?, before);
        assert!(!events(replica)?.iter().any(|event| event == "stopping"));
        replica.sh("rm /run/silent; systemctl restart uptime-kuma")?;
        replica.kuma()?;

        // Disabled is not stopped. Stopped and masked for good, it is written and not started.
        replica.run(&["systemctl", "disable", "uptime-kuma"])?;
        expect(replica, 0, "applied")?;
        assert_eq!(active()?, "active");
        assert_eq!(says(replica, &["systemctl", "is-enabled", "uptime-kuma"])?, "disabled");
        pair.offer("more")?;
        replica.run(&["systemctl", "mask", "--now", "uptime-kuma"])?;
        let starts = events(replica)?.iter().filter(|event| *event == "started").count();
        expect(replica, 0, "applied")?;
        assert_eq!(events(replica)?.iter().filter(|event| *event == "started").count(), starts);
        pair.assert_equal()?;
        replica.sh("systemctl unmask uptime-kuma; systemctl start uptime-kuma")?;
        logged_in(replica).map(drop)
    })
}

fn stop_not_done() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(SLOW_STOP), ..Setup::default() }, |pair| {
        let replica = &pair.replica;
        let kuma = || says(replica, &["systemctl", "is-active", "uptime-kuma"]);
        let written =
            || Ok::<_, Box<dyn std::error::Error + Send + Sync>>(events(replica)?.contains(&"written".into()));
        pair.offer("web")?;
        let before = digest(replica)?;

        // systemd gives the job up.
        drop_in(replica, UNIT, "timeout", "[Unit]\nJobTimeoutSec=2\n")?;
        fails(replica, 75, "stop-failed", "ended with 'timeout'")?;
        replica.kuma()?;
        assert_eq!((digest(replica)?, written()?), (before.clone(), false));
        assert_eq!(state(replica)?["replica"]["verdict"]["decision"]["attempts"], 1);
        drop_in(replica, UNIT, "timeout", "")?;
        end_wait(replica)?;

        // A person starts it while it stops.
        replica.run(&["mkfifo", "/run/gate"])?;
        replica.run(&["systemctl", "start", "--no-block", "kuma-replicator"])?;
        wait_for("Uptime Kuma is being stopped", SOON, || Ok((kuma()? == "deactivating").then_some(())))?;
        // Meanwhile no other cycle can begin.
        let typed = replica.output(&["kuma-replicator", "run"])?;
        let said = String::from_utf8_lossy(&typed.stderr).into_owned();
        assert_eq!(typed.status.code(), Some(75), "{said}");
        assert!(said.contains("another kuma-replicator is at work") && said.contains("systemctl status"), "{said}");
        replica.run(&["systemctl", "start", "--no-block", "uptime-kuma"])?;
        replica.sh("echo > /run/gate; rm /run/gate")?;
        wait_for("the agent ends", SOON, || {
            Ok((says(replica, &["systemctl", "is-active", "kuma-replicator"])? == "failed").then_some(()))
        })?;
        let kinds = replica.journal(&["KUMA_ERROR=stop-failed"])?;
        assert!(kinds.last().is_some_and(|entry| entry["MESSAGE"].to_string().contains("'canceled'")), "{kinds:?}");
        replica.kuma()?;
        assert_eq!((digest(replica)?, written()?), (before, false));
        end_wait(replica)?;

        // The timer starts a cycle while a person runs one by hand: it waits in vain, and the other one goes on.
        replica.run(&["mkfifo", "/run/gate"])?;
        replica.run(&["systemd-run", "--unit=typed", "--service-type=exec", "kuma-replicator", "run"])?;
        wait_for("Uptime Kuma is being stopped", SOON, || Ok((kuma()? == "deactivating").then_some(())))?;
        fails(replica, 75, "already-running", "another kuma-replicator is at work")?;
        assert_eq!(kuma()?, "deactivating");
        replica.sh("echo > /run/gate; rm /run/gate")?;
        wait_for("the apply ends", SOON, || {
            Ok((says(replica, &["systemctl", "is-active", "typed"])? == "inactive").then_some(()))
        })?;
        assert_eq!(state(replica)?["last_cycle"]["outcome"], "applied");
        pair.assert_equal()?;
        logged_in(replica).map(drop)
    })
}

/// Units that make it hard, each with its own drop-in.
const HARD: &[(&str, &str)] = &[
    (
        "ignores SIGTERM",
        "[Service]\nTimeoutStopSec=3\nExecStart=\n\
         ExecStart=/bin/sh -c 'trap \"\" TERM; node --require /root/deaf.js server/server.js'\nUser=root\n",
    ),
    ("always restarts", "[Service]\nRestart=always\nRestartSec=0\n"),
    ("was started as often as it may", "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=1h\n"),
    ("needs another unit, and others need it", "[Unit]\nRequires=sibling.service\nAfter=sibling.service\n"),
];

/// Other units: those that stop with Uptime Kuma, one through another, one that does not run, and one it needs.
const OTHERS: &[(&str, &str)] = &[
    ("page", "[Unit]\nRequires=uptime-kuma.service\nAfter=uptime-kuma.service\n"),
    ("proxy", "[Unit]\nBindsTo=page.service\nAfter=page.service\n"),
    ("idle", "[Unit]\nPartOf=uptime-kuma.service\n"),
    ("sibling", ""),
];

fn hard_to_restart() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        let deaf = "process.on = ((on) => function (name, ...rest) { return name === 'SIGTERM' ? this : \
                    on.call(this, name, ...rest); })(process.on);\n";
        std::fs::write(replica.root().join("root/deaf.js"), deaf)?;
        for (name, unit) in OTHERS {
            let text = format!("{unit}[Service]\nExecStart=/bin/sleep infinity\n");
            std::fs::write(replica.root().join(format!("etc/systemd/system/{name}.service")), text)?;
        }
        for (what, unit) in HARD {
            drop_in(replica, UNIT, "hard", unit)?;
            replica.sh("chown -R root: /var/lib/uptime-kuma; systemctl reset-failed uptime-kuma || true")?;
            if !unit.contains("User=root") {
                replica.sh("chown -R uptime-kuma: /var/lib/uptime-kuma")?;
            }
            replica.run(&["systemctl", "restart", "uptime-kuma"])?;
            replica.kuma()?;
            replica.run(&["systemctl", "start", "page", "proxy"])?;
            let running = invocation(replica)?;
            pair.offer(what)?;
            expect(replica, 0, "applied").map_err(|error| format!("{what}: {error}"))?;
            assert_ne!(running, invocation(replica)?, "{what}");
            pair.assert_equal()?;
            logged_in(replica).map_err(|error| format!("{what}: {error}"))?;
            // What a stop of Uptime Kuma stops with it runs again, and nothing else does.
            let others = says(replica, &["systemctl", "is-active", "page", "proxy", "idle"])?;
            assert_eq!(others, "active\nactive\ninactive", "{what}");
        }
        // Also if the agent is killed in between.
        replica.run(&["systemctl", "start", "page", "proxy"])?;
        pair.begin_apply()?;
        replica.run(&["systemctl", "kill", "--signal=KILL", "--kill-who=main", "kuma-replicator"])?;
        wait_for("all run again", SOON, || {
            let agent = says(replica, &["systemctl", "is-active", "kuma-replicator"])?;
            let others = says(replica, &["systemctl", "is-active", "uptime-kuma", "page", "proxy", "idle"])?;
            Ok((agent == "failed" && others == "active\nactive\nactive\ninactive").then_some(()))
        })?;
        replica.kuma()?;
        expect(replica, 0, "applied")?;
        // It was killed indeed, and given its chance after the limit.
        let said = |text: &str| {
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                replica.run(&["journalctl", "-u", "uptime-kuma", "--no-pager"])?.contains(text),
            )
        };
        assert!(said("SIGKILL")? && said("Start request repeated too quickly")?);
        assert_eq!(says(replica, &["systemctl", "is-active", "sibling"])?, "active");
        Ok(())
    })
}

/// Says that it is ready, unless it has to be silent.
const NOTIFY: &str = "[Service]\nType=notify\nNotifyAccess=all\nRestart=no\nTimeoutStartSec=8\nExecStart=\n\
    ExecStart=/bin/sh -c 'test -e /run/silent || systemd-notify --ready; exec /usr/bin/node server/server.js'\n";

fn start_hangs() -> Result<()> {
    Pair::test(&Setup { replica_unit: Some(NOTIFY), ..Setup::default() }, |pair| {
        let replica = &pair.replica;
        pair.offer("web")?;
        let before = digest(replica)?;
        replica.run(&["touch", "/run/silent"])?;
        fails(replica, 4, "rollback-failed", "nor with the previous configuration")?;
        assert_eq!(digest(replica)?, before);
        // Until a person mends the unit, each cycle tries to start it, and does nothing else.
        fails(replica, 4, "start-failed", "its last result 'timeout'")?;
        let rejected = state(replica)?["replica"]["verdict"]["decision"]["name"] == "rejected";
        assert_eq!((digest(replica)?, rejected), (before, false));
        replica.run(&["rm", "/run/silent"])?;
        fails(replica, 75, "backoff", "its last result 'timeout'")?;
        replica.kuma()?;
        end_wait(replica)?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;
        logged_in(replica).map(drop)
    })
}
