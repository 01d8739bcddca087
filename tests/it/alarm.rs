//! Promise: `status` reports a replication that fails, or that has stopped silently.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kuma_replicator::decide;
use kuma_replicator::error::Kind;
use kuma_replicator::model::outcome::Outcome;
use kuma_replicator::model::state::{Hold, LastCycle, State};

/// Whether a person has to look, for `status` and for everything that monitors it.
#[test]
fn a_failure_and_a_long_silence_are_an_alarm() {
    let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
    // So many minutes ago; negative ones are yet to come.
    let minutes = |minutes: i64| now.checked_sub(SignedDuration::from_mins(minutes)).unwrap();
    let ended = |outcome: Outcome, error: Option<Kind>, ago: i64| LastCycle {
        outcome,
        message: "why".to_owned(),
        error,
        at: minutes(ago),
    };
    let hold = |until: Option<i64>| {
        let until = until.map(&minutes);
        Some(Hold { reason: "upgrade".to_owned(), since: minutes(120), until })
    };
    let failed = |ago| Some(ended(Outcome::Failed, Some(Kind::RepositoryUnreachable), ago));
    let fine = |ago| Some(ended(Outcome::UpToDate, None, ago));
    let held = |ago| Some(ended(Outcome::OnHold, None, ago));
    // The last cycle, when one last succeeded (minutes ago), the hold, and what it is an alarm for.
    let cases = [
        (None, None, None, Some(Kind::Overdue)),
        (fine(1), Some(1), None, None),
        (fine(30), Some(30), None, None),
        (fine(31), Some(31), None, Some(Kind::Overdue)),
        (failed(1), Some(2), None, Some(Kind::RepositoryUnreachable)),
        (failed(1), None, None, Some(Kind::RepositoryUnreachable)),
        (held(1), Some(5), None, None),
        (held(1), Some(31), None, Some(Kind::Overdue)),
        (held(1), None, None, Some(Kind::Overdue)),
        // On hold until a time to come, only a timer that is off is an alarm.
        (held(1), Some(300), hold(Some(-60)), None),
        (held(31), Some(300), hold(Some(-60)), Some(Kind::Overdue)),
        // A hold that is over: the next cycle has time to come. One without an end may be a forgotten one.
        (held(2), Some(300), hold(Some(1)), None),
        (held(2), Some(300), hold(Some(40)), Some(Kind::Overdue)),
        (held(1), Some(31), hold(None), Some(Kind::Overdue)),
        // Times of a clock that was wrong.
        (fine(-600), Some(-600), None, Some(Kind::Overdue)),
        (fine(-1), Some(-1), None, None),
    ];
    for (last, success, hold, wanted) in cases {
        let state = State { last_cycle: last, last_success: success.map(minutes), hold, ..State::default() };
        let found = decide::alarm(&state, now, Duration::from_secs(1800), &TimeZone::UTC).map_err(|error| {
            assert!(error.chain().len() > 30, "{error:?}");
            error.kind()
        });
        assert_eq!(found.err(), wanted, "{state:?}");
    }
}

/// What failed before a person saw to this host is over, and cycles have time to come.
#[test]
fn an_order_ends_an_alarm_and_a_later_failure_begins_another() {
    let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
    let minutes = |minutes: i64| now.checked_sub(SignedDuration::from_mins(minutes)).unwrap();
    let failed = |ago| LastCycle {
        outcome: Outcome::Failed,
        message: "why".to_owned(),
        error: Some(Kind::Fenced),
        at: minutes(ago),
    };
    // When the last cycle failed, when the order was, and the alarm.
    for (failure, order, wanted) in
        [(2, 1, None), (1, 1, None), (1, 2, Some(Kind::Fenced)), (60, 29, None), (60, 31, Some(Kind::Overdue))]
    {
        let mut state = State { last_cycle: Some(failed(failure)), ..State::default() };
        state.obeyed("demote", minutes(order));
        let found = decide::alarm(&state, now, Duration::from_secs(1800), &TimeZone::UTC);
        assert_eq!(found.err().map(|error| error.kind()), wanted, "failed {failure}, ordered {order} minutes ago");
    }
}
