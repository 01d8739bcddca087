//! A replica that is struck in the middle of an apply, and what must hold after it: the service runs again (A),
//! rows and history are whole (B), and nothing is recorded that is not true (C).

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Pid;
use serde_json::Value;

use crate::news::Newest;
use crate::testbed::{Machine, Result, Watch, wait_for};
use crate::world::{SOON, state};

/// The command of a cycle.
pub const CYCLE: &[&str] = &["/usr/bin/kuma-replicator", "run"];

/// What a host is after its agent has come to rest. Ends only when Uptime Kuma answers. `$1` is the last
/// heartbeat that is known, `$2` what else to ask the database, `$3` what to write to the journal at last.
const LOOK: &str = r#"
while case $(systemctl show -P ActiveState kuma-replicator) in activating|deactivating) ;; *) false ;; esac; do
    sleep 0.2
done
systemctl show -p ActiveState,InvocationID uptime-kuma
systemctl show -p Result,ExecMainStatus kuma-replicator
until curl -sf -o /dev/null --max-time 5 http://127.0.0.1:3001/api/entry-page; do
    systemctl --quiet is-failed uptime-kuma && { echo ActiveState=failed; exit 1; }
    sleep 0.2
done
echo "Export=$(kuma-replicator export | tail -n 1)"
beats="SELECT coalesce(max(id), 0) || ' ' || count(*) || ' ' || total(id * monitor_id) || ' ' ||
    total(id * status) || ' ' || total(id * length(time)) FROM heartbeat WHERE monitor_id BETWEEN 1 AND 3"
sqlite3 -cmd '.timeout 5000' /var/lib/uptime-kuma/kuma.db "
    SELECT 'Before=' || ($beats AND id <= $1);
    SELECT 'Now=' || ($beats);
    SELECT 'Left=' || count(*) FROM heartbeat WHERE monitor_id NOT IN (SELECT id FROM monitor);
    $2"
printf 'SYSLOG_IDENTIFIER=kuma-replicator\nMESSAGE=%s\n' "$3" | logger --journald
"#;

/// A replica at rest.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The digest of its configuration.
    pub digest: String,
    /// Which run of Uptime Kuma this is.
    pub invocation: String,
    /// The exit code of the last cycle, and how the service manager calls its end.
    pub ended: (String, String),
    /// Whether history of removed monitors is left.
    pub left: bool,
}

/// A replica that is watched.
pub struct Target<'a> {
    /// The host.
    pub replica: &'a Machine,
    watch: Watch,
    /// What it was when it was last at rest.
    pub before: Look,
    /// The events of the cycle at hand, with their times since it was ordered.
    pub events: Vec<(String, Duration)>,
    since: (Instant, SystemTime),
    looks: usize,
    history: String,
}

impl<'a> Target<'a> {
    /// Watches a replica that is at rest.
    pub fn new(replica: &'a Machine) -> Result<Self> {
        let (before, events) = (Look::default(), Vec::new());
        let watch = replica.watch("kuma-replicator")?;
        let history = String::new();
        let mut target =
            Self { replica, watch, before, events, since: (Instant::now(), SystemTime::now()), looks: 0, history };
        target.before = target.look()?;
        Ok(target)
    }

    /// Watches the host again, after a boot.
    pub fn watch_again(&mut self) -> Result<()> {
        self.watch = self.replica.watch("kuma-replicator")?;
        Ok(())
    }

    /// Starts a cycle and does not wait for it.
    pub fn begin(&mut self) -> Result<()> {
        self.watch.all();
        self.events.clear();
        self.replica.run(&["systemctl", "start", "--no-block", "kuma-replicator.service"])?;
        self.since = (Instant::now(), SystemTime::now());
        Ok(())
    }

    /// How long ago the cycle at hand was ordered.
    pub fn age(&self) -> Duration {
        self.since.0.elapsed()
    }

    /// The agent of the cycle at hand, once it runs.
    pub fn agent(&self) -> Result<Pid> {
        wait_for("the agent runs", SOON, || Ok(self.replica.process(CYCLE)))
    }

    /// Waits for an event of the cycle at hand.
    pub fn until(&mut self, event: &str) -> Result<()> {
        if self.has(event) {
            return Ok(());
        }
        self.until_entry(|entry| entry["KUMA_EVENT"] == event).map_err(|error| format!("{event}: {error}").into())
    }

    fn until_entry(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        loop {
            let next = self.watch.next(SOON)?;
            let entry = next.ok_or_else(|| format!("nothing in the journal after {:?}", self.events))?;
            self.note(&entry);
            if wanted(&entry) {
                return Ok(());
            }
        }
    }

    /// Whether the cycle at hand has reported an event, as far as that is known.
    pub fn has(&self, event: &str) -> bool {
        self.events.iter().any(|(name, _)| name == event)
    }

    /// Takes in what was reported since.
    pub fn catch_up(&mut self) {
        for entry in self.watch.all() {
            self.note(&entry);
        }
    }

    fn note(&mut self, entry: &Value) {
        if let Some(name) = entry["KUMA_EVENT"].as_str() {
            // When it was reported, not when it was read.
            let at = entry["__REALTIME_TIMESTAMP"].as_str().and_then(|micros| micros.parse().ok());
            let at = SystemTime::UNIX_EPOCH + Duration::from_micros(at.unwrap_or_default());
            self.events.push((name.to_owned(), at.duration_since(self.since.1).unwrap_or_default()));
        }
    }

    /// The last step that the cycle at hand has reported.
    pub fn phase(&self) -> &str {
        let steps = ["fetched", "planned", "stopping", "stopped", "written", "started", "healthy", "applied"];
        let last = self.events.iter().rev().find(|(name, _)| steps.contains(&name.as_str()));
        last.map_or("looking", |(name, _)| name)
    }

    /// Waits until the agent is at rest and Uptime Kuma answers, and says what is there. Fails if it does not
    /// run, or if history is not as it was.
    pub fn look(&mut self) -> Result<Look> {
        self.looks += 1;
        let check = if self.looks.is_multiple_of(10) { "PRAGMA integrity_check" } else { "SELECT 'ok'" };
        let last = self.history.split(' ').next().filter(|id| !id.is_empty()).unwrap_or("0").to_owned();
        let mark = format!("looked {}", self.looks);
        let said = self.replica.output(&["bash", "-euc", LOOK, "look", &last, check, &mark])?;
        if said.status.success() {
            self.until_entry(|entry| entry["MESSAGE"] == mark.as_str())?;
        }
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        let values: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| values.get(name).copied().unwrap_or_default().to_owned();
        holds(value("ActiveState") == "active", || format!("A: Uptime Kuma does not run at rest: {said}"))?;
        holds(said.lines().last() == Some("ok"), || format!("B: the database is not whole: {said}"))?;
        let left = value("Left") != "0";
        let before = std::mem::replace(&mut self.history, value("Now"));
        let kept = before.is_empty() || value("Before") == before;
        holds(kept, || format!("B: the history was {before} and is {}", value("Before")))?;
        let end: Value = serde_json::from_str(&value("Export"))?;
        let digest = end["digest"].as_str().ok_or("no digest")?.to_owned();
        Ok(Look { digest, invocation: value("InvocationID"), ended: (value("ExecMainStatus"), value("Result")), left })
    }

    /// What must hold when the agent is at rest after it was struck. Returns what is there.
    pub fn check_struck(&mut self, newest: &Newest) -> Result<Look> {
        let now = self.look()?;
        let whole = now.digest == self.before.digest || now.digest == newest.digest;
        holds(whole, || format!("B: the rows are {now:?}, neither of {:?} nor of {newest:?}", self.before))?;
        let state = state(self.replica)?;
        let recorded = newest.is(&state["replica"]["applied"]["snapshot"]);
        holds(!recorded || now.digest == newest.digest, || format!("C: recorded, but the rows are others: {now:?}"))?;
        holds(state["replica"].get("verdict").is_none(), || format!("judged, though not to blame: {state}"))?;
        let touched = self.has("stopping") || state.get("intent").is_some();
        let restarted = now.invocation != self.before.invocation;
        holds(touched || !restarted, || "Uptime Kuma was restarted for nothing".to_owned())?;
        Ok(now)
    }

    /// Runs the next cycle, which must put the newest snapshot in force.
    pub fn heal(&mut self, struck: &Look, newest: &Newest) -> Result<()> {
        self.begin()?;
        let healed = self.look()?;
        let ended = healed.ended == ("0".to_owned(), "success".to_owned());
        holds(ended, || format!("the next cycle ended with {:?}", healed.ended))?;
        self.check_healed(struck, healed, newest)
    }

    /// What must hold after the cycle that follows a strike: the newest snapshot is in force and recorded, and
    /// nothing was stopped again for rows that were there already.
    pub fn check_healed(&mut self, struck: &Look, healed: Look, newest: &Newest) -> Result<()> {
        let state = state(self.replica)?;
        let recorded = newest.is(&state["replica"]["applied"]["snapshot"]);
        let done = recorded && healed.digest == newest.digest && state.get("intent").is_none();
        holds(!healed.left, || "history of removed monitors is left behind".to_owned())?;
        holds(done, || format!("the next cycle left {healed:?} and {state}, not {newest:?}"))?;
        let again = struck.digest == newest.digest && struck.invocation != healed.invocation;
        holds(!again, || "Uptime Kuma was restarted again for rows that were there".to_owned())?;
        self.before = healed;
        Ok(())
    }
}

/// Fails, saying why, if something does not hold.
pub fn holds(it: bool, why: impl FnOnce() -> String) -> Result<()> {
    if it { Ok(()) } else { Err(why().into()) }
}
