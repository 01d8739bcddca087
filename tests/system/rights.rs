//! Least privilege: the service as Uptime Kuma's own user, by the steps of the manual, and what it must not be
//! able to do; what polkit refuses; what is written, and what others can see of it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Test;
use crate::package::bare;
use crate::testbed::{FolderRepository, Machine, Result, wait_for};
use crate::world::{Pair, SOON, Setup, cycle, drop_in, events, expect, invocation, logged_in, says, sql};

pub const TESTS: &[Test] = &[
    ("the_sandbox_is_tight_as_root_and_tighter_without", sandbox),
    ("as_uptime_kumas_own_user_it_replicates_and_may_do_nothing_else", own_user),
    ("what_polkit_refuses_stops_nothing_and_what_root_types_locks_nobody_out", refused_and_typed),
    ("nothing_is_written_outside_uploads_and_nothing_that_is_written_is_open_to_others", private),
];

const URL: &str = "http://127.0.0.1:3001/";
const RULE: &str = "/etc/polkit-1/rules.d/50-kuma-replicator.rules";
const DIRECTORIES: &str = "/var/lib/kuma-replicator /var/cache/kuma-replicator";

/// The blocks of commands by which the manual makes the service run as Uptime Kuma's user: what everybody does,
/// what a folder as repository takes on top, and what ends it.
fn manual() -> Result<[String; 3]> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/unprivileged.md"))?;
    let blocks: Vec<String> = text
        .split("```\n")
        .skip(1)
        .step_by(2)
        .map(|block| block.replace("/srv/kuma-repository", FolderRepository::PATH))
        .collect();
    blocks.try_into().map_err(|blocks| format!("other steps than expected: {blocks:?}").into())
}

/// Follows the manual, except for the last step, which starts the timer.
pub fn follow_the_manual(machine: &Machine) -> Result<()> {
    let [everybody, folder, _] = manual()?;
    machine.sh(&everybody)?;
    machine.sh(&folder).map(drop)
}

/// Fails if it can write where the service has no business.
const NO_WRITE: &str = "for place in / /boot /etc /etc/systemd/system /proc/sys/kernel /root /run /run/systemd/system /sys /usr; do \
    ! touch $$place/written 2>/dev/null || exit 1; done";

/// The exposure that systemd counts for the service.
fn exposure(machine: &Machine) -> Result<f64> {
    let report = says(machine, &["systemd-analyze", "security", "--no-pager", "kuma-replicator.service"])?;
    let number = report.rsplit_once("kuma-replicator.service: ").and_then(|(_, end)| end.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("no exposure in {report}"))?.parse()?)
}

fn sandbox() -> Result<()> {
    let machine = bare()?;
    let as_root = exposure(&machine)?;
    // What systemd says is one thing, and what root in the service can write is another.
    let program = format!("[Service]\nExecStart=\nExecStart=/bin/sh -c '{}'\nExecStopPost=\n", NO_WRITE);
    drop_in(&machine, "kuma-replicator.service", "try", &program)?;
    machine.run(&["systemctl", "start", "kuma-replicator.service"])?;
    machine.sh("rm /etc/systemd/system/kuma-replicator.service.d/try.conf; systemctl daemon-reload")?;
    machine.sh("touch /etc/kuma-replicator/config.toml")?;
    let [everybody, _, _] = manual()?;
    machine.sh(&everybody)?;
    let without = exposure(&machine)?;
    assert!(as_root <= 2.4 && without <= 1.7 && without < as_root, "{as_root} as root, {without} without");
    Ok(())
}

fn own_user() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", URL)?;
        // As root first, so that there are files that have to change hands.
        pair.replicate()?;
        follow_the_manual(&pair.main)?;
        follow_the_manual(&pair.replica)?;

        kuma.add_status_page("Public", "public", "Services", &[monitor])?;
        sql(&pair.main, "UPDATE status_page SET icon='/upload/logo.png'")?;
        pair.main.sh("printf one > /var/lib/uptime-kuma/upload/logo.png")?;
        pair.replicate()?;
        pair.assert_equal()?;
        let uploaded = "stat -c '%U:%G %a' upload/logo.png; cat upload/logo.png";
        let uploaded = pair.replica.sh(&format!("cd /var/lib/uptime-kuma; {uploaded}"))?;
        assert_eq!(uploaded, "uptime-kuma:uptime-kuma 644\none");
        all_belongs_to_uptime_kuma(pair)?;

        may_do_nothing_else(&pair.replica)?;

        pair.kill_apply()?;
        expect(&pair.replica, 0, "applied")?;
        assert!(events(&pair.replica)?.iter().any(|event| event == "recovered"));
        pair.replica.reboot()?;
        pair.replica.kuma()?;
        expect(&pair.replica, 0, "up to date")?;
        pair.assert_equal()?;
        told_without_root(pair, monitor)?;

        let [_, _, last] = manual()?;
        pair.replica.sh(&last)?;
        assert_eq!(says(&pair.replica, &["systemctl", "is-active", "kuma-replicator.timer"])?, "active");
        Ok(())
    })
}

/// A changed monitor is taken up without a restart here, too.
fn told_without_root(pair: &Pair, monitor: i64) -> Result<()> {
    let replica = &pair.replica;
    replica.sh("sed -i '/^restart = /d' /etc/kuma-replicator/config.toml")?;
    let url = format!("UPDATE monitor SET url = '{URL}api/entry-page' WHERE id = {monitor}");
    sql(&pair.main, &url)?;
    expect(&pair.main, 0, "published")?;
    wait_for("the server can be told", SOON, || {
        let plan: Value = serde_json::from_str(&says(replica, &["kuma-replicator", "plan", "--json"])?)?;
        Ok((plan["told"]["monitors"] == json!([monitor])).then_some(()))
    })?;
    let running = invocation(replica)?;
    expect(replica, 0, "applied")?;
    assert_eq!(running, invocation(replica)?);
    assert_eq!(events(replica)?.iter().filter(|event| *event == "told").count(), 1);
    pair.assert_equal()
}

/// What the agent wrote, on both hosts, belongs to Uptime Kuma's user and is open to nobody else.
fn all_belongs_to_uptime_kuma(pair: &Pair) -> Result<()> {
    for machine in [&pair.main, &pair.replica] {
        let repository = FolderRepository::PATH;
        let others =
            machine.sh(&format!("find {DIRECTORIES} {repository} ! '(' -user uptime-kuma -group uptime-kuma ')'"))?;
        assert_eq!(others, "", "{} has files of others", machine.name());
        assert_eq!(open_to_others(machine, "")?, "", "{} has open files", machine.name());
        let configuration = machine.run(&["stat", "-c", "%U:%G %a", "/etc/kuma-replicator/config.toml"])?;
        assert_eq!(configuration.trim(), "root:uptime-kuma 640");
    }
    Ok(())
}

/// What other users than the owner can see of the directories of state and cache, and of `more`.
fn open_to_others(machine: &Machine, more: &str) -> Result<String> {
    machine.sh(&format!("find {DIRECTORIES} {more} -perm /077"))
}

fn may_do_nothing_else(machine: &Machine) -> Result<()> {
    let decoys = ["uptime-kuma2.service", "my-uptime-kuma.service", "uptime-kuma.service.service"];
    for decoy in decoys {
        let text = "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n";
        machine.sh(&format!("printf '{text}' > /etc/systemd/system/{decoy}"))?;
    }
    machine.run(&["systemctl", "daemon-reload"])?;
    let manager = "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager";
    let mut refused: Vec<(&str, String)> = [
        "stop systemd-journald.service",
        "stop dbus.service",
        "restart uptime-kuma",
        "reload-or-restart uptime-kuma",
        "try-restart uptime-kuma",
        "kill uptime-kuma",
        "freeze uptime-kuma",
        "set-property uptime-kuma CPUWeight=1",
        "mask uptime-kuma",
        "disable uptime-kuma",
        "daemon-reload",
        "set-environment NAME=value",
        "start kuma-replicator.service",
        "stop kuma-replicator.timer",
        "isolate rescue.target",
    ]
    .into_iter()
    .map(|arguments| ("uptime-kuma", format!("systemctl --no-ask-password {arguments}")))
    .collect();
    refused.extend(decoys.map(|decoy| ("uptime-kuma", format!("systemctl --no-ask-password start {decoy}"))));
    let transient = "StartTransientUnit 'ssa(sv)a(sa(sv))'";
    refused.extend([
        ("uptime-kuma", "systemd-run --no-ask-password true".to_owned()),
        ("uptime-kuma", format!("{manager} {transient} uptime-kuma.service replace 0 0")),
        ("uptime-kuma", format!("{manager} {transient} kuma-root.service replace 0 0")),
        ("nobody", "systemctl --no-ask-password stop uptime-kuma".to_owned()),
        ("nobody", "systemctl --no-ask-password start uptime-kuma".to_owned()),
    ]);
    let running = invocation(machine)?;
    for (user, command) in refused {
        let output = machine.output(&["runuser", "-u", user, "--", "sh", "-c", &command])?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!output.status.success(), "{user} may {command}");
        assert!(said.contains("authentication required") || said.contains("access denied"), "{command}: {said}");
    }
    assert_eq!(running, invocation(machine)?);
    for decoy in decoys {
        assert_eq!(says(machine, &["systemctl", "is-active", decoy])?, "inactive", "{decoy}");
    }
    // It is the rule that was asked: what it allows works.
    for (verb, now) in [("stop", "inactive"), ("start", "active")] {
        machine.run(&["runuser", "-u", "uptime-kuma", "--", "systemctl", "--no-ask-password", verb, "uptime-kuma"])?;
        assert_eq!(says(machine, &["systemctl", "is-active", "uptime-kuma"])?, now);
    }
    machine.kuma().map(drop)
}

fn refused_and_typed() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        follow_the_manual(&pair.main)?;
        follow_the_manual(&pair.replica)?;
        pair.main_kuma()?.add_monitor("web", URL)?;
        pair.replicate()?;
        secrets_of_the_unit_are_asked_for(&pair.main)?;
        polkit_refuses(pair)?;
        root_types(pair)
    })
}

/// systemd reads an `EnvironmentFile=` that the agent may not. Its content could name another database.
fn secrets_of_the_unit_are_asked_for(machine: &Machine) -> Result<()> {
    machine.sh(
        "mkdir -p /etc/systemd/system/uptime-kuma.service.d; echo UPTIME_KUMA_PORT=3001 > /etc/uptime-kuma.env; \
         printf '[Service]\\nEnvironmentFile=/etc/uptime-kuma.env\\n' > /etc/systemd/system/uptime-kuma.service.d/file.conf; \
         chmod 600 /etc/uptime-kuma.env; systemctl daemon-reload",
    )?;
    expect(machine, 77, "failed")?;
    let failure = machine.journal(&["KUMA_ERROR=not-permitted"])?.pop().ok_or("no failure was reported")?;
    assert!(failure["MESSAGE"].to_string().contains("/etc/uptime-kuma.env"), "{failure}");
    machine.sh("chgrp uptime-kuma /etc/uptime-kuma.env; chmod 640 /etc/uptime-kuma.env")?;
    expect(machine, 0, "unchanged")
}

fn polkit_refuses(pair: &Pair) -> Result<()> {
    let replica = &pair.replica;
    pair.main_kuma()?.add_monitor("more", URL)?;
    expect(&pair.main, 0, "published")?;
    let rule = replica.run(&["cat", RULE])?;
    let verbs = r#"["start", "stop", "reset-failed"]"#;
    assert!(rule.contains(verbs), "{rule}");
    // polkit sees a changed rule by itself, only not at once.
    let set_rule = |text: &str| -> Result<()> {
        fs::write(replica.root().join(RULE.trim_start_matches('/')), text)?;
        replica.run(&["systemctl", "restart", "polkit"]).map(drop)
    };
    let stops = || Ok::<_, Box<dyn std::error::Error + Send + Sync>>(replica.journal(&["KUMA_EVENT=stopping"])?.len());
    let before = (invocation(replica)?, stops()?);
    for (allowed, missing) in [("[]", "start"), (r#"["stop"]"#, "start"), (r#"["start"]"#, "stop")] {
        set_rule(&rule.replace(verbs, allowed))?;
        expect(replica, 77, "failed")?;
        let failure = replica.journal(&["KUMA_ERROR=not-permitted"])?.pop().ok_or("no failure was reported")?;
        let (message, hint) = (failure["MESSAGE"].to_string(), failure["KUMA_HINT"].to_string());
        assert!(message.contains(&format!("the right to {missing} uptime-kuma.service")), "{message}");
        assert!(hint.contains("50-kuma-replicator.rules"), "{hint}");
        assert_eq!(before, (invocation(replica)?, stops()?), "only {allowed} is allowed");
    }
    // It causes no backoff either: the next cycle goes on.
    set_rule(&rule)?;
    expect(replica, 0, "applied")?;
    pair.assert_equal()
}

fn root_types(pair: &Pair) -> Result<()> {
    let (main, replica) = (&pair.main, &pair.replica);
    replica.sh("rm /var/lib/kuma-replicator/lock; umask 0000; kuma-replicator hold")?;
    expect(replica, 0, "on hold")?;
    replica.sh("umask 0000; kuma-replicator release; kuma-replicator restore previous; kuma-replicator release")?;
    all_belongs_to_uptime_kuma(pair)?;
    expect(replica, 0, "applied")?;
    replica.sh("umask 0000; kuma-replicator promote")?;
    main.sh("umask 0000; kuma-replicator demote; kuma-replicator snapshots")?;
    all_belongs_to_uptime_kuma(pair)?;
    logged_in(replica)?.add_monitor("from the new main", URL)?;
    expect(replica, 0, "published")?;
    expect(main, 0, "applied")?;
    pair.assert_equal()?;
    all_belongs_to_uptime_kuma(pair)
}

fn private() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        links_lead_nowhere(pair)?;
        modes_do_not_depend_on_a_umask(pair)?;
        check_names_what_is_open(&pair.replica)
    })
}

fn links_lead_nowhere(pair: &Pair) -> Result<()> {
    let (main, replica) = (&pair.main, &pair.replica);
    let mut kuma = pair.main_kuma()?;
    let monitor = kuma.add_monitor("web", URL)?;
    for slug in ["one", "two", "three"] {
        kuma.add_status_page(slug, slug, "Services", &[monitor])?;
    }
    let icons =
        [("one", "/upload/logo.png"), ("two", "/upload/../../../../srv/evil.png"), ("three", "/upload//srv/evil.png")];
    for (slug, icon) in icons {
        sql(main, &format!("UPDATE status_page SET icon='{icon}' WHERE slug='{slug}'"))?;
    }
    main.sh("printf one > /var/lib/uptime-kuma/upload/logo.png; echo evil > /srv/evil.png")?;
    // Both the name that is wanted and the one that is used on the way to it are links out, to where the sandbox
    // would let it write.
    replica
        .sh("cd /var/lib/uptime-kuma; mkdir -p upload; chown uptime-kuma: upload; echo untouched > /srv/victim; \
         ln -s /srv/victim upload/logo.png; ln -s /srv/victim upload/.kuma-replicator.0")?;
    pair.replicate()?;
    assert_eq!(replica.run(&["cat", "/srv/victim"])?, "untouched\n");
    let found =
        replica.sh("cd /var/lib/uptime-kuma/upload; ls -A; stat -c '%F %U %a' logo.png; cat logo.png; ls /srv")?;
    assert_eq!(found, "logo.png\nregular file uptime-kuma 644\nonerepository\nvictim\n");

    main.sh("printf two > /var/lib/uptime-kuma/upload/logo.png")?;
    expect(main, 0, "published")?;
    replica.sh("cd /var/lib/uptime-kuma; mv upload kept; mkdir /srv/elsewhere; ln -s /srv/elsewhere upload")?;
    let running = invocation(replica)?;
    assert_eq!(cycle(replica)?, (77, "failed".to_owned()));
    assert_eq!(running, invocation(replica)?);
    assert_eq!(replica.sh("ls -A /srv/elsewhere; cat /var/lib/uptime-kuma/kept/logo.png")?, "one");
    replica.sh("cd /var/lib/uptime-kuma; rm upload; mv kept upload")?;
    expect(replica, 0, "applied")?;
    assert_eq!(replica.run(&["cat", "/var/lib/uptime-kuma/upload/logo.png"])?, "two");
    pair.assert_equal()
}

fn modes_do_not_depend_on_a_umask(pair: &Pair) -> Result<()> {
    let replica = &pair.replica;
    replica.sh(
        "rm -r /var/lib/kuma-replicator /var/cache/kuma-replicator; cd /etc/systemd/system; \
         mkdir -p kuma-replicator.service.d; printf '[Service]\\nUMask=0000\\n' > kuma-replicator.service.d/umask.conf; \
         systemctl daemon-reload",
    )?;
    pair.main_kuma()?.add_monitor("more", URL)?;
    pair.replicate()?;
    assert_eq!(open_to_others(replica, "")?, "");
    assert_eq!(
        replica.run(&["ls", "/var/lib/kuma-replicator"])?,
        "applied.dump\nlisting.json\nlock\nmetrics.json\nprevious.dump\nstate.json\n"
    );
    replica.sh("rm -r /var/lib/kuma-replicator/lock /var/cache/kuma-replicator; umask 0000; \
         kuma-replicator export /root/typed.dump; kuma-replicator snapshots; kuma-replicator restore previous; \
         kuma-replicator hold; kuma-replicator release; kuma-replicator run")?;
    assert_eq!(open_to_others(replica, "/root/typed.dump")?, "");
    pair.assert_equal()
}

fn check_names_what_is_open(machine: &Machine) -> Result<()> {
    let findings = || -> Result<Vec<(String, String)>> {
        let report: Value = serde_json::from_str(&says(machine, &["kuma-replicator", "check", "--json"])?)?;
        let checks = report["checks"].as_array().ok_or("no checks")?;
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let secrets = checks.iter().filter(|check| check["name"] == "secrets");
        Ok(secrets.map(|check| (text(check, "message"), text(check, "hint"))).collect())
    };
    let closed = [("no file with secrets can be read or written by others".to_owned(), String::new())];
    assert_eq!(findings()?, closed);
    machine.sh("cd /etc/kuma-replicator; touch environment; chmod 644 config.toml; chmod 602 restic-password; \
         chgrp daemon environment; chmod 640 environment; chmod 711 /var/cache/kuma-replicator; \
         cd /var/lib/kuma-replicator; chmod 755 .; chmod 606 previous.dump; chown daemon state.json")?;
    let opened = findings()?;
    let said: Vec<&str> = opened.iter().map(|(message, _)| message.as_str()).collect();
    let expected = [
        "/etc/kuma-replicator/config.toml can be read by others",
        "/etc/kuma-replicator/environment can be read by group daemon",
        "/etc/kuma-replicator/restic-password can be written by others",
        "/var/lib/kuma-replicator/previous.dump can be read and written by others",
        "/var/lib/kuma-replicator/state.json belongs to user daemon",
    ];
    assert_eq!(said, expected);
    // systemd has closed the directories, as it does for each cycle.
    let modes = says(machine, &["stat", "-c", "%a", "/var/lib/kuma-replicator", "/var/cache/kuma-replicator"])?;
    assert_eq!(modes, "700\n700");
    // What it says to do helps.
    for (_, hint) in &opened {
        machine.sh(hint)?;
    }
    assert_eq!(findings()?, closed);
    Ok(())
}
