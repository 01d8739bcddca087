//! A main and a replica that have both: the package, and the scripts with a repository of their own. Each
//! cycle is measured around its processes, in the same way for both.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::figures::{Run, Side};
use crate::testbed::{FolderRepository, Machine, Options, Result};
use crate::world;

/// Where the files of the bench are on a host.
const FILES: &str = "/usr/local/lib/bench";

const DATABASE: &str = "/var/lib/uptime-kuma/kuma.db";

/// The environment of the scripts' restic.
const ENVIRONMENT: [&str; 3] = [
    "RESTIC_REPOSITORY=/srv/repository/scripts",
    "RESTIC_PASSWORD_FILE=/etc/kuma-replicator/restic-password",
    "RESTIC_CACHE_DIR=/var/cache/scripts",
];

/// The two hosts, on.
pub(crate) struct Hosts {
    pub(crate) main: Machine,
    pub(crate) replica: Machine,
    // Dropped after the hosts that have it mounted.
    _repository: FolderRepository,
}

impl Hosts {
    /// Boots both, installs everything and creates both repositories. `config` is the end of both configuration files, and
    /// `unit` a drop-in for Uptime Kuma.
    pub(crate) fn new(config: &str, unit: Option<&str>) -> Result<Self> {
        let repository = FolderRepository::new()?;
        let (main, replica) = thread::scope(|scope| {
            let main = scope.spawn(|| host("main", &repository, config, unit));
            let replica = scope.spawn(|| host("replica", &repository, config, unit));
            (main.join(), replica.join())
        });
        let (Ok(main), Ok(replica)) = (main, replica) else { return Err("booting a host panicked".into()) };
        let hosts = Hosts { main: main?, replica: replica?, _repository: repository };
        hosts.main.run(&["kuma-replicator", "init"])?;
        // A copy, because restic makes a key as expensive as it finds the machine fast at that moment.
        hosts.main.run(&["cp", "-a", "/srv/repository/agent", "/srv/repository/scripts"])?;
        hosts.main.kuma()?.set_up()?;
        hosts.replica.kuma()?;
        Ok(hosts)
    }

    /// Brings the main to so many monitors that are checked every `interval` seconds, and leaves its Uptime Kuma stopped.
    pub(crate) fn fill(&self, monitors: usize, interval: u32) -> Result<()> {
        let count = format!(".parameter set :count {monitors}");
        let interval = format!(".parameter set :interval {interval}");
        let rows = format!(".read {FILES}/rows.sql");
        self.main.run(&["systemctl", "stop", "uptime-kuma"])?;
        self.main.run(&["sqlite3", "-bail", "-cmd", &count, "-cmd", &interval, DATABASE, &rows]).map(drop)
    }

    /// Starts the Uptime Kuma of the main.
    pub(crate) fn start_main(&self) -> Result<()> {
        self.main.run(&["systemctl", "start", "uptime-kuma"])?;
        self.main.kuma().map(drop)
    }

    /// What some edits in the web interface leave in the live database of the main.
    pub(crate) fn edit(&self, number: usize) -> Result<()> {
        let renamed =
            format!("UPDATE monitor SET name = 'Service ' || id || ', edit {number}' WHERE id IN (3, 14, 25)");
        world::sql(&self.main, &renamed).map(drop)
    }

    /// A cycle of the main that must publish, or find nothing to publish.
    pub(crate) fn main(&self, side: Side, outcome: &str) -> Result<Run> {
        Ok(cycle(&self.main, "main", side, outcome)?.0)
    }

    /// A cycle of the replica that must find nothing newer.
    pub(crate) fn look(&self, side: Side) -> Result<Run> {
        Ok(cycle(&self.replica, "replica", side, "up-to-date")?.0)
    }

    /// A cycle of the replica that must apply, and the name of its unit.
    pub(crate) fn apply(&self, side: Side) -> Result<(Run, String)> {
        cycle(&self.replica, "replica", side, "applied")
    }

    /// How many seconds the service took to stop and to start in the last apply, which ran as this unit.
    pub(crate) fn stop_and_start(&self, side: Side, unit: &str) -> Result<(f64, f64)> {
        match side {
            Side::Agent => {
                let millis = |event: &str| -> Result<f64> {
                    let entries = self.events(unit, event)?;
                    let millis = entries.first().and_then(|entry| entry.get("KUMA_MILLISECONDS")?.as_str());
                    Ok(millis.ok_or_else(|| format!("no event {event}"))?.parse::<f64>()? / 1e3)
                };
                Ok((millis("stopped")?, millis("healthy")?))
            }
            Side::Scripts => {
                let times = numbers(&self.replica.run(&["cat", "/var/lib/scripts/stop-and-start"])?)?;
                let [stop, start] = times.as_slice() else { return Err(format!("no two times: {times:?}").into()) };
                Ok((stop / 1e6, start / 1e6))
            }
        }
    }

    /// The journal entries of this event, from a cycle of the replica that ran as this unit.
    pub(crate) fn events(&self, unit: &str, event: &str) -> Result<Vec<Value>> {
        self.replica.journal(&["-u", unit, &format!("KUMA_EVENT={event}")])
    }

    /// Fails if the two hosts do not have the same configuration.
    pub(crate) fn assert_equal(&self) -> Result<()> {
        let (main, replica) = (world::digest(&self.main)?, world::digest(&self.replica)?);
        if main == replica { Ok(()) } else { Err(format!("main has {main}, replica has {replica}").into()) }
    }

    /// Copies the main's database as it is while nobody has it open.
    pub(crate) fn copy_database(&self, target: &Path) -> Result<()> {
        self.main.run(&["systemctl", "stop", "uptime-kuma"])?;
        let source = self.main.kuma_data().join("kuma.db");
        fs::copy(&source, target).map_err(|error| format!("cannot copy {}: {error}", source.display()))?;
        Ok(())
    }

    /// The version of restic.
    pub(crate) fn restic(&self) -> Result<String> {
        let text = self.main.run(&["restic", "version"])?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }
}

fn host(role: &str, repository: &FolderRepository, config: &str, unit: Option<&str>) -> Result<Machine> {
    let machine = Machine::boot(role, &Options { binds: vec![repository.bind()], unit, ..Options::default() })?;
    machine.install_deb(&world::package()?)?;
    world::configure(&machine, role, &format!("{}/agent", FolderRepository::PATH), config)?;
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench"));
    let target = machine.root().join(FILES.trim_start_matches('/'));
    fs::create_dir_all(&target)?;
    for name in ["scripts/agent", "scripts/common", "scripts/main", "scripts/measured", "scripts/replica", "rows.sql"] {
        let file = source.join(name);
        fs::copy(&file, target.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(machine)
}

/// Runs a cycle that must end so, as a unit of its own, and returns the name of that.
fn cycle(machine: &Machine, role: &str, side: Side, outcome: &str) -> Result<(Run, String)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let unit = format!("bench-{}.service", COUNT.fetch_add(1, Ordering::Relaxed));
    let program = match side {
        Side::Agent => "agent",
        Side::Scripts => role,
    };
    let mut command = vec!["systemd-run", "--quiet", "--wait", "--collect", "--unit", unit.as_str()];
    if side == Side::Scripts {
        command.extend(ENVIRONMENT.iter().flat_map(|pair| ["--setenv", pair]));
    }
    let [measured, program] = ["measured", program].map(|name| format!("{FILES}/{name}"));
    command.extend([measured.as_str(), "/run/measured", program.as_str()]);
    let status = machine.output(&command)?.status;
    machine.run(&["journalctl", "--sync"])?;
    let found = match side {
        Side::Agent => {
            let entries = machine.journal(&["-u", &unit])?;
            let mut events = entries.iter().filter_map(|entry| entry.get("KUMA_EVENT").and_then(Value::as_str));
            events.next_back().unwrap_or_default().to_owned()
        }
        Side::Scripts => machine.run(&["cat", "/var/lib/scripts/outcome"])?.trim().to_owned(),
    };
    if !status.success() || found != outcome {
        let journal = machine.run(&["journalctl", "--no-pager", "-u", &unit])?;
        return Err(format!("{role}: a cycle ended with '{found}', {status}, not with '{outcome}':\n{journal}").into());
    }
    let times = numbers(&machine.run(&["cat", "/run/measured"])?)?;
    let [wall, user, system] = times.as_slice() else { return Err(format!("no three times: {times:?}").into()) };
    Ok((Run { wall: *wall, cpu: Some(user + system) }, unit))
}

/// The numbers in a text.
pub(crate) fn numbers(text: &str) -> Result<Vec<f64>> {
    text.split_whitespace().map(|word| Ok(word.parse()?)).collect()
}
