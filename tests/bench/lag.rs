//! How long an edit takes: from Uptime Kuma on the main, which is given another address to check, to the first check of it by
//! Uptime Kuma on the replicas, with the timers as the package installs them; and how many requests the repository gets.
//!
//! Each repository has a main and replicas of its own. All are measured at the same time, because most of it is waiting.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::figures::{median, percentile};
use crate::testbed::{FolderRepository, Kuma, Machine, Network, Options, Proxy, RestServer, Result, S3Server};
use crate::{number, world};

/// How many edits there are, unless `BENCH_EDITS` says so.
const EDITS: u64 = 5;

/// How long nothing is edited before each edit, in seconds, unless `BENCH_QUIET` says so: between two times that Uptime Kuma is
/// told of changes lies a while, and an edit that comes sooner waits for the rest of it.
const QUIET: u64 = 60;

/// Each edit comes at a random moment of so many seconds after that. In the same time the timers of the replicas are started anew,
/// at random moments: they are as regular as clocks, and all edits would meet those of main and replica at the same distance.
const RANDOM: Duration = Duration::from_secs(20);

/// How many replicas each repository has: an edit is measured on all of them.
const REPLICAS: u32 = 2;

/// How many monitors the main has.
const MONITORS: i64 = 5;

/// Where nobody listens, from this port on.
const FIRST_PORT: u64 = 20_000;

/// Longer than any edit takes.
const LIMIT: Duration = Duration::from_secs(600);

/// How often a main and a replica look with the scripts, in seconds, and what is left of their work when the waiting is done:
/// a publish, the work of an apply, and a stop and a start of Uptime Kuma, as in `docs/performance.md`.
const SCRIPTS: (f64, f64) = (60.0, 0.7 + 1.2 + 4.1 + 2.9);

/// What lies between an edit and its effect.
const STEPS: [&str; 4] = ["timer", "publish", "look", "apply"];

/// With this, systemd writes down when it starts a cycle. Nothing else differs from the unit as installed.
const STARTS: &str = "[Service]\nLogLevelMax=info\n";

/// The message of systemd when it starts a unit (`sd-messages.h`).
const STARTING: &str = "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5";

/// A repository that hosts reach.
struct Place<'a> {
    name: &'static str,
    /// Its address.
    url: String,
    /// How many requests it has had, if it is a server.
    requests: Box<dyn Fn() -> Result<Option<usize>> + Send + Sync + 'a>,
}

/// The seconds that one edit took until one replica had it: all of it, and its [`STEPS`].
struct Lag {
    all: f64,
    steps: [f64; 4],
}

/// What was measured at one repository.
struct Measured {
    lags: Vec<Lag>,
    /// Requests a minute while nothing is edited.
    quiet: Option<f64>,
    /// Requests for an edit, beside those.
    edit: Option<f64>,
    /// What was reported of cycles that failed or deferred something.
    failed: Vec<String>,
}

/// Measures all kinds of repositories and prints a line for each.
pub(crate) fn print() -> Result<()> {
    let (edits, quiet) = (number("BENCH_EDITS", EDITS)?, Duration::from_secs(number("BENCH_QUIET", QUIET)?));
    let (folder, network) = (FolderRepository::new()?, Network::new()?);
    let s3 = S3Server::start(&network)?;
    let _rest = RestServer::start(&network)?;
    let proxy = Proxy::on(&network, &RestServer::address())?;
    let places = [
        Place { name: "folder", url: format!("{}/kuma", FolderRepository::PATH), requests: Box::new(|| Ok(None)) },
        Place {
            name: "S3 server",
            url: format!("{}/kuma", s3.new_bucket()?),
            requests: Box::new(|| s3.requests().map(Some)),
        },
        Place {
            name: "REST server",
            url: format!("rest:http://{}/kuma/", proxy.address),
            requests: Box::new(|| Ok(Some(proxy.requests()))),
        },
    ];
    let (folder, network) = (&folder, &network);
    let measured = thread::scope(|scope| {
        let measuring = places
            .each_ref()
            .map(|place| scope.spawn(move || Hosts::new(place, folder, network)?.measure(edits, quiet)));
        measuring.map(|measuring| measuring.join().map_err(|_| "a measurement panicked")?)
    });
    println!(
        "\nAn edit on the main until it is in force on a replica, {edits} edits for {REPLICAS} replicas each, after {} s or \
         more without any; seconds:\n",
        quiet.as_secs()
    );
    print_heading();
    let named = |(place, measured): (&Place<'_>, Result<Measured>)| {
        measured.map(|measured| (place.name, measured)).map_err(|error| format!("{}: {error}", place.name))
    };
    let measured = places.iter().zip(measured).map(named).collect::<std::result::Result<Vec<_>, _>>()?;
    measured.iter().for_each(|(name, measured)| print_line(name, measured));
    print_scripts();
    println!();
    measured.iter().for_each(|(name, measured)| print_slowest(name, measured));
    Ok(())
}

fn print_heading() {
    let steps = STEPS.map(|step| format!("{step:>9}")).concat();
    println!("{:14}|{:^27}|{:^36}|{:^20}", "", "all of it", "medians of its parts", "requests");
    println!(
        "{:14}|{:>9}{:>9}{:>9}|{steps}|{:>10}{:>10}",
        "repository", "median", "95 %", "longest", "a minute", "an edit"
    );
}

fn print_line(name: &str, measured: &Measured) {
    let all: Vec<f64> = measured.lags.iter().map(|lag| lag.all).collect();
    let steps = (0..STEPS.len()).map(|at| median(measured.lags.iter().map(|lag| lag.steps[at]).collect()));
    let steps: String = steps.map(|step| format!("{step:>9.1}")).collect();
    let requests =
        [measured.quiet, measured.edit].map(|count| count.map_or("–".to_owned(), |count| format!("{count:.1}")));
    println!(
        "{name:14}|{:>9.1}{:>9.1}{:>9.1}|{steps}|{:>10}{:>10}",
        median(all.clone()),
        percentile(&all, 95),
        percentile(&all, 100),
        requests[0],
        requests[1],
    );
}

/// Where the time of the slowest edit went.
fn print_slowest(name: &str, measured: &Measured) {
    let slowest = measured.lags.iter().max_by(|one, other| one.all.total_cmp(&other.all));
    let steps = slowest.map(|lag| STEPS.iter().zip(lag.steps).map(|(step, time)| format!("{step} {time:.1}")));
    let steps = steps.map(|steps| steps.collect::<Vec<_>>().join(", ")).unwrap_or_default();
    println!("The slowest at the {name}: {steps}. Cycles that did not end well: {}", measured.failed.join(", "));
}

/// What the scripts take if each runs this often: computed. An edit meets each of the two at a moment of its interval that is
/// as likely as any other, so the two waits add up to a triangular distribution.
fn print_scripts() {
    let (interval, work) = SCRIPTS;
    println!(
        "{:14}|{:>9.1}{:>9.1}{:>9.1}| computed: each script runs once in {interval:.0} s, and works for {work:.1} s",
        "scripts",
        interval + work,
        interval * (2.0 - (2.0_f64 * 0.05).sqrt()) + work,
        interval * 2.0 + work,
    );
}

/// A main and replicas of one repository.
struct Hosts<'a> {
    place: &'a Place<'a>,
    main: Machine,
    replicas: Vec<Machine>,
}

impl<'a> Hosts<'a> {
    /// Boots the hosts, and lets the replicas have what the main has.
    fn new(place: &'a Place<'a>, folder: &FolderRepository, network: &Network) -> Result<Self> {
        let main = host("main", &place.url, Some(folder), network)?;
        publish_first(&main)?;
        let replicas = (0..REPLICAS).map(|_| {
            let replica = host("replica", &place.url, Some(folder), network)?;
            world::expect(&replica, 0, "applied")?;
            Ok(replica)
        });
        Ok(Self { place, main, replicas: replicas.collect::<Result<_>>()? })
    }

    /// Lets the timers run, makes so many edits, and waits for each.
    fn measure(&self, edits: u64, quiet: Duration) -> Result<Measured> {
        let mut chance = Chance::new()?;
        let mut at_main = world::logged_in(&self.main)?;
        let mut at_replicas = self.replicas.iter().map(world::logged_in).collect::<Result<Vec<_>>>()?;
        for replica in &self.replicas {
            world::beat_since(replica, &world::sql(replica, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")?)?;
        }
        for machine in self.hosts() {
            start_timer(machine)?;
        }
        // The first one, which is not measured, comes when the timers have begun.
        edit(&mut at_main, &mut at_replicas, 0)?;
        let (begun, before) = (SystemTime::now(), (self.place.requests)()?);
        let (mut moments, mut still) = (Vec::new(), (0, 0.0));
        for number in 1..=edits {
            for replica in &self.replicas {
                thread::sleep(chance.within(RANDOM / REPLICAS));
                replica.run(&["systemctl", "restart", "kuma-replicator.timer"])?;
            }
            // What follows an edit, and the start of a timer, is over then.
            thread::sleep(quiet / 3);
            let (since, count) = (SystemTime::now(), (self.place.requests)()?);
            thread::sleep(quiet * 2 / 3);
            still.0 += (self.place.requests)()?.unwrap_or(0) - count.unwrap_or(0);
            still.1 += since.elapsed()?.as_secs_f64();
            moments.push(edit(&mut at_main, &mut at_replicas, number)?);
        }
        let lags = self.lags(&moments)?;
        let quiet = still.0 as f64 / still.1;
        let all = (self.place.requests)()?.zip(before).map(|(after, before)| (after - before) as f64);
        let edit = all.map(|all| (all - quiet * begun.elapsed().unwrap_or_default().as_secs_f64()) / edits as f64);
        Ok(Measured { lags, quiet: all.map(|_| quiet * 60.0), edit, failed: self.failed()? })
    }

    fn hosts(&self) -> impl Iterator<Item = &Machine> {
        [&self.main].into_iter().chain(&self.replicas)
    }

    /// What cycles reported that failed, or put something off.
    fn failed(&self) -> Result<Vec<String>> {
        let mut failed = Vec::new();
        for machine in self.hosts() {
            for entry in machine.journal(&["KUMA_EVENT=failed", "KUMA_EVENT=deferred"])? {
                let message = entry["MESSAGE"].as_str().unwrap_or_default();
                failed.push(format!("{} at {:.1}: {message}", machine.name(), time(&entry)?));
            }
        }
        Ok(failed)
    }

    /// Takes each edit apart by what the journals say of it.
    fn lags(&self, moments: &[Moments]) -> Result<Vec<Lag>> {
        let published = times(&self.main, "KUMA_EVENT=published")?;
        let starts = times(&self.main, STARTING)?;
        let mut lags = Vec::new();
        for (at, replica) in self.replicas.iter().enumerate() {
            let (applies, fetched) = (times(replica, STARTING)?, times(replica, "KUMA_EVENT=fetched")?);
            for Moments { edited, seen } in moments {
                let (edited, seen) = (seconds(*edited)?, seconds(seen[at])?);
                let next = |times: &[f64], after: f64| times.iter().copied().find(|time| *time > after);
                let last = |times: &[f64], before: f64| times.iter().copied().rfind(|time| *time < before);
                let published = next(&published, edited).ok_or("an edit was not published")?;
                let fetched = next(&fetched, published).ok_or("an edit was not fetched")?;
                // A cycle may have begun before what it deals with.
                let start = last(&starts, published).ok_or("no cycle of the main")?.max(edited);
                let apply = last(&applies, fetched).ok_or("no cycle of the replica")?.max(published);
                let steps = [start - edited, published - start, apply - published, seen - apply];
                lags.push(Lag { all: seen - edited, steps });
            }
        }
        Ok(lags)
    }
}

/// When an edit was made, and when each replica had checked the new address.
struct Moments {
    edited: SystemTime,
    seen: Vec<SystemTime>,
}

/// Gives a monitor on the main an address that refuses it, and waits until all replicas have checked that one.
fn edit(main: &mut Kuma, replicas: &mut [Kuma], number: u64) -> Result<Moments> {
    let address = format!("127.0.0.1:{}", FIRST_PORT + number);
    let edited = SystemTime::now();
    main.call("changeMonitor", json!([1, { "url": format!("http://{address}/") }]))?;
    let seen = thread::scope(|scope| {
        let waiting: Vec<_> = replicas
            .iter_mut()
            .map(|replica| {
                let arguments = json!([1, address, LIMIT.as_secs()]);
                scope.spawn(move || replica.call("hears", arguments).map(|_| SystemTime::now()))
            })
            .collect();
        let joined = waiting.into_iter().map(|waiting| waiting.join().map_err(|_| "waiting for a replica panicked")?);
        joined.collect::<Result<Vec<_>>>()
    })?;
    Ok(Moments { edited, seen })
}

/// Boots a host that has this repository, and the configuration of the package beside it.
pub(crate) fn host(role: &str, url: &str, folder: Option<&FolderRepository>, network: &Network) -> Result<Machine> {
    let binds = folder.into_iter().map(FolderRepository::bind).collect();
    let machine = world::boot(role, &Options { binds, network: Some(network), ..Options::default() })?;
    world::configure(&machine, role, url, "[main]\n[replica]\n")?;
    let lines = S3Server::ENVIRONMENT.map(|(name, value)| format!("{name}={value}\n"));
    fs::write(machine.root().join("etc/kuma-replicator/environment"), lines.concat())?;
    machine.run(&["chmod", "600", "/etc/kuma-replicator/environment"])?;
    world::drop_in(&machine, "kuma-replicator.service", "starts", STARTS)?;
    machine.kuma()?;
    Ok(machine)
}

/// Gives a main a user and monitors, and publishes them into a new repository.
pub(crate) fn publish_first(main: &Machine) -> Result<()> {
    main.run(&["kuma-replicator", "init"])?;
    let mut kuma = main.kuma()?;
    kuma.set_up()?;
    for number in 1..=MONITORS {
        kuma.add_monitor(&format!("Service {number}"), "http://127.0.0.1:3001/")?;
    }
    world::expect(main, 0, "published")
}

/// Lets the timer of the package run, as an administrator does.
pub(crate) fn start_timer(machine: &Machine) -> Result<()> {
    machine.run(&["systemctl", "enable", "--now", "kuma-replicator.timer"]).map(drop)
}

/// When entries of the journal were written, in seconds since 1970.
fn times(machine: &Machine, matching: &str) -> Result<Vec<f64>> {
    machine.run(&["journalctl", "--sync"])?;
    machine.journal(&[matching])?.iter().map(time).collect()
}

/// When an entry of the journal was written.
pub(crate) fn time(entry: &Value) -> Result<f64> {
    let micros = entry.get("__REALTIME_TIMESTAMP").and_then(Value::as_str).ok_or("an entry without a time")?;
    Ok(micros.parse::<f64>()? / 1e6)
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> Result<f64> {
    Ok(time.duration_since(UNIX_EPOCH)?.as_secs_f64())
}
