//! Promise: the line that invites a replica is a contract. A line of a released format is read for ever.

use kuma_replicator::model::invite::Invite;

/// A line of format 1. It is never edited once it is released: a change of it is another format.
const GOLDEN: &str = include_str!("../golden/invite-1.txt");

#[test]
fn the_format_of_an_invite_is_what_it_was() {
    let invite = Invite {
        repository: "rest:https://user:p%40ss@backup.example.org:8000/kuma/".to_owned(),
        password: "correct horse \"battery\" stäple".to_owned(),
        environment: Some("AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY='a b'\n".to_owned()),
        known_hosts: Some("backup.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA\n".to_owned()),
        ssh_key: Some("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n".to_owned()),
    };
    let line = format!("{invite}\n");
    if line != GOLDEN {
        let path = format!("{}/invite-1.txt", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, &line).unwrap();
        panic!("the format has changed: compare the file in tests/golden with {path}; a change is another format");
    }
    assert_eq!(GOLDEN.parse(), Ok(invite));
    let least = Invite {
        repository: "/srv/kuma".to_owned(),
        password: "geheim".to_owned(),
        environment: None,
        known_hosts: None,
        ssh_key: None,
    };
    assert_eq!(least.to_string().parse(), Ok(least));
}

/// What `docs/format.md` shows is a line that this program reads.
#[test]
fn the_example_in_the_documentation_is_an_invite() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md")).unwrap();
    let line = document.lines().find(|line| line.starts_with("kuma-replicator-invite-1:ey")).unwrap();
    assert_eq!(line.parse::<Invite>().unwrap().repository, "/srv/kuma-repository");
}
