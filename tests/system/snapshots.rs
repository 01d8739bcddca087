//! Which snapshots are applied: the newest of the main that this replica follows, and nothing else that is in the
//! repository.

use serde_json::{Value, json};

use crate::Test;
use crate::repository::suffers;
use crate::testbed::{FolderRepository, Machine, Result};
use crate::world::{Pair, Setup, digest, events, expect, invocation, state};

pub const TESTS: &[Test] =
    &[("snapshots_that_are_old_foreign_tagged_copied_or_oversized_change_nothing", strange_snapshots)];

/// Runs a script in which restic finds the repository.
pub fn restic(machine: &Machine, script: &str) -> Result<String> {
    let place = FolderRepository::PATH;
    machine.sh(&format!(
        "export RESTIC_REPOSITORY={place} RESTIC_PASSWORD_FILE=/etc/kuma-replicator/restic-password; {script}"
    ))
}

/// The id and the tags of the snapshot with a sequence.
fn snapshot(machine: &Machine, sequence: u64) -> Result<(String, Vec<String>)> {
    let text = restic(machine, &format!("restic snapshots --json --tag kuma-replicator,sequence={sequence}"))?;
    let found: Vec<Value> = serde_json::from_str(&text)?;
    let found = found.first().ok_or_else(|| format!("no snapshot with sequence {sequence}"))?;
    Ok((found["id"].as_str().ok_or("no id")?.to_owned(), serde_json::from_value(found["tags"].clone())?))
}

fn strange_snapshots() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("one", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        main.sh("cp -a /srv/repository /root/old")?;
        kuma.call("changeMonitor", json!([monitor, { "name": "two" }]))?;
        pair.replicate()?;

        // Other snapshots in the repository.
        let fetched =
            || Ok::<_, crate::testbed::Error>(events(replica)?.iter().filter(|event| *event == "fetched").count());
        let (id, tags) = snapshot(main, 2)?;
        let higher = |sequence: u64| tags.join(",").replace("sequence=2", &format!("sequence={sequence}"));
        let dump = "restic backup -q --stdin --stdin-filename /kuma-replicator.jsonl";
        let strange = [
            "restic backup -q /etc/hostname".to_owned(),
            "restic backup -q --tag kuma-replicator /etc/hostname".to_owned(),
            format!("echo x | {dump}"),
            format!("echo x | {dump} --tag kuma-replicator-2,epoch=9"),
            // Tagged by people: none of these can be read as one of the main's.
            format!("echo x | {dump} --tag kuma-replicator"),
            format!("echo x | {dump} --tag '{}'", higher(9).replace("epoch=1", "epoch=one")),
            format!("echo x | {dump} --tag '{}'", higher(9).replace("kuma-replicator", "theirs")),
            // The newest itself, under another id.
            format!("restic tag -q --add keep {id}"),
            "restic -r /root/copy init -q; restic -r /root/copy copy -q --from-repo /srv/repository \
             --from-password-file $RESTIC_PASSWORD_FILE; rm -rf /srv/repository/*; cp -a /root/copy/. /srv/repository/"
                .to_owned(),
        ];
        let before = (digest(replica)?, invocation(replica)?, fetched()?);
        for script in &strange {
            restic(main, script).map_err(|error| format!("{script}: {error}"))?;
            expect(replica, 0, "up to date").map_err(|error| format!("{script}: {error}"))?;
        }
        assert_eq!(before, (digest(replica)?, invocation(replica)?, fetched()?));

        // Far over the limit, and the newest by its tags.
        restic(main, &format!("head -c 300000000 /dev/zero | {dump} --tag '{}'", higher(3)))?;
        for _ in 0..2 {
            suffers(replica, "oversized", 65, "snapshot-damaged")?;
        }
        restic(main, &format!("restic forget -q {}", snapshot(main, 3)?.0))?;
        expect(replica, 0, "up to date")?;

        // The newest is no longer one of the main's, and so one that is older is the newest.
        restic(main, &format!("restic tag -q --set theirs {}", snapshot(main, 2)?.0))?;
        suffers(replica, "tagged by people", 4, "out-of-order")?;
        main.sh("rm -rf /srv/repository/*; cp -a /root/old/. /srv/repository/")?;
        suffers(replica, "restored from a copy", 4, "out-of-order")?;
        let entries = replica.journal(&["KUMA_ERROR=out-of-order"])?;
        let last = entries.last().ok_or("no entry")?;
        assert!(last["MESSAGE"].as_str().is_some_and(|text| text.contains("does not come after")), "{last}");
        assert!(last["KUMA_HINT"].as_str().is_some_and(|hint| hint.contains("kuma-replicator snapshots")), "{last}");

        // The main goes on from where it was, and the replica with it.
        kuma.call("changeMonitor", json!([monitor, { "name": "three" }]))?;
        pair.replicate()?;
        assert_eq!(state(main)?["main"]["published"]["sequence"], 3);
        pair.assert_equal()
    })
}
