//! What an attacker can do who has become Uptime Kuma's user: nothing with the rights of root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kuma_replicator::error::Kind;
use kuma_replicator::host::kuma::worker::Worker;
use kuma_replicator::host::system::owner::opener;
use kuma_replicator::host::system::users::Identity;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::Test;
use crate::testbed::{Machine, Result};
use crate::world::{Pair, Setup, cycle, expect, fails, invocation, says, set_state, state, typed};

pub const TESTS: &[Test] = &[
    ("a_worker_acts_as_the_owner_and_has_no_rights_beyond", worker),
    ("a_worker_that_hangs_is_ended_without_the_right_to_send_it_a_signal", hanging_worker),
    ("root_opens_only_what_nobody_else_can_exchange", openers),
    ("root_tells_nothing_of_a_database_that_its_owner_cannot_see", told),
    ("a_journal_that_names_a_file_of_root_deletes_nothing", journals),
    ("a_schema_with_a_second_statement_runs_nothing", schemas),
    ("a_state_of_another_user_starts_no_unit_and_holds_nobody_up", states),
];

const DATABASE: &str = "/var/lib/uptime-kuma/kuma.db";

/// A user and a group that exist on every Debian, and have no files.
const NOBODY: u32 = 65534;

fn block<T>(work: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

fn worker() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let secret = directory.path().join("secret");
    fs::write(&secret, "root alone")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let identity = Identity { uid: NOBODY, gid: NOBODY, groups: vec![4], search: false };
    block(async {
        let mut worker =
            Worker::start_program(Path::new(env!("CARGO_BIN_EXE_kuma-replicator")), Some(&identity)).await.unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", worker.id().unwrap())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(field("Uid"), "65534 65534 65534 65534");
        assert_eq!(field("Gid"), "65534 65534 65534 65534");
        assert_eq!(field("Groups"), "4");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        let error = worker.read(&secret).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted, "{error:?}");
    })
}

/// As in the sandbox of the service: root without `CAP_KILL`.
fn hanging_worker() -> Result<()> {
    let identity = Identity { uid: NOBODY, gid: NOBODY, groups: Vec::new(), search: false };
    let program = Path::new(env!("CARGO_BIN_EXE_kuma-replicator"));
    // Capabilities are those of a thread.
    let pid = std::thread::spawn(move || {
        block(async {
            let worker = Worker::start_program(program, Some(&identity)).await.unwrap();
            let pid = Pid::from_raw(i32::try_from(worker.id().unwrap()).unwrap()).unwrap();
            kill_process(pid, Signal::STOP).unwrap();
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::KILL);
            set_capabilities(None, sets).unwrap();
            assert_eq!(kill_process(pid, Signal::KILL), Err(Errno::PERM));
            drop(worker);
            pid
        })
        .unwrap()
    });
    assert_eq!(test_kill_process(pid.join().unwrap()), Err(Errno::SRCH));
    Ok(())
}

fn openers() -> Result<()> {
    let scene = tempfile::tempdir()?;
    let script = "cd \"$0\"
        make() { mkdir $1; chown $2 $1; chmod $3 $1; }
        file() { touch $1; chown $2 $1; chmod $3 $1; }
        make root 0:0 755; file root/kuma.db 0:0 644; file root/theirs.db 65534:65534 644; file root/shared.db 0:4 664
        make theirs 65534:65534 700; file theirs/kuma.db 65534:65534 600; file theirs/copy.db 0:0 644
        make theirs/data 0:0 755; file theirs/data/kuma.db 0:0 644
        make shared 0:4 775; file shared/kuma.db 0:0 644; file shared/theirs.db 65534:65534 644
        make own 0:0 775; file own/kuma.db 0:0 664
        make sticky 0:0 1777; file sticky/kuma.db 0:0 644; make sticky/own 0:0 700; file sticky/own/kuma.db 0:0 644
        make third 1:1 755; file third/kuma.db 1:1 600
        ln -s ../root/kuma.db theirs/to-root; ln -s ../third/kuma.db theirs/to-third
        ln -s ../third/kuma.db root/to-third; ln -s loop root/loop; chown -h 65534:65534 theirs/to-root theirs/to-third";
    let made = std::process::Command::new("sh").args(["-ec", script]).arg(scene.path()).status()?;
    assert!(made.success());
    let (root, refused) = (Ok(None), Err(Kind::NotPermitted));
    let user = |uid: u32| Ok(Some(uid));
    for (path, expected) in [
        ("root/kuma.db", root),
        ("root/missing/kuma.db", root),
        ("root/theirs.db", user(NOBODY)),
        ("root/shared.db", refused),
        ("theirs/kuma.db", user(NOBODY)),
        // A copy that root made in their directory, and a directory of root that they can move away.
        ("theirs/copy.db", user(NOBODY)),
        ("theirs/data/kuma.db", user(NOBODY)),
        ("theirs/missing.db", user(NOBODY)),
        ("shared/kuma.db", refused),
        ("shared/theirs.db", user(NOBODY)),
        // Root is alone in its group.
        ("own/kuma.db", root),
        // In a sticky directory, anybody can make the journal of the database.
        ("sticky/kuma.db", refused),
        ("sticky/own/kuma.db", root),
        // A link decides who it belongs to, not where it leads, unless it belongs to root.
        ("theirs/to-root", user(NOBODY)),
        ("theirs/to-third", user(NOBODY)),
        ("root/to-third", user(1)),
        ("root/loop", Err(Kind::Files)),
    ] {
        let found = opener(&scene.path().join(path));
        assert!(!found.as_ref().is_ok_and(|found| found.as_ref().is_some_and(|it| it.search)), "{path}");
        let found = found.map(|identity| identity.map(|identity| identity.uid)).map_err(|error| error.kind());
        assert_eq!(found, expected, "{path}");
    }
    // Below a directory that only root, or only a group of others, may search.
    let hide = "cd \"$0\"; chmod 700 root; chown 0:4 own; chmod 750 own; chown 65534 own/kuma.db";
    assert!(std::process::Command::new("sh").args(["-ec", hide]).arg(scene.path()).status()?.success());
    // That does not count where another user's link, or directory, leads to it.
    for (path, search) in
        [("root/theirs.db", true), ("own/kuma.db", true), ("theirs/kuma.db", false), ("theirs/to-root", false)]
    {
        let found = opener(&scene.path().join(path)).map_err(|error| error.chain())?;
        assert_eq!(found.map(|identity| identity.search), Some(search), "{path}");
    }
    Ok(())
}

/// A rollback journal for the database of `machine` that names `victim` as its super-journal: when SQLite opens the
/// database, it deletes that file (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>).
/// Not even whether a file is there to which the owner of the data directory lays a link.
fn told() -> Result<()> {
    let scene = tempfile::tempdir()?;
    let data = scene.path().join("data");
    let text = format!(
        "role = \"main\"\nrepository = \"/srv/r\"\n[uptime-kuma]\ndata-directory = {data:?}\nurl = \"http://127.0.0.1:1\"\n"
    );
    fs::write(scene.path().join("config.toml"), text)?;
    let script = "cd \"$0\"; chmod 755 .; mkdir data; mkdir -m 700 hidden; touch hidden/there; chown 65534:65534 data; \
                  ln -s \"$0/hidden/$1\" data/kuma.db; chown -h 65534:65534 data/kuma.db";
    let mut told = Vec::new();
    for name in ["there", "missing"] {
        let laid = std::process::Command::new("sh").args(["-ec", script]).arg(scene.path()).arg(name).status()?;
        assert!(laid.success());
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_kuma-replicator"));
        let exported = program.arg("--config").arg(scene.path().join("config.toml")).arg("export").output()?;
        told.push((exported.status.code(), String::from_utf8(exported.stderr)?));
        fs::remove_dir_all(&data)?;
        fs::remove_dir_all(scene.path().join("hidden"))?;
    }
    assert!(told[0].1.contains("Permission denied"), "{told:?}");
    assert_eq!(told[0], told[1]);
    Ok(())
}

fn lay_journal(machine: &Machine, victim: &str) -> Result<()> {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    const SECTOR: u32 = 512;
    let database = fs::read(machine.root().join(DATABASE.trim_start_matches('/')))?;
    let page = match u16::from_be_bytes([database[16], database[17]]) {
        1 => 65536,
        size => u32::from(size),
    };
    let pages = u32::try_from(database.len())? / page;
    let mut journal = MAGIC.to_vec();
    for number in [0, 1, pages, SECTOR, page] {
        journal.extend(number.to_be_bytes());
    }
    journal.resize(SECTOR as usize, 0);
    let sum: u32 = victim.bytes().map(u32::from).sum();
    journal.extend((0x4000_0000 / page + 1).to_be_bytes());
    journal.extend(victim.as_bytes());
    journal.extend(u32::try_from(victim.len())?.to_be_bytes());
    journal.extend(sum.to_be_bytes());
    journal.extend(MAGIC);
    let path = format!("{DATABASE}-journal");
    fs::write(machine.root().join(path.trim_start_matches('/')), journal)?;
    machine.run(&["chown", "uptime-kuma:", &path]).map(drop)
}

fn journals() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.offer("web")?;
        let replica = &pair.replica;
        replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        replica.sh("echo precious > /root/victim; cp /root/victim /srv/victim; kuma-replicator export /root/a.dump")?;
        // The attack is a real one: what Uptime Kuma's user may delete is deleted.
        replica.sh("mkdir /srv/theirs; echo bait > /srv/theirs/bait; chown -R uptime-kuma: /srv/theirs")?;
        lay_journal(replica, "/srv/theirs/bait")?;
        typed(replica, 0, &["export", "/dev/null"])?;
        assert_eq!(says(replica, &["ls", "/srv/theirs"])?, "", "no journal was laid");

        for victim in ["/root/victim", "/srv/victim"] {
            for arguments in [
                vec!["export", "/dev/null"],
                vec!["export", "--database", DATABASE, "/dev/null"],
                vec!["plan"],
                vec!["status"],
                vec!["check"],
                vec!["import", "--dry-run", "/root/a.dump"],
            ] {
                lay_journal(replica, victim)?;
                replica.output(&[&["kuma-replicator"], arguments.as_slice()].concat())?;
                assert_eq!(says(replica, &["cat", victim])?, "precious", "{arguments:?}");
            }
            lay_journal(replica, victim)?;
            cycle(replica)?;
            assert_eq!(says(replica, &["cat", victim])?, "precious", "a cycle");
        }
        replica.sh("rm -f /var/lib/uptime-kuma/kuma.db-journal; systemctl start uptime-kuma")?;
        replica.kuma()?;
        cycle(replica)?;
        pair.assert_equal()
    })
}

fn schemas() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.offer("web")?;
        expect(&pair.replica, 0, "applied")?;
        let statement = "; ATTACH ''/srv/evil.db'' AS x; CREATE TABLE x.t(a); DETACH x";
        for machine in [&pair.main, &pair.replica] {
            machine.run(&["systemctl", "stop", "uptime-kuma"])?;
            let sql = format!("UPDATE sqlite_master SET sql = sql || '{statement}' WHERE name = 'tag'");
            machine.run(&[
                "runuser",
                "-u",
                "uptime-kuma",
                "--",
                "sqlite3",
                "-cmd",
                ".dbconfig defensive off",
                DATABASE,
                &format!("PRAGMA writable_schema = ON; {sql}"),
            ])?;
            machine.run(&["systemctl", "start", "uptime-kuma"])?;
            machine.kuma()?;
        }
        pair.offer("more")?;
        let running = invocation(&pair.replica)?;
        fails(&pair.replica, 65, "schema-unknown", "is not one that SQLite wrote")?;
        assert_eq!(running, invocation(&pair.replica)?);
        for machine in [&pair.main, &pair.replica] {
            machine.sh("kuma-replicator export /root/a.dump")?;
            for arguments in [vec!["plan"], vec!["check"], vec!["import", "--dry-run", "/root/a.dump"]] {
                machine.output(&[&["kuma-replicator"], arguments.as_slice()].concat())?;
            }
            assert_eq!(says(machine, &["sh", "-c", "ls /srv | grep evil"])?, "");
        }
        Ok(())
    })
}

fn states() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        replica.sh("mkdir -p /etc/systemd/system/kuma-replicator.service.d
            printf '[Service]\\nUser=uptime-kuma\\n' > /etc/systemd/system/kuma-replicator.service.d/user.conf
            printf '[Service]\\nType=oneshot\\nExecStart=/bin/touch /srv/started\\n' > /etc/systemd/system/evil.service
            printf '[Unit]\\nPartOf=uptime-kuma.service\\n[Service]\\nType=oneshot\\nRemainAfterExit=yes\\n\
            ExecStart=/bin/true\\n' > /etc/systemd/system/part.service
            systemctl daemon-reload; systemctl start part
            chgrp uptime-kuma /etc/kuma-replicator/*; chmod 640 /etc/kuma-replicator/*
            mkdir -p /var/lib/kuma-replicator /var/cache/kuma-replicator
            chown -R uptime-kuma: /var/lib/kuma-replicator /var/cache/kuma-replicator")?;
        typed(replica, 0, &["hold"])?;
        let mut told = state(replica)?;
        told["intent"] = serde_json::json!({
            "origin": {"kind": "restore", "name": "snapshot 74ae62ba"}, "start": true,
            "dependents": ["evil.service", "part.service"], "since": "2026-11-26T00:00:00Z",
        });
        set_state(replica, &told)?;
        replica.run(&["systemctl", "stop", "uptime-kuma"])?;
        let said = typed(replica, 0, &["recover"])?;
        assert!(said.contains("evil.service is not started again"), "{said}");
        replica.kuma()?;
        let active = |unit: &str| says(replica, &["systemctl", "is-active", unit]);
        assert_eq!((active("uptime-kuma")?.as_str(), active("part")?.as_str()), ("active", "active"));
        assert_eq!(says(replica, &["sh", "-c", "ls /srv | grep started"])?, "");

        // A pipe or a link in place of a file of the state directory.
        for (name, made) in [
            ("lock", "mkfifo lock"),
            ("state.json", "mkfifo state.json"),
            ("state.json", "ln -s /etc/shadow state.json"),
        ] {
            let script = format!("cd /var/lib/kuma-replicator; rm -f {name}; {made}");
            replica.run(&["runuser", "-u", "uptime-kuma", "--", "sh", "-c", &script])?;
            let output = replica.output(&["timeout", "--kill-after=1", "30", "kuma-replicator", "release"])?;
            let code = output.status.code().unwrap_or_default();
            assert!(code != 124 && code != 137 && code != 0, "{made}: {code}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(name), "{made}: {said}");
            replica.sh(&format!("rm /var/lib/kuma-replicator/{name}"))?;
        }
        Ok(())
    })
}
