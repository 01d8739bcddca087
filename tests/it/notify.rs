//! Promise: receivers are told of a failure once and of its end once, and a failure that is tried again only when it has
//! lasted; none of it fails or delays a cycle.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kuma_replicator::config::{Occasion, Settings};
use kuma_replicator::cycle::MESSAGE_IDS;
use kuma_replicator::decide::{self, Ended, Run};
use kuma_replicator::error::Kind;
use kuma_replicator::model::notify::{Memory, Notice, Pinged, Trouble, Weight};
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::state::{Hold, State};

fn settings(more: &str) -> Settings {
    let text = format!("role = \"replica\"\nrepository = \"/r\"\n{more}");
    Settings::parse(&text, Path::new("config.toml")).unwrap()
}

fn usual() -> Settings {
    settings("[notify.phone]\nkind = \"ntfy\"\nurl = \"https://ntfy.example.org/topic\"\n")
}

fn begin() -> Timestamp {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

/// What a host goes through, a run at a time, and what its only receiver is told of.
struct Host {
    settings: Settings,
    state: State,
    memory: Memory,
    now: Timestamp,
}

impl Host {
    fn new(settings: Settings) -> Self {
        Self { settings, state: State::default(), memory: Memory::new(begin()), now: begin() }
    }

    /// So many seconds later a cycle ends like this.
    fn run(&mut self, seconds: i64, ended: Ended, noticed: &[Notice]) -> Vec<String> {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        if matches!(&ended, Ended::Well { outcome, .. } if outcome.is_success()) {
            self.state.last_success = Some(self.now);
        }
        let run = Run {
            settings: &self.settings,
            state: &self.state,
            ended,
            millis: Some(7000),
            now: self.now,
            zone: TimeZone::UTC,
        };
        decide::notice(&mut self.memory, noticed, &run);
        let known = self.memory.receivers.values_mut();
        known.flat_map(|known| known.waiting.drain(..)).map(|notice| notice.event).collect()
    }
}

fn well(outcome: Outcome) -> Ended {
    Ended::Well { outcome, reason: if outcome.is_success() { String::new() } else { "why".to_owned() } }
}

fn badly(kind: Kind) -> Ended {
    Ended::Badly { kind, text: format!("it ended with {}", kind.name()), hint: "do this".to_owned() }
}

fn noticed(event: &str) -> Notice {
    let (text, at) = ("it happened".to_owned(), begin());
    Notice { event: event.to_owned(), level: Weight::Notice, text, hint: None, error: None, fields: [].into(), at }
}

const MINUTE: i64 = 60;

#[test]
fn every_event_of_the_journal_can_be_subscribed_to() {
    let names: Vec<&str> = Occasion::ALL.iter().map(|occasion| occasion.name()).collect();
    for (name, _) in MESSAGE_IDS {
        assert!(names.contains(name), "{name}");
    }
    for name in names {
        let known = MESSAGE_IDS.iter().any(|(event, _)| *event == name) || ["fenced", "overdue"].contains(&name);
        assert!(known, "{name} is no event");
        assert_eq!(Occasion::named(name).map(Occasion::name), Some(name));
        assert!(settings(&format!("[notify.x]\nkind = \"ntfy\"\nevents = [\"{name}\"]\n")).receivers.len() == 1);
    }
}

#[test]
fn a_failure_is_told_once_and_its_end_once() {
    use Kind::{Fenced, RolledBack, SnapshotRejected, WrongPassword};
    let failed = |kind| badly(kind);
    for (kind, event) in [(WrongPassword, "failed"), (RolledBack, "rolled-back"), (Fenced, "fenced")] {
        let mut host = Host::new(usual());
        assert!(host.run(10, well(Outcome::Applied), &[]).is_empty());
        assert_eq!(host.run(10, failed(kind), &[]), [event]);
        for _ in 0..1000 {
            assert!(host.run(MINUTE, failed(kind), &[]).is_empty(), "a storm");
        }
        assert_eq!(host.run(MINUTE, well(Outcome::UpToDate), &[]), ["recovered"]);
        assert!(host.run(10, well(Outcome::UpToDate), &[]).is_empty());
        // Another one an hour later is news.
        assert_eq!(host.run(60 * MINUTE, failed(kind), &[]), [event]);
    }
    // What was rolled back is rejected from then on: that is one story.
    let mut host = Host::new(usual());
    assert_eq!(host.run(10, failed(RolledBack), &[]), ["rolled-back"]);
    assert!(host.run(MINUTE, failed(SnapshotRejected), &[]).is_empty());
    assert_eq!(host.run(MINUTE, failed(WrongPassword), &[]), ["failed"], "another failure is news");
    assert_eq!(host.run(MINUTE, well(Outcome::Applied), &[]), ["recovered"]);
    let mut host = Host::new(usual());
    assert_eq!(host.run(10, failed(SnapshotRejected), &[]), ["failed"]);
}

#[test]
fn what_is_tried_again_is_told_when_it_has_lasted() {
    let again = || badly(Kind::RepositoryUnreachable);
    let mut host = Host::new(usual());
    host.run(10, well(Outcome::UpToDate), &[]);
    for _ in 0..30 {
        assert!(host.run(MINUTE, again(), &[]).is_empty());
    }
    assert_eq!(host.run(MINUTE, again(), &[]), ["overdue"]);
    for _ in 0..1000 {
        assert!(host.run(MINUTE, again(), &[]).is_empty());
    }
    assert_eq!(host.run(MINUTE, well(Outcome::UpToDate), &[]), ["recovered"]);
    // It says nothing about a failure that needs a person, neither that it is over nor that it is another one.
    assert_eq!(host.run(60 * MINUTE, badly(Kind::WrongPassword), &[]), ["failed"]);
    for _ in 0..100 {
        assert!(host.run(MINUTE, again(), &[]).is_empty());
    }
    // Without any success it counts from the beginning.
    let mut host = Host::new(usual());
    assert!(host.run(29 * MINUTE, again(), &[]).is_empty());
    assert_eq!(host.run(2 * MINUTE, again(), &[]), ["overdue"]);
}

#[test]
fn a_host_that_fails_in_every_other_cycle_sends_no_storm() {
    let mut host = Host::new(usual());
    let mut told = 0;
    for _ in 0..120 {
        told += host.run(10, badly(Kind::WrongPassword), &[]).len();
        told += host.run(10, well(Outcome::UpToDate), &[]).len();
    }
    // 40 minutes: two messages each quarter of an hour, and those of the first.
    assert!((4..=8).contains(&told), "{told}");
}

#[test]
fn blocked_and_long_holds_are_told() {
    let mut host = Host::new(usual());
    host.run(10, well(Outcome::UpToDate), &[]);
    assert_eq!(host.run(10, well(Outcome::Blocked), &[]), ["blocked"]);
    for _ in 0..100 {
        assert!(host.run(MINUTE, well(Outcome::Blocked), &[]).is_empty(), "that it is overdue is no news then");
    }
    assert_eq!(host.run(10, well(Outcome::Applied), &[]), ["recovered"]);
    let mut only = Host::new(settings("[notify.x]\nkind = \"webhook\"\nevents = [\"overdue\"]\n"));
    only.run(10, well(Outcome::UpToDate), &[]);
    assert!(only.run(10, well(Outcome::Blocked), &[]).is_empty());
    assert_eq!(only.run(31 * MINUTE, well(Outcome::Blocked), &[]), ["overdue"]);
    assert!(only.run(10, well(Outcome::Applied), &[]).is_empty(), "it did not ask for the end");
    // A hold with an end is no reason before that end.
    for (until, told) in [(Some(120), false), (Some(20), true), (None, true)] {
        let mut host = Host::new(usual());
        host.run(10, well(Outcome::UpToDate), &[]);
        let until = until.map(|minutes| host.now.checked_add(SignedDuration::from_mins(minutes)).unwrap());
        host.state.hold = Some(Hold { reason: "upgrade".to_owned(), since: host.now, until });
        host.state.last_cycle = None;
        let mut events = Vec::new();
        for _ in 0..60 {
            let ended = well(Outcome::OnHold);
            host.state.last_cycle = Some(kuma_replicator::model::state::LastCycle {
                outcome: Outcome::OnHold,
                message: String::new(),
                error: None,
                at: host.now,
            });
            events.extend(host.run(MINUTE, ended, &[]));
        }
        assert_eq!(events, if told { vec!["overdue"] } else { vec![] }, "{until:?}");
    }
}

#[test]
fn what_happened_is_told_to_those_who_asked() {
    let both = "[notify.a]\nkind = \"ntfy\"\nevents = [\"published\", \"applied\"]\n[notify.b]\nkind = \"webhook\"\n\
                [notify.c]\nkind = \"uptime-kuma\"\n";
    let mut host = Host::new(settings(both));
    assert_eq!(host.run(10, well(Outcome::Applied), &[noticed("applied"), noticed("drifted")]), ["applied", "drifted"]);
    assert_eq!(host.run(10, badly(Kind::WrongPassword), &[]), ["failed"], "only b asked for it");
    // A receiver that takes nothing has a bounded queue; what is not configured any more is forgotten.
    for _ in 0..50 {
        let run = Run {
            settings: &host.settings,
            state: &host.state,
            ended: well(Outcome::Applied),
            millis: None,
            now: host.now,
            zone: TimeZone::UTC,
        };
        decide::notice(&mut host.memory, &[noticed("applied")], &run);
    }
    let known = &host.memory.receivers["a"];
    assert_eq!((known.waiting.len(), known.left_out), (20, 30));
    assert!(host.memory.render().len() < 16 << 10);
    host.settings = usual();
    host.run(10, well(Outcome::Applied), &[]);
    assert_eq!(host.memory.receivers.keys().collect::<Vec<_>>(), ["phone"]);
}

#[test]
fn an_unchanged_cycle_leaves_the_memory_as_it_is() {
    let mut host = Host::new(usual());
    host.run(10, well(Outcome::UpToDate), &[]);
    let before = host.memory.clone();
    host.run(10, well(Outcome::UpToDate), &[]);
    assert_eq!(host.memory, before);
    assert_eq!(Memory::parse(&before.render()), Some(before));
}

#[test]
fn pings_say_whether_a_person_should_look() {
    let push = settings("overdue-after = \"10m\"\n[notify.push]\nkind = \"uptime-kuma\"\n");
    let begun = begin();
    let state = State { last_success: Some(begun), ..State::default() };
    let at = |minutes: i64| begun.checked_add(SignedDuration::from_mins(minutes)).unwrap();
    for (ended, minutes, up, text) in [
        (well(Outcome::Applied), 0, true, "applied, 7 s"),
        (well(Outcome::Blocked), 0, true, "blocked, 7 s: why"),
        (badly(Kind::ServiceBusy), 9, true, "failed: it ended with service-busy"),
        (badly(Kind::ServiceBusy), 11, false, "since then: it ended with service-busy"),
        (well(Outcome::Blocked), 11, false, "the last cycle ended as blocked: why"),
        (badly(Kind::WrongPassword), 0, false, "failed: it ended with wrong-password"),
        (badly(Kind::RolledBack), 0, false, "rolled back: it ended with rolled-back"),
    ] {
        let run =
            Run { settings: &push, state: &state, ended, millis: Some(7000), now: at(minutes), zone: TimeZone::UTC };
        let ping = decide::ping(&run, begun);
        assert!(ping.up == up && ping.text.contains(text), "{ping:?}, not {text}");
    }
    let (receiver, mut memory) = (&push.receivers[0], Memory::new(begun));
    let seconds = |seconds: i64| begun.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    assert!(decide::is_ping_due(receiver, None, true, begun));
    let known = memory.receivers.entry("push".to_owned()).or_default();
    known.pinged = Some(Pinged { at: begun, up: true });
    for (after, up, due) in
        [(10, true, false), (50, true, false), (59, true, true), (90, true, true), (10, false, true)]
    {
        assert_eq!(decide::is_ping_due(receiver, Some(known), up, seconds(after)), due, "{after} {up}");
    }
    // One that takes nothing is left alone for a while.
    assert!(decide::is_tried(Some(known), begun));
    known.trouble = Some(Trouble { since: begun, tried: begun, reason: "x".to_owned() });
    assert!(!decide::is_tried(Some(known), seconds(10)));
    assert!(decide::is_tried(Some(known), seconds(59)));
    assert_eq!(receiver.ping_every, Duration::from_secs(60));
}
