//! A host: Debian with its own systemd, disk, network and Uptime Kuma.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use super::process::{Holder, only_child, output, run};
use super::{Kuma, LIMIT, Missing, Network, Prepared, Result, cache, hosts, kuma, node, source, wait_for};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a host differs from the usual one, which has an empty Uptime Kuma, started at boot, and no
/// network.
pub(crate) struct Options<'a> {
    /// Whether Uptime Kuma starts at boot.
    pub(crate) kuma: bool,
    /// A drop-in for `uptime-kuma.service`.
    pub(crate) unit: Option<&'a str>,
    /// Directories from outside, writable, with their paths on the host.
    pub(crate) binds: Vec<(&'a Path, &'a str)>,
    /// A network to be on.
    pub(crate) network: Option<&'a Network>,
    /// What its disk begins with, beside the base system.
    pub(crate) disk: Option<&'a Prepared>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { kuma: true, unit: None, binds: Vec::new(), network: None, disk: None }
    }
}

/// A host that is on. Dropped, it is gone with its disk. Threads may use one at the same time.
pub(crate) struct Machine {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) holder: Holder,
    pub(super) inside: u32,
}

impl Machine {
    /// Makes a host with this host name and boots it. Several can boot at the same time.
    pub(crate) fn boot(name: &str, options: &Options<'_>) -> Result<Self> {
        let machine = Self::new(name, options)?;
        machine.power_on()?;
        Ok(machine)
    }

    /// Makes a host that is off.
    pub(super) fn new(name: &str, options: &Options<'_>) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = hosts()?.join(format!("{name}-{count}-{}", std::process::id()));
        let mut command = Command::new(source().join("host"));
        command.arg(Prepared::over_base(options.disk)).arg(&directory).arg(name);
        command.arg(format!("--bind-ro={}:/opt/uptime-kuma", kuma()?.display()));
        command.arg(format!("--bind-ro={}:/usr/bin/node", node()?.display()));
        for (outside, here) in &options.binds {
            command.arg(format!("--bind={}:{here}", outside.display()));
        }
        let holder = Holder::start(&mut command)?;
        let inside = only_child(only_child(holder.pid())?)?;
        let machine = Machine { name: name.into(), directory, holder, inside };
        machine.prepare(options)?;
        Ok(machine)
    }

    fn prepare(&self, options: &Options<'_>) -> Result<()> {
        let root = self.root();
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
        fs::write(root.join("etc/machine-id"), id)?;
        fs::write(root.join("etc/hostname"), format!("{}\n", self.name))?;
        let units = root.join("etc/systemd/system");
        if !options.kuma {
            fs::remove_file(units.join("multi-user.target.wants/uptime-kuma.service"))?;
        }
        if let Some(text) = options.unit {
            let drop_ins = units.join("uptime-kuma.service.d");
            fs::create_dir_all(&drop_ins)?;
            fs::write(drop_ins.join("test.conf"), text)?;
        }
        if let Some(network) = options.network {
            network.attach(self.inside)?;
        }
        self.set_clock()
    }

    /// With `KUMA_REPLICATOR_CLOCK` in the environment, such as `03:13:30`, the clock of Uptime Kuma says that time of day
    /// (UTC) when the host is made, and runs on from there. So its nightly jobs run in the middle of every test.
    fn set_clock(&self) -> Result<()> {
        let Some(clock) = std::env::var_os("KUMA_REPLICATOR_CLOCK") else { return Ok(()) };
        const DAY: u64 = 24 * 60 * 60;
        let clock = clock.to_string_lossy().into_owned();
        let seconds =
            |part: &str| part.parse::<u64>().map_err(|error| format!("KUMA_REPLICATOR_CLOCK={clock}: {error}"));
        let wanted = clock.split(':').try_fold(0, |sum, part| seconds(part).map(|part| sum * 60 + part))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() % DAY;
        let later = (wanted + DAY - now) % DAY;
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
        if !self.root().join(library.trim_start_matches('/')).exists() {
            return Err("libfaketime is missing: run tests/testbed/provision".into());
        }
        let directory = self.root().join("usr/lib/systemd/system/uptime-kuma.service.d");
        fs::create_dir_all(&directory)?;
        let unit =
            format!("[Service]\nEnvironment=LD_PRELOAD={library} FAKETIME=+{later}s FAKETIME_DONT_FAKE_MONOTONIC=1\n");
        Ok(fs::write(directory.join("clock.conf"), unit)?)
    }

    /// Ends the host, which must be off, and keeps what its disk has beside the base system.
    pub(super) fn keep_disk(self, path: &Path) -> Result<()> {
        let order = self.directory.join("keep");
        fs::write(&order, path.as_os_str().as_encoded_bytes())?;
        drop(self);
        if path.is_dir() { Ok(()) } else { Err(format!("{}: no disk was kept", path.display()).into()) }
    }

    /// The host name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The disk of the host as seen from outside, also while it boots. What the host mounts over
    /// it, such as `/run` and `/tmp`, is not in it.
    pub(crate) fn root(&self) -> PathBuf {
        let disk = self.directory.join("root");
        Path::new("/proc").join(self.inside.to_string()).join("root").join(disk.strip_prefix("/").unwrap_or(&disk))
    }

    /// Where the data of Uptime Kuma are, as seen from outside.
    pub(crate) fn kuma_data(&self) -> PathBuf {
        self.root().join("var/lib/uptime-kuma")
    }

    /// Runs a command on the host as root; its failure is an error that shows what it printed. It
    /// ends at the latest after five minutes.
    pub(crate) fn run(&self, command: &[&str]) -> Result<String> {
        run(&mut self.command(command)?).map_err(|error| format!("{}: {error}", self.name).into())
    }

    /// Like [`Machine::run`], but failure is a result like any other.
    pub(crate) fn output(&self, command: &[&str]) -> Result<Output> {
        output(&mut self.command(command)?)
    }

    /// Runs a shell script on the host, which ends at the first command that fails.
    pub(crate) fn sh(&self, script: &str) -> Result<String> {
        self.run(&["sh", "-euc", script])
    }

    fn command(&self, command: &[&str]) -> Result<Command> {
        let init = self.init().ok_or_else(|| format!("{} is off", self.name))?;
        let mut wrapped = Command::new("timeout");
        wrapped
            .args(["--kill-after=5", "300", "nsenter", "--all", "--target", &init.to_string(), "--"])
            .args(command)
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("HOME", "/root")]);
        Ok(wrapped)
    }

    /// Installs a package file as an administrator would. There is no network for it: all it
    /// depends on must be in the base system.
    pub(crate) fn install_deb(&self, package: &Path) -> Result<()> {
        fs::copy(package, self.root().join("root/package.deb"))
            .map_err(|error| format!("cannot copy {}: {error}", package.display()))?;
        self.run(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "/root/package.deb"])?;
        Ok(())
    }

    /// Installs the packages of the part `ssh` whose names begin so, with what they depend on.
    pub(crate) fn install_ssh(&self, names: &[&str]) -> Result<()> {
        let part = cache().join("ssh");
        let packages = fs::read_dir(&part)
            .map_err(|_| Missing(format!("{} is missing: run tests/testbed/provision", part.display())))?;
        let directory = self.root().join("root/ssh");
        fs::create_dir_all(&directory)?;
        for package in packages {
            let package = package?;
            let name = package.file_name().to_string_lossy().into_owned();
            if name.starts_with("lib") || names.iter().any(|wanted| name.starts_with(wanted)) {
                fs::copy(package.path(), directory.join(name))?;
            }
        }
        self.sh("DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /root/ssh/*.deb").map(drop)
    }

    /// Entries of the journal, oldest first, chosen by arguments of journalctl such as `-u UNIT` or
    /// `FIELD=VALUE`.
    pub(crate) fn journal(&self, matches: &[&str]) -> Result<Vec<Value>> {
        let text = self.run(&[&["journalctl", "--output=json", "--all", "--no-pager", "--quiet"], matches].concat())?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// A client of the Uptime Kuma of this host, once that answers.
    pub(crate) fn kuma(&self) -> Result<Kuma> {
        wait_for("Uptime Kuma answers", LIMIT, || Ok(self.kuma_ready()?.then_some(())))?;
        Kuma::connect(self.inside)
    }

    /// Whether Uptime Kuma answers as one that is ready does.
    pub(crate) fn kuma_ready(&self) -> Result<bool> {
        // Tests ask this many times while a server starts; starting a program on the host each time would slow that down.
        let page = self.get(3001, "/api/entry-page").unwrap_or_default();
        let page: Value = serde_json::from_slice(&page).unwrap_or_default();
        Ok(matches!(page.get("type").and_then(Value::as_str), Some("entryPage" | "statusPageMatchedDomain")))
    }

    /// What a server on the host answers to `GET`, if it answers with 200.
    fn get(&self, port: u16, path: &str) -> Result<Vec<u8>> {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.inside))?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        // Only this thread enters the network of the host.
        let asking = thread::spawn(move || -> Result<Vec<u8>> {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            let mut server = TcpStream::connect(("127.0.0.1", port))?;
            server.set_read_timeout(Some(Duration::from_secs(5)))?;
            server.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            Ok(answer)
        });
        let answer = asking.join().map_err(|_| "the request panicked")??;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no answer")?;
        let (head, body) = answer.split_at(end);
        if head.split(|byte| *byte == b' ').nth(1) != Some(b"200") {
            return Err(String::from_utf8_lossy(head).into_owned().into());
        }
        Ok(body.get(4..).unwrap_or_default().to_vec())
    }
}

impl Drop for Machine {
    /// The disk goes with the host, so a failing test shows the end of the journal first.
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(journal) = self.run(&["journalctl", "--no-pager", "--lines=80", "--quiet"])
        {
            eprintln!("--- the last of the journal of {}:\n{journal}---", self.name);
        }
    }
}
