//! How a fleet that grows on one S3 repository fares: the requests, and how long an edit takes until the last replica has it.
//!
//! The main is a host like any other. The replicas are simulated: on one host, each is the installed program with a
//! database, a state and a timer of its own, made from the units of the package. Their Uptime Kuma does not run, so that an
//! edit is in force when its rows are written.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::figures::{median, percentile};
use crate::lag::{host, publish_first, seconds, start_timer, time};
use crate::testbed::{Kuma, Machine, Network, Result, S3Server, wait_for};
use crate::{number, numbers, world};

/// The numbers of replicas, unless `BENCH_FLEET` says so.
const SIZES: [usize; 3] = [1, 5, 20];

/// How many edits there are for each, unless `BENCH_FLEET_EDITS` says so.
const EDITS: u64 = 2;

/// How long the requests of a fleet in which nothing is edited are counted, before each edit.
const QUIET: Duration = Duration::from_secs(20);

/// Each edit comes at a random moment of so many seconds after that.
const RANDOM: Duration = Duration::from_secs(20);

/// The timers of two replicas are started at random moments, up to so much apart.
const APART: Duration = Duration::from_secs(1);

/// Longer than any edit takes.
const LIMIT: Duration = Duration::from_secs(600);

/// Makes the units of the replicas from those of the package, and a database for each, with the number of them as argument.
const SIMULATE: &str = r#"
cd /etc/systemd/system
systemctl stop uptime-kuma
cp /usr/lib/systemd/system/kuma-replicator.timer replica@.timer
sed -e 's|^ExecStart=.*|& --config /etc/kuma-replicator/%i.toml|' \
    -e 's|^ExecStopPost=.*|& --config /etc/kuma-replicator/%i.toml|' \
    -e 's,^\(State\|Cache\)Directory=.*,&-%i,' /usr/lib/systemd/system/kuma-replicator.service >replica@.service
printf '[Service]\nUser=uptime-kuma\nWorkingDirectory=/opt/uptime-kuma\nEnvironment=DATA_DIR=/srv/kuma-%%i/\nExecStart=/usr/bin/node server/server.js\n' >kuma@.service
for i in $(seq "$1"); do
    cp -a /var/lib/uptime-kuma "/srv/kuma-$i"
    { cat /etc/kuma-replicator/config.toml; printf '[uptime-kuma]\nunit = "kuma@%s.service"\n' "$i"; } >"/etc/kuma-replicator/$i.toml"
done
systemctl daemon-reload
"#;

/// What was measured with one number of replicas.
struct Measured {
    /// The seconds that each edit took, for each replica.
    lags: Vec<f64>,
    /// The seconds that each edit took until the last replica had it.
    last: Vec<f64>,
    /// Requests a minute while nothing is edited.
    quiet: f64,
}

/// Measures all sizes and prints a line for each.
pub(crate) fn print() -> Result<()> {
    let sizes = numbers("BENCH_FLEET", &SIZES)?;
    let edits = number("BENCH_FLEET_EDITS", EDITS)?;
    let most = sizes.iter().copied().max().unwrap_or(0);
    let network = Network::new()?;
    let s3 = S3Server::start(&network)?;
    let url = format!("{}/kuma", s3.new_bucket()?);
    let main = host("main", &url, None, &network)?;
    publish_first(&main)?;
    let replicas = host("replica", &url, None, &network)?;
    replicas.run(&["sh", "-euc", SIMULATE, "sh", &most.to_string()])?;
    start_timer(&main)?;
    let mut fleet = Fleet { page: world::logged_in(&main)?, main, replicas, edits: 0 };

    println!(
        "\nA fleet on one S3 repository, {edits} edits each; the replicas are simulated: they have no running Uptime Kuma, and \
         are all on one host.\nSeconds from an edit until a replica has its rows:\n"
    );
    println!(
        "{:>8}|{:>9}{:>9}{:>9}{:>12}|{:>22}",
        "replicas", "median", "95 %", "longest", "the last", "requests a minute"
    );
    for size in sizes {
        let measured = fleet.measure(size, edits, &s3)?;
        println!(
            "{size:>8}|{:>9.1}{:>9.1}{:>9.1}{:>12.1}|{:>22.1}",
            median(measured.lags.clone()),
            percentile(&measured.lags, 95),
            percentile(&measured.lags, 100),
            median(measured.last),
            measured.quiet,
        );
    }
    Ok(())
}

/// The main with a page of its Uptime Kuma, and the host of all replicas.
struct Fleet {
    page: Kuma,
    main: Machine,
    replicas: Machine,
    edits: u64,
}

impl Fleet {
    /// Lets so many replicas run, and makes so many edits.
    fn measure(&mut self, size: usize, edits: u64, s3: &S3Server<'_>) -> Result<Measured> {
        let mut chance = Chance::new()?;
        for number in 1..=size {
            // Hosts are not booted at the same moment either. A timer that runs already is left alone.
            thread::sleep(chance.within(APART));
            self.replicas.run(&["systemctl", "start", &format!("replica@{number}.timer")])?;
        }
        let (mut lags, mut last, mut requests, mut quiet) = (Vec::new(), Vec::new(), 0, 0.0);
        // The first one, which is not measured, comes when the timers have begun.
        self.edit(size)?;
        for _ in 0..edits {
            // The looks that follow an edit are over then.
            thread::sleep(QUIET);
            let (since, before) = (Instant::now(), s3.requests()?);
            thread::sleep(QUIET + chance.within(RANDOM));
            requests += s3.requests()? - before;
            quiet += since.elapsed().as_secs_f64();
            let took = self.edit(size)?;
            last.push(percentile(&took, 100));
            lags.extend(took);
        }
        Ok(Measured { lags, last, quiet: requests as f64 * 60.0 / quiet })
    }

    /// Renames a monitor on the main, and returns how long it took on each replica.
    fn edit(&mut self, size: usize) -> Result<Vec<f64>> {
        self.edits += 1;
        let edited = seconds(SystemTime::now())?;
        self.page.call("changeMonitor", json!([1, { "name": format!("Service, edit {}", self.edits) }]))?;
        let since = format!("--since=@{edited:.6}");
        let published = wait_for("the edit is published", LIMIT, || {
            Ok(self.main.journal(&[&since, "KUMA_EVENT=published"])?.first().and_then(snapshot))
        })?;
        let entries = wait_for("all replicas have the edit", LIMIT, || {
            let mut entries = self.replicas.journal(&[&since, "KUMA_EVENT=applied"])?;
            entries.retain(|entry| snapshot(entry).as_ref() == Some(&published));
            Ok((entries.len() == size).then_some(entries))
        })?;
        entries.iter().map(|entry| Ok(time(entry)? - edited)).collect()
    }
}

/// The snapshot that an entry of the journal is about, by the digits that every restic shows.
fn snapshot(entry: &Value) -> Option<String> {
    Some(entry["KUMA_SNAPSHOT"].as_str()?.get(..8)?.to_owned())
}
