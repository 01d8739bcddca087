//! A main and a replica with the package installed and configured, and what can be asked of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use kuma_replicator::config::Customization;
use kuma_replicator::localise::Desired;
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::{catalog, dump};
use serde_json::Value;

use crate::testbed::{FolderRepository, Kuma, Machine, Options, Prepared, Result, wait_for};

/// The limit for things that systemd does by itself.
pub const SOON: std::time::Duration = std::time::Duration::from_secs(300);

/// Where the agent keeps what it remembers.
const STATE: &str = "/var/lib/kuma-replicator/state.json";

/// The password of every repository.
pub const PASSWORD: &str = "correct horse battery staple";

/// A drop-in with which a stop of Uptime Kuma waits until the test writes into the pipe `/run/gate`, if there is one.
pub const SLOW_STOP: &str = "[Service]\nExecStop=/bin/sh -c 'test ! -p /run/gate || read go < /run/gate'\n";

/// The package to install: the newest that `make deb` made.
///
/// # Errors
/// Why there is none, for the reason of a skipped test.
pub fn package() -> std::result::Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian");
    let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut packages: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
    packages.retain(|path| !path.to_string_lossy().contains("dbgsym"));
    packages.sort();
    packages.pop().ok_or_else(|| "there is no package: run make deb".to_owned())
}

/// What hosts begin with: a disk with the package, installed with apt, and a new repository.
pub struct Beginning {
    pub disk: Prepared,
    pub repository: Prepared,
}

static BEGINNING: Mutex<Option<Arc<Beginning>>> = Mutex::new(None);

/// The same for all tests; the first one makes it.
pub fn beginning() -> Result<Arc<Beginning>> {
    let mut made = BEGINNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(beginning) = &*made {
        return Ok(Arc::clone(beginning));
    }
    let disk = Prepared::disk(|machine| machine.install_deb(&package()?))?;
    let beginning = Arc::new(Beginning { disk, repository: Prepared::repository(PASSWORD)? });
    Ok(Arc::clone(made.insert(beginning)))
}

/// Removes what [`beginning`] made, after the last test.
pub fn clean_up() {
    drop(BEGINNING.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Lets Uptime Kuma fail to start while a monitor of this name is in the database.
pub const POISON: &str = "[Service]\nRestart=no\nExecStartPre=/bin/sh -c \"test ! -e /var/lib/uptime-kuma/kuma.db || \
    ! sqlite3 /var/lib/uptime-kuma/kuma.db 'SELECT name FROM monitor' | grep -q poison\"\n";

/// The configuration of a replica that restarts Uptime Kuma only when that is needed.
pub const WHEN_NEEDED: &str = "[replica]\nmin-restart-interval = \"0s\"\n";

/// How a host differs from the usual one.
#[derive(Default)]
pub struct Setup<'a> {
    /// A drop-in for the unit of Uptime Kuma on the replica.
    pub replica_unit: Option<&'a str>,
    /// Further lines of the replica's config.toml.
    pub replica_config: &'a str,
}

/// Two hosts over one repository folder. The main's Uptime Kuma has a user; the replica's is new.
pub struct Pair {
    pub main: Machine,
    pub replica: Machine,
    // Dropped after the hosts that have it mounted.
    pub repository: FolderRepository,
}

impl Pair {
    /// Boots and configures both.
    pub fn new(setup: &Setup<'_>) -> Result<Self> {
        let repository = FolderRepository::copy_of(&beginning()?.repository)?;
        Self::over(repository, |name, repository| {
            let (unit, config) = if name == "main" { (None, "") } else { (setup.replica_unit, setup.replica_config) };
            host(name, name, repository, unit, config)
        })
    }

    /// The same as an administrator does it: installs the package on two new hosts and runs `kuma-replicator init`.
    pub fn from_scratch() -> Result<Self> {
        let pair = Self::over(FolderRepository::new()?, |name, repository| {
            let machine = Machine::boot(name, &Options { binds: vec![repository.bind()], ..Options::default() })?;
            machine.install_deb(&package()?)?;
            configure(&machine, name, FolderRepository::PATH, "")?;
            Ok(machine)
        })?;
        pair.main.run(&["kuma-replicator", "init"])?;
        Ok(pair)
    }

    fn over(
        repository: FolderRepository,
        host: impl Fn(&str, &FolderRepository) -> Result<Machine> + Sync,
    ) -> Result<Self> {
        let (main, replica) = thread::scope(|scope| {
            let main = scope.spawn(|| host("main", &repository));
            let replica = scope.spawn(|| host("replica", &repository));
            (main.join().unwrap(), replica.join().unwrap())
        });
        let pair = Pair { main: main?, replica: replica?, repository };
        pair.main.kuma()?.set_up()?;
        pair.replica.kuma()?;
        Ok(pair)
    }

    /// Runs a test on a new pair; if it fails, the journals of both hosts are shown.
    pub fn test(setup: &Setup<'_>, test: impl FnOnce(&Pair) -> Result<()>) -> Result<()> {
        Self::new(setup)?.shows(test)
    }

    /// Runs a test on this pair; if it fails, the journals of both hosts are shown.
    pub fn shows(self, test: impl FnOnce(&Pair) -> Result<()>) -> Result<()> {
        if let Err(error) = test(&self) {
            // Unwinding drops the hosts, which show their journals then.
            panic!("{error}");
        }
        Ok(())
    }

    /// Boots another replica over the same repository.
    pub fn another(&self, name: &str) -> Result<Machine> {
        let machine = host(name, "replica", &self.repository, None, "")?;
        machine.kuma()?;
        Ok(machine)
    }

    /// A logged-in client of the main's Uptime Kuma.
    pub fn main_kuma(&self) -> Result<Kuma> {
        logged_in(&self.main)
    }

    /// Publishes on the main and applies on the replica; both must have something to do.
    pub fn replicate(&self) -> Result<()> {
        expect(&self.main, 0, "published")?;
        expect(&self.replica, 0, "applied")
    }

    /// Publishes one more monitor on the main, of this name.
    pub fn offer(&self, name: &str) -> Result<()> {
        self.main_kuma()?.add_monitor(name, "http://127.0.0.1:3001/")?;
        expect(&self.main, 0, "published")
    }

    /// Begins an apply and returns when Uptime Kuma is being stopped for it.
    pub fn begin_apply(&self) -> Result<()> {
        self.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        expect(&self.main, 0, "published")?;
        self.replica.run(&["systemctl", "start", "--no-block", "kuma-replicator.service"])?;
        wait_until(&self.replica, "uptime-kuma", "deactivating")
    }

    /// Begins an apply, kills the agent in the middle of it, and returns when Uptime Kuma runs again: nobody but the
    /// unit of the agent starts it.
    pub fn kill_apply(&self) -> Result<()> {
        self.begin_apply()?;
        self.replica.run(&["systemctl", "kill", "--signal=KILL", "--kill-who=main", "kuma-replicator.service"])?;
        wait_for("the unit comes to rest", SOON, || {
            Ok((says(&self.replica, &["systemctl", "is-active", "kuma-replicator"])? == "failed").then_some(()))
        })?;
        self.replica.kuma().map(drop)
    }

    /// Fails if the two hosts do not have the same configuration.
    pub fn assert_equal(&self) -> Result<()> {
        let export = |machine: &Machine| machine.run(&["kuma-replicator", "export"]);
        let (main, replica) = (export(&self.main)?, export(&self.replica)?);
        if digest_in(&main)? == digest_in(&replica)? {
            return Ok(());
        }
        let only = |one: &str, other: &str| -> Vec<String> {
            one.lines().skip(1).filter(|line| !other.contains(line)).map(str::to_owned).collect()
        };
        Err(format!("only the main has {:?}, only the replica {:?}", only(&main, &replica), only(&replica, &main))
            .into())
    }
}

/// Boots a host with a role and the package.
pub fn host(
    name: &str,
    role: &str,
    repository: &FolderRepository,
    unit: Option<&str>,
    config: &str,
) -> Result<Machine> {
    let machine = boot(name, &Options { binds: vec![repository.bind()], unit, ..Options::default() })?;
    configure(&machine, role, FolderRepository::PATH, config)?;
    Ok(machine)
}

/// Boots a host with the package.
pub fn boot(name: &str, options: &Options<'_>) -> Result<Machine> {
    let beginning = beginning()?;
    Machine::boot(name, &Options { disk: Some(&beginning.disk), binds: options.binds.clone(), ..*options })
}

/// Configures the package on a host.
pub fn configure(machine: &Machine, role: &str, repository: &str, config: &str) -> Result<()> {
    let directory = machine.root().join("etc/kuma-replicator");
    let mut text = format!("role = \"{role}\"\nrepository = \"{repository}\"\n{config}");
    let main = "[main]\nsettle = \"0s\"\n";
    match text.find("[replica") {
        _ if text.contains("[main]") => {}
        Some(at) => text.insert_str(at, main),
        None => text.push_str(main),
    }
    if !text.contains("[replica]") {
        // Tests have no time to lose, and most are about a restart, which is the longest way of an apply. It is the last
        // table, so that further keys of it can be appended.
        text.push_str("[replica]\nmin-restart-interval = \"0s\"\nrestart = \"always\"\n");
    }
    std::fs::write(directory.join("config.toml"), text)?;
    std::fs::write(directory.join("restic-password"), PASSWORD)?;
    machine.run(&["chmod", "600", "/etc/kuma-replicator/restic-password", "/etc/kuma-replicator/config.toml"])?;
    Ok(())
}

/// What a command prints, whatever its exit code.
pub fn says(machine: &Machine, command: &[&str]) -> Result<String> {
    Ok(String::from_utf8_lossy(&machine.output(command)?.stdout).trim().to_owned())
}

/// A logged-in client of a host's Uptime Kuma.
pub fn logged_in(machine: &Machine) -> Result<Kuma> {
    let mut kuma = machine.kuma()?;
    kuma.log_in(Kuma::USER, Kuma::PASSWORD)?;
    Ok(kuma)
}

/// What a typed command of the agent says, on both outputs; it must end with this exit code.
pub fn typed(machine: &Machine, code: i32, arguments: &[&str]) -> Result<String> {
    let output = machine.output(&[&["env", "SUDO_USER=oncall", "kuma-replicator"], arguments].concat())?;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if output.status.code() != Some(code) {
        return Err(
            format!("{}: {arguments:?} ended with {}, not {code}: {said}", machine.name(), output.status).into()
        );
    }
    Ok(said)
}

/// Begins an order, as the unit `order`, and returns when Uptime Kuma is being stopped for it.
pub fn begin_order(machine: &Machine, arguments: &[&str]) -> Result<()> {
    machine.run(&[&["systemd-run", "--unit=order", "kuma-replicator"], arguments].concat())?;
    wait_until(machine, "uptime-kuma", "deactivating")
}

/// Waits until a unit of a host is in this state, as `systemctl is-active` has it.
pub fn wait_until(machine: &Machine, unit: &str, state: &str) -> Result<()> {
    wait_for(&format!("{unit} on {} is {state}", machine.name()), SOON, || {
        Ok((says(machine, &["systemctl", "is-active", unit])? == state).then_some(()))
    })
}

/// Main, epoch and sequence of every snapshot, oldest first; the mains by the host that published.
pub fn places(machine: &Machine) -> Result<Vec<(String, u64, u64)>> {
    let document: Value = serde_json::from_str(&machine.run(&["kuma-replicator", "snapshots", "--json"])?)?;
    let number = |snapshot: &Value, key: &str| snapshot[key].as_u64().unwrap_or_default();
    let place = |snapshot: &Value| {
        let host = snapshot["host"].as_str().unwrap_or_default().to_owned();
        (host, number(snapshot, "epoch"), number(snapshot, "sequence"))
    };
    let mut places: Vec<_> = document["snapshots"].as_array().ok_or("no snapshots")?.iter().map(place).collect();
    places.reverse();
    Ok(places)
}

/// How a cycle ended: the exit code, and the event that closed it.
pub fn cycle(machine: &Machine) -> Result<(i64, String)> {
    let (status, _) = run_unit(machine)?;
    Ok((status, state(machine)?["last_cycle"]["outcome"].as_str().unwrap_or_default().to_owned()))
}

/// Runs the unit of the agent to its end: the exit code, and the invocation.
fn run_unit(machine: &Machine) -> Result<(i64, String)> {
    let property = |name: &str| says(machine, &["systemctl", "show", "-P", name, "kuma-replicator.service"]);
    let before = property("InvocationID")?;
    // A test is quicker than a timer, and must not meet the limit on starts.
    machine.output(&["systemctl", "reset-failed", "kuma-replicator.service"])?;
    // Fails where the cycle does; how is in the properties.
    machine.output(&["systemctl", "start", "kuma-replicator.service"])?;
    let id = property("InvocationID")?;
    // After a success nothing needs the unit any more, and systemd forgets the last run.
    if id == before && !id.is_empty() {
        return Err(format!("{}: systemd did not start a cycle", machine.name()).into());
    }
    Ok((property("ExecMainStatus")?.parse()?, id))
}

/// What a host's agent remembers.
pub fn state(machine: &Machine) -> Result<Value> {
    Ok(serde_json::from_str(&machine.run(&["cat", STATE])?)?)
}

/// Lets a host's agent remember something else. No cycle must be running.
pub fn set_state(machine: &Machine, state: &Value) -> Result<()> {
    std::fs::write(machine.root().join("root/state.json"), serde_json::to_vec(state)?)?;
    machine.run(&["cp", "/root/state.json", STATE]).map(drop)
}

/// Runs a cycle that must end with this exit code and outcome.
pub fn expect(machine: &Machine, code: i64, outcome: &str) -> Result<()> {
    let found = cycle(machine)?;
    if found != (code, outcome.to_owned()) {
        let status = machine.output(&["kuma-replicator", "status"])?;
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        return Err(
            format!("{}: the cycle ended with {found:?}, not {:?}\n{status}", machine.name(), (code, outcome)).into()
        );
    }
    Ok(())
}

/// Runs a cycle that must fail with this exit code and kind, and say this on the way.
pub fn fails(machine: &Machine, code: i64, kind: &str, said: &str) -> Result<()> {
    let (found, id) = run_unit(machine)?;
    let entries = machine.journal(&[&format!("KUMA_CYCLE={id}")])?;
    let entry = entries.iter().find(|entry| entry["KUMA_ERROR"].is_string()).cloned().unwrap_or_default();
    let message = entry["MESSAGE"].as_str().unwrap_or_default();
    if (found, entry["KUMA_ERROR"].as_str()) != (code, Some(kind)) || !message.contains(said) {
        let name = machine.name();
        return Err(format!("{name}: not {code} {kind} with '{said}' but {found} {entry:#}").into());
    }
    // What to do next is part of every failure.
    assert!(entry["KUMA_HINT"].as_str().is_some_and(|hint| message.ends_with(hint)), "{entry:#}");
    Ok(())
}

/// Gives a replica this customization: lines of its table `[replica]`, in place of those it got this way before.
pub fn customize(machine: &Machine, lines: &str) -> Result<()> {
    const HERE: &str = "# customization\n";
    let path = machine.root().join("etc/kuma-replicator/config.toml");
    let text = std::fs::read_to_string(&path)?;
    let before = text.split(HERE).next().unwrap_or_default();
    Ok(std::fs::write(path, format!("{before}{HERE}{lines}"))?)
}

/// What the last cycle of a host planned, part by part: rows to insert, to update and to delete.
pub fn planned(machine: &Machine) -> Result<Vec<[u64; 3]>> {
    let entries = machine.journal(&["-t", "kuma-replicator"])?;
    let last = entries.iter().rev().map(|entry| &entry["KUMA_CYCLE"]).find(|cycle| cycle.is_string());
    let planned = entries.iter().filter(|entry| entry["KUMA_EVENT"] == "planned" && Some(&entry["KUMA_CYCLE"]) == last);
    let field = |entry: &Value, name: &str| -> Result<u64> { Ok(entry[name].as_str().ok_or("no size")?.parse()?) };
    planned
        .map(|entry| Ok([field(entry, "KUMA_INSERTS")?, field(entry, "KUMA_UPDATES")?, field(entry, "KUMA_DELETES")?]))
        .collect()
}

/// The beginning of a shell command that runs restic on a host over the shared repository.
pub fn restic() -> String {
    let repository = FolderRepository::PATH;
    format!("RESTIC_REPOSITORY={repository} RESTIC_PASSWORD_FILE=/etc/kuma-replicator/restic-password restic")
}

/// What stays as it is where nothing is touched: the configuration, and which run of Uptime Kuma it is.
pub fn footing(machine: &Machine) -> Result<(String, String)> {
    Ok((digest(machine)?, invocation(machine)?))
}

/// Lets the time pass that a snapshot waits after an attempt that stopped Uptime Kuma. There must be one.
pub fn end_wait(machine: &Machine) -> Result<()> {
    let mut remembered = state(machine)?;
    let verdict = remembered["replica"].as_object_mut().and_then(|replica| replica.remove("verdict"));
    let backoff = verdict.is_some_and(|verdict| verdict["decision"]["name"] == "backoff");
    if !backoff {
        return Err("no backoff is remembered".into());
    }
    set_state(machine, &remembered)
}

/// Gives a unit of a host a drop-in of this name.
pub fn drop_in(machine: &Machine, unit: &str, name: &str, text: &str) -> Result<()> {
    let directory = machine.root().join(format!("etc/systemd/system/{unit}.d"));
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join(name).with_extension("conf"), text)?;
    machine.run(&["systemctl", "daemon-reload"]).map(drop)
}

/// Opens Uptime Kuma's database on a host as another program, runs these statements, and keeps it open until
/// the unit `stranger` is stopped.
pub fn open_database(machine: &Machine, statements: &[&str]) -> Result<()> {
    let begin = ["systemd-run", "--unit=stranger", "--collect", "sqlite3", "/var/lib/uptime-kuma/kuma.db"];
    machine.run(&["rm", "-f", "/run/inside"])?;
    machine.run(&[&begin, statements, &[".shell touch /run/inside; exec sleep infinity"]].concat())?;
    wait_for("the other program has the database open", SOON, || {
        Ok(machine.output(&["test", "-e", "/run/inside"])?.status.success().then_some(()))
    })
}

/// The digest of a host's configuration, by `export` of the live database; without settings, as
/// a replica takes over only those that it lists.
pub fn digest(machine: &Machine) -> Result<String> {
    digest_in(&machine.run(&["kuma-replicator", "export"])?)
}

/// The same of a dump, with the time zone of its host in the maintenances that follow it: so a replica has them.
pub fn digest_in(dump: &str) -> Result<String> {
    let mut configuration = dump::parse(dump.as_bytes())?.configuration;
    if configuration.zone.is_some() {
        let customization = Customization { paused_types: Vec::new(), ..Customization::default() };
        configuration = Desired::customized(&configuration, &customization).on(&configuration)?.configuration;
        configuration.zone = None;
    }
    configuration.tables.retain(|table| table.spec.name != catalog::SETTING);
    Ok(Digest::of(&dump::body(&configuration)).to_string())
}

/// Which run of Uptime Kuma this is: changes with every start.
pub fn invocation(machine: &Machine) -> Result<String> {
    Ok(machine.run(&["systemctl", "show", "-P", "InvocationID", "uptime-kuma.service"])?.trim().to_owned())
}

/// The `KUMA_EVENT`s in a host's journal, oldest first.
pub fn events(machine: &Machine) -> Result<Vec<String>> {
    let entries = machine.journal(&["-t", "kuma-replicator"])?;
    Ok(entries.iter().filter_map(|entry| Some(entry["KUMA_EVENT"].as_str()?.to_owned())).collect())
}

/// Waits until a host's journal has an event.
pub fn wait_for_event(machine: &Machine, event: &str) -> Result<()> {
    wait_for(&format!("{} says {event}", machine.name()), SOON, || {
        Ok(events(machine)?.iter().any(|found| found == event).then_some(()))
    })
}

/// The answer of sqlite3 on a host's Uptime Kuma database.
pub fn sql(machine: &Machine, statement: &str) -> Result<String> {
    machine.run(&["sqlite3", "-cmd", ".timeout 5000", "/var/lib/uptime-kuma/kuma.db", statement])
}

/// Waits until every active monitor of a host has the result of a check that began at `since` or later.
pub fn beat_since(machine: &Machine, since: &str) -> Result<()> {
    let waiting = format!(
        "SELECT count(*) FROM monitor WHERE active = 1 AND type <> 'push' AND NOT EXISTS \
         (SELECT 1 FROM heartbeat WHERE monitor_id = monitor.id AND time >= '{}')",
        since.trim()
    );
    // After a start Uptime Kuma begins one or two a second.
    wait_for("all monitors beat", 2 * SOON, || Ok((sql(machine, &waiting)?.trim() == "0").then_some(())))
}
