//! Old snapshots go, and the fleet goes on: replicas during a prune, a promotion, others who back up into the same
//! repository, and a main that is fenced.

use serde_json::{Value, json};

use crate::Test;
use crate::others::kill_agent;
use crate::repository::suffers;
use crate::snapshots::restic;
use crate::testbed::{Machine, Result, wait_for};
use crate::world::{Pair, SOON, Setup, events, expect, logged_in, places, says, set_state, state, typed};

pub const TESTS: &[Test] = &[("old_snapshots_go_and_the_fleet_goes_on", retention)];

/// A restic whose prune stays where it has its lock, until it is to end. It reads slowly, as in a large repository, because
/// it owns its lock only a moment after it has made it.
const STAYS: &str = r#"#!/bin/sh
case " $* " in *" prune "*) ;; *) exec restic "$@" ;; esac
restic --no-cache --limit-download 1 "$@" &
pid=$!
trap 'kill -INT $pid; kill -CONT $pid; wait $pid; exit 130' INT
until ls /srv/repository/locks | grep -qxE '[0-9a-f]{64}'; do kill -0 $pid || exit 1; done
sleep 1
kill -STOP $pid
touch /var/lib/kuma-replicator/stays
while :; do sleep 0.1; done
"#;

/// Writes keys into `[main]` of the main's configuration, in place of those that it wrote before.
fn keys(main: &Machine, keys: &str) -> Result<()> {
    main.sh(&format!("sed -i '/^keep/d; /^prune/d; s/^settle.*/&\\n{keys}/' /etc/kuma-replicator/config.toml"))
        .map(drop)
}

/// Lets the main have forgotten and pruned more than a week ago.
fn a_week_later(main: &Machine) -> Result<()> {
    let mut state = state(main)?;
    for step in ["forget", "prune"] {
        state["main"]["retention"][step] = json!({ "at": "2026-01-01T00:00:00Z" });
    }
    set_state(main, &state)
}

fn count(main: &Machine, event: &str) -> Result<usize> {
    Ok(events(main)?.iter().filter(|found| *found == event).count())
}

fn locks(pair: &Pair) -> Result<usize> {
    Ok(std::fs::read_dir(pair.repository.path().join("locks"))?.count())
}

fn retention() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let mut number = 0;
        let mut publish = || {
            number += 1;
            kuma.call("changeMonitor", json!([monitor, { "name": format!("web {number}") }]))?;
            expect(main, 0, "published")
        };
        for _ in 0..4 {
            publish()?;
        }
        restic(main, "restic backup -q --tag theirs /etc/hostname")?;
        let all = places(main)?;
        keys(main, "keep = { last = 2 }")?;
        let shown = typed(main, 0, &["forget", "--dry-run"])?;
        assert_eq!(shown.matches("goes").count(), all.len() - 2, "{shown}");
        assert!(shown.contains("1 snapshot of other programs"), "{shown}");
        assert!(typed(replica, 2, &["forget"])?.contains("on the main"));
        assert_eq!(places(main)?, all);

        // The cycle that confirms the publish forgets. Others back up here, so nothing is pruned.
        expect(main, 0, "unchanged")?;
        assert_eq!(places(main)?, all[all.len() - 2..]);
        expect(replica, 0, "applied")?;
        publish()?;
        a_week_later(main)?;
        expect(main, 0, "unchanged")?;
        assert_eq!((count(main, "forgotten")?, count(main, "pruned")?, places(main)?.len()), (2, 0, 2));
        expect(replica, 0, "applied")?;
        let forgotten = main.journal(&["-u", "kuma-replicator", "KUMA_EVENT=forgotten"])?;
        assert_eq!(forgotten[1]["KUMA_SNAPSHOTS"], "1");

        // It is told to prune all the same. Replicas go on during it, and no other host publishes.
        std::fs::write(main.root().join("usr/local/lib/restic"), STAYS)?;
        main.sh("chmod 755 /usr/local/lib/restic; \
                 printf '[restic]\\nprogram = \"/usr/local/lib/restic\"\\n' >> /etc/kuma-replicator/config.toml")?;
        keys(main, "keep = { last = 2 }\\nprune = \"always\"")?;
        let mut begin_prune = || {
            publish()?;
            a_week_later(main)?;
            main.sh("rm -f /var/lib/kuma-replicator/stays; systemctl start --no-block kuma-replicator.service")?;
            wait_for("a prune has its lock", SOON, || {
                Ok(main.output(&["test", "-e", "/var/lib/kuma-replicator/stays"])?.status.success().then_some(()))
            })
        };
        begin_prune()?;
        assert_eq!(locks(pair)?, 1);
        expect(replica, 0, "applied")?;
        expect(replica, 0, "up to date")?;
        assert!(typed(replica, 75, &["promote"])?.contains("locked"));
        // An order and a stop end it, and it takes its lock along.
        typed(main, 0, &["hold"])?;
        assert_eq!(locks(pair)?, 0);
        typed(main, 0, &["release"])?;
        begin_prune()?;
        main.run(&["systemctl", "stop", "kuma-replicator.service"])?;
        assert_eq!(locks(pair)?, 0);
        let remembered = state(main)?["main"]["retention"].clone();
        assert_eq!(remembered["prune"]["failure"]["kind"], "interrupted", "{remembered}");

        // One that is killed leaves its lock, which a person may remove at once.
        begin_prune()?;
        kill_agent(main)?;
        assert_eq!(locks(pair)?, 1);
        expect(replica, 0, "applied")?;
        let mut unpublished = logged_in(main)?;
        unpublished.call("changeMonitor", json!([monitor, { "name": "locked out" }]))?;
        suffers(main, "locked", 75, "repository-locked")?;
        main.sh("sed -i '/^.restic/d; /^program/d' /etc/kuma-replicator/config.toml")?;
        typed(main, 0, &["restic", "--", "unlock"])?;
        expect(main, 0, "published")?;
        expect(main, 0, "unchanged")?;
        assert_eq!(count(main, "pruned")?, 0, "a killed prune is not repeated in each cycle");
        unpublished.call("changeMonitor", json!([monitor, { "name": "pruned" }]))?;
        expect(main, 0, "published")?;
        a_week_later(main)?;
        expect(main, 0, "unchanged")?;
        assert_eq!((count(main, "pruned")?, locks(pair)?), (1, 0));
        typed(main, 0, &["restic", "--", "check"])?;
        assert_eq!(restic(main, "restic dump --tag theirs latest /etc/hostname")?.trim(), "main", "theirs is whole");
        let shown: Value = serde_json::from_str(&says(main, &["kuma-replicator", "status", "--json"])?)?;
        assert_eq!(shown["main"]["retention"]["unpruned"], 0, "{shown}");
        expect(replica, 0, "applied")?;
        pair.assert_equal()?;

        // A former main forgets nothing more.
        typed(replica, 0, &["promote"])?;
        let left = places(replica)?;
        keys(main, "keep = { last = 1 }")?;
        a_week_later(main)?;
        typed(main, 4, &["run", "--look"])?;
        assert!(typed(main, 4, &["forget"])?.contains("was promoted to main"));
        assert_eq!(places(replica)?, left);
        let shown = typed(replica, 0, &["forget", "--dry-run"])?;
        assert_eq!(shown.matches("fences").count(), 2, "{shown}");
        Ok(())
    })
}
