//! A main and a replica over an S3 server, each behind a proxy of its own. What the replica writes is refused.

use std::thread;

use crate::secrets;
use crate::testbed::{Machine, Network, Options, Proxy, Result, S3Server};
use crate::world::{boot, configure, says};

/// Two hosts that know the planted secrets. The main's Uptime Kuma has a user, and the repository is there.
pub struct Remote {
    pub main: Machine,
    pub replica: Machine,
    /// Between the main and the server.
    pub at_main: Proxy,
    /// Between the replica and the server.
    pub at_replica: Proxy,
    /// The path of the repository on the server.
    pub path: String,
}

impl Remote {
    /// Runs a test on two new hosts; if it fails, their journals are shown.
    pub fn test(test: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let network = Network::new()?;
        let s3 = S3Server::start(&network)?;
        let bucket = s3.new_bucket()?;
        let (server, bucket) = bucket.trim_start_matches("s3:http://").split_once('/').ok_or("no bucket")?;
        let (at_main, at_replica) = (Proxy::on(&network, server)?, Proxy::read_only_on(&network, server)?);
        let path = format!("{bucket}/kuma");
        let host = |name: &str, proxy: &Proxy| -> Result<Machine> {
            let machine = boot(name, &Options { network: Some(&network), ..Options::default() })?;
            configure(&machine, name, "unset", "")?;
            secrets::install(&machine)?;
            let lines = [("ACCESS_KEY_ID", secrets::ACCESS_KEY), ("SECRET_ACCESS_KEY", secrets::SECRET_KEY)];
            let lines = lines.map(|(name, value)| format!("AWS_{name}={value}\n"));
            std::fs::write(machine.root().join("etc/kuma-replicator/environment"), lines.concat())?;
            set_repository(&machine, &format!("s3:http://{}/{path}", proxy.address))?;
            machine.kuma()?;
            Ok(machine)
        };
        let (main, replica) = thread::scope(|scope| {
            let main = scope.spawn(|| host("main", &at_main));
            let replica = scope.spawn(|| host("replica", &at_replica));
            (main.join().unwrap(), replica.join().unwrap())
        });
        let remote = Remote { main: main?, replica: replica?, at_main, at_replica, path };
        remote.main.run(&["kuma-replicator", "init"])?;
        remote.main.kuma()?.set_up()?;
        if let Err(error) = test(&remote) {
            // Unwinding drops the hosts, which show their journals then.
            panic!("{error}");
        }
        Ok(())
    }
}

/// Lets a host use another repository, and wait for it no longer than some seconds.
pub fn set_repository(machine: &Machine, url: &str) -> Result<()> {
    let file = machine.root().join("etc/kuma-replicator/config.toml");
    let role = machine.name();
    let program = secrets::PROGRAM;
    let text = format!(
        "role = \"{role}\"\nrepository = \"{url}\"\n[restic]\nprogram = \"{program}\"\ntimeout = \"10s\"\n\
         [replica]\nmin-restart-interval = \"0s\"\n"
    );
    Ok(std::fs::write(file, text)?)
}

/// Whether a restic runs on a host.
pub fn has_restic(machine: &Machine) -> Result<bool> {
    Ok(!says(machine, &["pgrep", "-x", "restic"])?.is_empty())
}
