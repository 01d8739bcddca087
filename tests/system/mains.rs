//! Who is the main: a whole failover and the return, two hosts that are promoted at the same moment, and mains that are
//! not what they were.

use std::thread;

use serde_json::json;

use crate::Test;
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{
    Pair, SOON, Setup, begin_order, digest, expect, fails, invocation, logged_in, places, says, set_state, state, typed,
};

pub const TESTS: &[Test] = &[
    ("a_failover_and_the_return_keep_one_main_and_lose_nothing", failover),
    ("two_mains_that_publish_at_the_same_moment_stop_until_one_is_promoted", same_moment),
    ("a_main_from_an_old_backup_and_a_clone_publish_nothing", not_what_they_were),
    ("another_fleet_is_left_alone_and_joined_only_by_a_person", another_fleet),
];

fn place(host: &str, epoch: u64, sequence: u64) -> (String, u64, u64) {
    (host.to_owned(), epoch, sequence)
}

fn rename(machine: &Machine, name: &str) -> Result<()> {
    logged_in(machine)?.call("changeMonitor", json!([1, { "name": name }])).map(drop)
}

/// Cycles of a fenced host end with 4 and publish nothing; journal and status say so.
fn assert_fenced(machine: &Machine, words: &str) -> Result<()> {
    let before = places(machine)?;
    for _ in 0..2 {
        expect(machine, 4, "failed")?;
    }
    assert_eq!(before, places(machine)?);
    let entries = machine.journal(&["-u", "kuma-replicator", "KUMA_ERROR=fenced"])?;
    let last = entries.last().ok_or_else(|| format!("{}: the journal says nothing of it", machine.name()))?;
    assert!(last["MESSAGE"].as_str().is_some_and(|text| text.contains(words)), "{last}");
    assert_eq!(last["PRIORITY"], "3");
    let status = says(machine, &["kuma-replicator", "status"])?;
    assert!(status.contains(words), "{status}");
    Ok(())
}

fn failover() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (one, two) = (&pair.main, &pair.replica);
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        // The main publishes what the replica does not have yet, is edited once more, and is gone.
        rename(one, "published last")?;
        expect(one, 0, "published")?;
        let published = digest(one)?;
        rename(one, "never published")?;
        one.run(&["systemctl", "enable", "kuma-replicator.timer"])?;
        one.power_off()?;

        // The power of the other one fails in the middle of its promotion; ordered again, it goes on.
        begin_order(two, &["promote"])?;
        two.power_cut()?;
        two.kuma()?;
        let said = typed(two, 0, &["promote"])?;
        assert!(said.contains("this host is now the main, in epoch 2"), "{said}");
        assert_eq!(digest(two)?, published, "the newest snapshot was taken first");
        let promoted = two.journal(&["-u", "kuma-replicator", "KUMA_EVENT=promoted"])?;
        assert_eq!((&promoted[0]["KUMA_EPOCH"], &promoted[0]["KUMA_USER"]), (&json!("2"), &json!("oncall")));
        let config = two.run(&["cat", "/etc/kuma-replicator/config.toml"])?;
        assert!(config.starts_with("role = \"main\"\nrepository"), "{config}");
        rename(two, "edited on the new main")?;
        expect(two, 0, "published")?;
        let last = [place("main", 1, 2), place("replica", 2, 3), place("replica", 2, 4)];
        assert_eq!(places(two)?[1..], last);
        assert!(typed(two, 0, &["promote"])?.contains("already"));
        assert_eq!(places(two)?.len(), 4);

        // The former main comes back; its timer runs a cycle by itself.
        one.power_on()?;
        wait_for("the former main says that it is fenced", SOON, || {
            Ok((!one.journal(&["-b", "-u", "kuma-replicator", "KUMA_ERROR=fenced"])?.is_empty()).then_some(()))
        })?;
        one.run(&["systemctl", "disable", "--now", "kuma-replicator.timer"])?;
        assert_fenced(one, "host replica")?;
        assert_eq!(places(two)?.len(), 4);

        // It follows. What it never published is kept as what was replaced.
        typed(one, 0, &["demote"])?;
        expect(one, 0, "applied")?;
        pair.assert_equal()?;
        assert!(typed(one, 0, &["restore", "--dry-run", "previous"])?.contains("never published"));

        // Back, as planned: the last edits are published before.
        rename(two, "edited before the return")?;
        typed(two, 0, &["demote"])?;
        expect(two, 0, "up to date")?;
        typed(one, 0, &["promote"])?;
        assert_eq!(places(one)?.last(), Some(&place("main", 3, 6)));
        let running = invocation(two)?;
        expect(two, 0, "up to date")?;
        assert_eq!(running, invocation(two)?);
        pair.assert_equal()?;

        // Promoted while the main is alive and nobody edits it: it learns of it at its next look, as after a boot.
        expect(one, 0, "unchanged")?;
        typed(two, 0, &["promote"])?;
        expect(one, 0, "unchanged")?;
        one.reboot()?;
        assert_fenced(one, "host replica")?;
        rename(one, "too late")?;
        assert_fenced(one, "host replica")?;
        assert_eq!(places(two)?.last(), Some(&place("replica", 4, 7)));
        typed(one, 0, &["demote"])?;
        expect(one, 0, "applied")?;
        pair.assert_equal()
    })
}

/// Waits before each backup until the test opens the gate.
const GATED: &str = "#!/bin/sh\ncase \" $* \" in\n*' backup '*) touch /run/at-gate; read go < /run/gate ;;\nesac\n\
    exec restic \"$@\"\n";

fn same_moment() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let third = pair.another("third")?;
        let rivals = [&pair.replica, &third];
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        expect(&third, 0, "applied")?;
        for rival in rivals {
            rename(rival, &format!("of {}", rival.name()))?;
            std::fs::write(rival.root().join("usr/local/bin/gated"), GATED)?;
            rival.sh("chmod 755 /usr/local/bin/gated; mkfifo /run/gate; \
                 printf '[restic]\\nprogram = \"/usr/local/bin/gated\"\\n' >> /etc/kuma-replicator/config.toml")?;
        }
        // Both have looked, neither has published: only now they may.
        thread::scope(|scope| -> Result<()> {
            let promotions = rivals.map(|rival| scope.spawn(move || typed(rival, 0, &["promote", "--as-is"])));
            for rival in rivals {
                wait_for("restic is at the gate", SOON, || {
                    Ok(rival.output(&["test", "-e", "/run/at-gate"])?.status.success().then_some(()))
                })?;
            }
            for rival in rivals {
                rival.sh("echo > /run/gate")?;
            }
            promotions.into_iter().try_for_each(|promotion| promotion.join().unwrap().map(drop))
        })?;
        for rival in rivals {
            rival.run(&["sed", "-i", "/gated/d", "/etc/kuma-replicator/config.toml"])?;
        }
        let mut claims = places(&third)?.split_off(1);
        claims.sort();
        assert_eq!(claims, [place("replica", 2, 2), place("third", 2, 2)]);

        // Both mains notice with their next cycle, and stop.
        for rival in rivals {
            expect(rival, 4, "failed")?;
            rename(rival, &format!("later, of {}", rival.name()))?;
            expect(rival, 4, "failed")?;
            let entries = rival.journal(&["-u", "kuma-replicator", "KUMA_ERROR=out-of-order"])?;
            let text =
                entries.last().ok_or("nothing is said of it")?["MESSAGE"].as_str().unwrap_or_default().to_owned();
            assert!(text.contains("replica") && text.contains("third") && text.contains("promote --as-is"), "{text}");
        }
        assert_eq!(places(&third)?.len(), 3);
        // Who follows takes neither.
        assert_fenced(&pair.main, "was promoted to main")?;
        typed(&pair.main, 0, &["demote"])?;
        let before = (digest(&pair.main)?, invocation(&pair.main)?);
        expect(&pair.main, 4, "failed")?;
        assert_eq!(before, (digest(&pair.main)?, invocation(&pair.main)?));

        // One is promoted again: there is one main, and the other host says so.
        typed(&pair.replica, 4, &["promote"])?;
        typed(&pair.replica, 0, &["promote", "--as-is"])?;
        assert_eq!(places(&third)?.last(), Some(&place("replica", 3, 3)));
        assert_fenced(&third, "host replica")?;
        expect(&pair.main, 0, "applied")?;
        typed(&third, 0, &["demote"])?;
        expect(&third, 0, "applied")?;
        pair.assert_equal()?;
        assert_eq!(digest(&third)?, digest(&pair.replica)?);
        assert_eq!(logged_in(&third)?.lists()?["monitorList"]["1"]["name"], "later, of replica");
        Ok(())
    })
}

fn not_what_they_were() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        expect(main, 0, "unchanged")?;
        main.sh("systemctl stop uptime-kuma; cp -a /var/lib/uptime-kuma /root/kuma; \
             cp -a /var/lib/kuma-replicator /root/agent; systemctl start uptime-kuma")?;
        rename(main, "after the backup")?;
        pair.replicate()?;
        let good = (digest(replica)?, invocation(replica)?);

        // The main is restored from the backup, what the agent remembers included.
        main.sh("systemctl stop uptime-kuma; rm -rf /var/lib/uptime-kuma /var/lib/kuma-replicator; \
             cp -a /root/kuma /var/lib/uptime-kuma; cp -a /root/agent /var/lib/kuma-replicator; \
             systemctl start uptime-kuma")?;
        rename(main, "edited after the restore")?;
        assert_fenced(main, "a copy of this main")?;
        // Nor does it without any memory.
        main.run(&["rm", "/var/lib/kuma-replicator/state.json"])?;
        assert_fenced(main, "remembers nothing")?;
        assert_eq!(places(main)?, [place("main", 1, 1), place("main", 1, 2)]);
        expect(replica, 0, "up to date")?;
        assert_eq!(good, (digest(replica)?, invocation(replica)?));
        // Promoted, it takes the newest and goes on from there, and nobody is restarted for it.
        typed(main, 0, &["promote"])?;
        assert_eq!(places(main)?.last(), Some(&place("main", 2, 3)));
        expect(replica, 0, "up to date")?;
        assert_eq!(good, (digest(replica)?, invocation(replica)?));

        // The other host becomes a clone of the main: its machine id, its configuration file, its state.
        expect(main, 0, "unchanged")?;
        let (id, follows) = (replica.run(&["cat", "/etc/machine-id"])?, state(replica)?);
        std::fs::write(replica.root().join("etc/machine-id"), main.run(&["cat", "/etc/machine-id"])?)?;
        replica.run(&["sed", "-i", "s/\"replica\"/\"main\"/", "/etc/kuma-replicator/config.toml"])?;
        set_state(replica, &state(main)?)?;
        rename(main, "by the main")?;
        expect(main, 0, "published")?;
        rename(replica, "by its clone")?;
        let mut messages = Vec::new();
        for memory in [Some(state(replica)?), None] {
            match memory {
                Some(memory) => set_state(replica, &memory)?,
                None => replica.run(&["rm", "/var/lib/kuma-replicator/state.json"]).map(drop)?,
            }
            expect(replica, 4, "failed")?;
            messages.push(state(replica)?["last_cycle"]["message"].as_str().unwrap_or_default().to_owned());
        }
        assert!(
            messages[0].contains("a copy of this main") && messages[1].contains("remembers nothing"),
            "{messages:?}"
        );
        assert_eq!(places(main)?.len(), 4);
        // Given an identity of its own, it follows.
        std::fs::write(replica.root().join("etc/machine-id"), id)?;
        replica.run(&["sed", "-i", "s/\"main\"/\"replica\"/", "/etc/kuma-replicator/config.toml"])?;
        set_state(replica, &follows)?;
        expect(replica, 0, "applied")?;
        pair.assert_equal()
    })
}

fn another_fleet() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, other) = (&pair.main, &pair.replica);
        let configure = |machine: &Machine, role: &str, repository: &str| {
            let script = "sed -i \"s,^role.*,role = \\\"$1\\\",; s,^repository.*,repository = \\\"$2\\\",\" \
                          /etc/kuma-replicator/config.toml";
            machine.run(&["sh", "-euc", script, "sh", role, repository])
        };
        let (own, theirs) = ("/srv/repository", "/srv/repository/other");
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        expect(main, 0, "unchanged")?;
        // The other host begins a fleet of its own.
        other.run(&["rm", "/var/lib/kuma-replicator/state.json"])?;
        configure(other, "main", theirs)?;
        typed(other, 0, &["init"])?;
        rename(other, "of the other fleet")?;
        expect(other, 0, "published")?;
        let before = (digest(main)?, invocation(main)?, says(other, &["kuma-replicator", "snapshots"])?);

        // The main gets its address by mistake.
        configure(main, "main", theirs)?;
        fails(main, 4, "other-fleet", "the repository is that of another fleet")?;
        let checked = typed(main, 4, &["check"])?;
        assert!(checked.contains("failed   repository     the repository is that of another fleet"), "{checked}");
        typed(main, 4, &["promote"])?;
        typed(main, 4, &["promote", "--as-is"])?;
        assert_eq!(before, (digest(main)?, invocation(main)?, says(other, &["kuma-replicator", "snapshots"])?));
        expect(other, 0, "unchanged")?;
        configure(main, "main", own)?;
        expect(main, 0, "unchanged")?;

        // As the manual says how a host joins the fleet of the main.
        configure(other, "replica", own)?;
        fails(other, 4, "other-fleet", "the repository is that of another fleet")?;
        other.run(&["rm", "/var/lib/kuma-replicator/state.json"])?;
        expect(other, 0, "applied")?;
        pair.assert_equal()
    })
}
