//! The repository, with the real restic and real servers: a folder, S3, REST.
//!
//! What the machine lacks is skipped, says so and is counted; where `CI` is set it fails instead.
//! Nothing here waits for time to pass: a test that needs restic in the middle of its work lets it open a
//! FIFO in the place of an index file, where it stays until somebody is at the other end.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "a test")]

#[path = "restic/parts.rs"]
mod parts;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kuma_replicator::error::Kind;
use kuma_replicator::model::snapshot::{Listing, SnapshotId};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use parts::{Answering, Gate, Host, PASSWORD, Repository, Server, dump, label, run, template};

type Outcome = Result<Completion, Failed>;
type Test = (&'static str, fn() -> Outcome);

const TESTS: &[Test] = &[
    ("folder_keeps_the_contract", || contract(Repository::folder())),
    ("s3_keeps_the_contract", || contract(Server::s3()?.repository())),
    ("rest_keeps_the_contract", || contract(Server::rest()?.repository())),
    ("a_thousand_snapshots_are_listed", a_thousand_snapshots_are_listed),
    ("other_backups_are_ignored", other_backups_are_ignored),
    ("an_exclusive_lock_stops_only_publish", an_exclusive_lock_stops_only_publish),
    ("failures_are_told_apart", failures_are_told_apart),
    ("wrong_credentials_are_told", wrong_credentials_are_told),
    ("a_missing_program_is_told", a_missing_program_is_told),
    ("a_snapshot_that_is_gone_is_told", a_snapshot_that_is_gone_is_told),
    ("a_snapshot_without_its_data_is_told_soon", a_snapshot_without_its_data_is_told_soon),
    ("a_full_disk_is_told", a_full_disk_is_told),
    ("a_hanging_server_ends_at_the_deadline", a_hanging_server_ends_at_the_deadline),
    ("an_agent_told_to_stop_leaves_nothing", an_agent_told_to_stop_leaves_nothing),
    ("a_killed_agent_leaves_nothing", a_killed_agent_leaves_nothing),
    ("too_much_output_is_refused", too_much_output_is_refused),
    ("half_an_output_is_refused", half_an_output_is_refused),
    ("secrets_are_neither_told_nor_shown", secrets_are_neither_told_nor_shown),
];

fn main() -> ExitCode {
    if let Some(code) = parts::agent() {
        return code;
    }
    let restic = std::process::Command::new("restic").arg("version").output();
    let restic_missing = !restic.is_ok_and(|output| output.status.success());
    let trial = |&(name, test): &Test| {
        Trial::ignorable_test(name, move || {
            let outcome = if restic_missing { Err(parts::lacking("restic")) } else { test() };
            outcome.or_else(parts::skip)
        })
    };
    let conclusion = libtest_mimic::run(&Arguments::from_args(), TESTS.iter().map(trial).collect());
    parts::clean();
    conclusion.exit_code()
}

/// What every kind of repository must do alike.
fn contract(repository: Repository) -> Outcome {
    let host = Host::new(&repository);
    let restic = host.restic();

    host.fails(run(restic.look()), Kind::RepositoryMissing);
    host.fails(run(restic.publish(b"{}\n", &label(1, b"{}\n"), "main")), Kind::RepositoryMissing);
    assert!(run(restic.init()).expect("created"));
    assert!(!run(restic.init()).expect("there already"));
    assert_eq!(run(restic.look()).expect("a look"), Listing::default());

    let dumps = [dump(100), dump(5 << 20), dump(70_000), b"\0\xff\r\n".to_vec()];
    let publish = |(sequence, dump): (u64, &Vec<u8>)| {
        let label = label(sequence, dump);
        (run(restic.publish(dump, &label, "main-1")).expect("published"), label)
    };
    let published: Vec<_> = (1..).zip(&dumps).map(publish).collect();
    let listing = run(restic.look()).expect("a look");
    assert_eq!((listing.snapshots.len(), listing.unreadable.len()), (dumps.len(), 0));
    for ((id, label), dump) in published.iter().zip(&dumps) {
        let seen = listing.snapshots.iter().find(|snapshot| snapshot.id.same(id)).expect("the published snapshot");
        assert_eq!((&seen.label, seen.host.as_str()), (label, "main-1"));
        assert!(run(restic.fetch(&seen.id)).expect("fetched") == *dump, "another dump by its long id");
        assert!(run(restic.fetch(id)).expect("fetched") == *dump, "another dump by the id it was published with");
    }
    assert!(listing.newest()[0].id.same(&published[3].0));

    let stranger = Host::new(&repository).password("another-secret-password");
    let restic = stranger.restic();
    let id = &published[0].0;
    stranger.fails(run(restic.init()), Kind::WrongPassword);
    stranger.fails(run(restic.look()), Kind::WrongPassword);
    stranger.fails(run(restic.fetch(id)), Kind::WrongPassword);
    stranger.fails(run(restic.publish(b"{}\n", &label(9, b"{}\n"), "main-2")), Kind::WrongPassword);
    assert_eq!(run(host.restic().look()).expect("a look"), listing, "a stranger changed the repository");
    Ok(Completion::Completed)
}

/// Written in the repository's own format, because a thousand backups would take minutes.
fn a_thousand_snapshots_are_listed() -> Outcome {
    let python = parts::python()?;
    let repository = template();
    let host = Host::new(&repository);
    let restic = host.restic();
    let text = dump(100);
    let id = run(restic.publish(&text, &label(2, &text), "main")).expect("published");
    host.tool(python.to_str().expect("a path"), &["-c", parts::MANY, &repository.url, id.short(), "3", "1000"]);

    let started = Instant::now();
    let listing = run(restic.look()).expect("a look");
    println!("1,000 snapshots, first look: {:?}", started.elapsed());
    assert_eq!((listing.snapshots.len(), listing.unreadable.len()), (1000, 0));
    assert_eq!(listing.newest()[0].label.place.sequence, 1000);
    let started = Instant::now();
    assert_eq!(run(restic.look()).expect("a look").snapshots.len(), 1000);
    println!("1,000 snapshots, second look: {:?}", started.elapsed());
    assert!(run(restic.fetch(&listing.newest()[0].id)).expect("fetched") == text);
    Ok(Completion::Completed)
}

fn other_backups_are_ignored() -> Outcome {
    let repository = template();
    let host = Host::new(&repository);
    let before = run(host.restic().look()).expect("a look");
    assert_eq!((before.snapshots.len(), before.unreadable.len()), (1, 0));

    let path = "--stdin-filename=/kuma-replicator.jsonl";
    let good = label(7, b"").tags().join(",");
    let foreign: [&[&str]; 3] =
        [&["/etc/passwd"], &["--stdin", path, "--tag=other"], &["--stdin", "--stdin-filename=/other", "--tag", &good]];
    let malformed = ["kuma-replicator".to_owned(), good.replace("epoch=1", "epoch=one"), format!("{good},epoch=2")];
    for arguments in foreign {
        host.feed("restic", &[&["backup"], arguments].concat(), "{}\n");
    }
    assert_eq!(run(host.restic().look()).expect("a look"), before);
    for tags in &malformed {
        host.feed("restic", &["backup", "--stdin", path, "--tag", tags], "{}\n");
    }
    let after = run(host.restic().look()).expect("a look");
    assert_eq!(after.snapshots, before.snapshots);
    assert_eq!(after.unreadable.len(), malformed.len());
    Ok(Completion::Completed)
}

fn an_exclusive_lock_stops_only_publish() -> Outcome {
    let repository = template();
    let host = Host::new(&repository);
    let restic = host.restic();
    let listing = run(restic.look()).expect("a look");
    // From now on the index comes from the cache, and only a restic without it runs into the gate.
    run(restic.fetch(&listing.snapshots[0].id)).expect("fetched");
    let gate = Gate::at_index(&repository);
    let checker = Host::new(&repository);
    let mut check = checker.start("restic", &["check"]);
    let inside = gate.wait();

    assert_eq!(run(restic.look()).expect("a look"), listing);
    run(restic.fetch(&listing.snapshots[0].id)).expect("fetched");
    let error = host.fails(run(restic.publish(b"{}\n", &label(2, b"{}\n"), "main")), Kind::RepositoryLocked);
    assert!(error.contains("locked exclusively by PID"), "{error}");

    drop(inside);
    check.wait().expect("the end of restic check");
    gate.open();
    run(restic.publish(b"{}\n", &label(2, b"{}\n"), "main")).expect("published");
    Ok(Completion::Completed)
}

/// A closed port, a dead name, and what servers answer.
fn failures_are_told_apart() -> Outcome {
    let closed = parts::closed_port();
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
    let id: SnapshotId = "0123456789abcdef".parse().expect("an id");
    for (kind, address) in cases {
        for url in [format!("rest:http://someone:url-secret@{address}/x/"), format!("s3:http://{address}/bucket/x")] {
            let host = Host::new(&Repository::at(&url)).timeout(Duration::from_secs(20));
            let restic = host.restic();
            let errors = [
                host.fails(run(restic.look()), kind),
                host.fails(run(restic.fetch(&id)), kind),
                host.fails(run(restic.publish(b"{}\n", &label(1, b"{}\n"), "main")), kind),
            ];
            for error in errors {
                assert!(error.contains(&address), "{error}");
            }
            if kind != Kind::RepositoryMissing {
                host.fails(run(restic.init()), kind);
            }
        }
    }
    let nowhere = Repository::at("/nowhere/at/all");
    let host = Host::new(&nowhere);
    host.fails(run(host.restic().look()), Kind::RepositoryMissing);
    let host = Host::new(&Repository::at("nonsense:x"));
    host.fails(run(host.restic().look()), Kind::RepositoryMissing);
    Ok(Completion::Completed)
}

fn wrong_credentials_are_told() -> Outcome {
    let server = Server::rest()?;
    let url = server.url.replace("right-secret", "wrong-secret");
    let host = Host::new(&Repository::at(&url));
    let error = host.fails(run(host.restic().look()), Kind::RepositoryDenied);
    assert!(error.contains("***@127.0.0.1"), "{error}");
    Ok(Completion::Completed)
}

fn a_missing_program_is_told() -> Outcome {
    let repository = Repository::folder();
    for program in ["no-such-restic", "/nowhere/restic", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        let host = Host::new(&repository).program(program);
        let error = host.fails(run(host.restic().version()), Kind::ResticMissing);
        assert!(error.contains(program), "{error}");
        host.fails(run(host.restic().look()), Kind::ResticMissing);
    }
    let host = Host::new(&repository);
    let version = run(host.restic().version()).expect("a version");
    assert!(version.starts_with("0."), "{version}");
    let host = Host::new(&repository).program("/bin/echo");
    host.fails(run(host.restic().version()), Kind::ResticFailed);
    Ok(Completion::Completed)
}

fn a_snapshot_that_is_gone_is_told() -> Outcome {
    let repository = template();
    let host = Host::new(&repository);
    let restic = host.restic();
    let listing = run(restic.look()).expect("a look");
    let id = &listing.snapshots[0].id;
    host.tool("restic", &["forget", "--prune", &id.to_string()]);
    for id in [id.clone(), id.short().parse().expect("an id")] {
        let error = host.fails(run(restic.fetch(&id)), Kind::ResticFailed);
        assert!(error.contains("the snapshot is no longer in the repository"), "{error}");
    }
    assert_eq!(run(restic.look()).expect("a look"), Listing::default());
    Ok(Completion::Completed)
}

/// A prune removes data last. restic itself would try for up to 15 minutes to load them.
fn a_snapshot_without_its_data_is_told_soon() -> Outcome {
    let repository = template();
    let host = Host::new(&repository);
    let restic = host.restic();
    let listing = run(restic.look()).expect("a look");
    fs::remove_dir_all(repository.path().join("data")).expect("no data any more");
    let started = Instant::now();
    let error = host.fails(run(restic.fetch(&listing.snapshots[0].id)), Kind::SnapshotDamaged);
    println!("told after {:?}: {error}", started.elapsed());
    Ok(Completion::Completed)
}

fn a_full_disk_is_told() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err(parts::lacking("root rights to mount a small disk"));
    }
    let repository = template();
    let small = tempfile::tempdir().expect("a directory");
    let inside = small.path().join("repository");
    let host = Host::new(&Repository::at(inside.to_str().expect("a path")));
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

fn a_hanging_server_ends_at_the_deadline() -> Outcome {
    let server = Answering::never();
    for url in [format!("rest:http://{}/x/", server.address()), format!("s3:http://{}/bucket/x", server.address())] {
        let mut host = Host::new(&Repository::at(&url)).timeout(Duration::from_secs(1));
        let life = host.watched();
        let started = Instant::now();
        let error = host.fails(run(host.restic().look()), Kind::RepositoryUnreachable);
        assert!(error.contains("did not end within 1 s"), "{error}");
        life.is_over();
        println!("{:?}: {error}", started.elapsed());
    }
    Ok(Completion::Completed)
}

fn an_agent_told_to_stop_leaves_nothing() -> Outcome {
    let (repository, mut agent) = agent_in_the_middle();
    agent.signal(rustix::process::Signal::TERM);
    agent.life.is_over();
    assert_eq!(parts::answer(agent.process), "interrupted");
    agent.gate.open();
    let locks = fs::read_dir(repository.path().join("locks")).expect("locks").count();
    assert_eq!(locks, 0, "restic had the time to remove its lock");
    let host = Host::new(&repository);
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 1);
    Ok(Completion::Completed)
}

fn a_killed_agent_leaves_nothing() -> Outcome {
    let (repository, mut agent) = agent_in_the_middle();
    agent.process.kill().expect("killed");
    agent.life.is_over();
    agent.process.wait().expect("the end of the agent");
    agent.gate.open();
    let host = Host::new(&repository);
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 1);
    // The lock that restic could not remove does not keep the next agent out.
    run(host.restic().publish(b"{}\n", &label(2, b"{}\n"), "main")).expect("published");
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 2);
    Ok(Completion::Completed)
}

/// An agent whose restic has its lock, and the dump before it, and waits.
fn agent_in_the_middle() -> (Repository, parts::Agent) {
    let repository = template();
    let gate = Gate::at_index(&repository);
    let mut host = Host::new(&repository);
    let life = host.watched();
    let process = host.agent(&[]);
    let inside = gate.wait();
    assert_eq!(fs::read_dir(repository.path().join("locks")).expect("locks").count(), 1);
    (repository, parts::Agent { process, life, gate, _inside: inside, _host: host })
}

fn too_much_output_is_refused() -> Outcome {
    let repository = Repository::folder();
    let mut host = Host::new(&repository);
    let life = host.script("exec head -c 300000000 /dev/zero");
    let id: SnapshotId = "0123456789abcdef".parse().expect("an id");
    let error = host.fails(run(host.restic().fetch(&id)), Kind::SnapshotDamaged);
    assert!(error.contains("more than is allowed"), "{error}");
    life.is_over();
    Ok(Completion::Completed)
}

fn half_an_output_is_refused() -> Outcome {
    let repository = Repository::folder();
    let id: SnapshotId = "0123456789abcdef".parse().expect("an id");
    for end in ["exit 1", "kill -9 $$", "echo 'Load(<data/1>) failed' >&2; exit 1"] {
        let mut host = Host::new(&repository);
        let life = host.script(&format!("echo half; {end}"));
        host.fails(run(host.restic().fetch(&id)), Kind::ResticFailed);
        life.is_over();
    }
    Ok(Completion::Completed)
}

fn secrets_are_neither_told_nor_shown() -> Outcome {
    let repository = Repository::at("rest:http://someone:url-secret@127.0.0.1:1/x/");
    let mut host = Host::new(&repository).line("AWS_SECRET_ACCESS_KEY=\"aws secret/+=\"");
    let told = tempfile::NamedTempFile::new().expect("a file");
    let life = host.script(&format!(
        "printf '%s\\n' \"$@\" >{}; (env; cat \"$RESTIC_PASSWORD_FILE\"; echo \"$AWS_SECRET_ACCESS_KEY\") >&2; exit 1",
        told.path().display()
    ));
    let restic = host.restic();
    let error = host.fails(run(restic.publish(b"{}\n", &label(1, b"{}\n"), "main")), Kind::ResticFailed);
    life.is_over();
    assert!(error.contains("***"), "{error}");
    let mut arguments = fs::read_to_string(told.path()).expect("arguments");
    arguments.push_str(&format!("{restic:?}"));
    for secret in ["url-secret", "aws secret", PASSWORD] {
        assert!(!error.contains(secret) && !arguments.contains(secret), "{secret} in {error} or {arguments}");
    }
    assert!(arguments.contains("--stdin-filename=/kuma-replicator.jsonl"), "{arguments}");
    Ok(Completion::Completed)
}
