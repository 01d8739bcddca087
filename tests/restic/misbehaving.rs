//! A restic that hangs, dies, or answers with anything but an answer: each is ended in time together with what it
//! started, is reported by its kind, and takes a bounded amount of memory.

use std::time::{Duration, Instant};

use kuma_replicator::error::Kind;
use libtest_mimic::Completion;
use rustix::process::Signal;

use crate::parts::{self, Program, Repository, run, tags};
use crate::{Outcome, agent_in_the_middle};

/// The longest dump that is read, with room for the program itself, in KiB.
const MEMORY: u64 = (256 + 128) << 10;

pub(crate) fn a_restic_that_hangs_is_ended_with_all_it_started(program: &Program) -> Outcome {
    let repository = Repository::folder();
    // Stopped, so that it cannot even be asked to end; deaf; and with a helper, as ssh and rclone are.
    for script in ["kill -STOP $$", "trap '' INT TERM; while :; do sleep 1000; done", "sleep 1000 & sleep 1000"] {
        let mut host = program.host(&repository).timeout(Duration::from_secs(1));
        // It is over when no process has it open any more: helpers inherit it.
        let life = host.script(script);
        let begun = Instant::now();
        let error = host.fails(run(host.restic().look()), Kind::RepositoryUnreachable);
        life.is_over();
        assert!(error.contains("did not end within 1 s"), "{script}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{script}: {:?}", begun.elapsed());
    }
    Ok(Completion::Completed)
}

/// As the agent of a password manager does, which a password command starts.
pub(crate) fn what_restic_leaves_running_holds_nothing_up(program: &Program) -> Outcome {
    let repository = program.template();
    let directory = tempfile::tempdir().expect("a directory");
    let note = directory.path().join("pid");
    for kept in ["", ">/dev/null", "2>/dev/null"] {
        let mut host = program.host(&repository);
        let life = host.script(&format!("sleep 1000 {kept} 9>&- & echo $! >'{}'", note.display()));
        let listing = run(host.restic().look());
        life.is_over();
        let pid = std::fs::read_to_string(&note).expect("it was started");
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process"),
            Signal::KILL,
        )
        .expect("it runs on");
        assert!(!listing.expect("a look").snapshots.is_empty(), "{kept}");
    }
    Ok(Completion::Completed)
}

pub(crate) fn a_restic_killed_in_a_publish_leaves_no_partial_snapshot(program: &Program) -> Outcome {
    let (repository, agent) = agent_in_the_middle(program);
    parts::signal_restic(&agent.process, Signal::KILL);
    agent.life.is_over();
    assert_eq!(parts::answer(agent.process), "restic-failed");
    agent.gate.open();
    let host = program.host(&repository);
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 1);
    run(host.restic().publish(b"{}\n", &tags(2, b"{}\n"), "main")).expect("published");
    assert_eq!(run(host.restic().look()).expect("a look").snapshots.len(), 2);
    Ok(Completion::Completed)
}

pub(crate) fn an_unusable_answer_is_reported(program: &Program) -> Outcome {
    let repository = Repository::folder();
    // Nothing, half a list, no text, another document, and an exit code that nobody has defined.
    let scripts = [
        "exit 0",
        "printf '[{'; exit 0",
        "printf '\\377\\376\\000'; exit 0",
        "printf '{\"message\": \"ok\"}'; exit 0",
        "printf '\\377\\376\\n' >&2; exit 77",
        "exit 255",
    ];
    for script in scripts {
        let mut host = program.host(&repository);
        let life = host.script(script);
        let error = host.fails(run(host.restic().look()), Kind::ResticFailed);
        life.is_over();
        assert!(!error.contains('\0') && error.len() < 2000, "{script}: {error}");
        let life = host.script(script);
        host.fails(run(host.restic().publish(b"{}\n", &tags(1, b"{}\n"), "main")), Kind::ResticFailed);
        life.is_over();
    }
    Ok(Completion::Completed)
}

/// On both outputs, without an end and without a line break.
pub(crate) fn endless_output_takes_bounded_memory(program: &Program) -> Outcome {
    let repository = Repository::folder();
    // Only what is thrown away goes on until the time is over.
    for (script, kind, timeout) in [
        ("exec cat /dev/zero", "snapshot-damaged", parts::PATIENCE),
        ("exec cat /dev/zero >&2", "repository-unreachable", Duration::from_secs(3)),
    ] {
        let mut host = program.host(&repository).timeout(timeout);
        let life = host.script(script);
        let (found, peak) = parts::answer_with_peak(host.fetcher("0123456789abcdef"));
        life.is_over();
        assert_eq!(found, kind, "{script}");
        assert!(peak < MEMORY, "{script}: {peak} KiB");
    }
    Ok(Completion::Completed)
}

/// A real one: 400 MB of zeros take no room in a repository.
pub(crate) fn an_oversized_snapshot_is_not_read_to_its_end(program: &Program) -> Outcome {
    let repository = program.template();
    let mut host = program.host(&repository);
    let backup = format!(
        "head -c 400000000 /dev/zero | restic backup --stdin --stdin-filename=/kuma-replicator.jsonl --tag={}",
        tags(2, b"").to_strings().join(",")
    );
    host.tool("sh", &["-euc", &backup]);
    let listing = run(host.restic().look()).expect("a look");
    let newest = listing.newest()[0].id.to_string();
    let life = host.watched();
    let (found, peak) = parts::answer_with_peak(host.fetcher(&newest));
    life.is_over();
    assert_eq!(found, "snapshot-damaged");
    assert!(peak < MEMORY, "{peak} KiB");
    Ok(Completion::Completed)
}
