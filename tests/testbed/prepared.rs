//! What many hosts begin with, made once for all of them: a disk and a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::process::run;
use super::quick_key::make_quick;
use super::{Machine, Options, Result, cache, hosts, source};

/// A directory beside the hosts of a test. It is removed with this value.
pub(crate) struct Prepared {
    path: PathBuf,
}

impl Prepared {
    fn new(name: &str) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Ok(Prepared { path: hosts()?.join(format!("prepared-{name}-{count}-{}", std::process::id())) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The disk of a host on which Uptime Kuma has started once, without a user, and on which `prepare` was run. Hosts
    /// that begin with it ([`Options::disk`]) start Uptime Kuma with less work: see `code-cache.js`, `late-modules.js` and
    /// `kept-formats.js`. Nothing that identifies a host is on it: no machine id, no journal, no secret of Uptime Kuma.
    ///
    /// The server has the setting that its nightly job writes on its first run, at 03:14. A test in which that happened
    /// would find one more change than it made.
    pub(crate) fn disk(prepare: impl FnOnce(&Machine) -> Result<()>) -> Result<Self> {
        const LIBRARY: &str = "usr/local/lib/quick-start";
        const MODULES: [&str; 3] = ["code-cache.js", "late-modules.js", "kept-formats.js"];
        let (prepared, machine) = (Self::new("disk")?, Machine::new("disk", &Options::default())?);
        let (library, drop_ins) = (machine.root().join(LIBRARY), machine.root().join("usr/lib/systemd/system"));
        let drop_ins = drop_ins.join("uptime-kuma.service.d");
        fs::create_dir_all(&library)?;
        fs::create_dir_all(&drop_ins)?;
        for module in MODULES {
            fs::copy(source().join(module), library.join(module))?;
        }
        let required = MODULES.map(|module| format!("--require=/{LIBRARY}/{module}")).join(" ");
        let unit = format!("[Service]\nEnvironment=\"NODE_OPTIONS={required}\"\n");
        let record = "Environment=CODE_CACHE_RECORD=/var/lib/uptime-kuma/server.js.cache\n";
        fs::write(drop_ins.join("quick-start.conf"), format!("{unit}{record}"))?;
        machine.power_on()?;
        prepare(&machine)?;
        machine.kuma()?;
        machine.sh(&format!(
            "systemctl stop uptime-kuma
             cd /var/lib/uptime-kuma
             mv server.js.cache server.js.cache.json /{LIBRARY}
             chown root: /{LIBRARY}/*
             sqlite3 kuma.db \"DELETE FROM setting WHERE key = 'jwtSecret';
                 INSERT INTO setting (key, value, type) VALUES ('keepDataPeriodDays', '180', 'general')\""
        ))?;
        fs::write(drop_ins.join("quick-start.conf"), unit)?;
        machine.power_off()?;
        fs::remove_dir_all(machine.root().join("var/log/journal"))?;
        fs::create_dir(machine.root().join("var/log/journal"))?;
        machine.keep_disk(prepared.path())?;
        Ok(prepared)
    }

    /// A new restic repository with a password. Opening it costs little processor time, see `quick-key.js`.
    pub(crate) fn repository(password: &str) -> Result<Self> {
        let prepared = Self::new("repository")?;
        let mut restic = Command::new("restic");
        restic.arg("--repo").arg(prepared.path()).args(["--quiet", "--no-cache", "init"]);
        run(restic.env("RESTIC_PASSWORD", password))?;
        make_quick(prepared.path(), password)?;
        Ok(prepared)
    }

    /// The lower directories for the overlay of a host: this disk, if any, over the base system.
    pub(super) fn over_base(disk: Option<&Self>) -> String {
        let base = cache().join("base");
        disk.map_or_else(|| base.display().to_string(), |disk| format!("{}:{}", disk.path.display(), base.display()))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // The next host removes what is left.
        let _ = fs::remove_dir_all(&self.path);
    }
}
