//! How long a property is tried: some cases, or its share of the minutes of a soak.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How many properties are tried at once.
pub(crate) const THREADS: usize = 2;

const MINUTES: &str = "KUMA_REPLICATOR_SOAK_MINUTES";

/// The time of one property.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget(Duration);

impl Budget {
    /// That of one of `properties`; none if this is no soak.
    pub(crate) fn share_of(properties: usize) -> Self {
        let minutes = std::env::var(MINUTES).map_or(0, |text| text.parse::<u32>().expect("a number of minutes"));
        let seconds = f64::from(minutes) * 60.0 * THREADS as f64 / properties as f64;
        Self(Duration::from_secs_f64(seconds))
    }

    /// Tries `cases` values of `strategy`, and as many again until the time is over; panics with the smallest one
    /// for which `property` does not hold.
    pub(crate) fn check<S: Strategy>(
        self,
        cases: u32,
        strategy: &S,
        property: impl Fn(S::Value) -> Result<(), TestCaseError>,
    ) where
        S::Value: Debug,
    {
        let end = Instant::now() + self.0;
        loop {
            let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
            if let Err(error) = TestRunner::new(config).run(strategy, &property) {
                panic!("{error}");
            }
            if Instant::now() >= end {
                return;
            }
        }
    }
}
