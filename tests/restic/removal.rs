//! Forgetting and pruning with real restics, and restic as a person types it.

use std::fs;
use std::future::{pending, ready};
use std::process::Command;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use kuma_replicator::config::Keep;
use kuma_replicator::cycle::Repository as _;
use kuma_replicator::decide;
use kuma_replicator::error::Kind;
use kuma_replicator::host::system::interrupt::Interrupt;
use kuma_replicator::model::retention::Retained;
use kuma_replicator::model::snapshot::{Listing, SnapshotId};
use libtest_mimic::Completion;
use serde_json::Value;

use crate::Outcome;
use crate::parts::{Gate, Host, Program, dump, run, tags};
use crate::servers::Server;

/// Publishes these sequences.
fn publish(host: &Host, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        let text = dump(1000 + usize::try_from(sequence).expect("a small number"));
        run(host.restic().publish(&text, &tags(sequence, &text), "main")).expect("published");
    }
}

fn sequences(listing: &Listing) -> Vec<u64> {
    let mut sequences: Vec<u64> = listing.snapshots.iter().map(|one| one.tags.place.sequence).collect();
    sequences.sort_unstable();
    sequences
}

fn ids(listing: &Listing, forgotten: impl Fn(u64) -> bool) -> Vec<SnapshotId> {
    let gone = listing.snapshots.iter().filter(|one| forgotten(one.tags.place.sequence));
    gone.map(|one| one.id.clone()).collect()
}

pub(crate) fn what_is_forgotten_is_gone_and_nothing_else(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository);
    publish(&host, 2..=5);
    host.feed("restic", &["backup", "-q", "--stdin", "--tag", "theirs"], "something else");
    let locks = || fs::read_dir(repository.path().join("locks")).expect("locks").count();

    let mut system = host.system(Interrupt::never());
    let listing = run(system.look()).expect("a look");
    assert_eq!((sequences(&listing), listing.others), ([1, 2, 3, 4, 5].into(), 1));
    let mut gone = ids(&listing, |sequence| sequence < 4);
    // One that another host has just removed.
    gone.push("a".repeat(64).parse()?);
    run(system.forget(&gone)).expect("forgotten");
    // The main need not look again for it: restic could not.
    let keys = repository.path().join("keys");
    fs::rename(&keys, repository.path().with_file_name("keys"))?;
    let known = run(system.look_by_name()).expect("what it knows");
    fs::rename(repository.path().with_file_name("keys"), &keys)?;
    assert_eq!((sequences(&known), known.others), ([4, 5].into(), 1));
    assert_eq!(run(host.restic().look()).expect("a look"), known);

    let packs = || fs::read_dir(repository.path().join("data")).expect("data").flatten();
    let size = || packs().flat_map(|part| fs::read_dir(part.path()).expect("packs").flatten()).count();
    let before = size();
    run(system.prune()).expect("pruned");
    assert!(size() < before, "{before} packs before, and {} now", size());
    for snapshot in &known.snapshots {
        run(host.restic().fetch(&snapshot.id)).expect("fetched");
    }
    host.tool("restic", &["check"]);
    host.tool("restic", &["dump", "latest", "/stdin", "--tag", "theirs"]);
    assert_eq!(locks(), 0);
    Ok(Completion::Completed)
}

/// Storage to which things can only be added.
pub(crate) fn storage_that_removes_nothing_is_told_from_others(program: &Program) -> Outcome {
    let server = Server::rest_that_removes_nothing()?;
    let data = server.data().join("data/path");
    let repository = server.repository();
    let host = program.host(&repository);
    run(host.restic().init()).expect("created");
    publish(&host, 1..=3);
    let listing = run(host.restic().look()).expect("a look");
    let gone = ids(&listing, |sequence| sequence < 3);
    assert_eq!(run(host.restic().check_publishable()).expect("a lock"), None, "it lets go of locks");
    let error = host.fails(run(host.restic().forget(&gone, pending())), Kind::RepositoryDenied);
    assert!(error.contains("keep = \"all\"") && error.contains("403"), "{error}");
    assert_eq!(fs::read_dir(data.join("locks"))?.count(), 0, "it left its lock");
    assert_eq!(run(host.restic().look()).expect("a look"), listing);
    publish(&host, 4..=4);
    Ok(Completion::Completed)
}

/// An exclusive lock that stays would keep all hosts from publishing.
pub(crate) fn a_prune_that_is_stopped_leaves_no_lock(program: &Program) -> Outcome {
    let repository = program.template();
    let mut host = program.host(&repository);
    let life = host.watched();
    let gate = Gate::at_index(&repository);
    let restic = host.restic();
    // It ends for an order.
    let (inside, pruned) = std::thread::scope(|scope| {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let order = async { drop(receiver.await) };
        let pruned = scope.spawn(|| run(restic.prune(order)));
        let inside = gate.wait();
        assert_eq!(fs::read_dir(repository.path().join("locks")).expect("locks").count(), 1);
        sender.send(()).expect("an order");
        (inside, pruned.join().expect("its end"))
    });
    drop(inside);
    let error = host.fails(pruned, Kind::Interrupted);
    assert!(error.contains("an order on this host goes first"), "{error}");
    life.is_over();
    assert_eq!(fs::read_dir(repository.path().join("locks"))?.count(), 0, "it left its lock");
    gate.open();
    assert!(run(restic.prune(pending())).is_ok());
    host.fails(run(restic.forget(&["a".repeat(64).parse()?], ready(()))), Kind::Interrupted);
    Ok(Completion::Completed)
}

/// What the rules keep of plain histories of one main, restic keeps by its own policies. 0.14 does not keep the oldest one
/// where fewer periods have snapshots.
pub(crate) fn the_rules_are_those_of_restic(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository);
    let mut time: jiff::Timestamp = "2026-01-01T12:00:00Z".parse()?;
    for (sequence, hours) in (2..).zip([6, 6, 30, 24, 200, 3, 700, 24, 800, 5, 24, 24, 4000, 24]) {
        time += SignedDuration::from_hours(hours);
        let tags = tags(sequence, b"{}\n").to_strings().join(",");
        // restic takes a time in the zone of its host.
        let at = TimeZone::system().to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let arguments =
            ["backup", "-q", "--stdin", "--stdin-filename=/kuma-replicator.jsonl", "--tag", &tags, "--time", &at];
        host.feed("restic", &arguments, "{}\n");
    }
    // The one of the template is as old as this test.
    let listing = run(host.restic().look()).expect("a look");
    host.tool("restic", &["forget", "-q", &ids(&listing, |sequence| sequence == 1)[0].to_string()]);
    let listing = run(host.restic().look()).expect("a look");
    let none = Keep { last: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
    let keeps_oldest = !program.version.starts_with("0.14");
    let fleet = tags(1, b"").fleet;
    for keep in [
        Keep { last: 3, ..none },
        Keep { daily: 4, ..none },
        Keep { weekly: 3, ..none },
        Keep { monthly: 3, ..none },
        Keep { monthly: 12, ..none },
        Keep { yearly: 2, last: 1, ..none },
        Keep { last: 2, daily: 3, weekly: 2, monthly: 12, yearly: 0 },
        Keep::default(),
    ] {
        let kept = decide::retention(&listing, Some(&keep), &fleet, &TimeZone::system());
        let retained = Retained { kept, ..Retained::default() };
        let gone = retained.forgotten();
        let mut ours = sequences(&listing);
        ours.retain(|sequence| !ids(&listing, |one| one == *sequence).iter().any(|id| gone.contains(id)));
        let rules = [
            ("last", keep.last),
            ("daily", keep.daily),
            ("weekly", keep.weekly),
            ("monthly", keep.monthly),
            ("yearly", keep.yearly),
        ];
        let rules = rules.iter().filter(|(_, count)| *count > 0);
        let rules: Vec<String> = rules.map(|(rule, count)| format!("--keep-{rule}={count}")).collect();
        let mut arguments = vec!["forget", "--dry-run", "--json", "--group-by", ""];
        arguments.extend(rules.iter().map(String::as_str));
        let answer: Value = serde_json::from_str(&host.says("restic", &arguments))?;
        let mut theirs = Vec::new();
        for snapshot in answer[0]["keep"].as_array().expect("what stays") {
            let tags = snapshot["tags"].as_array().expect("tags").iter().filter_map(Value::as_str);
            let sequence = tags.filter_map(|tag| tag.strip_prefix("sequence=")).next().expect("a sequence");
            theirs.push(sequence.parse::<u64>()?);
        }
        theirs.sort_unstable();
        // It has one fence, its newest, which every rule keeps.
        if !keeps_oldest && ours.first() == Some(&2) && theirs.first() != Some(&2) {
            ours.remove(0);
        }
        assert_eq!(ours, theirs, "{keep:?}");
    }
    Ok(Completion::Completed)
}

pub(crate) fn options_reach_every_restic(program: &Program) -> Outcome {
    let repository = program.template();
    let listing = run(program.host(&repository).restic().look()).expect("a look");
    let host = program.host(&repository).option("local.connections=1").option("s3.bucket-lookup=path");
    assert_eq!(run(host.restic().look()).expect("a look"), listing);
    publish(&host, 2..=2);
    assert!(run(host.restic().names()).is_some());
    // restic says which it does not know.
    let host = program.host(&repository).option("local.nonsense=1");
    let error = host.fails(run(host.restic().look()), Kind::ResticFailed);
    assert!(error.contains("nonsense"), "{error}");
    assert!(run(host.restic().names()).is_none(), "what is not known may lead anywhere");
    Ok(Completion::Completed)
}

/// The repository of this host, its password and its options, and nothing of the shell.
pub(crate) fn a_person_runs_restic_as_a_cycle_does(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository).option("local.connections=1");
    let typed = |host: &Host, arguments: &[&str]| {
        let (config, cache) = host.files();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuma-replicator"));
        command.arg("--config").arg(config).arg("restic").args(arguments);
        command.env("CACHE_DIRECTORY", cache).env("STATE_DIRECTORY", "/nowhere");
        command.env("RESTIC_REPOSITORY", "/nowhere").env("RESTIC_PASSWORD", "of a shell");
        command.output().expect("kuma-replicator")
    };
    let output = typed(&host, &["--", "snapshots", "--json", "--no-lock"]);
    let found: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    assert_eq!((output.status.code(), found.len()), (Some(0), 1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(typed(&host, &["snapshots", "--json", "--no-lock"]).status.success(), "the dashes may be left out");
    let failed = typed(&host, &["--", "cat", "snapshot", "nonsense"]);
    let with_restic = host.code("restic", &["cat", "snapshot", "nonsense"]);
    assert_eq!(failed.status.code(), Some(with_restic), "{failed:?}");
    assert_eq!(typed(&host, &[]).status.code(), Some(2), "nothing to do");
    let missing = typed(&program.host(&repository).program("no-such-restic"), &["--", "snapshots"]);
    assert_eq!(missing.status.code(), Some(78), "{missing:?}");
    // Only its owner may read what it leaves.
    let (_, cache) = host.files();
    let mode =
        |path: &std::path::Path| std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).expect("a cache")) & 0o777;
    assert_eq!(mode(&cache), 0o700);
    Ok(Completion::Completed)
}
