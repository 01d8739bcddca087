//! A server that fails half-way, behind a proxy that breaks what passes: each restic ends in time and leaves nothing
//! behind, the failure has the right kind, nothing is half there afterwards, and all works again once the server does.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use kuma_replicator::error::Kind;
use kuma_replicator::model::snapshot::SnapshotId;
use libtest_mimic::Completion;

use crate::Outcome;
use crate::parts::{PATIENCE, Program, Repository, dump, run, tags};
use crate::servers::Server;
use crate::testbed::{Fault, Proxy};

/// How long a restic gets that would go on trying.
const TIMEOUT: Duration = Duration::from_secs(4);

/// What the agent adds to that at most: two seconds for restic to remove its lock, and the rest for a busy machine.
const REACTION: Duration = Duration::from_secs(20);

/// How it has to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// It works all the same.
    Success,
    /// It fails so.
    Failure(Kind),
    /// Whether the fault hits it depends on how many requests this restic makes, so it is not tried.
    Nothing,
}

/// A fault, and how a look, a fetch and a publish have to end.
type Case = (Fault, [Want; 3]);

const UNREACHABLE: Want = Want::Failure(Kind::RepositoryUnreachable);
const DENIED: Want = Want::Failure(Kind::RepositoryDenied);
const DAMAGED: Want = Want::Failure(Kind::SnapshotDamaged);

const CASES: &[Case] = &[
    (Fault::FailAfter(0), [UNREACHABLE; 3]),
    (Fault::FailAfter(4), [UNREACHABLE; 3]),
    (Fault::Reset, [UNREACHABLE; 3]),
    (Fault::Stall, [UNREACHABLE; 3]),
    (Fault::Slow, [UNREACHABLE; 3]),
    (Fault::FailEvery(2), [Want::Success; 3]),
    // All is read by then, and the data are about to be stored.
    (Fault::FailAfter(12), [Want::Nothing, Want::Nothing, UNREACHABLE]),
    (Fault::Cut, [DAMAGED, DAMAGED, Want::Success]),
    (Fault::Flip, [Want::Success, DAMAGED, Want::Success]),
    // The server has acknowledged it: the damage shows when it is fetched.
    (Fault::Lose, [Want::Success; 3]),
    (Fault::Deny, [DENIED; 3]),
    (Fault::Skew, [UNREACHABLE; 3]),
];

/// Of these, the first ones are mostly waited for.
const WAITING: usize = 5;

/// One server and one repository for all, and one proxy for each fault.
pub(crate) fn every_fault_of_a_server_is_reported_in_time_and_leaves_nothing_half_done(program: &Program) -> Outcome {
    let server = Server::s3()?;
    let direct = program.host(&Repository::at(&server.url));
    run(direct.restic().init()).expect("created");
    let first = dump(100_000);
    let id = run(direct.restic().publish(&first, &tags(1, &first), "main")).expect("published").id;
    thread::scope(|scope| {
        let (server, id) = (&server, &id);
        let mut numbered = CASES.iter().zip(FIRST..);
        for (case, sequence) in numbered.by_ref().take(WAITING) {
            scope.spawn(move || suffer(program, case, server, id, sequence));
        }
        numbered.for_each(|(case, sequence)| suffer(program, case, server, id, sequence));
    });

    // Whatever is in the list is whole, or reported as damaged if the server lost it.
    let restic = direct.restic();
    let listing = run(restic.look()).expect("a look");
    assert_eq!(listing.unreadable.len(), 0);
    for snapshot in &listing.snapshots {
        let sequence = snapshot.tags.place.sequence;
        let fault = CASES.iter().zip(FIRST..).find(|(_, number)| *number == sequence).map(|((fault, _), _)| *fault);
        let fetched = run(restic.fetch(&snapshot.id));
        if fault == Some(Fault::Lose) {
            direct.fails(fetched, Kind::SnapshotDamaged);
        } else {
            assert!(fetched.expect("fetched") == body(sequence), "sequence {sequence} is another dump");
        }
    }
    let sequences: Vec<u64> = listing.snapshots.iter().map(|snapshot| snapshot.tags.place.sequence).collect();
    for ((fault, [_, _, publish]), sequence) in CASES.iter().zip(FIRST..) {
        assert_eq!(sequences.contains(&sequence), *publish == Want::Success, "{fault:?}: {sequences:?}");
    }
    Ok(Completion::Completed)
}

/// The sequence that the first of the cases publishes.
const FIRST: u64 = 100;

/// What is published under a sequence.
fn body(sequence: u64) -> Vec<u8> {
    dump(if sequence == 1 { 100_000 } else { 50_000 + usize::try_from(sequence).expect("a size") })
}

fn suffer(program: &Program, case: &Case, server: &Server, id: &SnapshotId, sequence: u64) {
    let (fault, wants) = case;
    let proxy = Proxy::start(&server.address()).expect("a proxy");
    let repository = Repository::at(&server.url.replace(&server.address(), &proxy.address));
    let text = body(sequence);
    let tags = tags(sequence, &text);
    let mut host = program.host(&repository);
    let wanted = |(_, want): &(&str, &Want)| **want != Want::Nothing;
    for (what, want) in ["look", "fetch", "publish"].into_iter().zip(wants).filter(wanted) {
        let timeout = if *want == UNREACHABLE { TIMEOUT } else { PATIENCE };
        host = host.timeout(timeout);
        let life = host.watched();
        let restic = host.restic();
        proxy.set(*fault);
        let begun = Instant::now();
        let result = match what {
            "look" => run(restic.look()).map(drop),
            "fetch" => run(restic.fetch(id)).map(drop),
            _ => run(restic.publish(&text, &tags, "main")).map(drop),
        };
        life.is_over();
        let took = begun.elapsed();
        let message = match want {
            Want::Failure(kind) => host.fails(result, *kind),
            _ => result.map(|()| String::new()).unwrap_or_else(|error| panic!("{fault:?}: {what}: {error:?}")),
        };
        assert!(took < timeout + REACTION, "{fault:?}: {what} took {took:?}");
        assert_eq!(message.contains("timedatectl"), *fault == Fault::Skew, "{fault:?}: {message}");
        println!("{fault:?}, {what}: {took:?} {message}");
    }
    proxy.set(Fault::None);
    let mut host = host.timeout(PATIENCE);
    let life = host.watched();
    let listing = run(host.restic().look()).expect("a look when all is well again");
    life.is_over();
    assert!(listing.snapshots.iter().any(|snapshot| snapshot.id.same(id)));
}

/// Credentials that cannot write are enough for a replica; on a main they fail at once.
pub(crate) fn reading_needs_no_right_to_write(program: &Program) -> Outcome {
    let server = Server::s3()?;
    let direct = program.host(&Repository::at(&server.url));
    run(direct.restic().init()).expect("created");
    let text = dump(1_000_000);
    let id = run(direct.restic().publish(&text, &tags(1, &text), "main")).expect("published").id;
    let proxy = Proxy::read_only(&server.address()).expect("a proxy");
    let host = program.host(&Repository::at(&server.url.replace(&server.address(), &proxy.address)));
    let restic = host.restic();
    for _ in 0..2 {
        assert_eq!(run(restic.look()).expect("a look").snapshots.len(), 1);
        assert!(run(restic.fetch(&id)).expect("fetched") == text);
    }
    assert!(proxy.requests() > 0);
    assert_eq!(proxy.writes(), 0, "no write is even tried");
    let begun = Instant::now();
    host.fails(run(restic.publish(&text, &tags(2, &text), "main")), Kind::RepositoryDenied);
    assert!(begun.elapsed() < REACTION, "{:?}", begun.elapsed());
    assert!(proxy.writes() > 0);
    assert_eq!(run(restic.look()).expect("a look").snapshots.len(), 1);
    Ok(Completion::Completed)
}

/// Storage that keeps everything for a time, or credentials that may not remove: the snapshot is there, and so is the lock.
pub(crate) fn a_lock_that_cannot_be_removed_is_a_warning_and_no_failure(program: &Program) -> Outcome {
    for server in [Server::s3()?, Server::rest()?] {
        let direct = program.host(&Repository::at(&server.url));
        run(direct.restic().init()).expect("created");
        let proxy = Proxy::start(&server.address()).expect("a proxy");
        let host = program.host(&Repository::at(&server.url.replace(&server.address(), &proxy.address)));
        proxy.set(Fault::Keep);
        let text = dump(100_000);
        let published = run(host.restic().publish(&text, &tags(1, &text), "main")).expect("published");
        let reason = published.lock_left.expect("a reason");
        assert!(reason.contains("403") || reason.contains("Access Denied"), "{reason}");
        assert!(run(host.restic().fetch(&published.id)).expect("fetched") == text);
        // What cannot be stored is a failure all the same.
        proxy.set(Fault::Deny);
        host.fails(run(host.restic().publish(&text, &tags(2, &text), "main")), Kind::RepositoryDenied);
        proxy.set(Fault::None);
        let again = run(host.restic().publish(&text, &tags(2, &text), "main")).expect("published");
        assert_eq!(again.lock_left, None);
        assert_eq!(run(direct.restic().look()).expect("a look").snapshots.len(), 2);
    }
    Ok(Completion::Completed)
}

/// A lock proves it, and is gone afterwards. Storage from which nothing can be removed takes snapshots all the same.
pub(crate) fn a_host_that_may_only_read_is_told_from_one_that_may_write(program: &Program) -> Outcome {
    let server = Server::s3()?;
    let direct = program.host(&Repository::at(&server.url));
    direct.fails(run(direct.restic().check_publishable()), Kind::RepositoryMissing);
    run(direct.restic().init()).expect("created");
    assert_eq!(run(direct.restic().check_publishable()).expect("writable"), None);
    let through = |proxy: &Proxy| program.host(&Repository::at(&server.url.replace(&server.address(), &proxy.address)));

    let read_only = Proxy::read_only(&server.address()).expect("a proxy");
    let host = through(&read_only);
    let begun = Instant::now();
    host.fails(run(host.restic().check_publishable()), Kind::RepositoryDenied);
    assert!(begun.elapsed() < REACTION, "{:?}", begun.elapsed());

    let keeping = Proxy::start(&server.address()).expect("a proxy");
    keeping.set(Fault::Keep);
    let begun = Instant::now();
    let reason = run(through(&keeping).restic().check_publishable()).expect("writable").expect("a reason");
    assert!(reason.contains("lock") && begun.elapsed() < REACTION, "{reason} after {:?}", begun.elapsed());

    // A folder: nothing is left there.
    let repository = program.template();
    assert_eq!(run(program.host(&repository).restic().check_publishable()).expect("writable"), None);
    assert_eq!(fs::read_dir(repository.path().join("locks")).expect("locks").count(), 0);
    Ok(Completion::Completed)
}
