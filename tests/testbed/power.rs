//! Turning a host on and off, gently and otherwise.

use std::error::Error;
use std::fs;
use std::process::Command;

use super::process::{children, is_init, run};
use super::{LIMIT, Machine, Result, wait_for};

impl Machine {
    /// Restarts the host as `reboot` does, and waits until it is up again.
    pub(crate) fn reboot(&self) -> Result<()> {
        self.reboot_while(|| Ok(()))
    }

    /// Restarts the host as `reboot` does, does something once it is going down, and waits until it is up again.
    pub(crate) fn reboot_while(&self, going_down: impl FnOnce() -> Result<()>) -> Result<()> {
        let before = self.init();
        self.run(&["systemctl", "reboot"])?;
        going_down()?;
        wait_for("reboot", LIMIT, || Ok(self.init().filter(|init| Some(*init) != before)))
            .map_err(|error| self.with_console(&*error))?;
        self.wait_until_up()
    }

    /// Takes the power away, so that nothing on the host gets to finish anything, and boots again.
    pub(crate) fn power_cut(&self) -> Result<()> {
        self.power_off()?;
        self.power_on()
    }

    /// Takes the power away, so that nothing on the host gets to finish anything.
    pub(crate) fn power_off(&self) -> Result<()> {
        let init = self.init().ok_or_else(|| format!("{} is off", self.name))?;
        run(Command::new("kill").args(["-KILL", &init.to_string()]))?;
        wait_for("power off", LIMIT, || Ok(children(self.inside).is_empty().then_some(())))
    }

    /// Boots the host over the disk it has, and waits until it is up.
    pub(crate) fn power_on(&self) -> Result<()> {
        self.holder.order("boot")?;
        self.wait_until_up()
    }

    /// Process 1 of the host as numbered out here, while the host is on.
    pub(super) fn init(&self) -> Option<u32> {
        let boot = children(self.inside).into_iter().next()?;
        let nspawn = children(boot).into_iter().next()?;
        children(nspawn).into_iter().find(|pid| is_init(*pid))
    }

    fn wait_until_up(&self) -> Result<()> {
        wait_for("boot", LIMIT, || {
            // It waits itself as soon as systemd can be asked.
            let Ok(state) = self.output(&["systemctl", "is-system-running", "--wait"]) else {
                return Ok(None);
            };
            let state = String::from_utf8_lossy(&state.stdout);
            Ok(matches!(state.trim(), "running" | "degraded").then_some(()))
        })
        .map_err(|error| self.with_console(&*error).into())
    }

    fn with_console(&self, error: &(dyn Error + Send + Sync)) -> String {
        let console = fs::read_to_string(self.directory.join("console")).unwrap_or_default();
        format!("{}: {error}; its console says:\n{console}", self.name)
    }
}
