//! Random numbers that can be repeated: every test that draws them shows its seed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::testbed::Result;

/// A seed for all tests, to see a failure again.
const SEED: &str = "KUMA_REPLICATOR_SEED";

/// How long a test that draws goes on, in minutes, instead of the number of rounds it usually takes.
const SOAK: &str = "KUMA_REPLICATOR_SOAK_MINUTES";

/// A source of random numbers (SplitMix64).
pub struct Chance {
    /// Where it began.
    pub seed: u64,
    state: u64,
}

impl Chance {
    /// A new one, seeded by the environment or by the clock.
    pub fn new() -> Result<Self> {
        let seed = match std::env::var(SEED) {
            Ok(text) => text.parse().map_err(|error| format!("{SEED}={text}: {error}"))?,
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos().into(),
        };
        Ok(Self { seed, state: seed })
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// A time up to `longest`.
    pub fn within(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(longest.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// How long a test with random rounds goes on.
pub enum Rounds {
    /// As usual.
    Count(usize),
    /// In a soak.
    Until(Instant),
}

impl Rounds {
    /// `usual` rounds, or those of a soak.
    pub fn new(usual: usize) -> Result<Self> {
        let Ok(minutes) = std::env::var(SOAK) else { return Ok(Self::Count(usual)) };
        let minutes: u64 = minutes.parse().map_err(|error| format!("{SOAK}={minutes}: {error}"))?;
        Ok(Self::Until(Instant::now() + Duration::from_secs(minutes * 60)))
    }

    /// Whether there is another round after so many.
    pub fn go_on(&self, done: usize) -> bool {
        match self {
            Self::Count(rounds) => done < *rounds,
            Self::Until(end) => Instant::now() < *end,
        }
    }
}
