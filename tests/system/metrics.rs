//! What a host tells Prometheus: promtool accepts it, a real Prometheus gets it from a real node_exporter, its alerts fire,
//! and every panel of the dashboard has something to show.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::Test;
use crate::rights::follow_the_manual;
use crate::testbed::{FolderRepository, Machine, Network, Options, Page, Result, prometheus, wait_for};
use crate::world::{Pair, SOON, Setup, beginning, boot, configure, drop_in, expect, fails, says, sql, state, typed};

pub const TESTS: &[Test] = &[
    ("promtool_accepts_the_metrics_of_each_state_of_a_host", accepted),
    ("a_real_prometheus_gets_the_metrics_and_its_alerts_fire", scraped),
    ("a_metrics_file_that_cannot_be_written_is_said_once_and_fails_nothing", not_written),
    ("the_service_without_root_writes_its_metrics_too", without_root),
];

const AGENT: &str = "kuma-replicator.service";

/// Where node_exporter of Debian looks.
const COLLECTOR: &str = "/var/lib/prometheus/node-exporter";

const FILE: &str = "/var/lib/prometheus/node-exporter/kuma-replicator.prom";

/// The page of the manual.
const PAGE: &str = "docs/metrics.md";

/// Where the package puts what belongs to Prometheus and Grafana.
const EXAMPLES: &str = "/usr/share/doc/kuma-replicator/examples";

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn metrics(machine: &Machine) -> Result<String> {
    machine.run(&["kuma-replicator", "status", "--prometheus"])
}

/// The value of a series, by its name without the prefix.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix("kuma_replicator_")?.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Runs promtool on this machine, which must be content and say nothing that it could find better.
fn promtool(arguments: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new(prometheus()?.join("promtool"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && said.is_empty() {
        return Ok(());
    }
    Err(format!("promtool {arguments:?}: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stdout)).into())
}

fn accepted() -> Result<()> {
    let rules = "packaging/usr/share/doc/kuma-replicator/examples/prometheus/kuma-replicator.rules.yml";
    promtool(&["check", "rules", rules], "")?;
    promtool(&["test", "rules", "tests/prometheus/rules.test.yml"], "")?;
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let told = |machine: &Machine, wanted: &[(&str, f64)]| -> Result<()> {
            let text = metrics(machine)?;
            promtool(&["check", "metrics"], &text)?;
            for (name, wanted) in wanted {
                assert_eq!(value(&text, name), *wanted, "{name} of {}", machine.name());
            }
            Ok(())
        };
        told(main, &[("last_success_timestamp_seconds", 0.0), ("epoch", 0.0)])?;
        told(replica, &[("last_success_timestamp_seconds", 0.0), ("restarts_total", 0.0)])?;
        pair.offer("web")?;
        told(main, &[("last_cycle_outcome{outcome=\"published\"}", 1.0), ("publishes_total", 1.0), ("sequence", 1.0)])?;
        expect(replica, 0, "applied")?;
        let applied = [
            ("last_cycle_outcome{outcome=\"applied\"}", 1.0),
            ("applies_total{restart=\"true\"}", 1.0),
            ("restarts_total", 1.0),
            ("sequence", 1.0),
            ("rows", value(&metrics(main)?, "rows")),
        ];
        told(replica, &applied)?;
        let text = metrics(replica)?;
        assert!(value(&text, "rows") > 1.0 && value(&text, "snapshot_lag_seconds") > 0.0, "{text}");
        // A stop of Uptime Kuma takes seconds.
        assert!(value(&text, "away_seconds_total") > 1.0, "{text}");
        assert_eq!(value(&text, "away_seconds_total"), value(&text, "last_away_seconds"));
        // The counters outlast a boot.
        replica.run(&["systemctl", "stop", "kuma-replicator.timer"])?;
        replica.reboot()?;
        replica.kuma()?;
        expect(replica, 0, "up to date")?;
        told(replica, &applied[1..])?;

        typed(replica, 0, &["hold"])?;
        expect(replica, 0, "on hold")?;
        told(replica, &[("hold", 1.0), ("hold_end_timestamp_seconds", 0.0)])?;
        typed(replica, 0, &["release"])?;
        main.run(&[
            "sed",
            "-i",
            "s|^repository = .*|repository = \"/srv/nowhere\"|",
            "/etc/kuma-replicator/config.toml",
        ])?;
        fails(main, 78, "repository-missing", "/srv/nowhere")?;
        told(
            main,
            &[("last_cycle_outcome{outcome=\"failed\"}", 1.0), ("failures_total{kind=\"repository-missing\"}", 1.0)],
        )?;
        let back = format!("s|^repository = .*|repository = \"{}\"|", FolderRepository::PATH);
        main.run(&["sed", "-i", &back, "/etc/kuma-replicator/config.toml"])?;
        typed(replica, 0, &["promote"])?;
        told(replica, &[("role{role=\"main\"}", 1.0), ("epoch", 2.0)])?;
        assert_eq!(main.output(&["kuma-replicator", "run", "--look"])?.status.code(), Some(4));
        told(main, &[("fenced", 1.0), ("failures_total{kind=\"fenced\"}", 1.0)])
    })
}

/// Follows the beginning of the manual on a host, and returns what the last command prints. `apt` installs the package of the
/// testbed, as the host has no way out.
fn follow(page: &mut Page, machine: &Machine) -> Result<String> {
    let lines = page.lines()?;
    let [install, rest @ ..] = &lines[..] else { return Err("no commands".into()) };
    assert_eq!(install, "apt install prometheus-node-exporter");
    machine.install_deb(&prometheus()?.join("node-exporter.deb"))?;
    let asked = ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:9100/metrics"];
    wait_for("node_exporter answers", SOON, || Ok(machine.output(&asked)?.status.success().then_some(())))?;
    let said = machine.sh(&rest.join("\n"))?;
    assert!(said.contains(&format!("ok       metrics        {FILE} can be written")), "{said}");
    Ok(said.lines().last().unwrap_or_default().to_owned())
}

/// Two hosts on one network.
fn networked(network: &Network) -> Result<Pair> {
    let repository = FolderRepository::copy_of(&beginning()?.repository)?;
    let host = |name: &str| -> Result<Machine> {
        let machine =
            boot(name, &Options { binds: vec![repository.bind()], network: Some(network), ..Options::default() })?;
        configure(&machine, name, FolderRepository::PATH, "")?;
        Ok(machine)
    };
    let (main, replica) = thread::scope(|scope| {
        let (main, replica) = (scope.spawn(|| host("main")), scope.spawn(|| host("replica")));
        (main.join().unwrap(), replica.join().unwrap())
    });
    let pair = Pair { main: main?, replica: replica?, repository };
    pair.main.kuma()?.set_up()?;
    pair.replica.kuma()?;
    Ok(pair)
}

/// A Prometheus of Debian on a host, which collects from all hosts of the test each second, with the rules of the package as
/// the manual adds them. They wait for nothing.
fn start_prometheus(page: &mut Page, machine: &Machine, hosts: [&Machine; 2]) -> Result<()> {
    let mut targets = String::new();
    for host in hosts {
        let address = host.sh("ip -4 -oneline address show eth0 | awk '{ print $4 }' | cut -d/ -f1")?;
        let (address, name) = (address.trim().to_owned(), host.name());
        targets += &format!("      - targets: [\"{address}:9100\"]\n        labels: {{instance: {name}}}\n");
    }
    fs::copy(prometheus()?.join("prometheus.deb"), machine.root().join("root/prometheus.deb"))?;
    // Fonts and scripts of its web pages, which it depends on, are not there.
    machine.run(&["dpkg", "--force-depends", "--install", "/root/prometheus.deb"])?;
    machine.sh(&format!(
        "cp {EXAMPLES}/prometheus/kuma-replicator.rules.yml /etc/prometheus/
         sed -i 's/^\\( *for:\\) .*/\\1 0s/' /etc/prometheus/kuma-replicator.rules.yml"
    ))?;
    let rule_files = page.text()?;
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{rule_files}scrape_configs:\n  - job_name: node\n    \
         static_configs:\n{targets}"
    );
    fs::write(machine.root().join("etc/prometheus/prometheus.yml"), text)?;
    // It was started with the configuration of its package, and may not be ready for another one yet.
    machine.run(&["systemctl", "restart", "prometheus"])?;
    wait_for("Prometheus answers", SOON, || Ok(ask(machine, "/-/ready", &[]).is_ok().then_some(())))?;
    page.run(machine).map(drop)
}

/// What Prometheus answers to a request with these parameters.
fn ask(machine: &Machine, path: &str, parameters: &[&str]) -> Result<String> {
    let url = format!("http://127.0.0.1:9090{path}");
    let mut command = vec!["curl", "-fsS", "--get", &url];
    for parameter in parameters {
        command.extend(["--data-urlencode", parameter]);
    }
    machine.run(&command)
}

/// The result of an expression.
fn query(machine: &Machine, expression: &str) -> Result<Vec<Value>> {
    let answer = ask(machine, "/api/v1/query", &[&format!("query={expression}")])
        .map_err(|error| format!("{expression}: {error}"))?;
    let answer: Value = serde_json::from_str(&answer)?;
    assert_eq!(answer["status"], "success", "{expression}: {answer}");
    Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
}

/// The alerts that fire, as `alert instance`.
fn firing(machine: &Machine) -> Result<Vec<String>> {
    let answer: Value = serde_json::from_str(&ask(machine, "/api/v1/alerts", &[])?)?;
    let alerts = answer["data"]["alerts"].as_array().ok_or("no alerts")?;
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    let text = |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or_default().to_owned();
    let mut names: Vec<String> =
        firing.map(|alert| format!("{} {}", text(alert, "alertname"), text(alert, "instance"))).collect();
    names.sort();
    Ok(names)
}

/// Waits until just these alerts fire.
fn wait_for_alerts(machine: &Machine, wanted: &[&str]) -> Result<()> {
    let mut found = Vec::new();
    let waited = wait_for(&format!("{wanted:?} fire"), SOON, || {
        found = firing(machine)?;
        Ok((found == wanted).then_some(()))
    });
    waited.map_err(|error| format!("{error}: {found:?}").into())
}

fn scraped() -> Result<()> {
    let network = Network::new()?;
    networked(&network)?.shows(|pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut page = Page::open(PAGE)?;
        let shown = follow(&mut page, main)?;
        page.shows(&shown)?;
        follow(&mut Page::open(PAGE)?, replica)?;
        for machine in [main, replica] {
            let mode = machine.run(&["stat", "-c", "%U:%G %a", FILE])?;
            assert_eq!(mode.trim(), "root:root 644", "the unit has umask 077");
            assert_eq!(machine.run(&["ls", COLLECTOR])?, "kuma-replicator.prom\n");
            assert_eq!(machine.run(&["cat", FILE])?, metrics(machine)?);
        }
        pair.offer("web")?;
        expect(replica, 0, "applied")?;
        start_prometheus(&mut page, main, [main, replica])?;
        wait_for("both hosts are known", SOON, || {
            Ok((query(main, "kuma_replicator_build_info")?.len() == 2).then_some(()))
        })?;
        assert_eq!(query(main, "node_textfile_scrape_error == 0")?.len(), 2, "node_exporter could read the file");
        wait_for_alerts(main, &[])?;
        panels_have_something_to_show(main)?;

        // The main publishes; the replica has not taken it over yet.
        pair.offer("more")?;
        wait_for_alerts(main, &["KumaReplicatorNotReplicated replica"])?;
        expect(replica, 0, "applied")?;
        wait_for_alerts(main, &[])?;
        // An edit, and a cycle that fails.
        sql(replica, "UPDATE monitor SET interval = 77 WHERE name = 'web'")?;
        expect(replica, 0, "up to date")?;
        pair.main.run(&["mv", "/etc/kuma-replicator/restic-password", "/root/restic-password"])?;
        assert_eq!(main.output(&["kuma-replicator", "run", "--look"])?.status.code(), Some(78));
        wait_for_alerts(main, &["KumaReplicatorDrifted replica", "KumaReplicatorFailing main"])?;
        let failed = query(main, "kuma_replicator_failures_total{kind=\"password-missing\"} == 1")?;
        assert_eq!(failed.len(), 1, "{failed:?}");
        main.run(&["mv", "/root/restic-password", "/etc/kuma-replicator/restic-password"])?;
        expect(main, 0, "unchanged")?;
        wait_for_alerts(main, &["KumaReplicatorDrifted replica"])?;
        // Another main, and metrics that are gone.
        typed(replica, 0, &["promote"])?;
        expect(replica, 0, "unchanged")?;
        assert_eq!(main.output(&["kuma-replicator", "run", "--look"])?.status.code(), Some(4));
        wait_for_alerts(main, &["KumaReplicatorFenced main"])?;
        replica.run(&["systemctl", "stop", "prometheus-node-exporter"])?;
        wait_for_alerts(main, &["KumaReplicatorFenced main", "KumaReplicatorMetricsMissing replica"])?;
        // Another directory, which the service may write after what the manual says.
        replica.run(&["mkdir", "-p", "/usr/local/share/node-exporter"])?;
        set_file(replica, "/usr/local/share/node-exporter/kuma-replicator.prom")?;
        let checked = typed(replica, 0, &["check"])?;
        assert!(checked.contains("ReadWritePaths=/usr/local/share/node-exporter"), "{checked}");
        page.edit_unit(replica)?;
        expect(replica, 0, "unchanged")?;
        replica.run(&["test", "-s", "/usr/local/share/node-exporter/kuma-replicator.prom"])?;
        page.run(replica)?;
        let given = replica.run(&["stat", "-c", "%U:%G %a", COLLECTOR])?;
        assert_eq!(given.trim(), "root:uptime-kuma 775");
        page.end()
    })
}

/// Each expression of the dashboard is one that Prometheus takes, and has a result on hosts that replicate, unless it shows
/// what is rare.
fn panels_have_something_to_show(machine: &Machine) -> Result<()> {
    let path = "packaging/usr/share/doc/kuma-replicator/examples/grafana/kuma-replicator.json";
    let dashboard: Value = serde_json::from_str(&source(path))?;
    let panels = dashboard["panels"].as_array().ok_or("no panels")?;
    let targets: Vec<&Value> =
        panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()).collect();
    assert!(panels.len() > 10 && targets.len() > panels.len());
    for target in targets {
        let written = target["expr"].as_str().ok_or("no expression")?;
        let expression = written.replace("$job", "node").replace("$instance", ".*").replace("$__rate_interval", "1m");
        assert!(!expression.contains('$'), "{written}");
        // Two results of a counter have to be there.
        wait_for(&format!("a result of {expression}"), SOON, || {
            let found = query(machine, &expression)?;
            Ok((!found.is_empty() || expression.ends_with("> 0")).then_some(()))
        })?;
    }
    for variable in dashboard["templating"]["list"].as_array().ok_or("no variables")? {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let (series, label) = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "))
            .ok_or("another query")?;
        let found = self::query(machine, &format!("group by ({label}) ({})", series.replace("$job", ".*")))?;
        assert!(found.iter().all(|found| found["metric"][label].is_string()) && !found.is_empty(), "{query}");
    }
    Ok(())
}

/// The warnings that a host has logged.
fn warnings(machine: &Machine) -> Result<Vec<String>> {
    let entries = machine.journal(&["KUMA_EVENT=warning"])?;
    Ok(entries.iter().filter_map(|entry| Some(entry["MESSAGE"].as_str()?.to_owned())).collect())
}

/// Lets a host write its metrics to another file.
fn set_file(machine: &Machine, path: &str) -> Result<()> {
    machine
        .sh(&format!(
            "sed -i '/^metrics-file/d' /etc/kuma-replicator/config.toml
         sed -i '1i metrics-file = \"{path}\"' /etc/kuma-replicator/config.toml"
        ))
        .map(drop)
}

fn not_written() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let main = &pair.main;
        expect(main, 0, "published")?;
        let said = |wanted: &[&str]| -> Result<()> {
            let found = warnings(main)?;
            assert_eq!(found.len(), wanted.len(), "{found:#?}");
            assert!(found.iter().zip(wanted).all(|(found, wanted)| found.contains(wanted)), "{found:#?}");
            Ok(())
        };
        let (missing, sandbox) = ("hint: make the directory /var/lib/exporter", "hint: systemctl edit kuma-replicator");
        // A directory that does not exist: one warning for all cycles.
        set_file(main, "/var/lib/exporter/kuma.prom")?;
        for _ in 0..3 {
            expect(main, 0, "unchanged")?;
        }
        said(&[missing])?;
        let checked = typed(main, 0, &["check"])?;
        assert!(
            checked.contains("warning  metrics") && checked.contains("→ make the directory /var/lib/exporter"),
            "{checked}"
        );
        main.run(&["mkdir", "/var/lib/exporter"])?;
        expect(main, 0, "unchanged")?;
        said(&[missing])?;
        assert_eq!(main.run(&["stat", "-c", "%a", "/var/lib/exporter/kuma.prom"])?.trim(), "644");
        // One that the service may not write.
        main.run(&["mkdir", "/etc/exporter"])?;
        set_file(main, "/etc/exporter/kuma.prom")?;
        expect(main, 0, "unchanged")?;
        expect(main, 0, "unchanged")?;
        said(&[missing, sandbox])?;
        assert!(typed(main, 0, &["check"])?.contains("ReadWritePaths=/etc/exporter"));
        drop_in(main, AGENT, "exporter", "[Service]\nReadWritePaths=/etc/exporter\n")?;
        assert!(typed(main, 0, &["check"])?.contains("/etc/exporter/kuma.prom can be written"));
        expect(main, 0, "unchanged")?;
        said(&[missing, sandbox])?;
        main.run(&["test", "-s", "/etc/exporter/kuma.prom"])?;
        another_user_leads_root_nowhere(main)?;
        damaged_counters_are_said_once(main)
    })
}

/// Above Debian's directory is one of the user of Prometheus, who can exchange it.
fn another_user_leads_root_nowhere(machine: &Machine) -> Result<()> {
    machine.install_deb(&prometheus()?.join("node-exporter.deb"))?;
    set_file(machine, FILE)?;
    expect(machine, 0, "unchanged")?;
    machine.run(&["test", "-s", FILE])?;
    let exchange = "cd /var/lib/prometheus; mv node-exporter kept; ln -s /srv/elsewhere node-exporter";
    machine.sh("mkdir /srv/elsewhere")?;
    machine.run(&["runuser", "-u", "prometheus", "--", "sh", "-euc", exchange])?;
    for way in [&["systemctl", "start", AGENT][..], &["kuma-replicator", "run"]] {
        machine.run(way)?;
    }
    assert_eq!(machine.run(&["ls", "-A", "/srv/elsewhere"])?, "");
    let last = warnings(machine)?.pop().unwrap_or_default();
    assert!(last.contains("there is a symbolic link on the way: metrics-file = \"/srv/elsewhere/"), "{last}");
    machine.sh("cd /var/lib/prometheus; rm node-exporter; mv kept node-exporter").map(drop)
}

fn damaged_counters_are_said_once(machine: &Machine) -> Result<()> {
    let before = warnings(machine)?.len();
    assert_eq!(value(&metrics(machine)?, "publishes_total"), 1.0);
    machine.sh("echo '{' >/var/lib/kuma-replicator/metrics.json")?;
    expect(machine, 0, "unchanged")?;
    expect(machine, 0, "unchanged")?;
    let said = warnings(machine)?;
    assert_eq!(said.len(), before + 1, "{said:#?}");
    assert!(said.last().is_some_and(|said| said.contains("start again at zero")), "{said:#?}");
    assert_eq!(value(&metrics(machine)?, "publishes_total"), 0.0);
    assert_eq!(state(machine)?["last_cycle"]["outcome"], "unchanged");
    Ok(())
}

fn without_root() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let main = &pair.main;
        main.install_deb(&prometheus()?.join("node-exporter.deb"))?;
        set_file(main, FILE)?;
        follow_the_manual(main)?;
        let checked = typed(main, 0, &["check"])?;
        assert!(checked.contains("warning  metrics") && checked.contains("let user uptime-kuma write in"), "{checked}");
        let mut page = Page::open(PAGE)?;
        while !page.is_at("dpkg-statoverride") {
            page.pass()?;
        }
        page.run(main)?;
        let checked = typed(main, 0, &["check"])?;
        assert!(checked.contains(&format!("{FILE} can be written")), "{checked}");
        let owner = || says(main, &["stat", "-c", "%U %a", FILE]);
        expect(main, 0, "published")?;
        assert_eq!(owner()?, "uptime-kuma 644");
        // What root types belongs to that user as well.
        main.run(&["kuma-replicator", "run"])?;
        assert_eq!(owner()?, "uptime-kuma 644");
        expect(main, 0, "unchanged")?;
        assert!(warnings(main)?.iter().all(|said| !said.contains("metrics")), "{:?}", warnings(main)?);
        let counters = says(main, &["stat", "-c", "%U %a", "/var/lib/kuma-replicator/metrics.json"])?;
        assert_eq!(counters, "uptime-kuma 600");
        Ok(())
    })
}
