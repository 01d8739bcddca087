//! The repository, with real restics and real servers: a folder, S3, REST.
//!
//! What depends on restic runs with the one of this machine and with the newer ones of the testbed.
//! What the machine lacks is skipped, says so and is counted; where `CI` is set it fails instead.
//! Nothing here waits for time to pass: a test that needs restic in the middle of its work lets it open a
//! FIFO in the place of an index file, where it stays until the test opens the other end.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "a test")]

mod faulty;
mod locks;
mod misbehaving;
mod names;
mod parts;
mod removal;
mod servers;
#[path = "../testbed/mod.rs"]
mod testbed;
mod tls;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kuma_replicator::error::Kind;
use kuma_replicator::model::snapshot::{Listing, SnapshotId};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use parts::{Gate, PASSWORD, Program, Repository, dump, run, tags};
use servers::{Answering, Server};

type Outcome = Result<Completion, Failed>;
type Test<T> = (&'static str, T);
type OnAny = fn(&Program) -> Outcome;
type OnTwo = fn(&Program, &Program) -> Outcome;

/// What depends on restic.
const ON_EVERY: &[Test<OnAny>] = &[
    ("folder_keeps_the_contract", |program| contract(program, Repository::folder())),
    ("s3_keeps_the_contract", |program| contract(program, Server::s3()?.repository())),
    ("rest_keeps_the_contract", |program| contract(program, Server::rest()?.repository())),
    ("a_thousand_snapshots_are_listed", a_thousand_snapshots_are_listed),
    ("other_backups_are_ignored", other_backups_are_ignored),
    ("an_exclusive_lock_stops_only_publish", an_exclusive_lock_stops_only_publish),
    ("failures_are_distinguished", failures_are_distinguished),
    ("wrong_credentials_are_reported", wrong_credentials_are_reported),
    ("what_restic_itself_lacks_is_named", what_restic_itself_lacks_is_named),
    ("the_version_is_reported", the_version_is_reported),
    ("a_snapshot_that_is_gone_is_reported", a_snapshot_that_is_gone_is_reported),
    ("a_snapshot_without_its_data_is_reported_soon", a_snapshot_without_its_data_is_reported_soon),
    ("a_look_at_a_snapshot_that_cannot_be_read_is_no_look", a_look_at_a_snapshot_that_cannot_be_read_is_no_look),
    ("a_full_disk_is_reported", a_full_disk_is_reported),
    ("a_hanging_server_ends_at_the_deadline", a_hanging_server_ends_at_the_deadline),
    ("an_agent_that_is_stopped_leaves_nothing", an_agent_that_is_stopped_leaves_nothing),
    ("a_restic_that_is_stopped_is_an_interruption", a_restic_that_is_stopped_is_an_interruption),
    ("a_killed_agent_leaves_nothing", a_killed_agent_leaves_nothing),
    (
        "every_fault_of_a_server_is_reported_in_time_and_leaves_nothing_half_done",
        faulty::every_fault_of_a_server_is_reported_in_time_and_leaves_nothing_half_done,
    ),
    (
        "a_lock_that_cannot_be_removed_is_a_warning_and_no_failure",
        faulty::a_lock_that_cannot_be_removed_is_a_warning_and_no_failure,
    ),
    ("reading_needs_no_right_to_write", faulty::reading_needs_no_right_to_write),
    (
        "a_host_that_may_only_read_is_told_from_one_that_may_write",
        faulty::a_host_that_may_only_read_is_told_from_one_that_may_write,
    ),
    ("locks_that_this_host_left_are_removed_and_no_others", locks::locks_that_this_host_left_are_removed_and_no_others),
    (
        "a_lock_that_vanishes_while_it_is_read_holds_no_publish_up",
        locks::a_lock_that_vanishes_while_it_is_read_holds_no_publish_up,
    ),
    (
        "a_restic_killed_in_a_publish_leaves_no_partial_snapshot",
        misbehaving::a_restic_killed_in_a_publish_leaves_no_partial_snapshot,
    ),
    ("an_oversized_snapshot_is_not_read_to_its_end", misbehaving::an_oversized_snapshot_is_not_read_to_its_end),
    ("what_is_forgotten_is_gone_and_nothing_else", removal::what_is_forgotten_is_gone_and_nothing_else),
    ("storage_that_removes_nothing_is_told_from_others", removal::storage_that_removes_nothing_is_told_from_others),
    ("a_prune_that_is_stopped_leaves_no_lock", removal::a_prune_that_is_stopped_leaves_no_lock),
    ("the_rules_are_those_of_restic", removal::the_rules_are_those_of_restic),
    ("options_reach_every_restic", removal::options_reach_every_restic),
    ("a_person_runs_restic_as_a_cycle_does", removal::a_person_runs_restic_as_a_cycle_does),
    ("names_in_a_folder_are_those_that_restic_lists", names::names_in_a_folder_are_those_that_restic_lists),
    ("certificates_are_checked_and_what_is_wrong_is_named", tls::certificates_are_checked_and_what_is_wrong_is_named),
];

/// What depends on the server more than on restic, and takes long: not with the restic of Debian testing.
const ON_STABLE: &[Test<OnAny>] = &[
    ("names_at_a_rest_server_are_those_that_restic_lists", names::names_at_a_rest_server_are_those_that_restic_lists),
    ("names_at_an_s3_server_are_those_that_restic_lists", names::names_at_an_s3_server_are_those_that_restic_lists),
    ("an_unchanged_look_is_one_request", names::an_unchanged_look_is_one_request),
];

/// What takes two restics: the one that writes first.
const ON_TWO: &[Test<OnTwo>] = &[("what_one_publishes_the_other_fetches", what_one_publishes_the_other_fetches)];

/// What is the same with every restic.
const ON_ONE: &[Test<OnAny>] = &[
    ("a_missing_program_is_reported", a_missing_program_is_reported),
    ("too_much_output_is_refused", too_much_output_is_refused),
    ("half_an_output_is_refused", half_an_output_is_refused),
    ("a_restic_that_hangs_is_ended_with_all_it_started", misbehaving::a_restic_that_hangs_is_ended_with_all_it_started),
    ("what_restic_leaves_running_holds_nothing_up", misbehaving::what_restic_leaves_running_holds_nothing_up),
    ("an_unusable_answer_is_reported", misbehaving::an_unusable_answer_is_reported),
    ("endless_output_takes_bounded_memory", misbehaving::endless_output_takes_bounded_memory),
    ("a_server_that_lies_is_left_to_restic", names::a_server_that_lies_is_left_to_restic),
    (
        "a_server_is_asked_for_names_only_with_a_trusted_certificate",
        names::a_server_is_asked_for_names_only_with_a_trusted_certificate,
    ),
    ("secrets_are_neither_passed_as_arguments_nor_shown", secrets_are_neither_passed_as_arguments_nor_shown),
];

fn main() -> ExitCode {
    if let Some(code) = parts::agent() {
        return code;
    }
    let programs = [
        ("installed", Program::installed(), ON_STABLE),
        ("newer", Program::unpacked("restic"), ON_STABLE),
        ("testing", Program::unpacked("restic-testing"), &[]),
    ];
    let programs = programs.map(|(name, program, more)| {
        let version = program.as_ref().map_or(name, |program| &program.version).to_owned();
        (version, Arc::new(program), more)
    });
    let mut trials = Vec::new();
    for (version, program, more) in &programs {
        let tests = ON_EVERY.iter().chain(*more);
        trials.extend(tests.map(|&(name, test)| trial(name, program, test).with_kind(version)));
        for (other, reader, _) in programs.iter().filter(|(_, reader, _)| !Arc::ptr_eq(reader, program)) {
            let on_two = |&(name, test): &Test<OnTwo>| {
                let reader = Arc::clone(reader);
                trial(name, program, move |writer| test(writer, found(&reader)?))
                    .with_kind(format!("{version} {other}"))
            };
            trials.extend(ON_TWO.iter().map(on_two));
        }
    }
    trials.extend(ON_ONE.iter().map(|&(name, test)| trial(name, &programs[0].1, test)));
    let mut arguments = Arguments::from_args();
    // Most of them wait: for deadlines, and for restic to try again.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    libtest_mimic::run(&arguments, trials).exit_code()
}

type Found = Arc<Result<Program, Failed>>;

fn trial(name: &str, program: &Found, test: impl FnOnce(&Program) -> Outcome + Send + 'static) -> Trial {
    let program = Arc::clone(program);
    Trial::ignorable_test(name, move || found(&program).and_then(test).or_else(parts::skip))
}

fn found(program: &Found) -> Result<&Program, Failed> {
    program.as_ref().as_ref().map_err(Failed::clone)
}

/// What every kind of repository must do alike.
fn contract(program: &Program, repository: Repository) -> Outcome {
    let host = program.host(&repository);
    let restic = host.restic();

    host.fails(run(restic.look()), Kind::RepositoryMissing);
    host.fails(run(restic.publish(b"{}\n", &tags(1, b"{}\n"), "main")), Kind::RepositoryMissing);
    assert!(run(restic.init()).expect("created"));
    assert!(!run(restic.init()).expect("there already"));
    assert_eq!(run(restic.look()).expect("a look"), Listing::default());

    let dumps = [dump(100), dump(5 << 20), dump(70_000), b"\0\xff\r\n".to_vec()];
    let publish = |(sequence, dump): (u64, &Vec<u8>)| {
        let tags = tags(sequence, dump);
        (run(restic.publish(dump, &tags, "main-1")).expect("published").id, tags)
    };
    let published: Vec<_> = (1..).zip(&dumps).map(publish).collect();
    let listing = run(restic.look()).expect("a look");
    assert_eq!((listing.snapshots.len(), listing.unreadable.len()), (dumps.len(), 0));
    for ((id, tags), dump) in published.iter().zip(&dumps) {
        let seen = listing.snapshots.iter().find(|snapshot| snapshot.id.same(id)).expect("the published snapshot");
        assert_eq!((&seen.tags, seen.host.as_str()), (tags, "main-1"));
        assert!(run(restic.fetch(&seen.id)).expect("fetched") == *dump, "another dump by its long id");
        assert!(run(restic.fetch(id)).expect("fetched") == *dump, "another dump by the id it was published with");
    }
    assert!(listing.newest()[0].id.same(&published[3].0));

    let other = program.host(&repository).password("another-secret-password");
    let restic = other.restic();
    let id = &published[0].0;
    other.fails(run(restic.init()), Kind::WrongPassword);
    other.fails(run(restic.look()), Kind::WrongPassword);
    other.fails(run(restic.fetch(id)), Kind::WrongPassword);
    other.fails(run(restic.publish(b"{}\n", &tags(9, b"{}\n"), "main-2")), Kind::WrongPassword);
    assert_eq!(run(host.restic().look()).expect("a look"), listing, "another host changed the repository");
    Ok(Completion::Completed)
}

/// A main and its replicas may run different versions of Debian.
fn what_one_publishes_the_other_fetches(writer: &Program, reader: &Program) -> Outcome {
    let repository = writer.template();
    let (first, second) = (writer.host(&repository), reader.host(&repository));
    for (publisher, other, sequence) in [(&first, &second, 2), (&second, &first, 3)] {
        let text = dump(100_000 + usize::try_from(sequence)?);
        let tags = tags(sequence, &text);
        let id = run(publisher.restic().publish(&text, &tags, "main")).expect("published").id;
        let listing = run(other.restic().look()).expect("a look");
        assert_eq!(listing, run(publisher.restic().look()).expect("a look"));
        assert_eq!((listing.snapshots.len() as u64, listing.unreadable.len()), (sequence, 0));
        let newest = listing.newest()[0];
        assert!(newest.id.same(&id) && newest.tags == tags);
        assert!(run(other.restic().fetch(&newest.id)).expect("fetched") == text);
        assert!(run(other.restic().fetch(&id)).expect("fetched") == text);
    }
    Ok(Completion::Completed)
}

/// Written in the repository's own format, because a thousand backups would take minutes.
fn a_thousand_snapshots_are_listed(program: &Program) -> Outcome {
    let python = servers::python()?;
    let repository = program.template();
    let host = program.host(&repository);
    let restic = host.restic();
    let text = dump(100);
    let id = run(restic.publish(&text, &tags(2, &text), "main")).expect("published").id;
    host.tool(python.to_str().expect("a path"), &["-c", parts::MANY, &repository.url, id.short(), "3", "1000"]);

    let started = Instant::now();
    let listing = run(restic.look()).expect("a look");
    println!("1,000 snapshots, first look: {:?}", started.elapsed());
    assert_eq!((listing.snapshots.len(), listing.unreadable.len()), (1000, 0));
    assert_eq!(listing.newest()[0].tags.place.sequence, 1000);
    let started = Instant::now();
    assert_eq!(run(restic.look()).expect("a look").snapshots.len(), 1000);
    println!("1,000 snapshots, second look: {:?}", started.elapsed());
    assert!(run(restic.fetch(&listing.newest()[0].id)).expect("fetched") == text);
    Ok(Completion::Completed)
}

fn other_backups_are_ignored(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository);
    let before = run(host.restic().look()).expect("a look");
    assert_eq!((before.snapshots.len(), before.unreadable.len()), (1, 0));

    let path = "--stdin-filename=/kuma-replicator.jsonl";
    let good = tags(7, b"").to_strings().join(",");
    let foreign: [&[&str]; 3] =
        [&["/etc/passwd"], &["--stdin", path, "--tag=other"], &["--stdin", "--stdin-filename=/other", "--tag", &good]];
    let malformed = ["kuma-replicator".to_owned(), good.replace("epoch=1", "epoch=one"), format!("{good},epoch=2")];
    for arguments in foreign {
        host.feed("restic", &[&["backup"], arguments].concat(), "{}\n");
    }
    let beside = run(host.restic().look()).expect("a look");
    assert_eq!(beside, Listing { others: foreign.len(), ..before.clone() });
    for tags in &malformed {
        host.feed("restic", &["backup", "--stdin", path, "--tag", tags], "{}\n");
    }
    let after = run(host.restic().look()).expect("a look");
    assert_eq!(after.snapshots, before.snapshots);
    assert_eq!(after.unreadable.len(), malformed.len());
    Ok(Completion::Completed)
}

fn an_exclusive_lock_stops_only_publish(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository);
    let restic = host.restic();
    let listing = run(restic.look()).expect("a look");
    // From now on the index comes from the cache, and only a restic without it runs into the gate.
    run(restic.fetch(&listing.snapshots[0].id)).expect("fetched");
    let gate = Gate::at_index(&repository);
    let checker = program.host(&repository);
    let mut check = checker.start("restic", &["check"]);
    let inside = gate.wait();

    assert_eq!(run(restic.look()).expect("a look"), listing);
    run(restic.fetch(&listing.snapshots[0].id)).expect("fetched");
    let error = host.fails(run(restic.publish(b"{}\n", &tags(2, b"{}\n"), "main")), Kind::RepositoryLocked);
    assert!(error.contains("locked exclusively by PID"), "{error}");

    // In this order: a restic that reads nothing reads again.
    gate.open();
    drop(inside);
    check.wait().expect("the end of restic check");
    run(restic.publish(b"{}\n", &tags(2, b"{}\n"), "main")).expect("published");
    Ok(Completion::Completed)
}

/// A closed port, a dead name, and what servers answer.
fn failures_are_distinguished(program: &Program) -> Outcome {
    let closed = servers::closed_port();
    let (missing, refused) = (Answering::with("404 Not Found"), Answering::with("403 Forbidden"));
    let (unknown, broken) = (Answering::with("401 Unauthorized"), Answering::with("500 Internal Server Error"));
    let (busy, odd) = (Answering::with("503 Service Unavailable"), Answering::with("418 I'm a teapot"));
    let cases = [
        (Kind::RepositoryUnreachable, format!("127.0.0.1:{closed}")),
        (Kind::RepositoryUnreachable, "dead.invalid".to_owned()),
        (Kind::RepositoryUnreachable, broken.address()),
        (Kind::RepositoryUnreachable, busy.address()),
        (Kind::RepositoryDenied, refused.address()),
        (Kind::RepositoryDenied, unknown.address()),
        (Kind::RepositoryMissing, missing.address()),
        (Kind::ResticFailed, odd.address()),
    ];
    // Side by side, because a restic that goes on trying takes seconds for each.
    thread::scope(|scope| {
        for (kind, address) in &cases {
            for url in [format!("rest:http://someone:url-secret@{address}/x/"), format!("s3:http://{address}/bucket/x")]
            {
                scope.spawn(move || fails_as(program, *kind, address, &url));
            }
        }
    });
    let nowhere = Repository::at("/nowhere/at/all");
    let host = program.host(&nowhere);
    host.fails(run(host.restic().look()), Kind::RepositoryMissing);
    let host = program.host(&Repository::at("nonsense:x"));
    host.fails(run(host.restic().look()), Kind::RepositoryMissing);
    Ok(Completion::Completed)
}

fn fails_as(program: &Program, kind: Kind, address: &str, url: &str) {
    let host = program.host(&Repository::at(url));
    let restic = host.restic();
    let id: SnapshotId = "0123456789abcdef".parse().expect("an id");
    let errors = [
        host.fails(run(restic.look()), kind),
        host.fails(run(restic.fetch(&id)), kind),
        host.fails(run(restic.publish(b"{}\n", &tags(1, b"{}\n"), "main")), kind),
    ];
    for error in errors {
        assert!(error.contains(address) && !error.contains("did not end"), "{error}");
    }
    if kind != Kind::RepositoryMissing {
        host.fails(run(restic.init()), kind);
    }
}

fn wrong_credentials_are_reported(program: &Program) -> Outcome {
    let server = Server::rest()?;
    let url = server.url.replace("right-secret", "wrong-secret");
    let host = program.host(&Repository::at(&url));
    let error = host.fails(run(host.restic().look()), Kind::RepositoryDenied);
    assert!(error.contains("***@127.0.0.1"), "{error}");
    Ok(Completion::Completed)
}

/// A program that it runs, credentials, or a back end that it was built without.
fn what_restic_itself_lacks_is_named(program: &Program) -> Outcome {
    let cases = [
        ("sftp:kuma@backup.example.org:/srv/kuma", "X=1", Kind::ResticMissing, "openssh-client"),
        ("rclone:remote:kuma", "X=1", Kind::ResticMissing, "apt install rclone"),
        ("b2:bucket:kuma", "X=1", Kind::RepositoryDenied, "B2_ACCOUNT_KEY"),
        (
            "gs:bucket:/kuma",
            "GOOGLE_APPLICATION_CREDENTIALS=/nowhere.json",
            Kind::RepositoryDenied,
            "GOOGLE_APPLICATION",
        ),
        ("nonsense:kuma", "X=1", Kind::RepositoryMissing, "built without it"),
    ];
    for (url, line, kind, advice) in cases {
        let host = program.host(&Repository::at(url)).line(line).alone();
        for error in [run(host.restic().look()).map(drop), run(host.restic().init()).map(drop)] {
            let error = error.expect_err(url);
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(error.hint().contains(advice), "{error:?}");
        }
    }
    Ok(Completion::Completed)
}

fn the_version_is_reported(program: &Program) -> Outcome {
    let version = run(program.host(&Repository::folder()).restic().version()).expect("a version");
    assert_eq!(version, program.version);
    Ok(Completion::Completed)
}

fn a_missing_program_is_reported(program: &Program) -> Outcome {
    let repository = Repository::folder();
    for missing in ["no-such-restic", "/nowhere/restic", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        let host = program.host(&repository).program(missing);
        let error = host.fails(run(host.restic().version()), Kind::ResticMissing);
        assert!(error.contains(missing), "{error}");
        host.fails(run(host.restic().look()), Kind::ResticMissing);
    }
    let host = program.host(&repository).program("/bin/echo");
    host.fails(run(host.restic().version()), Kind::ResticFailed);
    Ok(Completion::Completed)
}

fn a_snapshot_that_is_gone_is_reported(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository);
    let restic = host.restic();
    let listing = run(restic.look()).expect("a look");
    let id = &listing.snapshots[0].id;
    host.tool("restic", &["forget", "--prune", &id.to_string()]);
    for id in [id.clone(), id.short().parse().expect("an id")] {
        let error = host.fails(run(restic.fetch(&id)), Kind::SnapshotGone);
        assert!(error.contains("the snapshot is no longer in the repository"), "{error}");
    }
    assert_eq!(run(restic.look()).expect("a look"), Listing::default());
    Ok(Completion::Completed)
}

/// A prune removes data last. restic itself would try for up to 15 minutes to load them.
fn a_snapshot_without_its_data_is_reported_soon(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository);
    let restic = host.restic();
    let listing = run(restic.look()).expect("a look");
    fs::remove_dir_all(repository.path().join("data")).expect("no data any more");
    let started = Instant::now();
    let error = host.fails(run(restic.fetch(&listing.snapshots[0].id)), Kind::SnapshotDamaged);
    println!("reported after {:?}: {error}", started.elapsed());
    Ok(Completion::Completed)
}

/// restic leaves it out of its list, and calls that success; but it may be the newest, or another main's.
fn a_look_at_a_snapshot_that_cannot_be_read_is_no_look(program: &Program) -> Outcome {
    let repository = program.template();
    let host = program.host(&repository);
    let restic = host.restic();
    run(restic.publish(b"{}\n", &tags(2, b"{}\n"), "main")).expect("published");
    let newest = run(restic.look()).expect("a look").newest()[0].id.clone();
    let file = repository.path().join("snapshots").join(newest.to_string());
    let good = fs::read(&file)?;
    let put = |bytes: &[u8]| fs::remove_file(&file).and_then(|()| fs::write(&file, bytes));
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    for bad in [&good[..60], &[], &flipped] {
        put(bad)?;
        // A host that has it in its cache need not notice.
        let other = program.host(&repository);
        let error = other.fails(run(other.restic().look()), Kind::SnapshotDamaged);
        assert!(error.contains(newest.short()) && error.contains("restic check"), "{error}");
        // Well again, and not remembered as damaged, although some restics keep what they got.
        put(&good)?;
        assert_eq!(run(other.restic().look()).expect("a look").snapshots.len(), 2);
    }
    Ok(Completion::Completed)
}

fn a_full_disk_is_reported(program: &Program) -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err(parts::lacking("root rights to mount a small disk"));
    }
    let repository = program.template();
    let small = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let inside = small.path().join("repository");
    let host = program.host(&Repository::at(inside.to_str().expect("a path")));
    let script = format!(
        "mount -t tmpfs -o size=400k none {small} && cp -a {repository} {inside} && exec \"$0\"",
        small = small.path().display(),
        repository = repository.url,
        inside = inside.display(),
    );
    let agent = host.agent(&["unshare", "--mount", "sh", "-c", &script]);
    assert_eq!(parts::answer(agent), "disk-full");
    Ok(Completion::Completed)
}

fn a_hanging_server_ends_at_the_deadline(program: &Program) -> Outcome {
    let server = Answering::never();
    for url in [format!("rest:http://{}/x/", server.address()), format!("s3:http://{}/bucket/x", server.address())] {
        let mut host = program.host(&Repository::at(&url)).timeout(Duration::from_secs(1));
        let life = host.watched();
        let started = Instant::now();
        let error = host.fails(run(host.restic().look()), Kind::RepositoryUnreachable);
        assert!(error.contains("did not end within 1 s"), "{error}");
        life.is_over();
        println!("{:?}: {error}", started.elapsed());
    }
    Ok(Completion::Completed)
}

fn an_agent_that_is_stopped_leaves_nothing(program: &Program) -> Outcome {
    let (repository, agent) = agent_in_the_middle(program);
    agent.signal(rustix::process::Signal::TERM);
    agent.life.is_over();
    assert_eq!(parts::answer(agent.process), "interrupted");
    agent.gate.open();
    let locks = fs::read_dir(repository.path().join("locks")).expect("locks").count();
    assert_eq!(locks, 0, "restic had the time to remove its lock");
    let host = program.host(&repository);
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 1);
    Ok(Completion::Completed)
}

/// At a shutdown restic may receive the signal before the agent does.
fn a_restic_that_is_stopped_is_an_interruption(program: &Program) -> Outcome {
    let (server, connected) = Answering::never_but_reporting();
    let host = program.host(&Repository::at(&format!("rest:http://{}/x/", server.address())));
    let agent = host.agent(&[]);
    connected.recv_timeout(parts::PATIENCE).expect("no restic came by");
    parts::signal_restic(&agent, rustix::process::Signal::TERM);
    assert_eq!(parts::answer(agent), "interrupted");
    Ok(Completion::Completed)
}

fn a_killed_agent_leaves_nothing(program: &Program) -> Outcome {
    let (repository, mut agent) = agent_in_the_middle(program);
    agent.process.kill().expect("killed");
    agent.life.is_over();
    agent.process.wait().expect("the end of the agent");
    agent.gate.open();
    let host = program.host(&repository);
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 1);
    // The lock that restic could not remove does not keep the next agent out.
    run(host.restic().publish(b"{}\n", &tags(2, b"{}\n"), "main")).expect("published");
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 2);
    Ok(Completion::Completed)
}

/// An agent whose restic has its lock, and the dump before it, and waits.
fn agent_in_the_middle(program: &Program) -> (Repository, parts::Agent) {
    let repository = program.template();
    let gate = Gate::at_index(&repository);
    let mut host = program.host(&repository);
    let life = host.watched();
    let process = host.agent(&[]);
    let inside = gate.wait();
    assert_eq!(fs::read_dir(repository.path().join("locks")).expect("locks").count(), 1);
    (repository, parts::Agent { process, life, gate, _inside: inside, _host: host })
}

fn too_much_output_is_refused(program: &Program) -> Outcome {
    let repository = Repository::folder();
    let mut host = program.host(&repository);
    let life = host.script("exec head -c 300000000 /dev/zero");
    let id: SnapshotId = "0123456789abcdef".parse().expect("an id");
    let error = host.fails(run(host.restic().fetch(&id)), Kind::SnapshotDamaged);
    assert!(error.contains("more than 268435456 bytes"), "{error}");
    life.is_over();
    let mut host = program.host(&repository);
    let life = host.script("exec head -c 300000000 /dev/zero");
    // A listing that is too long says nothing against a snapshot.
    host.fails(run(host.restic().look()), Kind::ResticFailed);
    life.is_over();
    Ok(Completion::Completed)
}

fn half_an_output_is_refused(program: &Program) -> Outcome {
    let repository = Repository::folder();
    let id: SnapshotId = "0123456789abcdef".parse().expect("an id");
    for end in ["exit 1", "kill -9 $$", "echo 'Load(<data/1>) failed' >&2; exit 1"] {
        let mut host = program.host(&repository);
        let life = host.script(&format!("echo half; {end}"));
        host.fails(run(host.restic().fetch(&id)), Kind::ResticFailed);
        life.is_over();
    }
    Ok(Completion::Completed)
}

fn secrets_are_neither_passed_as_arguments_nor_shown(program: &Program) -> Outcome {
    let repository = Repository::at("rest:http://someone:url-secret@127.0.0.1:1/x/");
    let mut host = program.host(&repository).line("AWS_SECRET_ACCESS_KEY=\"aws secret/+=\"");
    let recorded = tempfile::NamedTempFile::new().expect("a file");
    let life = host.script(&format!(
        "printf '%s\\n' \"$@\" >{}; (env; cat \"$RESTIC_PASSWORD_FILE\"; echo \"$AWS_SECRET_ACCESS_KEY\") >&2; exit 1",
        recorded.path().display()
    ));
    let restic = host.restic();
    let error = host.fails(run(restic.publish(b"{}\n", &tags(1, b"{}\n"), "main")), Kind::ResticFailed);
    life.is_over();
    assert!(error.contains("***"), "{error}");
    let mut arguments = fs::read_to_string(recorded.path()).expect("arguments");
    arguments.push_str(&format!("{restic:?}"));
    for secret in ["url-secret", "aws secret", PASSWORD] {
        assert!(!error.contains(secret) && !arguments.contains(secret), "{secret} in {error} or {arguments}");
    }
    assert!(arguments.contains("--stdin-filename=/kuma-replicator.jsonl"), "{arguments}");
    Ok(Completion::Completed)
}
