//! What works in a shell works in the service, or `check` says that it does not.

use crate::Test;
use crate::testbed::{FolderRepository, Machine, Result, wait_for};
use crate::world::{PASSWORD, Pair, SOON, Setup, configure, drop_in, expect, fails, says, typed};

pub const TESTS: &[Test] = &[
    ("what_needs_a_home_works_in_the_service_as_in_a_shell", home),
    ("check_sees_what_the_service_may_not_do", may_not),
    ("a_sandbox_that_cannot_be_set_up_is_reported", no_sandbox),
];

const AGENT: &str = "kuma-replicator.service";

/// Prints the password of the repository from the home of the user, and fails if that is unknown.
const PASSWORD_FROM_HOME: &str = "#!/bin/sh\nset -u\ncat \"$HOME/.password-store/restic\"\n";

/// Refuses everything, and writes down who signed it.
const S3: &str = "require('http').createServer((request, answer) => {\n\
    require('fs').appendFileSync('/run/signed', (request.headers.authorization || 'nobody') + '\\n');\n\
    answer.writeHead(403); answer.end('<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>');\n\
    }).listen(9000, '127.0.0.1', () => require('fs').writeFileSync('/run/listening', ''));\n";

fn home() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let main = &pair.main;
        let file = |path: &str| main.root().join(path);
        std::fs::write(file("usr/local/bin/password-from-home"), PASSWORD_FROM_HOME)?;
        main.sh("chmod 755 /usr/local/bin/password-from-home; mkdir -p /root/.password-store /root/.aws")?;
        std::fs::write(file("root/.password-store/restic"), PASSWORD)?;
        std::fs::remove_file(file("etc/kuma-replicator/restic-password"))?;
        let line = "RESTIC_PASSWORD_COMMAND=/usr/local/bin/password-from-home\n";
        std::fs::write(file("etc/kuma-replicator/environment"), line)?;
        expect(main, 0, "published")?;
        // A person has another home, and more in the environment than the service.
        let shell = ["env", "HOME=/nowhere", "RESTIC_PASSWORD=another", "RESTIC_REPOSITORY=/nowhere"];
        main.run(&[&shell[..], &["kuma-replicator", "snapshots"]].concat())?;

        std::fs::write(file("root/s3.js"), S3)?;
        main.run(&["systemd-run", "--unit=s3", "node", "/root/s3.js"])?;
        wait_for("the S3 server listens", SOON, || {
            Ok(main.output(&["test", "-e", "/run/listening"])?.status.success().then_some(()))
        })?;
        let keys = "[default]\naws_access_key_id = AKIAFROMHOME\naws_secret_access_key = secret-from-home\n\
                    [other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = secret\n";
        std::fs::write(file("root/.aws/credentials"), keys)?;
        configure(main, "main", "s3:http://127.0.0.1:9000/bucket/kuma", "")?;
        std::fs::remove_file(file("etc/kuma-replicator/restic-password"))?;
        let signed = |by: &str| -> Result<()> {
            let signatures = main.run(&["cat", "/run/signed"])?;
            assert!(signatures.lines().all(|line| line.contains("Credential=AKIAFROMHOME/")), "{by}: {signatures}");
            main.run(&["rm", "/run/signed"]).map(drop)
        };
        fails(main, 77, "repository-denied", "Access Denied")?;
        signed("the service")?;
        let shell = ["env", "HOME=/nowhere", "AWS_PROFILE=other", "kuma-replicator", "snapshots"];
        assert_eq!(main.output(&shell)?.status.code(), Some(77));
        signed("a person")?;
        assert!(typed(main, 77, &["check"])?.contains("failed   repository"));
        signed("check")
    })
}

/// The line of a check in what was printed.
fn line<'a>(said: &'a str, name: &str) -> &'a str {
    let is_it = |line: &&str| line.split_whitespace().nth(1) == Some(name);
    said.lines().find(is_it).unwrap_or_else(|| panic!("no line {name} in {said}"))
}

/// No file and no unit of a check is left.
fn is_tidy(machine: &Machine) -> Result<()> {
    assert_eq!(
        machine.sh("ls -d /run/kuma-replicator-check-* /run/systemd/system/kuma-replicator-check-* || true")?,
        ""
    );
    wait_for("systemd forgets the unit of the check", SOON, || {
        let units = says(machine, &["systemctl", "list-units", "--all", "--plain", "kuma-replicator-check-*"])?;
        Ok((!units.contains("kuma-replicator-check-")).then_some(()))
    })
}

fn may_not() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let said = typed(main, 0, &["check"])?;
        assert!(line(&said, "sandbox").starts_with("ok ") && line(&said, "writable").starts_with("ok "), "{said}");
        is_tidy(main)?;

        // A folder that root can write, and the service cannot.
        main.sh(&format!("mkdir /nas; cp -a {} /nas/kuma; chown -R root: /nas", FolderRepository::PATH))?;
        configure(main, "main", "/nas/kuma", "")?;
        main.run(&["cp", "-p", "/etc/kuma-replicator/config.toml", "/root/config.toml"])?;
        assert!(line(&typed(main, 0, &["check", "--config=/root/config.toml"])?, "writable").starts_with("ok "));
        let said = typed(main, 77, &["check"])?;
        assert!(line(&said, "repository").starts_with("ok "), "{said}");
        assert!(line(&said, "writable").starts_with("failed ") && said.contains("ReadWritePaths=/nas/kuma"), "{said}");
        let json: serde_json::Value = serde_json::from_str(&says(main, &["kuma-replicator", "check", "--json"])?)?;
        let failed = json["checks"].as_array().ok_or("no checks")?.iter().find(|check| check["result"] == "failed");
        assert_eq!(failed.ok_or("nothing failed")?["name"], "writable");
        fails(main, 77, "repository-denied", "read-only file system")?;
        // A drop-in that helps, and one that brings the password.
        drop_in(main, AGENT, "nas", "[Service]\nReadWritePaths=/nas\nLoadCredential=restic-password:/root/password\n")?;
        main.run(&["mv", "/etc/kuma-replicator/restic-password", "/root/password"])?;
        assert!(line(&typed(main, 0, &["check", "--as-service"])?, "writable").starts_with("ok "));
        assert!(typed(main, 78, &["snapshots"])?.contains("no password is set"));
        expect(main, 0, "published")?;

        // Data that root can write, and the service cannot.
        assert!(line(&typed(replica, 0, &["check"])?, "writable").starts_with("ok "));
        replica.sh("systemctl stop uptime-kuma; cp -a /var/lib/uptime-kuma /root/data; chown -R root: /root/data")?;
        drop_in(replica, "uptime-kuma.service", "data", "[Service]\nEnvironment=DATA_DIR=/root/data/\n")?;
        let said = typed(replica, 77, &["check"])?;
        assert!(said.contains("/root/data") && said.contains("ReadWritePaths=/root/data"), "{said}");
        drop_in(replica, AGENT, "data", "[Service]\nReadWritePaths=/root/data\n")?;
        assert!(typed(replica, 0, &["check"])?.contains("can be written"));
        // A replica that may only read could not be promoted. It says so, before it changes anything.
        replica.sh(
            "rm -r /etc/systemd/system/uptime-kuma.service.d; systemctl daemon-reload; systemctl start uptime-kuma",
        )?;
        replica.kuma()?;
        drop_in(replica, AGENT, "folder", &format!("[Service]\nReadOnlyPaths={}\n", FolderRepository::PATH))?;
        let said = typed(replica, 0, &["check"])?;
        assert!(line(&said, "writable").starts_with("warning "), "{said}");
        is_tidy(replica)
    })
}

fn no_sandbox() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let main = &pair.main;
        drop_in(main, AGENT, "namespace", "[Service]\nBindReadOnlyPaths=/does/not/exist\n")?;
        for arguments in [&["check"][..], &["check", "--as-service"]] {
            let said = typed(main, 77, arguments)?;
            assert!(line(&said, "sandbox").starts_with("failed ") && said.contains("status=226/NAMESPACE"), "{said}");
            assert!(line(&said, "repository").starts_with("ok "), "the other checks are made: {said}");
            is_tidy(main)?;
        }
        let _ = main.output(&["systemctl", "start", AGENT])?;
        let said = typed(main, 77, &["status"])?;
        assert!(said.contains("status=226/NAMESPACE"), "{said}");
        drop_in(main, AGENT, "namespace", "")?;
        expect(main, 0, "published")?;
        typed(main, 0, &["status"])?;
        typed(main, 0, &["check"]).map(drop)
    })
}
