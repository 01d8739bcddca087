//! Locks whose owners are gone: those that this host left are removed, and never any others. And locks that go while they
//! are read.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use kuma_replicator::host::host_name;
use libtest_mimic::Completion;

use crate::Outcome;
use crate::parts::{Host, Program, Repository, run, tags};
use crate::servers;

/// Writes a lock as restic does (its format is that of `parts::MANY`): repository, lock.
const FORGE: &str = r#"
import base64, hashlib, json, os, subprocess, sys
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
repository, lock = sys.argv[1], sys.argv[2].encode()
key = json.loads(subprocess.check_output(["restic", "cat", "--no-lock", "masterkey"]))
k, r, secret = (base64.b64decode(part) for part in (key["mac"]["k"], key["mac"]["r"], key["encrypt"]))
nonce = os.urandom(16)
sealed = Cipher(algorithms.AES(secret), modes.CTR(nonce)).encryptor().update(lock)
mask = Cipher(algorithms.AES(k), modes.ECB()).encryptor().update(nonce)
sealed = nonce + sealed + Poly1305.generate_tag(r + mask, sealed)
with open(f"{repository}/locks/{hashlib.sha256(sealed).hexdigest()}", "wb") as file:
    file.write(sealed)
"#;

/// No process has this id: it is above the highest that Linux gives.
const NOBODY: u32 = 4_194_305;

fn forge(host: &Host, repository: &Repository, owner: &str, pid: u32, minutes: i64) -> Outcome {
    let time = Timestamp::now() - SignedDuration::from_mins(minutes);
    let lock = format!(
        r#"{{"time":"{time}","exclusive":false,"hostname":"{owner}","username":"root","pid":{pid},"uid":{}}}"#,
        rustix::process::getuid().as_raw()
    );
    host.tool(servers::python()?.to_str().expect("a path"), &["-c", FORGE, &repository.url, &lock]);
    Ok(Completion::Completed)
}

fn locks(repository: &Repository) -> usize {
    fs::read_dir(repository.path().join("locks")).expect("locks").count()
}

pub(crate) fn locks_that_this_host_left_are_removed_and_no_others(program: &Program) -> Outcome {
    let me = host_name();
    let alive = std::process::id();
    // Owner, process, minutes of each lock; how many are removed.
    type Case<'a> = (&'a [(&'a str, u32, i64)], usize);
    let cases: &[Case<'_>] = &[
        (&[], 0),
        (&[(&me, NOBODY, 31), (&me, NOBODY, 9000)], 2),
        (&[(&me, NOBODY, 31), ("elsewhere", NOBODY, 1)], 1),
        // What restic would remove along with it, or could not tell from it.
        (&[(&me, NOBODY, 31), ("elsewhere", NOBODY, 31)], 0),
        (&[(&me, NOBODY, 31), (&me, alive, 31)], 0),
        (&[(&me, NOBODY, 31), (&me, NOBODY, 1)], 0),
        (&[(&me, NOBODY, 5)], 0),
        (&[("elsewhere", NOBODY, 9000)], 0),
    ];
    for (owners, removed) in cases {
        let repository = program.template();
        let host = program.host(&repository);
        for &(owner, pid, minutes) in *owners {
            forge(&host, &repository, owner, pid, minutes)?;
        }
        assert_eq!(locks(&repository), owners.len());
        let count = run(host.restic().remove_stale_locks(&me)).expect("seen to");
        assert_eq!((count, locks(&repository)), (*removed, owners.len() - removed), "{owners:?}");
    }
    Ok(Completion::Completed)
}

/// Another host removes its lock between the list of locks, in which restic finds it, and its reading: a link to nowhere,
/// which goes once restic has said so. 0.14 goes on with the same lock for most of a minute; later ones list them again.
pub(crate) fn a_lock_that_vanishes_while_it_is_read_holds_no_publish_up(program: &Program) -> Outcome {
    let repository = program.template();
    let lock = repository.path().join("locks").join("a".repeat(64));
    std::os::unix::fs::symlink("/nowhere", &lock)?;
    let said = repository.path().with_file_name("said");
    let mut host = program.host(&repository);
    let life = host.script(&format!(
        "rm -f '{said}.pipe'; mkfifo '{said}.pipe'; \
         while read -r line; do rm -f '{lock}'; echo \"$line\" | tee -a '{said}' >&2; done <'{said}.pipe' & \
         exec restic \"$@\" 2>'{said}.pipe'",
        said = said.display(),
        lock = lock.display()
    ));
    let published = run(host.restic().publish(b"{}\n", &tags(2, b"{}\n"), "main"));
    life.is_over();
    let said = fs::read_to_string(&said)?;
    assert!(said.starts_with("Load(<lock/aaaaaaaaaa>"), "restic did not miss the lock: {said}");
    let id = published.expect("published").id;
    let listing = run(program.host(&repository).restic().look()).expect("a look");
    assert!(listing.snapshots.len() == 2 && listing.newest()[0].id.same(&id), "{listing:?}");
    assert_eq!(locks(&repository), 0);
    Ok(Completion::Completed)
}
