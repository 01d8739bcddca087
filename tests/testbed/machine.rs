//! A host: Debian with its own systemd, disk, network and Uptime Kuma.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::process::{Holder, only_child, output, run};
use super::{Kuma, LIMIT, Network, Result, cache, hosts, source, wait_for};

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
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { kuma: true, unit: None, binds: Vec::new(), network: None }
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
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = hosts()?.join(format!("{name}-{count}-{}", std::process::id()));
        let base = cache().join("base");
        let mut command = Command::new(source().join("host"));
        command.arg(&base).arg(&directory).arg(name);
        let kuma = cache().join("kuma").canonicalize()?;
        command.arg(format!("--bind-ro={}:/opt/uptime-kuma", kuma.display()));
        for (outside, here) in &options.binds {
            command.arg(format!("--bind={}:{here}", outside.display()));
        }
        let holder = Holder::start(&mut command)?;
        let inside = only_child(only_child(holder.pid())?)?;
        let machine = Machine { name: name.into(), directory, holder, inside };
        machine.prepare(options)?;
        machine.power_on()?;
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
        Ok(())
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

    /// Where the data of Uptime Kuma lie, as seen from outside.
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
        let page = self.output(&["curl", "-sf", "--max-time", "5", "http://127.0.0.1:3001/api/entry-page"])?;
        let page: Value = serde_json::from_slice(&page.stdout).unwrap_or_default();
        Ok(matches!(page.get("type").and_then(Value::as_str), Some("entryPage" | "statusPageMatchedDomain")))
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
