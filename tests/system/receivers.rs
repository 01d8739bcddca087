//! Receivers that hosts tell: the push monitor of a real Uptime Kuma elsewhere, a webhook, and mail by systemd.

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{FolderRepository, Machine, Network, Options, Page, Result, wait_for};
use crate::voices::{heard, listen};
use crate::world::{Pair, SOON, Setup, beginning, boot, configure, cycle, drop_in, expect, fails, says, typed};

pub const TESTS: &[Test] = &[
    ("a_push_monitor_of_another_host_sees_failures_and_their_end", push_monitor),
    ("receivers_are_told_with_the_credentials_and_in_the_sandbox_of_the_service", sandbox),
    ("what_the_page_about_notifications_says_works", follow),
    ("a_failure_is_mailed_once_and_not_while_it_is_tried_again", mail),
];

/// The token of the push monitor, and what no journal may contain.
const TOKEN: &str = "gEheimesToken1234567890aBcDeFgHiJ";

/// A host that is watched, and one that watches it.
fn push_monitor() -> Result<()> {
    let (network, repository) = (Network::new()?, FolderRepository::copy_of(&beginning()?.repository)?);
    let watch = Machine::boot("watch", &Options { network: Some(&network), ..Options::default() })?;
    let main =
        boot("main", &Options { network: Some(&network), binds: vec![repository.bind()], ..Options::default() })?;
    configure(&main, "main", FolderRepository::PATH, &format!("overdue-after = \"1h\"\n{PUSH}"))?;
    let mut elsewhere = watch.kuma()?;
    elsewhere.set_up()?;
    let push =
        json!({ "name": "kuma-replicator", "type": "push", "pushToken": TOKEN, "interval": 3600, "maxretries": 0 });
    let monitor = elsewhere.add_monitor_with(push)?;
    main.kuma()?.set_up()?;

    // By its name, which the service has to resolve.
    let address = says(&watch, &["hostname", "-I"])?;
    main.sh(&format!("echo '{} watch.example.org' >>/etc/hosts", address.trim()))?;
    let url = format!("http://watch.example.org:3001/api/push/{TOKEN}?status=up&msg=OK&ping=");
    main.sh(&format!("umask 077; echo '{url}' >/etc/kuma-replicator/watch-url"))?;

    let beats = || -> Result<Vec<(i64, String, Option<f64>)>> {
        let select =
            format!("SELECT json_array(status, msg, ping) FROM heartbeat WHERE monitor_id = {monitor} ORDER BY id");
        let rows = says(&watch, &["sqlite3", "/var/lib/uptime-kuma/kuma.db", &select])?;
        rows.lines().map(|row| Ok(serde_json::from_str(row)?)).collect()
    };
    let outcome = (|| {
        // Another password, so that the next publish fails: the main has to publish for that.
        expect(&main, 0, "published")?;
        main.run(&["mv", "/etc/kuma-replicator/restic-password", "/root"])?;
        let mut kuma = main.kuma()?;
        kuma.log_in(crate::testbed::Kuma::USER, crate::testbed::Kuma::PASSWORD)?;
        kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        fails(&main, 78, "password-missing", "no password is set")?;
        fails(&main, 78, "password-missing", "no password is set")?;
        main.run(&["mv", "/root/restic-password", "/etc/kuma-replicator"])?;
        expect(&main, 0, "published")?;
        // Sooner than ping-every: nothing more is said.
        expect(&main, 0, "unchanged")?;
        let beats = beats()?;
        let states: Vec<i64> = beats.iter().map(|(status, _, _)| *status).collect();
        assert_eq!(states, [1, 0, 1], "{beats:?}");
        assert!(beats[0].1.starts_with("published epoch 1 sequence 1, "), "{beats:?}");
        assert!(beats[1].1.starts_with("failed: no password is set"), "{beats:?}");
        assert!(beats[2].1.starts_with("published epoch 1 sequence 2, "), "{beats:?}");
        assert!(beats.iter().all(|(_, _, ping)| ping.is_some_and(|millis| millis > 0.0)), "{beats:?}");

        // A receiver that is gone fails nothing, and is one warning.
        watch.run(&["systemctl", "stop", "uptime-kuma"])?;
        main.run(&["rm", "/var/lib/kuma-replicator/notify.json"])?;
        expect(&main, 0, "unchanged")?;
        expect(&main, 0, "unchanged")?;
        let warnings = main.journal(&["KUMA_EVENT=warning"])?;
        let warnings: Vec<&Value> = warnings.iter().map(|entry| &entry["MESSAGE"]).collect();
        assert!(
            warnings.len() == 1 && warnings[0].to_string().contains("receiver watch takes nothing"),
            "{warnings:?}"
        );
        assert!(typed(&main, 0, &["status"])?.contains("notify        watch takes nothing since"));
        let document: Value = serde_json::from_str(&typed(&main, 0, &["status", "--json"])?)?;
        assert_eq!(document["undelivered"][0]["receiver"], "watch");
        assert!(typed(&main, 0, &["check"])?.contains("warning  notify         watch takes nothing since"));
        watch.run(&["systemctl", "start", "uptime-kuma"])?;
        watch.kuma()?;
        assert!(typed(&main, 0, &["notify", "test"])?.contains("it took the test message (uptime-kuma)"));
        let journal = main.run(&["journalctl", "--no-pager", "--output=export"])?;
        assert!(!journal.contains(TOKEN), "the journal has the token");
        Ok(())
    })();
    outcome.map_err(|error: Box<dyn std::error::Error + Send + Sync>| {
        let journal = main.run(&["journalctl", "--no-pager", "-u", "kuma-replicator"]).unwrap_or_default();
        format!("{error}\n{journal}\n{:?}", beats().unwrap_or_default()).into()
    })
}

const PUSH: &str =
    "[notify.watch]\nkind = \"uptime-kuma\"\nurl-file = \"/etc/kuma-replicator/watch-url\"\nping-every = \"1h\"\n";

fn sandbox() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        listen(replica)?;
        pair.replicate()?;
        replica.sh("printf '%s\\n' '[notify.hook]' 'kind = \"webhook\"' \
                    'events = [\"on-hold\", \"released\", \"promoted\", \"failed\"]' \
                    '[notify.tls]' 'kind = \"webhook\"' 'url = \"https://127.0.0.1:9443/gEheim\"' 'events = []' \
                    '[notify.check]' 'kind = \"healthchecks\"' 'url = \"http://127.0.0.1:9080/check\"' \
                    >>/etc/kuma-replicator/config.toml")?;
        replica.sh("umask 077; echo http://127.0.0.1:9080/gEheim >/root/url; echo tk_gEheim >/root/token")?;
        // Without them the service says what it lacks, and typed commands that only the service has it.
        assert!(typed(replica, 0, &["check"])?.contains("or pass the credential notify-hook-url"));
        let credentials =
            "[Service]\nLoadCredential=notify-hook-url:/root/url\nLoadCredential=notify-hook-token:/root/token\n";
        drop_in(replica, "kuma-replicator.service", "credentials", credentials)?;
        let said = typed(replica, 75, &["notify", "test"])?;
        assert!(said.contains("all of this is what kuma-replicator.service can do"), "{said}");
        assert!(said.contains("ok       hook           it took the test message (webhook)"), "{said}");
        assert!(said.contains("failed   tls") && said.contains("certificate"), "{said}");
        drop_in(
            replica,
            "kuma-replicator.service",
            "trust",
            "[Service]\nEnvironment=SSL_CERT_FILE=/var/lib/listener/certificate.pem\n",
        )?;
        // One that is signed by itself, and is no certificate of an authority.
        replica.sh("cd /var/lib/listener; systemctl stop listener; \
                    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 5 -subj /CN=localhost \
                        -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1 \
                        -keyout key.pem -out certificate.pem 2>&1; \
                    systemd-run --unit=again --working-directory=/var/lib/listener \
                        node listener.js heard key.pem certificate.pem")?;
        wait_for("the listener listens", SOON, || {
            Ok(replica.output(&["curl", "-sk", "https://127.0.0.1:9443/"])?.status.success().then_some(()))
        })?;
        let said = typed(replica, 0, &["notify", "test", "tls"])?;
        assert!(said.contains("ok       tls"), "{said}");

        // What a person orders, the next run of the service tells.
        let events = || -> Result<Vec<String>> {
            let heard = heard(replica)?;
            let told = heard.iter().filter(|(by, _)| by == "gEheim");
            let parsed = told.map(|(_, body)| Ok(serde_json::from_str::<Value>(body)?));
            let parsed: Vec<Value> = parsed.collect::<Result<_>>()?;
            Ok(parsed.iter().map(|body| body["event"].as_str().unwrap_or_default().to_owned()).collect())
        };
        assert_eq!(events()?, ["test"]);
        typed(replica, 0, &["hold", "--reason", "upgrade"])?;
        expect(replica, 0, "on hold")?;
        typed(replica, 0, &["release"])?;
        expect(replica, 0, "up to date")?;
        assert_eq!(events()?, ["test", "on-hold", "released"]);
        // What is pinged knows when a cycle begins and how it ends, once a minute.
        let pings: Vec<String> =
            heard(replica)?.into_iter().filter(|(by, _)| by == "check").map(|(_, body)| body).collect();
        assert!(pings[0].starts_with("this is a test") && pings[1].is_empty(), "{pings:?}");
        assert!(pings[2].starts_with("on hold epoch 1 sequence 1, "), "{pings:?}");

        // All of them hang.
        replica.sh("systemctl kill --signal=STOP again; rm /var/lib/kuma-replicator/notify.json")?;
        typed(replica, 0, &["hold", "--reason", "again"])?;
        expect(replica, 0, "on hold")?;
        typed(replica, 0, &["release"])?;
        expect(replica, 0, "up to date")?;
        let warnings = replica.journal(&["KUMA_EVENT=warning"])?;
        let mut warnings: Vec<&str> = warnings.iter().filter_map(|entry| entry["MESSAGE"].as_str()).collect();
        warnings.sort_unstable();
        let said = |name: &str| format!("receiver {name} takes nothing: it did not answer ");
        assert!(warnings.len() == 2, "{warnings:?}");
        assert!(warnings[0].starts_with(&said("check")) && warnings[1].starts_with(&said("hook")), "{warnings:?}");
        replica.sh("systemctl kill --signal=CONT again; rm /var/lib/kuma-replicator/notify.json")?;

        typed(replica, 0, &["promote"])?;
        assert_eq!(cycle(replica)?.0, 0);
        assert_eq!(events()?.last().map(String::as_str), Some("promoted"));
        let journal = replica.run(&["journalctl", "--no-pager", "--output=export"])?;
        let shown = typed(replica, 0, &["config"])?;
        assert!(!journal.contains("gEheim") && !shown.contains("gEheim"), "{shown}");
        Ok(())
    })
}

/// The page of the manual, as a person follows it.
fn follow() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        listen(replica)?;
        let mut page = Page::open("docs/notifications.md")?;
        // A server that answers as that of ntfy, and an Uptime Kuma without such a monitor.
        page.replace("https://ntfy.sh/", "http://127.0.0.1:9080/");
        page.replace("https://other-kuma.example.org/", "http://127.0.0.1:3001/");
        let configure = |text: &str| -> Result<()> {
            let path = replica.root().join("etc/kuma-replicator/config.toml");
            let before = std::fs::read_to_string(&path)?;
            Ok(std::fs::write(path, before + text)?)
        };
        configure(&page.text()?)?;
        let commands = page.text()?;
        let said = replica.sh(&commands.replace("notify test", "notify test 2>&1 || test $? = 75"))?;
        page.shows(&said)?;
        configure(&page.text()?)?;
        replica.sh("umask 077; echo http://127.0.0.1:9080/chat >/etc/kuma-replicator/chat-url")?;
        typed(replica, 0, &["notify", "test", "chat"])?;
        let (_, body) = heard(replica)?.pop().ok_or("nothing was heard")?;
        let text =
            "kuma-replicator on replica: test: this is a test: kuma-replicator notify test was typed on this host ";
        assert_eq!(serde_json::from_str::<Value>(&body)?, json!({ "text": text }));
        page.run(replica)?;
        // Passed by systemd, and by no key.
        replica.sh("cd /etc/kuma-replicator; umask 077; echo tk_1 >phone-token; sed -i /phone-url/d config.toml")?;
        page.edit_unit(replica)?;
        assert!(typed(replica, 0, &["notify", "test", "phone"])?.contains("it took the test message (ntfy)"));
        page.end()
    })
}

/// The commands under the heading "Mail" of the manual.
fn commands() -> Result<String> {
    let manual = include_str!("../../docs/notifications.md");
    let (_, section) = manual.split_once("\n## Mail\n").ok_or("no heading")?;
    Ok(section.split("\n```").nth(1).ok_or("no commands")?.to_owned())
}

fn mail() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let replica = &pair.replica;
        replica.sh(&commands()?)?;
        // As Debian's mail transfer agents: the mail is on standard input.
        replica.sh("printf '%s\\n' '#!/bin/sh' 'cat >/root/mail.$$; echo $# >>/root/mail.$$' >/usr/sbin/sendmail; \
                    chmod 755 /usr/sbin/sendmail")?;
        let mails = || -> Result<Vec<String>> {
            let text =
                replica.sh("for mail in $(ls -tr /root/mail.* 2>/dev/null); do sed -n '/^Subject/p' $mail; done")?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let ended = || -> Result<usize> {
            Ok(replica.journal(&["UNIT=kuma-replicator-mail.service", "JOB_RESULT=done"])?.len())
        };
        // A cycle that fails, and the unit that it starts.
        let failed = |code: i64, kind: &str| -> Result<()> {
            let before = ended()?;
            fails(replica, code, kind, "")?;
            wait_for("the mail unit has ended", SOON, || Ok((ended()? > before).then_some(())))
        };
        pair.offer("web")?;
        expect(replica, 0, "applied")?;
        pair.offer("more")?;

        // As while it migrates its database: it is starting for long, and every cycle ends with 75.
        drop_in(
            replica,
            "uptime-kuma.service",
            "notify",
            "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=infinity\n",
        )?;
        replica.run(&["systemctl", "restart", "--no-block", "uptime-kuma"])?;
        wait_for("Uptime Kuma starts", SOON, || Ok(replica.kuma_ready()?.then_some(())))?;
        for _ in 0..4 {
            failed(75, "service-busy")?;
        }
        assert!(mails()?.is_empty(), "{:?}", mails()?);
        // Once it has lasted.
        drop_in(replica, "kuma-replicator-mail.service", "soon", "[Service]\nEnvironment=OVERDUE_SECONDS=1\n")?;
        for _ in 0..3 {
            failed(75, "service-busy")?;
        }
        let subject = |kind: &str| format!("Subject: kuma-replicator on replica failed: {kind}");
        assert_eq!(mails()?, [subject("service-busy")]);
        let mail = replica.sh("cat /root/mail.*")?;
        for part in ["To: root\n", "it is starting", "last cycle", "kuma-replicator.service: Failed with result"] {
            assert!(mail.contains(part), "no '{part}' in {mail}");
        }

        drop_in(replica, "uptime-kuma.service", "notify", "")?;
        replica.run(&["systemctl", "restart", "uptime-kuma"])?;
        replica.kuma()?;
        expect(replica, 0, "applied")?;
        pair.offer("again")?;
        replica.run(&["mv", "/etc/kuma-replicator/restic-password", "/root"])?;
        for _ in 0..3 {
            failed(78, "password-missing")?;
        }
        assert_eq!(mails()?, [subject("service-busy"), subject("password-missing")]);
        replica.run(&["mv", "/root/restic-password", "/etc/kuma-replicator"])?;
        expect(replica, 0, "applied")?;
        // It comes and goes.
        replica.run(&["mv", "/etc/kuma-replicator/restic-password", "/root"])?;
        failed(78, "password-missing")?;
        assert_eq!(mails()?.len(), 2);
        Ok(())
    })
}
