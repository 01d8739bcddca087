//! The package: what it brings, what it leaves alone, and that an upgrade or a removal lets a running apply finish.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::Test;
use crate::testbed::{Machine, Options, Result, wait_for};
use crate::world::{Pair, SOON, Setup, expect, invocation, logged_in, package, says};

pub const TESTS: &[Test] = &[
    ("installing_enables_and_starts_nothing", installing),
    ("upgrade_keeps_remove_keeps_purge_removes", life_cycle),
    ("an_upgrade_keeps_configuration_state_and_timer", upgrade_when_idle),
    ("an_upgrade_from_a_package_with_the_configuration_in_it_asks_nothing", upgrade_from_a_conffile),
    ("an_upgrade_lets_a_running_apply_finish", upgrade_during_apply),
    ("a_removal_waits_for_a_running_apply", removal_during_apply),
];

/// A host with the package as it is installed, and no Uptime Kuma.
pub fn bare() -> Result<Machine> {
    let machine = Machine::boot("host", &Options { kuma: false, ..Options::default() })?;
    machine.install_deb(&package()?)?;
    Ok(machine)
}

/// Upgrades to the package as it is, but with a higher version.
fn upgrade(machine: &Machine) -> Result<()> {
    let (directory, version) = newer()?;
    machine.install_deb(&directory.path().join("newer.deb"))?;
    let installed = says(machine, &["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "kuma-replicator"])?;
    assert_eq!(installed, format!("installed {version}"));
    Ok(())
}

/// Makes `newer.deb` from the package, and says its version.
fn newer() -> Result<(TempDir, String)> {
    let mut version = String::new();
    let made = remade("newer.deb", |tree| {
        version = set_version(tree, |version| format!("{version}+newer"))?;
        Ok(())
    })?;
    Ok((made, version))
}

/// Makes a package of this name from the package, with another content.
fn remade(name: &str, change: impl FnOnce(&Path) -> Result<()>) -> Result<TempDir> {
    let directory = tempfile::tempdir()?;
    let (tree, made) = (directory.path().join("tree"), directory.path().join(name));
    let dpkg_deb = |arguments: &[&str], from: &Path, to: &Path| {
        let output = Command::new("dpkg-deb").args(arguments).arg(from).arg(to).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(Box::<dyn std::error::Error + Send + Sync>::from(said)) }
    };
    dpkg_deb(&["--raw-extract"], &package()?, &tree)?;
    change(&tree)?;
    dpkg_deb(&["-Znone", "--root-owner-group", "--build"], &tree, &made)?;
    Ok(directory)
}

/// Gives an unpacked package another version, and returns it.
fn set_version(tree: &Path, version: impl FnOnce(&str) -> String) -> Result<String> {
    let control = tree.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control)?;
    let line = text.lines().find(|line| line.starts_with("Version: ")).ok_or("the package has no version")?;
    let version = version(line.trim_start_matches("Version: "));
    std::fs::write(&control, text.replace(line, &format!("Version: {version}")))?;
    Ok(version)
}

/// Makes `older.deb`: a package that had the configuration file in it, as one of dpkg's.
fn older() -> Result<TempDir> {
    const FILE: &str = "etc/kuma-replicator/config.toml";
    remade("older.deb", |tree| {
        set_version(tree, |_| "0.0.9".to_owned())?;
        std::fs::write(tree.join("DEBIAN/conffiles"), format!("/{FILE}\n"))?;
        Ok(std::fs::write(tree.join(FILE), "# The old defaults.\n#role = \"replica\"\n")?)
    })
}

fn installing() -> Result<()> {
    let machine = bare()?;
    for unit in ["kuma-replicator.timer", "kuma-replicator.service"] {
        assert_eq!(says(&machine, &["systemctl", "is-active", unit])?, "inactive", "{unit}");
    }
    assert_eq!(says(&machine, &["systemctl", "is-enabled", "kuma-replicator.timer"])?, "disabled");
    // The configuration is the administrator's: the package has none, and does not guess who is the main.
    assert_eq!(machine.sh("ls -A /etc/kuma-replicator")?, "");
    let output = machine.output(&["kuma-replicator", "run"])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("there is no configuration") && text.contains("config --example"), "{text}");
    machine.sh("kuma-replicator config --example | cmp - /usr/share/doc/kuma-replicator/config.toml")?;
    // Enabled without .timer, it is the timer that is enabled.
    machine.run(&["systemctl", "enable", "kuma-replicator"])?;
    assert_eq!(says(&machine, &["systemctl", "is-enabled", "kuma-replicator.timer"])?, "enabled");
    for page in ["/usr/share/man/man8/kuma-replicator.8.gz", "/usr/lib/systemd/catalog/kuma-replicator.catalog"] {
        machine.run(&["test", "-s", page])?;
    }
    Ok(())
}

fn life_cycle() -> Result<()> {
    let machine = bare()?;
    let apt = |arguments: &str| machine.sh(&format!("DEBIAN_FRONTEND=noninteractive apt-get -y {arguments}"));
    let exists = |path: &str| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(machine.output(&["test", "-e", path])?.status.success())
    };
    machine.sh("echo '# mine' >> /etc/kuma-replicator/config.toml; mkdir -p /var/cache/kuma-replicator")?;
    machine.sh("mkdir -p /var/lib/kuma-replicator; echo '{\"version\":1}' > /var/lib/kuma-replicator/state.json")?;
    machine.run(&["systemctl", "enable", "kuma-replicator.timer"])?;
    upgrade(&machine)?;
    assert!(machine.run(&["cat", "/etc/kuma-replicator/config.toml"])?.contains("# mine"), "the upgrade lost an edit");
    assert!(exists("/var/lib/kuma-replicator/state.json")?);
    apt("remove kuma-replicator")?;
    for kept in ["/var/lib/kuma-replicator/state.json", "/etc/kuma-replicator/config.toml"] {
        assert!(exists(kept)?, "remove took {kept}");
    }
    assert!(!exists("/usr/bin/kuma-replicator")?);
    machine.sh("echo secret > /etc/kuma-replicator/restic-password")?;
    // Installed again it goes on, as the timer was enabled. An upgrade starts no timer that was stopped.
    let timer = || says(&machine, &["systemctl", "is-active", "kuma-replicator.timer"]);
    machine.install_deb(&package()?)?;
    assert_eq!(timer()?, "active");
    machine.run(&["systemctl", "stop", "kuma-replicator.timer", "kuma-replicator.service"])?;
    upgrade(&machine)?;
    assert_eq!(timer()?, "inactive");
    machine.run(&["systemctl", "disable", "kuma-replicator.timer"])?;
    apt("remove kuma-replicator")?;
    machine.install_deb(&package()?)?;
    assert_eq!(timer()?, "inactive", "it was not enabled");
    apt("purge kuma-replicator")?;
    for gone in ["/var/lib/kuma-replicator", "/etc/kuma-replicator", "/var/cache/kuma-replicator"] {
        assert!(!exists(gone)?, "purge left {gone}");
    }
    Ok(())
}

/// The configuration belongs to the administrator: dpkg never asks about it.
fn upgrade_from_a_conffile() -> Result<()> {
    const FILE: &str = "/etc/kuma-replicator/config.toml";
    for mine in [Some("role = \"main\"\nrepository = \"/srv/kuma\"\n"), None] {
        let machine = Machine::boot("host", &Options { kuma: false, ..Options::default() })?;
        machine.install_deb(&older()?.path().join("older.deb"))?;
        if let Some(mine) = mine {
            machine.sh(&format!("cat >{FILE} <<'EOF'\n{mine}EOF\n"))?;
        }
        let before = machine.run(&["cat", FILE])?;
        machine.install_deb(&package()?)?;
        assert_eq!(machine.run(&["cat", FILE])?, before);
        assert_eq!(machine.sh("ls /etc/kuma-replicator")?.trim(), "config.toml");
        machine
            .sh("DEBIAN_FRONTEND=noninteractive apt-get -y purge kuma-replicator; test ! -e /etc/kuma-replicator")?;
    }
    Ok(())
}

fn upgrade_when_idle() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.main_kuma()?.add_monitor("web", "http://127.0.0.1:3001/")?;
        pair.replicate()?;
        let replica = &pair.replica;
        replica.sh("echo '# mine' >> /etc/kuma-replicator/config.toml")?;
        replica.run(&["systemctl", "enable", "--now", "kuma-replicator.timer"])?;
        let before = invocation(replica)?;
        upgrade(replica)?;
        assert!(replica.run(&["cat", "/etc/kuma-replicator/config.toml"])?.contains("# mine"));
        for asked in ["is-enabled", "is-active"] {
            let wanted = if asked == "is-active" { "active" } else { "enabled" };
            assert_eq!(says(replica, &["systemctl", asked, "kuma-replicator.timer"])?, wanted);
        }
        // The next cycle knows what was applied, and Uptime Kuma was never touched.
        expect(replica, 0, "up to date")?;
        assert_eq!(before, invocation(replica)?);
        assert_eq!(replica.journal(&["KUMA_EVENT=applied"])?.len(), 1);
        // The timer still works.
        pair.main_kuma()?.add_monitor("second", "http://127.0.0.1:3001/")?;
        expect(&pair.main, 0, "published")?;
        wait_for("a cycle by the timer", SOON, || {
            Ok((replica.journal(&["KUMA_EVENT=applied"])?.len() == 2).then_some(()))
        })?;
        pair.assert_equal()
    })
}

fn upgrade_during_apply() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.begin_apply()?;
        upgrade(&pair.replica)?;
        wait_for("the cycle ends", SOON, || {
            Ok((says(&pair.replica, &["systemctl", "is-active", "kuma-replicator"])? == "inactive").then_some(()))
        })?;
        assert_eq!(pair.replica.journal(&["KUMA_EVENT=applied"])?.len(), 1);
        pair.assert_equal()?;
        expect(&pair.replica, 0, "up to date")
    })
}

fn removal_during_apply() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        pair.begin_apply()?;
        pair.replica.sh("DEBIAN_FRONTEND=noninteractive apt-get -y remove kuma-replicator")?;
        // When apt is done, so is the apply: Uptime Kuma runs with the new configuration.
        assert_eq!(pair.replica.journal(&["KUMA_EVENT=applied"])?.len(), 1);
        assert_eq!(logged_in(&pair.replica)?.lists()?["monitorList"]["1"]["name"], json!("web"));
        Ok(())
    })
}
