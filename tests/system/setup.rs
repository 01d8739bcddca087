//! Setting hosts up with the lines that README shows: from the package to a host that replicates, and whatever may be wrong.

use crate::Test;
use crate::testbed::{FolderRepository, Kuma, Machine, Network, Options, Page, Result, S3Server, wait_for};
use crate::world::{
    PASSWORD, SOON, beginning, boot, digest, events, invocation, logged_in, package, says, sql, typed, wait_for_event,
};

pub const TESTS: &[Test] = &[
    ("three_lines_set_a_main_up_and_two_a_replica", typed_lines),
    ("a_set_up_that_cannot_succeed_writes_nothing", bad_input),
    ("an_uptime_kuma_under_another_name_is_found", another_name),
    ("an_uptime_kuma_that_waits_for_a_database_is_given_sqlite", headless),
    ("monitors_of_a_replica_are_replaced_only_after_a_yes", first_apply),
    ("credentials_are_asked_and_passed_on", credentials),
    ("a_timer_that_does_not_run_is_told_by_check", timer),
];

/// A command on a terminal of its own, and a person at it.
pub struct Typist<'a> {
    machine: &'a Machine,
}

impl<'a> Typist<'a> {
    /// Types a command.
    pub fn begin(machine: &'a Machine, command: &str) -> Result<Self> {
        // script(1) makes the terminal. The pipe that is its input stays open, as a keyboard does.
        machine.sh("rm -f /root/keys /root/said /root/code; mkfifo /root/keys")?;
        let script = format!("script -qefc '{command}' /root/said 0<>/root/keys; echo $? >/root/code");
        machine.run(&["systemd-run", "--quiet", "--collect", "sh", "-c", &script])?;
        Ok(Self { machine })
    }

    /// Waits until the terminal shows `question`, and types an answer.
    pub fn answer(&self, question: &str, answer: &str) -> Result<()> {
        self.waits_for(question)?;
        // Not as an argument: it may be a secret.
        std::fs::write(self.machine.root().join("root/answer"), format!("{answer}\n"))?;
        self.machine.sh("cat /root/answer >/root/keys; rm /root/answer").map(drop)
    }

    pub fn waits_for(&self, text: &str) -> Result<()> {
        wait_for(&format!("the terminal shows '{text}'"), SOON, || {
            let said = self.said()?;
            if self.code()?.is_some() && !said.contains(text) {
                return Err(format!("it ended without '{text}': {said}").into());
            }
            Ok(said.contains(text).then_some(()))
        })
    }

    fn said(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.machine.root().join("root/said")).unwrap_or_default())
            .into_owned())
    }

    fn code(&self) -> Result<Option<i32>> {
        let code = std::fs::read_to_string(self.machine.root().join("root/code")).unwrap_or_default();
        Ok(code.trim().parse().ok())
    }

    /// Waits for the end, and returns what the terminal showed.
    pub fn ends_with(self, code: i32) -> Result<String> {
        let found = wait_for("the command ends", SOON, || self.code())?;
        let said = self.said()?;
        if found == code { Ok(said) } else { Err(format!("it ended with {found}, not {code}: {said}").into()) }
    }
}

/// The exit code and the words of a command that gets this on standard input, without a terminal.
fn given(machine: &Machine, arguments: &str, input: &str) -> Result<(i32, String)> {
    std::fs::write(machine.root().join("root/input"), input)?;
    let output = machine.output(&["sh", "-c", &format!("kuma-replicator {arguments} </root/input 2>&1")])?;
    Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The same, with a certain end. Returns the words.
pub fn ends_with(machine: &Machine, code: i32, arguments: &str, input: &str) -> Result<String> {
    let (found, said) = given(machine, arguments, input)?;
    if found == code { Ok(said) } else { Err(format!("{arguments} ended with {found}, not {code}: {said}").into()) }
}

/// All that a set-up may write, as text that changes if anything does.
fn written(machine: &Machine) -> Result<String> {
    machine.sh("ls -lA --time-style=full-iso /etc/kuma-replicator; cat /etc/kuma-replicator/* 2>&1 || true; \
         ls /run | grep replicator || true; find /root/.ssh /etc/systemd/system -newer /etc/machine-id || true")
}

fn typed_lines() -> Result<()> {
    let repository = FolderRepository::new()?;
    let host = |name: &str| Machine::boot(name, &Options { binds: vec![repository.bind()], ..Options::default() });
    let (main, replica) = (host("main")?, host("replica")?);
    main.kuma()?.set_up()?;
    logged_in(&main)?.add_monitor("web", "http://127.0.0.1:3001/")?;
    replica.kuma()?;

    // The lines on the main.
    main.install_deb(&package()?)?;
    let said = typed(&main, 0, &["setup", "main", "--repository", FolderRepository::PATH])?;
    assert!(said.contains("created /srv/repository") && said.contains("next cycle: published: "), "{said}");
    assert!(said.contains("ok       timer") && !said.contains("warning"), "{said}");
    let output = main.output(&["kuma-replicator", "invite"])?;
    let (invite, notes) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(invite.starts_with("kuma-replicator-invite-1:") && invite.lines().count() == 1, "{invite}");
    assert!(notes.contains("is a secret") && notes.contains("If it leaks"), "{notes}");

    // The lines on the replica, the second one on a terminal.
    replica.install_deb(&package()?)?;
    let typist = Typist::begin(&replica, "kuma-replicator setup replica")?;
    typist.answer("Paste the line", &invite)?;
    let said = typist.ends_with(0)?;
    assert!(said.contains("next cycle: ") && said.contains("kuma-replicator.timer is enabled and runs"), "{said}");
    assert!(!said.contains(&invite[..60]), "the secret is not shown: {said}");

    // The timers do the rest.
    wait_for_event(&replica, "applied")?;
    assert_eq!(digest(&main)?, digest(&replica)?);
    let modes = "stat -c '%a %U %n' /etc/kuma-replicator/*";
    for machine in [&main, &replica] {
        let found = machine.sh(modes)?;
        assert!(found.lines().count() == 2 && found.lines().all(|line| line.starts_with("600 root ")), "{found}");
        assert_eq!(machine.sh("grep -vc '^#' /etc/kuma-replicator/config.toml")?.trim(), "2", "role and repository");
    }
    let password = main.run(&["cat", "/etc/kuma-replicator/restic-password"])?;
    assert!(password.trim().len() == 44 && !events(&main)?.is_empty(), "32 random bytes in base64");

    // The same lines again change nothing, and need no flag.
    for (machine, role) in [(&main, "main"), (&replica, "replica")] {
        machine.sh("sed -i '1i # mine' /etc/kuma-replicator/config.toml")?;
        let before = (written(machine)?, invocation(machine)?);
        let said = ends_with(machine, 0, &format!("setup {role}"), "")?;
        assert!(said.contains("stays as it is"), "{said}");
        assert_eq!(before, (written(machine)?, invocation(machine)?));
    }
    let said = ends_with(&replica, 0, "setup replica --invite-file -", &invite)?;
    assert!(said.contains("stays as it is"), "{said}");
    // One who broke off is helped on from there.
    main.sh("systemctl disable --now --quiet kuma-replicator.timer; rm /etc/kuma-replicator/config.toml")?;
    ends_with(&main, 0, "setup main --repository /srv/repository", "")?;
    assert_eq!(main.run(&["cat", "/etc/kuma-replicator/restic-password"])?, password);
    assert_eq!(says(&main, &["systemctl", "is-enabled", "kuma-replicator.timer"])?, "enabled");
    Ok(())
}

fn bad_input() -> Result<()> {
    let repository = FolderRepository::copy_of(&beginning()?.repository)?;
    let machine = boot("host", &Options { binds: vec![repository.bind()], ..Options::default() })?;
    machine.kuma()?.set_up()?;
    let cut = "kuma-replicator-invite-1:eyJyZXBvc2l0b3J5Ijoi";
    let before = written(&machine)?;
    for (code, arguments, input, told) in [
        (2, "setup", "", "Usage:"),
        (2, "setup main", "", "setup main --repository REPOSITORY"),
        (2, "setup replica", "", "--invite-file FILE"),
        (2, "setup main --repository /srv/repository --config /root/x.toml", "", "leave --config out"),
        (2, "setup replica --invite-file -", cut, "it is cut: its end is missing"),
        (2, "setup replica --invite-file -", "correct horse", "does not begin with kuma-replicator-invite-"),
        (2, "setup replica --invite-file -", "", "it is empty"),
        (65, "setup replica --invite-file -", "kuma-replicator-invite-9:AAAA:00", "upgrade kuma-replicator"),
        (2, "setup main --invite-file -", cut, "an invite is for a replica"),
        (2, "setup replica --invite-file /nowhere", "", "cannot read the invite from /nowhere"),
        (2, "setup main --repository - --password-file -", "x", "only one flag"),
        (2, "setup main --repository rest:http://u:p@127.0.0.1:1/", "", "--repository -"),
        (2, "setup main --repository s3:http://127.0.0.1:1/b --credentials-file -", "KEY\n", "line 1 has no '='"),
        (2, "setup main --repository /srv/repository --password-file -", "\n", "the password is empty"),
        (78, "setup main --repository srv/repository", "", "write the whole path"),
        (78, "setup main --repository /srv/repository", "", "has a password that this host does not have"),
        (78, "setup main --repository /srv/repository --password-file -", "not this one", "wrong password"),
        (75, "setup main --repository rest:http://127.0.0.1:1/", "", "nothing was written"),
        (75, "setup main --repository -", "rest:http://u:p@127.0.0.1:1/", "nothing was written"),
        (78, "setup replica --repository /srv/nothing --password-file -", "x", "set the main up first"),
        (78, "setup main --repository sftp:kuma@127.0.0.1:/srv/kuma", "", "apt install openssh-client"),
        (78, "setup main --repository /srv/repository --unit nothing", "", "there is no unit nothing.service"),
        (2, "setup main --repository /srv/repository --unit a/b", "", "not the name of a service"),
        (2, "setup main --repository /srv/repository --data-directory data", "", "must be an absolute path"),
        (75, "setup main --repository /proc/kuma", "", "cannot create repository"),
        (78, "invite", "", "there is no configuration"),
    ] {
        let said = ends_with(&machine, code, arguments, input).map_err(|error| format!("{arguments}: {error}"))?;
        assert!(said.contains(told), "{arguments}: {said}");
        assert!(code == 2 && told == "Usage:" || said.contains("\nhint: ") || said.starts_with("error: "), "{said}");
        assert_eq!(before, written(&machine)?, "{arguments} wrote something");
    }
    let user = machine.output(&["setpriv", "--reuid=nobody", "--clear-groups", "kuma-replicator", "setup", "main"])?;
    assert_eq!(user.status.code(), Some(77));
    assert_eq!(says(&machine, &["systemctl", "is-enabled", "kuma-replicator.timer"])?, "disabled");

    // What is right comes through, and is not replaced by what differs.
    let said = ends_with(&machine, 0, "setup main --repository /srv/repository --password-file -", PASSWORD)?;
    assert!(said.contains("opens with this password"), "{said}");
    let before = written(&machine)?;
    for (code, arguments, input, told) in [
        (2, "setup replica", "", "kuma-replicator demote"),
        (2, "setup replica --invite-file -", cut, "kuma-replicator demote"),
        (2, "setup main --repository /srv/other", "", "--replace"),
        (2, "setup main --password-file -", "another", "--replace"),
    ] {
        let said = ends_with(&machine, code, arguments, input)?;
        assert!(said.contains(told), "{arguments}: {said}");
        assert_eq!(before, written(&machine)?, "{arguments} wrote something");
    }
    // A new repository in place of the old one, by order.
    let said = ends_with(&machine, 0, "setup main --repository /srv/new/kuma --replace", "")?;
    assert!(said.contains("created /srv/new/kuma"), "{said}");
    machine.sh("sed -i 's/\"main\"/\"replica\"/' /etc/kuma-replicator/config.toml")?;
    assert!(ends_with(&machine, 2, "invite", "")?.contains("on the main"));
    Ok(())
}

fn another_name() -> Result<()> {
    let repository = FolderRepository::copy_of(&beginning()?.repository)?;
    let machine = boot("host", &Options { binds: vec![repository.bind()], ..Options::default() })?;
    machine.kuma()?.set_up()?;
    // As PM2: the unit says neither where the data are, nor the port, nor what is started.
    machine.sh(
        "systemctl disable --now --quiet uptime-kuma; mv /var/lib/uptime-kuma /srv/data
         printf '#!/bin/sh\\ncd /opt/uptime-kuma\\nDATA_DIR=/srv/data/ PORT=4001 exec node server/server.js\\n' >/usr/local/bin/resurrect
         chmod 755 /usr/local/bin/resurrect
         printf '[Service]\\nUser=uptime-kuma\\nExecStart=/usr/local/bin/resurrect\\n' >/etc/systemd/system/pm2-kuma.service
         rm /etc/systemd/system/uptime-kuma.service; rm -rf /etc/systemd/system/uptime-kuma.service.d
         rm -rf /usr/lib/systemd/system/uptime-kuma.service.d; systemctl daemon-reload; systemctl start pm2-kuma",
    )?;
    let ready = "curl -sf http://127.0.0.1:4001/api/entry-page || true";
    wait_for("Uptime Kuma answers", SOON, || Ok(machine.sh(ready)?.contains("entryPage").then_some(())))?;
    let said = ends_with(&machine, 0, "setup main --repository /srv/repository --password-file -", PASSWORD)?;
    assert!(said.contains("pm2-kuma.service runs"), "{said}");
    let config = machine.run(&["cat", "/etc/kuma-replicator/config.toml"])?;
    for line in ["unit = \"pm2-kuma.service\"", "data-directory = \"/srv/data\"", "url = \"http://127.0.0.1:4001\""] {
        assert!(config.contains(line), "{config}");
    }
    wait_for_event(&machine, "published")?;
    let before = written(&machine)?;
    ends_with(&machine, 0, "setup main", "")?;
    assert_eq!(before, written(&machine)?);
    // Without any Uptime Kuma.
    machine.sh("systemctl disable --now --quiet kuma-replicator.timer; systemctl stop pm2-kuma
         rm /etc/systemd/system/pm2-kuma.service /etc/kuma-replicator/*; systemctl daemon-reload")?;
    let said = ends_with(&machine, 78, "setup main --repository /srv/repository --password-file -", PASSWORD)?;
    assert!(said.contains("no service on this host seems to run Uptime Kuma"), "{said}");
    assert_eq!(machine.sh("ls -A /etc/kuma-replicator")?, "");
    Ok(())
}

fn headless() -> Result<()> {
    let repository = FolderRepository::copy_of(&beginning()?.repository)?;
    let machine = boot("host", &Options { binds: vec![repository.bind()], kuma: false, ..Options::default() })?;
    machine.sh("rm -rf /var/lib/uptime-kuma/*; systemctl start uptime-kuma")?;
    let page = "curl -s http://127.0.0.1:3001/api/entry-page || true";
    wait_for("the set-up page is there", SOON, || Ok(machine.sh(page)?.contains("setup-database").then_some(())))?;
    let setup = "setup main --repository /srv/repository --password-file -";
    let before = written(&machine)?;
    let said = ends_with(&machine, 4, setup, PASSWORD)?;
    assert!(said.contains("UPTIME_KUMA_DB_TYPE=sqlite") && said.contains("--yes"), "{said}");
    assert_eq!(before, written(&machine)?);
    // With a yes there is a database, and what is left is the first user.
    let said = ends_with(&machine, 65, &format!("{setup} --yes"), PASSWORD)?;
    assert!(said.contains("has chosen SQLite") && said.contains("no user who could log in"), "{said}");
    assert!(machine.sh("systemctl show -P Environment uptime-kuma")?.contains("UPTIME_KUMA_DB_TYPE=sqlite"));
    assert_eq!(says(&machine, &["systemctl", "is-enabled", "kuma-replicator.timer"])?, "disabled");
    machine.kuma()?.set_up()?;
    ends_with(&machine, 0, "setup main", "")?;
    wait_for_event(&machine, "published")
}

fn first_apply() -> Result<()> {
    let repository = FolderRepository::new()?;
    let host = |name: &str| boot(name, &Options { binds: vec![repository.bind()], ..Options::default() });
    let (main, replica) = (host("main")?, host("replica")?);
    for machine in [&main, &replica] {
        machine.kuma()?.set_up()?;
        logged_in(machine)?.add_monitor(machine.name(), "http://127.0.0.1:3001/")?;
    }
    // On a terminal, with the repository typed.
    let typist = Typist::begin(&main, "kuma-replicator setup main")?;
    typist.answer("The restic repository", FolderRepository::PATH)?;
    typist.ends_with(0)?;
    wait_for_event(&main, "published")?;
    let invite = main.run(&["kuma-replicator", "invite"])?;
    let said = ends_with(&replica, 4, "setup replica --invite-file -", &invite)?;
    assert!(said.contains("replaces 1 monitor of this host") && said.contains("next cycle: applied: "), "{said}");
    let typist = Typist::begin(&replica, "kuma-replicator setup replica")?;
    typist.answer("Go on? [y/n]", "what?")?;
    typist.answer("Go on? [y/n] what?", "n")?;
    typist.ends_with(4)?;
    assert_eq!(says(&replica, &["systemctl", "is-enabled", "kuma-replicator.timer"])?, "disabled");
    assert_eq!(sql(&replica, "SELECT name FROM monitor")?.trim(), "replica", "nothing was applied");
    let typist = Typist::begin(&replica, "kuma-replicator setup replica")?;
    typist.answer("Go on? [y/n]", "y")?;
    typist.ends_with(0)?;
    wait_for_event(&replica, "applied")?;
    assert_eq!(sql(&replica, "SELECT name FROM monitor")?.trim(), "main");
    // One that has applied is not asked again.
    ends_with(&replica, 0, "setup replica", "").map(drop)
}

fn credentials() -> Result<()> {
    let network = Network::new()?;
    let s3 = S3Server::start(&network)?;
    let repository = format!("{}/kuma", s3.new_bucket()?);
    let host = |name: &str| boot(name, &Options { network: Some(&network), ..Options::default() });
    let (main, replica) = (host("main")?, host("replica")?);
    main.kuma()?.set_up()?;
    replica.kuma()?;
    let typist = Typist::begin(&main, &format!("kuma-replicator setup main --repository {repository}"))?;
    typist.answer("AWS_ACCESS_KEY_ID", "testbed")?;
    typist.answer("AWS_SECRET_ACCESS_KEY", "secret \"key\"")?;
    let said = typist.ends_with(0)?;
    assert!(said.contains("created s3:") && !said.contains("secret \"key"), "{said}");
    wait_for_event(&main, "published")?;
    // Those of the main can write, which is said; others take their place.
    let invite = |flags: &str, input: &str| ends_with(&main, 0, &format!("invite {flags}"), input);
    assert!(invite("", "")?.contains("--credentials-file"));
    let said = invite("--credentials-file -", "AWS_ACCESS_KEY_ID=reader\nAWS_SECRET_ACCESS_KEY=reading\n")?;
    assert!(!said.contains("--credentials-file"), "{said}");
    let line = said.lines().last().ok_or("no invite")?;
    ends_with(&replica, 0, "setup replica --invite-file -", line)?;
    wait_for_event(&replica, "applied")?;
    let environment = replica.run(&["cat", "/etc/kuma-replicator/environment"])?;
    assert_eq!(environment, "AWS_ACCESS_KEY_ID=reader\nAWS_SECRET_ACCESS_KEY=reading\n");
    let environment = main.run(&["cat", "/etc/kuma-replicator/environment"])?;
    assert_eq!(environment, "AWS_ACCESS_KEY_ID=\"testbed\"\nAWS_SECRET_ACCESS_KEY=\"secret \\\"key\\\"\"\n");
    for machine in [&main, &replica] {
        assert_eq!(machine.sh("stat -c %a /etc/kuma-replicator/environment")?.trim(), "600");
    }
    // The line of the manual for a script, on a main that begins anew in another repository.
    main.sh("systemctl stop kuma-replicator.timer kuma-replicator.service
        rm -r /etc/kuma-replicator/* /var/lib/kuma-replicator/*; umask 077
        printf 'AWS_ACCESS_KEY_ID=testbed\\nAWS_SECRET_ACCESS_KEY=secret\\n' >/root/s3-credentials")?;
    let mut page = Page::open("docs/main.md")?;
    page.pass()?;
    page.replace("s3:https://s3.example.org/bucket/kuma", &format!("{repository}-2"));
    page.run(&main)?;
    let environment = main.run(&["cat", "/etc/kuma-replicator/environment"])?;
    assert_eq!(environment, "AWS_ACCESS_KEY_ID=testbed\nAWS_SECRET_ACCESS_KEY=secret\n");
    // Another set of credentials does not replace the one that is there.
    let other = "setup main --credentials-file -";
    assert!(ends_with(&main, 2, other, "AWS_ACCESS_KEY_ID=x\n")?.contains("--replace"));
    Ok(())
}

fn timer() -> Result<()> {
    let repository = FolderRepository::copy_of(&beginning()?.repository)?;
    let machine = crate::world::host("main", "main", &repository, None, "")?;
    machine.kuma()?.set_up()?;
    Kuma::log_in(&mut machine.kuma()?, Kuma::USER, Kuma::PASSWORD)?;
    for (order, result, told) in [
        ("daemon-reload", "warning  timer", "→ systemctl enable --now kuma-replicator.timer"),
        // Enabled without .timer, the service runs once, and the timer does not.
        ("enable --now kuma-replicator", "warning  timer", "→ systemctl start kuma-replicator.timer"),
        ("start kuma-replicator.timer", "ok       timer", "is enabled and runs"),
        ("disable kuma-replicator.timer", "warning  timer", "→ systemctl enable kuma-replicator.timer"),
        ("enable kuma-replicator.timer", "ok       timer", "is enabled and runs"),
        ("stop kuma-replicator.timer", "warning  timer", "→ systemctl start kuma-replicator.timer"),
        // A timer that a person stopped is not started by a cycle.
        ("start kuma-replicator", "warning  timer", "→ systemctl start kuma-replicator.timer"),
    ] {
        machine.sh(&format!("systemctl {order}"))?;
        let said = typed(&machine, 0, &["check"])?;
        assert!(said.contains(result) && said.contains(told), "{order}: {said}");
    }
    Ok(())
}
