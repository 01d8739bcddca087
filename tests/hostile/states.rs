//! State files that something else wrote, or half of the disk lost.

use std::path::Path;

use jiff::tz::TimeZone;
use kuma_replicator::config::Settings;
use kuma_replicator::model::state::State;
use kuma_replicator::report::{Clock, StatusDocument};
use kuma_replicator::text;
use proptest::prelude::*;

use crate::Property;
use crate::budget::Budget;
use crate::memory::peak;
use crate::mutation::mutated;

pub(crate) const PROPERTIES: &[Property] = &[("a_broken_state_is_refused_or_means_what_it_says", states)];

const GOLDEN: &[u8] = include_bytes!("../golden/state-1.json");

fn states(budget: Budget) {
    assert!(State::parse(GOLDEN).is_ok());
    budget.check(500, &mutated(GOLDEN.to_vec()), |bytes| {
        let (parsed, most) = peak(|| State::parse(&bytes));
        prop_assert!(most < 8 * bytes.len() + (64 << 10), "{} bytes of memory for {}", most, bytes.len());
        let Ok(state) = parsed else { return Ok(()) };
        prop_assert_eq!(&State::parse(&state.render()).unwrap(), &state);
        for role in ["main", "replica"] {
            let now = "2026-11-25T00:00:00Z".parse().unwrap();
            let settings = format!("role = \"{role}\"\nrepository = \"/r\"\n");
            let settings = Settings::parse(&settings, Path::new("config.toml")).unwrap();
            let clock = Clock { now, zone: TimeZone::UTC };
            let document = StatusDocument::new(&settings, None, state.clone(), None, clock);
            let shown = document.to_string();
            prop_assert_eq!(&*text::lines(&shown), &*shown);
            prop_assert!(shown.lines().all(|line| line.get(14..).is_some()), "a line was forged: {}", shown);
        }
        Ok(())
    });
}
