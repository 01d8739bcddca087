//! A network that only the hosts of one test are on: nothing of it shows on the machine around.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Result;
use super::process::{Holder, only_child, run};

/// A bridge in a namespace of its own. Hosts come to it by [`super::Options::network`]; servers for
/// them run inside it.
pub(crate) struct Network {
    holder: Holder,
    next: AtomicU8,
}

impl Network {
    /// Where the servers of the network listen.
    pub(crate) const ADDRESS: &str = "10.77.0.1";

    /// Makes a network with nobody on it.
    pub(crate) fn new() -> Result<Self> {
        let script = format!(
            "ip link set lo up; ip link add bridge0 type bridge; \
             ip address add {}/24 dev bridge0; ip link set bridge0 up; echo ready; exec cat",
            Self::ADDRESS
        );
        let holder = Holder::start(Command::new("unshare").args([
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-euc",
            &script,
        ]))?;
        Ok(Network { holder, next: AtomicU8::new(2) })
    }

    /// A command that runs inside the network and ends with it.
    pub(super) fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--pid", "--target", &only_child(self.holder.pid())?.to_string(), "--", program]);
        Ok(command)
    }

    /// The namespace that its servers run in.
    pub(super) fn namespace(&self) -> Result<File> {
        Ok(File::open(format!("/proc/{}/ns/net", only_child(self.holder.pid())?))?)
    }

    /// Lays a cable from the bridge to `eth0` in the network namespace of a process.
    pub(super) fn attach(&self, process: u32) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let script = format!(
            "ip link add port{number} type veth peer name eth0 netns {process}; \
             ip link set port{number} master bridge0 up"
        );
        // Without its namespace of processes, because the peer is named by its number out here.
        let namespace = format!("--net=/proc/{}/ns/net", only_child(self.holder.pid())?);
        run(Command::new("nsenter").args([&namespace, "sh", "-euc", &script]))?;
        let script = format!("ip address add 10.77.0.{number}/24 dev eth0; ip link set eth0 up");
        run(Command::new("nsenter").args(["--net", "--target", &process.to_string(), "sh", "-euc", &script]))?;
        Ok(())
    }
}
