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

/// What needs no search.
pub(crate) const FIXED: &[Property] = &[("no_state_takes_more_memory_than_documented", memory)];

/// How many bytes of memory a byte takes at most: serde keeps what belongs to a tagged value aside, 32 bytes for each part,
/// and room for four in each array.
const GROWTH: usize = 64;

/// About the size of the broken files, in bytes.
const SIZE: usize = 128 << 10;

const GOLDEN: &[u8] = include_bytes!("../golden/state-1.json");

fn states(budget: Budget) {
    assert!(State::parse(GOLDEN).is_ok());
    budget.check(500, &mutated(GOLDEN.to_vec()), |bytes| {
        let (parsed, most) = peak(|| State::parse(&bytes));
        prop_assert!(most < GROWTH * bytes.len() + (64 << 10), "{} bytes of memory for {}", most, bytes.len());
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

/// The parts that take most, in place of each value.
fn memory(_: Budget) {
    let golden = String::from_utf8(GOLDEN.to_vec()).unwrap();
    let mut refused = 0;
    for (at, colon) in golden.match_indices("\": ") {
        for part in ["0", "\"\"", "[0]", "[[0]]", "[[[[0]]]]", "{\"\":0}", "[\"\",\"\",\"\",\"\",\"\"]"] {
            // Just after what holds them has grown.
            let count = (SIZE / (part.len() + 1)).next_power_of_two() / 2 + 1;
            let (before, after) = golden.split_at(at + colon.len());
            let text = format!("{before}[{}],\n\"x\": {after}", vec![part; count].join(","));
            let (parsed, most) = peak(|| State::parse(text.as_bytes()));
            assert!(most < GROWTH * text.len(), "{count} {part} after {before}: {most} bytes of memory");
            refused += usize::from(parsed.is_err());
        }
    }
    assert!(refused > 300, "{refused}");
}
