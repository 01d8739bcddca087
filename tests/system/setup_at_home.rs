//! Two hosts and nothing else: the repository lies on the main, and replicas read it over SFTP.

use crate::Test;
use crate::setup::{Typist, ends_with};
use crate::testbed::{Machine, Network, Options, Page, Result};
use crate::world::{boot, digest, expect, logged_in, places, wait_for_event};

pub const TESTS: &[Test] = &[("a_repository_on_the_main_is_read_over_sftp_and_stays_readable", at_home)];

/// Whether the user of the replicas may read everything in the repository, and nobody else but root.
fn is_readable(main: &Machine) -> Result<()> {
    let found = main.sh(
        "find /srv/kuma ! -group kuma-ro -o -type f ! -perm -040 -o -type d ! -perm -2050 -o -perm /007 -o -perm /020",
    )?;
    assert_eq!(found, "", "not as it should be");
    Ok(())
}

fn at_home() -> Result<()> {
    let network = Network::new()?;
    let host = |name: &str| boot(name, &Options { network: Some(&network), ..Options::default() });
    let (main, replica) = (host("main")?, host("replica")?);
    main.install_ssh(&["openssh", "runit-helper", "sensible-utils", "ucf"])?;
    replica.install_ssh(&["openssh-client"])?;
    for machine in [&main, &replica] {
        machine.sh("echo '10.77.0.2 main.example.org' >>/etc/hosts")?;
    }
    main.kuma()?.set_up()?;
    logged_in(&main)?.add_monitor("web", "http://127.0.0.1:3001/")?;
    replica.kuma()?;
    // The user and the folder, the set-up with its modes, the key.
    let mut page = Page::open("docs/home.md")?;
    page.run(&main)?;
    page.run(&main)?;
    let invite = page.run(&main)?.lines().last().ok_or("no invite")?.to_owned();
    is_readable(&main)?;
    wait_for_event(&main, "published")?;
    is_readable(&main)?;

    // Host key and key are in the invite: nothing is asked.
    let said = ends_with(&replica, 0, "setup replica --invite-file -", &invite)?;
    assert!(said.contains("is the key of the invite") && said.contains("warning  writable"), "{said}");
    wait_for_event(&replica, "applied")?;
    assert_eq!(digest(&main)?, digest(&replica)?);
    // What the main publishes later can be read as well.
    no_timer(&main)?;
    no_timer(&replica)?;
    main.sh("printf '[main]\\nsettle = \"0s\"\\n' >>/etc/kuma-replicator/config.toml")?;
    replica.sh("printf '[replica]\\nmin-restart-interval = \"0s\"\\n' >>/etc/kuma-replicator/config.toml")?;
    for name in ["second", "third"] {
        logged_in(&main)?.add_monitor(name, "http://127.0.0.1:3001/")?;
        expect(&main, 0, "published")?;
        is_readable(&main)?;
        expect(&replica, 0, "applied")?;
        assert_eq!(digest(&main)?, digest(&replica)?);
    }
    own_key(&main, &replica)?;
    // The replica's own lines are typed above, and those after the death of the main here.
    page.pass()?;
    drop(main);
    no_timer(&replica)?;
    Page::open("docs/home.md")?.run(&replica)?;
    page.run(&replica)?;
    is_readable(&replica)?;
    page.end()?;
    assert_eq!(places(&replica)?.len(), 1);
    expect(&replica, 0, "unchanged")
}

/// Lets cycles begin by order only.
fn no_timer(machine: &Machine) -> Result<()> {
    machine.sh("systemctl stop kuma-replicator.timer; systemctl stop kuma-replicator").map(drop)
}

/// Without a key in the invite, a replica makes one, and a person authorises it. Without a known host, the person looks at its
/// key.
fn own_key(main: &Machine, replica: &Machine) -> Result<()> {
    replica.sh("rm -r /root/.ssh /etc/kuma-replicator/*")?;
    let address = "sftp:kuma-ro@10.77.0.2:/srv/kuma";
    let invite = main.run(&["kuma-replicator", "invite", "--repository", address])?;
    let said = ends_with(replica, 77, "setup replica --invite-file -", &invite)?;
    let key = said.split_once("ssh-ed25519 ").and_then(|(_, rest)| rest.split_whitespace().next()).ok_or("no key")?;
    assert!(said.contains("made /root/.ssh/kuma-replicator") && said.contains("authorized_keys"), "{said}");
    assert_eq!(replica.sh("ls -A /etc/kuma-replicator")?, "", "nothing is written before the way in is proved");
    let authorise =
        format!("echo 'restrict,command=\"internal-sftp -R\" ssh-ed25519 {key}' >>/home/kuma-ro/.ssh/authorized_keys");
    // On a terminal, without what the first attempt has left.
    replica.sh("rm /root/.ssh/known_hosts")?;
    main.sh("sed -i '/kuma-replica/!d' /home/kuma-ro/.ssh/authorized_keys")?;
    let bare = main.sh(&format!(
        "mv /etc/ssh /etc/ssh-away; kuma-replicator invite --repository {address}; mv /etc/ssh-away /etc/ssh"
    ))?;
    let typist = Typist::begin(replica, "kuma-replicator setup replica")?;
    typist.answer("Paste the line", bare.trim())?;
    typist.answer("Is it the right one?", "yes")?;
    typist.waits_for("press Enter")?;
    main.sh(&authorise)?;
    typist.answer("press Enter", "")?;
    let said = typist.ends_with(0)?;
    assert!(said.contains("10.77.0.2 is known by ") && said.contains("opens with this password"), "{said}");
    no_timer(replica)?;
    expect(replica, 0, "up to date")
}
